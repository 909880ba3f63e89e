//! What preflight does on nodes before anything is disrupted: look at each, point to the repository, fetch packages and images.

use std::str::FromStr;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;

use super::inspect::state_of;
use crate::failure::Cause;
use crate::guard::{self, Guard};
use crate::names::{self, Mark};
use crate::node::{
    Available, ImageSource, Images, NodeState, Prefetch, Prefetched, Refresh, Refreshed, Repository, Runtime, SigningKey,
    WriteCard,
};
use crate::packages;
use crate::permit::ChangeClass;
use crate::plan::decide::losses::coredns::skips_addon;
use crate::plan::decide::{signing, sources};
use crate::plan::model::facts::{Facts, Node};
use crate::plan::model::marks::Edit;
use crate::plan::model::parse::{self, ConfiguredImages};
use crate::plan::model::version::Version;
use crate::run::cluster::{Cluster, Record};
use crate::run::services::Services;
use crate::run::session::{Change, RECORD, Session};
use crate::run::ssh::Ssh;
use crate::settings::Settings;
use crate::words::{NotAToken, command};

const SYSTEM: &str = "kube-system";

/// What a node's filesystems must have free before packages and images are fetched.
const FREE: &[(&str, u64)] = &[(packages::IN_USE.cache, 600 << 20), ("/usr", 600 << 20), ("/etc/kubernetes", 600 << 20)];

/// Looks at every node: SSH and sudo work, packages are whole, their sources can be pointed to the target, there is room. Changes nothing.
pub async fn inspect_nodes(
    ssh: &Ssh,
    settings: &Settings,
    facts: &Facts,
    target: Version,
) -> Result<Vec<(String, NodeState)>, Cause> {
    let fit = async |node| inspect_node(ssh, settings, node, Some(target)).await;
    Ok(super::inspect::named(super::inspect::look_at_each_node(facts, fit).await?))
}

/// The same look at one of them; without a target nobody knows what its sources have to offer.
pub async fn inspect_node(ssh: &Ssh, settings: &Settings, node: &Node, target: Option<Version>) -> Result<NodeState, Cause> {
    let state = ssh.on_node(node, &super::sources::inspect(settings)).await?;
    let strangers = |target| super::sources::of(&state).strangers_in_the_way(target, &settings.packages_url);
    fit(&state, target.and_then(strangers))?;
    Ok(state)
}

/// Workers that somebody has brought to the target by packages alone, as an upgrade of all packages does: their kubelets look done, but
/// `kubeadm upgrade` never ran there, and nothing holds the packages, or they would have been left. They are marked as begun, so that their step comes.
pub async fn take_in_pulled_ahead(
    session: &Session,
    record: &Record,
    facts: &Facts,
    states: &[(String, NodeState)],
    target: Version,
) -> Result<(), Cause> {
    for node in facts.managed().filter(|node| !node.control_plane && node.is_done(target)) {
        let Some(state) = state_of(states, &node.name) else { continue };
        let to = target.to_string();
        // Past the target it is not this run's: packages are never taken back.
        if !state.whole_at("kubelet", &to) || state.finished(&to) {
            continue;
        }
        let change = Change { class: ChangeClass::Prepare, ..Change::disrupt(&node.name, "record that its step is due", RECORD) };
        let versions: Vec<String> = state.packages.iter().map(|own| format!("{}={}", own.name, own.version)).collect();
        let marks = || vec![Edit::set(Mark::FormerVersions, versions.join(",")), Edit::remove(Mark::ChangedAt)];
        record.edit_node(change, |_| Some((None, marks()))).await?;
        let why = "its kubelet is at the target, but its packages are not held: kubeadm's step is made up for there";
        session.note(&node.name, why);
    }
    Ok(())
}

/// Points every node's package source to the target's minor version, where it is not, and refreshes its lists.
pub async fn point_repositories(
    services: &Services,
    facts: &Facts,
    states: &[(String, NodeState)],
    target: Version,
) -> Result<(), Cause> {
    super::inspect::each_node(&services.settings, facts, async |node| {
        point_repository(services, node, state_of(states, &node.name), target).await
    })
    .await
    .map(drop)
}

async fn point_repository(services: &Services, node: &Node, state: Option<&NodeState>, target: Version) -> Result<(), Cause> {
    let minor = target.series();
    if state.is_some_and(|state| super::sources::of(state).stay(&minor)) {
        return refresh_lists(services, node, target).await;
    }
    let step = format!("package repository v{minor}");
    let op = repository(&services.settings, target);
    services.ssh.change_node(node, ChangeClass::Prepare, &step, &op).await.map(drop)
}

