//! Hooks: other people's Jobs around a node's turn. The one before it ends well, or the node is not touched; the one after it runs once the node
//! is back in service, upgraded or not. The turn stands on the node from before its first hook until after its last, so that whoever comes
//! after a runner that died ends what it began.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::{Api, ResourceExt};

use crate::failure::{Cause, Class};
use crate::guard::{self, Guard};
use crate::names::Mark;
use crate::permit::ChangeClass;
use crate::plan::manifests::hooks;
use crate::plan::model::facts::{JobState, Node};
use crate::plan::model::hooks::{Hook, Turn};
use crate::plan::model::marks::Edit;
use crate::report::span;
use crate::run::cluster::created::{self, Tail};
use crate::run::services::Services;
use crate::run::session::{Change, Probe, RECORD, Wait, Waited};
use crate::words::{command, line};

/// What is kept of a hook's log: its last words.
const LOG: Tail = Tail { lines: 20, bytes: 16 << 10 };
/// Jobs of one hook in one turn: each try after one that failed has its own.
const TRIES: u32 = 100;

/// A hook, with namespace and name of its CronJob.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    hook: Hook,
    cronjob: (&'a str, &'a str),
    turn: &'a Turn,
    node: &'a str,
}

impl Wanted<'_> {
    /// `hook rook-ceph/noout (before k8s-node4)`
    fn words(&self) -> String {
        let (namespace, cronjob) = self.cronjob;
        format!("hook {namespace}/{cronjob} ({} {})", self.hook.word(), self.node)
    }
}

/// Whether the CronJobs that the settings name can be hooks.
///
/// # Errors
/// Refused: which cannot, and why.
pub async fn usable(services: &Services) -> Result<(), Cause> {
    let mut odd = Vec::new();
    for (hook, (namespace, name)) in services.settings.hooks().there() {
        let template = created::template(&services.cluster, "read a hook's CronJob", namespace, name).await?;
        odd.extend(
            hooks::usable(template.as_ref(), hook, (namespace, name)).err().map(|cause| (hook.setting().to_owned(), cause)),
        );
    }
    Cause::together("hooks cannot be run", odd).map_or(Ok(()), Err)
}

/// Whether this node's turn has hooks, or an earlier runner's had.
fn concern(services: &Services, node: &Node) -> bool {
    node.hooked.is_some() || !services.settings.hooks().is_empty()
}

/// Runs the hook before a node, which nothing has touched yet; one that an earlier runner began is waited for. True if there is one: what
/// was known before it may hold no more.
pub async fn before(services: &Services, node: &Node) -> Result<bool, Cause> {
    if !concern(services, node) {
        return Ok(false);
    }
    let (hooks, name) = (services.settings.hooks(), node.name.as_str());
    let mut turn = node.hooked.clone();
    if let (Some(former), Some(cronjob)) = (&turn, hooks.after) {
        let after = Wanted { hook: Hook::After, cronjob, turn: former, node: name };
        // That runner was on its way out: the turn is over, and this is another one.
        if find(services, after, 1).await?.is_some() {
            finish(services, name, None).await?;
            turn = None;
        }
    }
    let turn = match turn {
        Some(turn) => turn,
        None => begin(services, name).await?,
    };
    match hooks.before {
        Some(cronjob) => {
            run(services, Wanted { hook: Hook::Before, cronjob, turn: &turn, node: name }).await?;
            Ok(true)
        }
        None => Ok(false),
    }
}

/// Ends a node's turn without its hook after: the node stays out of service, and a person brings it back.
pub async fn disown(services: &Services, node: &Node) -> Result<(), Cause> {
    let name = node.name.as_str();
    let (Some(turn), hooks) = (&node.hooked, services.settings.hooks()) else { return Ok(()) };
    let run = match hooks.after {
        Some((namespace, cronjob)) => command!("kubectl -n {} create job after-{} --from=cronjob/{}", namespace, name, cronjob),
        None if turn.after => "what the installation's settings have as hook-after-node".to_owned(),
        None => String::new(),
    };
    if !run.is_empty() {
        services.session.warn(name, format!("stays out of service, so the hook after it has not run; once it serves: {run}"));
    }
    services.leases.holding(name, ChangeClass::Settle, forget(services, name, turn)).await
}

