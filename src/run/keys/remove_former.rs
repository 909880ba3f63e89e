//! The end of a rotation: the former key goes. Nothing is removed anywhere unless every node still lets the new key in, also those that
//! have joined meanwhile, and both stores still hold it: whoever writes authorized_keys or the Secret besides us would lock the cluster out.

use std::slice;

use crate::failure::{Advice, Cause, Class};
use crate::guard::{self, Guard};
use crate::node::RemoveKeys;
use crate::plan::model::facts::Node;
use crate::plan::trust::keys::Left;
use crate::run::cluster::Cluster;
use crate::run::keys::keystore::KeyStore;
use crate::run::keys::survey::{Open, Ring, Survey};
use crate::run::keys::turn::{Interrupted, PLACE, Turn, interrupted};
use crate::run::services::Services;
use crate::run::session::Session;
use crate::run::ssh::Ssh;
use crate::settings::Settings;
use crate::words::command;

const AGAIN: &str = "k8s-upgrade rotate-key";

/// Removes what the new key replaced, once nothing speaks against it. A node that has gone away meanwhile is left for later. One that has
/// joined is brought the key; whoever joins while lines are removed is found by a last look.
pub async fn remove_former(services: &Services, survey: &mut Survey, turn: &Turn, only: bool) -> Result<(), Interrupted> {
    let mut away = let_in(&services.session, &services.ssh, &services.settings, survey, turn).await?;
    // A run may have begun meanwhile, with the former key.
    let mut all = super::survey::nobody_upgrades(&services.observer, &services.leases).await.map_err(interrupted(Left::Held))?;
    let mut cleared = 0;
    loop {
        let left = if cleared == 0 { Left::Kept } else { Left::Held };
        let known = |node: &Node| node.excluded || survey.nodes.iter().any(|open| open.node.name == node.name);
        let new: Vec<Node> = all.into_iter().filter(|node| !only && !known(node)).collect();
        if let Err(cause) = bring(&services.session, &services.ssh, &services.settings, survey, new, turn).await {
            let rest = (cleared == 0).then(|| Advice::go_on(format!("{AGAIN}          # then: goes on")));
            return Err(Interrupted { cause: rest.into_iter().fold(cause, Cause::next), left });
        }
        if cleared == survey.nodes.len() {
            break;
        }
        if guard::on(Guard::KeyStillInSecret) {
            still_held(&services.cluster, survey, turn).await.map_err(interrupted(left))?;
        }
        away.extend(clear(&services.session, &services.ssh, &services.settings, survey, turn, cleared, &away).await?);
        cleared = survey.nodes.len();
        all = match services.observer.observe().await {
            Ok(facts) => facts.nodes,
            Err(cause) => {
                services
                    .session
                    .warn(PLACE, format!("it cannot be seen whether a node has joined at the last moment: {}", cause.what));
                break;
            }
        };
    }
    let later =
        |(node, _): &(String, Cause)| Advice::go_on(command!("k8s-upgrade rotate-key --only {}      # once it answers", node));
    let later: Vec<Advice> = away.iter().map(later).collect();
    match Cause::together("nodes still accept the former key", away) {
        Some(cause) => Err(Interrupted { cause: Cause { next: later, ..cause }, left: Left::Held }),
        None => Ok(()),
    }
}

/// Removes what goes from the nodes that are `from` this one on, but for those that are away; gives back those that it did not reach.
async fn clear(
    session: &Session,
    ssh: &Ssh,
    settings: &Settings,
    survey: &mut Survey,
    turn: &Turn,
    from: usize,
    away: &[(String, Cause)],
) -> Result<Vec<(String, Cause)>, Interrupted> {
    let user = settings.ssh_user.clone();
    let keep = Some(turn.pair.public.base64.clone());
    let remove = RemoveKeys { user, keep, strays: true, gone: turn.gone() };
    let mut missed = Vec::new();
    for open in survey.nodes.iter_mut().skip(from) {
        let name = open.node.name.clone();
        if away.iter().any(|(node, _)| *node == name) {
            continue;
        }
        match super::turn::remove(session, ssh, open, &turn.login(), "remove the former key", &remove).await {
            Ok((removed, keys)) => (open.done.removed, open.done.keys) = (removed, keys),
            Err(cause) if cause.class == Class::Refused => {
                let cause = put_back(session, ssh, settings, open, &survey.ring, turn, cause).await;
                return Err(Interrupted { cause: cause.during(name), left: Left::Held });
            }
            Err(cause) => missed.push((name, cause)),
        }
    }
    Ok(missed)
}