/// Reads the node's lists anew. Where the key in force there proves its repository no more, it is renewed as for a new minor version: fetched and
/// proved aside, and believed only where it is the former one, prolonged, or where a person has acknowledged it. Where the node's repository is
/// not the one that the settings have, nothing is fetched.
pub async fn refresh_lists(services: &Services, node: &Node, target: Version) -> Result<(), Cause> {
    let Services { ssh, settings, session, .. } = services;
    let op = Refresh { packages: Some(settings.packages_url.clone()) };
    let (former, of) = match ssh.change_node(node, ChangeClass::Prepare, "refresh package lists", &op).await? {
        Refreshed::Done => return Ok(()),
        Refreshed::KeyUnfit { keys, of } => (summary(&keys), of),
    };
    let what = format!("the key in force there proves the repository no more: {former}");
    if guard::on(Guard::OwnRepositoryRenewed) {
        sources::renewable(&of, target, &settings.packages_url).map_err(|cause| cause.detail([what.clone()]))?;
    }
    let op = repository(settings, target);
    let renew = ssh.change_node(node, ChangeClass::Prepare, "renew the repository's key", &op);
    let now = summary(&renew.await.map_err(|cause| cause.detail([what]))?);
    session.note(&node.name, format!("the repository's key was renewed: {former} proved it no more, and {now} is in force"));
    Ok(())
}

/// Keys with their ends, for people.
fn summary(keys: &[SigningKey]) -> String {
    let told = |SigningKey { fingerprint, ends }: &SigningKey| match ends {
        Some(ends) => format!("{fingerprint} until {}", ends.strftime("%F")),
        None => format!("{fingerprint} without an end"),
    };
    if keys.is_empty() { "none that can be read".to_owned() } else { keys.iter().map(told).collect::<Vec<_>>().join(", ") }
}

/// Tells of keys of the nodes' repositories that end soon.
pub fn warn_of_ends(session: &Session, place: &str, states: &[(String, NodeState)]) {
    let with_end = states.iter().flat_map(|of| {
        let (node, keys) = (of.0.as_str(), of.1.keys.as_slice());
        keys.iter().filter_map(move |key| Some((node, &key.fingerprint, key.ends?)))
    });
    signing::ending(with_end, session.now()).into_iter().for_each(|warning| session.warn(place, warning));
}

/// That each node can have the target's packages, as its lists are once they are read anew: its mirror may lag behind, or lack what the node's
/// architecture wants. Where the repository of another minor version is in force, the target's is asked aside, by the gate `trial`.
pub async fn installable(
    services: &Services,
    facts: &Facts,
    states: &[(String, NodeState)],
    target: Version,
) -> Result<(), Cause> {
    let asked = super::inspect::each_node(&services.settings, facts, async |node| match state_of(states, &node.name) {
        Some(state) => installable_on(services, node, state, target).await,
        None => Ok(()),
    });
    asked.await.map(drop)
}

/// The same of one node.
pub async fn installable_on(services: &Services, node: &Node, state: &NodeState, target: Version) -> Result<(), Cause> {
    if !has_repository(state, target) || state.whole_at("kubeadm", &target.to_string()) {
        return Ok(());
    }
    refresh_lists(services, node, target).await?;
    not_offered(&services.ssh, node, state, target).await?.map_or(Ok(()), Err)
}

/// The node's repository is that of the target's minor version, also where nobody knows it.
fn has_repository(state: &NodeState, target: Version) -> bool {
    super::sources::of(state).are_of(&target.series())
}

/// The repository of a release's minor version, as the settings name it.
pub fn repository(settings: &Settings, target: Version) -> Repository {
    Repository { packages: settings.packages_url.clone(), target, keys: settings.package_keys.clone() }
}

/// That a node can have the target's packages is seen while it still serves. One that joined after preflight is prepared now, as
/// preflight has prepared the others; outside a run its lists are refreshed, and its key is renewed if it has ended.
pub async fn offered(services: &Services, node: &Node, target: Version) -> Result<(), Cause> {
    let to = target.to_string();
    let state = services.ssh.on_node(node, &super::sources::inspect(&services.settings)).await?;
    if state.whole_at("kubeadm", &to) || not_offered(&services.ssh, node, &state, target).await?.is_none() {
        return Ok(());
    }
    if services.observer.marks().await?.prepared {
        services
            .session
            .note(&node.name, format!("its lists do not offer {to}, so it joined after preflight: it is prepared now"));
        point_repository(services, node, Some(&state), target).await?;
        prefetch_node(&services.ssh, node, target, images(&services.cluster, &services.settings).await?).await?;
    } else {
        refresh_lists(services, node, target).await?;
    }
    match not_offered(&services.ssh, node, &state, target).await? {
        None => Ok(()),
        Some(cause) => Err(cause),
    }
}