async fn forget(services: &Services, name: &str, turn: &Turn) -> Result<(), Cause> {
    let key = Mark::Hooked.key(&services.settings.annotation_prefix);
    let change = Change::settle(name, "record that its hooks are over", RECORD).silent();
    services
        .record
        .edit_node(change, |now| {
            let ours = now.annotations().get(&key).is_some_and(|there| *there == turn.to_string());
            ours.then(|| (None, vec![Edit::remove(Mark::Hooked)]))
        })
        .await
        .map(drop)
}

/// Records the turn before anything of it begins.
async fn begin(services: &Services, name: &str) -> Result<Turn, Cause> {
    let turn = Turn { id: services.session.new_run(), after: services.settings.hooks().after.is_some() };
    let key = Mark::Hooked.key(&services.settings.annotation_prefix);
    let change = Change::prepare(name, "record that its hooks begin", RECORD).silent();
    services
        .record
        .edit_node(change, |now| {
            let has = now.annotations().contains_key(&key);
            (!has).then(|| (None, vec![Edit::set(Mark::Hooked, turn.to_string())]))
        })
        .await?;
    Ok(turn)
}

/// Ends a node's turn: what is left of the hook before it is waited for, the one after it runs, and nothing is owed any more. `known`: the turn,
/// should the node itself be gone.
pub async fn finish(services: &Services, name: &str, known: Option<&Turn>) -> Result<(), Cause> {
    let now = services.observer.node_now(name).await?;
    let there = now.is_some();
    let Some(turn) = now.map_or(known.cloned(), |node| node.hooked) else { return Ok(()) };
    let hooks = services.settings.hooks();
    if let Some(cronjob) = hooks.before {
        at_rest(services, Wanted { hook: Hook::Before, cronjob, turn: &turn, node: name }).await?;
    }
    match hooks.after {
        Some(cronjob) => run(services, Wanted { hook: Hook::After, cronjob, turn: &turn, node: name })
            .await
            .map_err(|cause| cause.next(not_to_run(services, name)))?,
        None if turn.after => return Err(unknown(services, name)),
        None => {}
    }
    if there { forget(services, name, &turn).await } else { Ok(()) }
}

/// The same where we do not hold the node's Lease yet.
pub async fn finish_alone(services: &Services, node: &Node) -> Result<(), Cause> {
    services.leases.holding(&node.name, ChangeClass::Settle, finish(services, &node.name, None)).await
}

/// The node does not get its turn, and serves: what its hook before has begun ends with the one after it. What comes of that goes with the cause.
pub async fn give_up(services: &Services, node: &Node, cause: Cause) -> Cause {
    if !concern(services, node) || !guard::on(Guard::HookAfterGivenUp) {
        return cause;
    }
    let name = node.name.as_str();
    let ended = match cause.class {
        // There is no time to wait for it: whoever comes next does.
        Class::Stopped(_) => begin_after(services, name).await,
        _ => finish(services, name, node.hooked.as_ref()).await,
    };
    match ended {
        Ok(()) => cause,
        Err(not) => {
            let owed = format!("the hook after {name} is owed: the next try, and clear-state, run it first: {}", not.what);
            services.session.warn(name, &owed);
            Cause { detail: [cause.detail, vec![owed], not.detail].concat(), ..cause }
        }
    }
}

/// The same where we do not hold the node's Lease yet.
pub async fn give_up_alone(services: &Services, node: &Node, cause: Cause) -> Cause {
    if node.hooked.is_none() {
        return cause;
    }
    // What an earlier runner has begun is no turn that is given up: the hook after it has to wait until the node serves.
    let serves = match services.observer.node_now(&node.name).await {
        Ok(now) => now.is_none_or(|now| !now.is_begun()),
        Err(_) => false,
    };
    if !serves {
        return cause;
    }
    if let Err(not) = services.leases.acquire_for(&node.name, ChangeClass::Settle).await {
        services.session.warn(&node.name, format!("the hook after it is owed: {}", not.what));
        return cause;
    }
    let cause = give_up(services, node, cause).await;
    if let Err(not) = services.leases.release().await {
        services.session.warn(&node.name, format!("the node's Lease is left to expire: {}", not.what));
    }
    cause
}