/// Logs in with the new key on every node. Those that are away are given back; one that refuses it ends all.
async fn let_in(
    session: &Session,
    ssh: &Ssh,
    settings: &Settings,
    survey: &mut Survey,
    turn: &Turn,
) -> Result<Vec<(String, Cause)>, Interrupted> {
    let (mut away, mut refused) = (Vec::new(), Vec::new());
    for open in &mut survey.nodes {
        let name = open.node.name.clone();
        match super::survey::opens(ssh, settings, &open.node, &[turn.login()], &[]).await {
            Err(cause) if cause.class == Class::Unreachable => away.push((name, cause)),
            Err(cause) if cause.class == Class::Refused => {
                refused.push((name, put_back(session, ssh, settings, open, &survey.ring, turn, cause).await));
            }
            Err(cause) => refused.push((name, cause)),
            Ok(_) => {}
        }
    }
    match Cause::together("nodes do not let the new key in any more", refused) {
        Some(cause) => Err(Interrupted { cause, left: Left::Kept }),
        None => Ok(away),
    }
}

/// A node that let the new key in does so no more: what stands there now, and its line once more where it is gone, as long as another
/// key opens the node.
async fn put_back(
    session: &Session,
    ssh: &Ssh,
    settings: &Settings,
    open: &mut Open,
    ring: &Ring,
    turn: &Turn,
    refused: Cause,
) -> Cause {
    let key = &turn.pair.public;
    let way = |then: &str| super::survey::way_to(settings, &open.node, then);
    let others = match super::survey::opens(ssh, settings, &open.node, &ring.logins, slice::from_ref(key)).await {
        Err(cause) => {
            return refused.detail([format!("nor does another key that is at hand open it: {}", cause.what)]).next(format!(
                "{}      # by another way in; into ~/.ssh/authorized_keys: {}",
                way(""),
                key.line()
            ));
        }
        Ok((_, there)) if there.has.contains(&key.base64) => {
            return refused
                .detail(["its line stands there all the same: what sshd logs on the node says why"])
                .next(way("sudo journalctl -u ssh -n 50"));
        }
        Ok((login, _)) => login,
    };
    open.login = others;
    let again = match super::turn::spread(session, ssh, settings, slice::from_mut(open), turn).await {
        Ok(()) => "it was added once more, and opens the node again".to_owned(),
        Err(cause) => format!("it could not be added once more: {}", cause.what),
    };
    Cause::refused("the new key's line is gone from ~/.ssh/authorized_keys: something else writes that file")
        .detail([again, format!("let what writes it (Ansible, cloud-init, …) write this line, too: {}", key.line())])
}

/// Brings the new key to nodes that have joined since the survey: the former one may be all that they know, and it is at hand now.
async fn bring(
    session: &Session,
    ssh: &Ssh,
    settings: &Settings,
    survey: &mut Survey,
    nodes: Vec<Node>,
    turn: &Turn,
) -> Result<(), Cause> {
    survey.ring.logins.push(turn.login());
    let mut failed = Vec::new();
    for node in nodes {
        let name = node.name.clone();
        session.note(&name, "joined meanwhile: the new key is brought there, too");
        let brought = async {
            let mut open = super::survey::look_at_one(ssh, settings, node, &survey.ring).await?;
            super::turn::spread_to(session, ssh, settings, &mut open, turn).await?;
            Ok::<_, Cause>(open)
        };
        match brought.await {
            Ok(open) => survey.nodes.push(open),
            Err(cause) => failed.push((name, cause)),
        }
    }
    let only = |(node, _): &(String, Cause)| {
        command!("k8s-upgrade rotate-key --only {} --set ssh-key-file=FILE      # FILE: a key that opens it", node)
    };
    let next = failed.iter().map(only).map(Advice::go_on).collect();
    match Cause::together("nodes that have joined meanwhile lack the new key", failed) {
        Some(cause) => Err(Cause { next, ..cause }
            .detail(["a node that has joined meanwhile must not be left without a key that the cluster holds"])),
        None => Ok(()),
    }
}

/// What was stored stands there still, in Vault and in the Secret.
async fn still_held(cluster: &Cluster, survey: &Survey, turn: &Turn) -> Result<(), Cause> {
    let private = &turn.pair.private;
    if let KeyStore::Vault(_) = survey.store
        && !super::keystore::stored_key(cluster, &survey.store).await?.is(private)
    {
        let what = format!(
            "{} does not hold the new key any more: something else writes it",
            super::keystore::place_of(cluster, &survey.store)
        );
        return Err(Cause::refused(what).detail([
            "what writes it (Terraform, a person) must leave ssh_key and ssh_key_pub alone: it would bring the former key back",
        ]));
    }
    let Some(other) = super::keystore::holds_another(cluster, private).await?.filter(|_| guard::on(Guard::KeyInSecret)) else {
        return Ok(());
    };
    let lacks = |open: &&Open| other.key.as_ref().is_none_or(|key| !open.there.has.contains(&key.base64));
    let shut: Vec<&str> = survey.nodes.iter().filter(lacks).map(|open| open.node.name.as_str()).collect();
    let shut = (!shut.is_empty()).then(|| format!("that does not open {}", shut.join(", ")));
    Err(Cause::refused(format!("{other}, and the new key no more: something else writes it"))
        .detail(shut)
        .detail(["what writes it (Flux, Argo CD, an ExternalSecret, a person) must leave ssh_key alone, or write the new one"])
        .next(super::keystore::who_writes(cluster)))
}