/// Which of the packages the node cannot install at that version, as its lists are now. A mirror of the right minor version may lag behind,
/// which time mends.
async fn not_offered(ssh: &Ssh, node: &Node, state: &NodeState, target: Version) -> Result<Option<Cause>, Cause> {
    let to = target.to_string();
    for package in ["kubeadm", "kubelet"] {
        let offered = ssh.on_node(node, &Available { package }).await?;
        if !offered.iter().any(|revision| revision.starts_with(&format!("{to}-"))) {
            let newest: Vec<&str> = offered.iter().take(5).map(|revision| revision.as_str()).collect();
            let offers = format!("it offers {}", if newest.is_empty() { "none".into() } else { newest.join(", ") });
            let what = format!("its repository does not offer {package} {to}");
            return Ok(Some(match has_repository(state, target) {
                true => Cause::hold(format!("{what} yet")).detail([offers]),
                false => {
                    let begin =
                        command!("k8s-upgrade preflight --target {}      # begins a run: repositories, snapshot, packages", to);
                    Cause::refused(what).detail([offers]).next(begin)
                }
            }));
        }
    }
    Ok(None)
}

/// Fetches packages and images, so that no node is out of service while it downloads.
pub async fn prefetch(ssh: &Ssh, settings: &Settings, facts: &Facts, target: Version, images: Images) -> Result<(), Cause> {
    super::inspect::each_node(settings, facts, async |node| prefetch_node(ssh, node, target, images.clone()).await)
        .await
        .map(drop)
}

async fn prefetch_node(ssh: &Ssh, node: &Node, target: Version, images: Images) -> Result<Prefetched, Cause> {
    let prefetch = Prefetch { target, control_plane: node.control_plane, images };
    ssh.change_node(node, ChangeClass::Prepare, "prefetch packages and images", &prefetch).await
}

/// Which of kubeadm's images this cluster uses, and where they come from: kubeadm's configuration says, and which addons are there. kubeadm
/// brings no addon back that somebody has removed.
pub async fn images(cluster: &Cluster, settings: &Settings) -> Result<Images, Cause> {
    let text = super::inspect::kubeadm_map(cluster, names::KUBEADM_CONFIG, "ClusterConfiguration").await?;
    let ConfiguredImages { repository, coredns, etcd, mut without } = parse::images(&text)?;
    let flags = settings.kubeadm_flags();
    let proxies = ListParams::default().labels("k8s-app=kube-proxy");
    let proxies: Vec<Pod> = cluster.list_all("list the pods of kube-proxy", cluster.within(SYSTEM), proxies).await?;
    if proxies.is_empty() || skips_addon(&flags, "kube-proxy") {
        without.push("kube-proxy");
    }
    if skips_addon(&flags, "coredns") || super::losses::coredns(cluster).await?.is_none() {
        without.push("coredns");
    }
    let source = |what: &str, (repository, tag): (Option<String>, Option<String>)| {
        let (of_repository, of_tag) = (format!("imageRepository of {what}"), format!("imageTag of {what}"));
        Ok::<_, Cause>(ImageSource { repository: configured(&of_repository, repository)?, tag: configured(&of_tag, tag)? })
    };
    Ok(Images {
        repository: configured("imageRepository", repository)?,
        coredns: source("dns", coredns)?,
        etcd: source("etcd", etcd)?,
        without,
    })
}

/// A word of kubeadm's configuration, which must be of that kind.
fn configured<T: FromStr<Err = NotAToken>>(field: &str, word: Option<String>) -> Result<Option<T>, Cause> {
    let odd = |error: NotAToken| Cause::refused(format!("{field} in kubeadm's ClusterConfiguration: {error}"));
    word.map(|word| word.parse()).transpose().map_err(odd)
}

/// Leaves what a restore needs on every control plane, where it can be read without the API.
pub async fn restore_cards(ssh: &Ssh, settings: &Settings, facts: &Facts, card: &WriteCard) -> Result<(), Cause> {
    super::inspect::each_node(settings, facts, async |node| {
        if !node.control_plane {
            return Ok(());
        }
        ssh.change_node(node, ChangeClass::Prepare, "restore card", card).await.map(drop)
    })
    .await
    .map(drop)
}