/// Creates the Job after a node, unless the one before it is still at work.
async fn begin_after(services: &Services, name: &str) -> Result<(), Cause> {
    let hooks = services.settings.hooks();
    let Some(turn) = services.observer.node_now(name).await?.and_then(|node| node.hooked) else { return Ok(()) };
    if let Some(cronjob) = hooks.before
        && let Some(job) = at_work(services, Wanted { hook: Hook::Before, cronjob, turn: &turn, node: name }).await?
    {
        return Err(Cause::hold(format!("Job {job} of the one before it is at work")));
    }
    let Some(cronjob) = hooks.after else { return if turn.after { Err(unknown(services, name)) } else { Ok(()) } };
    let wanted = Wanted { hook: Hook::After, cronjob, turn: &turn, node: name };
    let job = create(services, wanted).await?;
    services.session.note(name, format!("{}: Job {}/{job} is at work, and is not waited for", wanted.words(), cronjob.0));
    Ok(())
}

/// A person's settings may lack what the installation's have: a turn does not end for that.
fn unknown(services: &Services, name: &str) -> Cause {
    let what = format!("the hook after {name} is owed, and these settings name none (hook-after-node)");
    Cause::refused(what)
        .next("k8s-upgrade … --set hook-after-node=NAMESPACE/NAME    # as the installation's settings have it")
        .next(not_to_run(services, name))
}

/// The way on where the hook after a node can never end well.
fn not_to_run(services: &Services, name: &str) -> String {
    let key = Mark::Hooked.key(&services.settings.annotation_prefix);
    command!("kubectl annotate node {} {}-    # if the hook after it is not to run", name, key)
}

async fn find(services: &Services, wanted: Wanted<'_>, attempt: u32) -> Result<Option<Job>, Cause> {
    let api: Api<Job> = services.cluster.within(wanted.cronjob.0);
    let name = hooks::name(wanted.hook, &wanted.turn.id, wanted.node, attempt);
    services.cluster.find("read a hook's Job", async || api.get(&name).await).await
}

/// The turn's Job of that hook which has not failed, else a new one: those that failed stay as evidence.
async fn create(services: &Services, wanted: Wanted<'_>) -> Result<String, Cause> {
    let Wanted { hook, cronjob: (namespace, cronjob), turn, node } = wanted;
    for attempt in 1..=TRIES {
        let name = hooks::name(hook, &turn.id, node, attempt);
        match find(services, wanted, attempt).await? {
            Some(job) => match created::state_of(&services.cluster, namespace, &job).await? {
                JobState::Failed { .. } => {}
                JobState::Active | JobState::Complete => return Ok(name),
            },
            None => {
                if hook == Hook::Before {
                    services.session.safe_point(Guard::StopBeforeChange, Guard::HaltBeforeChange).await?;
                }
                let template = created::template(&services.cluster, "read a hook's CronJob", namespace, cronjob).await?;
                hooks::usable(template.as_ref(), hook, wanted.cronjob)?;
                let prefix = &services.settings.annotation_prefix;
                let job = hooks::job(&template.unwrap_or_default(), hook, &name, node, prefix)?;
                created::submit(&services.session, &services.cluster, node, namespace, &name, job).await?;
                return Ok(name);
            }
        }
    }
    Err(Cause::refused(format!("{} has failed {TRIES} times", wanted.words())))
}

/// The turn's Job of that hook that is at work.
async fn at_work(services: &Services, wanted: Wanted<'_>) -> Result<Option<String>, Cause> {
    for attempt in 1..=TRIES {
        let Some(job) = find(services, wanted, attempt).await? else { break };
        if created::state_of(&services.cluster, wanted.cronjob.0, &job).await? == JobState::Active {
            return Ok(Some(job.name_any()));
        }
    }
    Ok(None)
}

/// Waits until no Job of that hook is at work, however it ends.
async fn at_rest(services: &Services, wanted: Wanted<'_>) -> Result<(), Cause> {
    let Some(name) = at_work(services, wanted).await? else { return Ok(()) };
    until_ended(services, wanted, &name, false).await.map(drop)
}