/// What a look at a node must show; all that it does not, told at once. `strange`: what keeps its package source from being changed.
fn fit(state: &NodeState, strange: Option<Cause>) -> Result<(), Cause> {
    let mut wrong = Vec::new();
    wrong.extend(strange.filter(|_| guard::on(Guard::SourcesKnown)));
    let bad: Vec<String> = state
        .packages
        .iter()
        .filter(|package| !package.healthy())
        .map(|package| format!("{} {} is {}", package.name, package.version, package.letters))
        .chain(state.audit.iter().take(4).cloned())
        .collect();
    if !bad.is_empty() && guard::on(Guard::PackagesWhole) {
        wrong.push(
            Cause::refused("packages are half installed")
                .detail(bad)
                .next(["sudo ", packages::IN_USE.finish, "    # on the node"].concat()),
        );
    }
    for (path, wanted) in FREE {
        let low = state.free.iter().find(|free| free.path == **path && free.bytes < *wanted);
        if let Some(free) = low.filter(|_| guard::on(Guard::RoomOnDisk)) {
            let text = format!("{path} has {} MiB free, {} MiB are wanted", free.bytes >> 20, wanted >> 20);
            wrong.push(Cause::refused(text).next(command!("df -h {}    # on the node", path)));
        }
    }
    if !state.stray_manifests.is_empty() && guard::on(Guard::StrayManifests) {
        let cause = Cause::refused("the static-pod folder holds files that the kubelet loads as well");
        wrong.push(
            cause
                .detail(state.stray_manifests.iter().map(ToString::to_string))
                .next("move them out of /etc/kubernetes/manifests"),
        );
    }
    if let Some(Runtime { socket, pulls: false }) = &state.runtime {
        let what = format!("nothing there can pull images for the container runtime at {socket}");
        wrong.push(Cause::refused(what).next("install crictl (package cri-tools) on the node"));
    }
    match wrong.len() {
        0 | 1 => wrong.pop().map_or(Ok(()), Err),
        several => Err(wrong.into_iter().fold(Cause::refused(format!("{several} things are wrong")), |all, cause| Cause {
            detail: [all.detail, vec![cause.what], cause.detail.into_iter().map(|line| format!("  {line}")).collect()].concat(),
            next: [all.next, cause.next].concat(),
            ..all
        })),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::failure::Class;
    use crate::node::{Free, Package};

    #[test]
    fn all_that_is_wrong_with_a_node_is_told_at_once() {
        let mut state = NodeState::default();
        assert_eq!(fit(&state, None), Ok(()));
        let runtime = |pulls| Some(Runtime { socket: "/run/crio/crio.sock".parse().unwrap(), pulls });
        let of_runtime = |pulls| fit(&NodeState { runtime: runtime(pulls), ..NodeState::default() }, None);
        assert_eq!(of_runtime(true), Ok(()));
        let cause = of_runtime(false).unwrap_err();
        let what = "nothing there can pull images for the container runtime at /run/crio/crio.sock";
        assert_eq!((cause.class, cause.what.as_str()), (Class::Refused, what));
        let free = |path: &str, bytes| Free { path: path.parse().unwrap(), bytes };
        state.free = vec![free("/usr", 5 << 20), free("/etc/kubernetes", 1 << 40)];
        let full = "/usr has 5 MiB free, 600 MiB are wanted";
        assert_eq!(fit(&state, None).unwrap_err().what, full);
        let half =
            Package { name: "kubelet".parse().unwrap(), letters: "iU".parse().unwrap(), version: "1.36.3-1.1".parse().unwrap() };
        state.packages.push(half);
        state.stray_manifests.push("/etc/kubernetes/manifests/etcd.yaml.bak".parse().unwrap());
        let cause = fit(&state, None).unwrap_err();
        assert_eq!((cause.class, cause.what.as_str()), (Class::Refused, "3 things are wrong"));
        let detail = [
            "packages are half installed",
            "  kubelet 1.36.3-1.1 is iU",
            full,
            "the static-pod folder holds files that the kubelet loads as well",
            "  /etc/kubernetes/manifests/etcd.yaml.bak",
        ];
        assert_eq!(cause.detail, detail);
        let finish = ["sudo ", packages::IN_USE.finish, "    # on the node"].concat();
        let next = [finish.as_str(), "df -h /usr    # on the node"];
        assert_eq!(cause.next, [&next[..], &["move them out of /etc/kubernetes/manifests"]].concat());
    }
}