/// Runs one to its end; what it printed goes into the log.
async fn run(services: &Services, wanted: Wanted<'_>) -> Result<(), Cause> {
    let (namespace, node, words) = (wanted.cronjob.0, wanted.node, wanted.words());
    let name = create(services, wanted).await?;
    services.session.note(node, format!("{words}: Job {namespace}/{name} is at work"));
    let (job, reason) = until_ended(services, wanted, &name, wanted.hook == Hook::Before).await?;
    let said = last_words(services, namespace, &job).await;
    let Some(reason) = reason else {
        said.iter().for_each(|line| services.session.note(node, format!("{words}: {line}")));
        services.session.did(node, format!("{words} has ended well"));
        return Ok(());
    };
    if wanted.hook == Hook::Before && !guard::on(Guard::HookBeforeNode) {
        return Ok(());
    }
    let log = command!("kubectl -n {} logs job/{}", namespace, name);
    Err(Cause::step(format!("{words} failed ({reason})")).detail(said).next(log))
}

/// How a Job has ended: well, or why not. `stoppable`: a signal or a halt ends the wait, and the Job is left at work for whoever comes next.
async fn until_ended(
    services: &Services,
    wanted: Wanted<'_>,
    name: &str,
    stoppable: bool,
) -> Result<(Job, Option<String>), Cause> {
    let namespace = wanted.cronjob.0;
    let api: Api<Job> = services.cluster.within(namespace);
    let on = wanted.words();
    let deadline = guard::bound(Guard::HookDeadline, services.settings.hook_deadline);
    let wait = Wait { place: wanted.node, on: &on, deadline, every: Duration::from_secs(2), stoppable };
    let waited = services.session.wait_or_not(wait, async || {
        let found = services.cluster.find("read a hook's Job", async || api.get(name).await).await?;
        let gone = || Cause::step(format!("{on}: Job {namespace}/{name} was deleted while it ran"));
        let job = found.ok_or_else(gone)?;
        Ok(match created::state_of(&services.cluster, namespace, &job).await? {
            JobState::Complete => Probe::Ready((job, None)),
            JobState::Failed { reason, .. } => Probe::Ready((job, Some(reason))),
            // A halt does not keep what was begun from its end; who is to stop leaves it to whoever comes next.
            JobState::Active => match services.session.signal() {
                Some(signal) => return Err(Cause::new(Class::Stopped(signal), format!("stopped by a signal while {on} runs"))),
                None => Probe::Not(format!("Job {namespace}/{name} is at work")),
            },
        })
    });
    match waited.await? {
        Waited::Ready(ended) => Ok(ended),
        Waited::Late(_) => {
            let said = match api.get_opt(name).await {
                Ok(Some(job)) => last_words(services, namespace, &job).await,
                _ => Vec::new(),
            };
            let what = format!("{on}: Job {namespace}/{name} has not ended within {}, and is left at work", span(deadline));
            Err(Cause::step(what).detail(said).next(command!(
                "kubectl -n {} describe job {}    # what it waits for; one that is deleted is made anew",
                namespace,
                name
            )))
        }
    }
}

/// The end of what the newest pod has printed: of the first of its containers that has anything to say. A log that cannot be read is told
/// in its place, and is no failure.
async fn last_words(services: &Services, namespace: &str, job: &Job) -> Vec<String> {
    let read = async {
        let newest = created::newest_pod(&services.cluster, namespace, job).await?;
        let Some(pod) = newest.map(|pod| pod.name_any()) else {
            return Ok(vec!["(its pod is gone, and its log with it)".to_owned()]);
        };
        for container in created::own_containers(job) {
            let said = created::log(&services.cluster, "read a hook's log", namespace, &pod, container, LOG).await?;
            if !said.trim().is_empty() {
                return Ok(said.lines().map(line).collect());
            }
        }
        Ok::<_, Cause>(Vec::new())
    };
    read.await.unwrap_or_else(|cause| vec![format!("(its log cannot be read: {})", cause.what)])
}
