//! The kubelets: pods start on their nodes, become Ready, end, and are reported.
//!
//! A container lives by facts of its own, which need no API server; what the API server is told may come later.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::api::delete_pod;
use super::super::state::{Access, ProgramPhase, State, later};
use super::super::store::{Key, seconds};
use super::objects::{MIRROR, annotation, finished, is, node_of, owner, phase, ready, set_condition, terminating, uid};
use super::{
    BACKUP, Backup, Broken, Due, ENDS_AFTER, HOOK, HookEnd, MESHED, NEVER_READY, READY_AFTER, SIDECAR, delay, process, wake,
    wake_at,
};

/// How long a Job's pod runs that is not this program (the lab's backup: 3.2 s).
const JOB_RUNS: Duration = Duration::from_secs(3);
/// When a container that cannot be started is tried again.
const RETRY: Duration = Duration::from_secs(10);
/// What a pod has to end that names no grace period (seconds).
const USUAL_GRACE: u64 = 30;
/// What containerd says of a container that was lost with its machine's power.
const LOST: u8 = 255;
pub const KILLED: u8 = 137;

/// The containers of one pod, as its node has them.
#[derive(Clone, Debug)]
pub struct Container {
    pod: Key,
    pub node: String,
    /// It ends by itself, one day.
    of_job: bool,
    backup: bool,
    hook: Option<String>,
    /// It is not started anew where it ends.
    never_restarts: bool,
    start_at: Timestamp,
    started: Option<Timestamp>,
    ready_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
    kill_at: Option<Timestamp>,
    ended: Option<(Timestamp, u8)>,
    crashes: bool,
}

/// Whether a node's kubelet works and reports.
pub fn alive(state: &State, node: &str) -> bool {
    let by_hand = state.control.by_hand;
    by_hand || (!state.control.silent.contains(node) && state.hosts.kubelet_alive(node))
}

/// A pod has been bound to a node: its kubelet will start it.
pub fn adopt(state: &mut State, key: &Key, pod: &Value) {
    let Some(node) = node_of(pod) else { return };
    if state.control.by_hand || state.control.containers.contains_key(uid(pod)) {
        return;
    }
    let start_at = later(state.now(), delay(state, 1000, 3000));
    let container = Container {
        pod: key.clone(),
        node: node.to_owned(),
        of_job: owner(pod).is_some_and(|owner| owner.reference["kind"] == "Job"),
        backup: annotation(pod, BACKUP) == Some("true"),
        hook: annotation(pod, HOOK).map(str::to_owned),
        never_restarts: pod["spec"]["restartPolicy"] == "Never",
        start_at,
        started: None,
        ready_at: None,
        ends_at: None,
        kill_at: None,
        ended: None,
        crashes: false,
    };
    state.control.containers.insert(uid(pod).to_owned(), container);
    wake_at(state, Due::Pod(uid(pod).to_owned()), start_at);
}

/// A static pod runs already; its kubelet says so from `ready_at` on.
pub fn adopt_running(state: &mut State, key: &Key, pod: &Value, ready_at: Timestamp) {
    adopt(state, key, pod);
    let now = state.now();
    if let Some(own) = state.control.containers.get_mut(uid(pod)) {
        (own.start_at, own.started, own.ready_at) = (now, Some(now), Some(ready_at));
    }
    wake_at(state, Due::Pod(uid(pod).to_owned()), now);
}

/// Does what is due for one pod.
pub fn sync(state: &mut State, uid: &str) {
    let Some(mut own) = state.control.containers.remove(uid) else { return };
    if !state.hosts.powered(&own.node) || look(state, uid, &mut own) {
        let now = state.now();
        let due = [
            own.started.is_none().then_some(own.start_at),
            own.ready_at.filter(|_| own.started.is_some()),
            own.ends_at,
            own.kill_at,
        ];
        let next = due.into_iter().flatten().filter(|when| *when > now && own.ended.is_none()).min();
        state.control.containers.insert(uid.to_owned(), own);
        if let Some(next) = next {
            wake_at(state, Due::Pod(uid.to_owned()), next);
        }
    } else {
        state.programs.remove(uid);
    }
}

/// False once nothing is left of it.
fn look(state: &mut State, uid: &str, own: &mut Container) -> bool {
    let now = state.now();
    let due = |when: Option<Timestamp>| when.is_some_and(|when| when <= now);
    if own.ended.is_none() && due(own.ends_at) {
        let code = match &own.hook {
            Some(hook) => process::hook(state, uid, hook),
            None if own.backup => process::back_up(state, &own.node, uid),
            None => 0,
        };
        own.ended = Some((now, code));
    }
    // A kubelet that is back looks at all its pods.
    if !alive(state, &own.node) {
        return true;
    }
    let pod = state.store.get(&own.pod).filter(|pod| super::objects::uid(pod) == uid).cloned();
    let reachable = state.access() == Access::Up;
    let going = pod.as_deref().is_none_or(terminating);
    if going && reachable && own.ended.is_none() {
        own.kill_at = Some(end_of_grace(state, uid, own, pod.as_deref()));
    }
    if own.ended.is_none() && own.started.is_some() && due(own.kill_at) {
        let program = state.programs.get_mut(uid);
        own.ended = Some((now, if program.is_some() { KILLED } else { 0 }));
        if let Some(program) = program {
            program.phase = ProgramPhase::Killed;
        }
    }
    if !reachable {
        let when = later(state.serves_again(), delay(state, 100, 900));
        wake_at(state, Due::Pod(uid.to_owned()), when);
        return true;
    }
    if going && pod.as_deref().is_some_and(|pod| annotation(pod, MIRROR).is_some()) {
        super::unmodelled(state, format!("the deletion of the mirror pod {}", own.pod.full_name()));
    }
    let Some(pod) = pod else { return own.started.is_some() && own.ended.is_none() };
    if going && own.started.is_none() {
        // One that has not come to an end counts as failed, whether it ran before its machine lost its power or never; the kubelet says so
        // before it lets the pod go, and the Job that owns it waits for that.
        if !finished(&pod) {
            (own.started, own.ended) = (Some(now), Some((now, KILLED)));
            report(state, own, &pod);
        }
        delete_pod(state, &own.pod, Some(0));
        return false;
    }
    if own.started.is_none() && own.ended.is_none() && own.start_at <= now {
        start(state, uid, own, &pod);
    }
    report(state, own, &pod);
    if going && own.ended.is_some() {
        delete_pod(state, &own.pod, Some(0));
        return false;
    }
    true
}

/// Asks a container to end, and says when it is ended at the latest. A later word can only make it shorter.
fn end_of_grace(state: &mut State, uid: &str, own: &Container, pod: Option<&Value>) -> Timestamp {
    let now = state.now();
    let grace =
        pod.map_or(Some(USUAL_GRACE), |pod| pod["metadata"]["deletionGracePeriodSeconds"].as_u64()).unwrap_or(USUAL_GRACE);
    let grace = Duration::from_secs(grace);
    if let Some(known) = own.kill_at {
        return known.min(later(now, grace));
    }
    if let Some(program) = state.programs.get_mut(uid) {
        program.stop = true;
        return later(now, grace);
    }
    let takes = pod.and_then(|pod| annotation(pod, ENDS_AFTER)).and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let takes = takes.unwrap_or_else(|| delay(state, 1000, 3000));
    later(now, takes.min(grace))
}

fn start(state: &mut State, uid: &str, own: &mut Container, pod: &Value) {
    let now = state.now();
    let program = match process::start(state, uid, &own.pod, pod) {
        Ok(program) => program,
        Err(why) => {
            state.tell(format_args!("the kubelet of {} cannot start {}: {why}", own.node, own.pod.full_name()));
            own.start_at = later(now, RETRY);
            return;
        }
    };
    own.started = Some(now);
    let broken = broken(state, pod);
    own.crashes = broken == Some(Broken::Crashes);
    let wanted = annotation(pod, READY_AFTER).and_then(|text| text.parse().ok()).map(Duration::from_secs);
    own.ready_at = match (annotation(pod, NEVER_READY), wanted) {
        (Some("true"), _) => None,
        _ if broken.is_some() => None,
        // While a world is set up nobody waits.
        (_, Some(_)) if state.control.at_once => Some(now),
        (_, Some(wanted)) => Some(later(now, wanted)),
        (_, None) if own.of_job => Some(now),
        (_, None) => Some(later(now, delay(state, 2000, 5000))),
    };
    let hangs = own.hook.as_ref().is_some_and(|hook| state.control.hooks.get(hook) == Some(&HookEnd::Never));
    let stuck = hangs || (own.backup && state.control.backup == Backup::Stuck);
    own.ends_at = (own.of_job && !program && !stuck).then(|| later(now, JOB_RUNS));
}

/// What is wrong with the workload that the pod belongs to.
fn broken(state: &State, pod: &Value) -> Option<Broken> {
    let owner = owner(pod)?.reference["name"].as_str()?.to_owned();
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    // Of a Deployment a ReplicaSet has the pods, whose name ends with a hash.
    let names = [Some(owner.as_str()), owner.rsplit_once('-').map(|(name, _)| name)];
    let of = |name: &str| state.control.broken.get(&(namespace.to_owned(), name.to_owned())).copied();
    names.into_iter().flatten().find_map(of)
}

/// Tells the API server how the pod is, where it does not know.
fn report(state: &mut State, own: &Container, pod: &Value) {
    let now = state.now();
    let component = pod["metadata"]["labels"]["component"].as_str().unwrap_or_default();
    let spoilt = state.hosts.machine(&own.node).is_some_and(|machine| machine.faults.unready.contains(component));
    let is_ready = own.ended.is_none() && own.started.is_some() && own.ready_at.is_some_and(|when| when <= now) && !spoilt;
    let sidecar = annotation(pod, MESHED) == Some("true") && own.kill_at.is_none();
    let wanted = match own.ended {
        Some(_) if sidecar => "Running",
        Some((_, 0)) => "Succeeded",
        Some(_) => "Failed",
        None if own.started.is_some() => "Running",
        None => phase(pod),
    };
    if phase(pod) == wanted && (ready(pod) == is_ready) && is(pod, "PodScheduled") == "True" && !is(pod, "Ready").is_empty() {
        return;
    }
    if let Some((_, code)) = own.ended
        && code != 0
        && pod["spec"]["restartPolicy"] == "OnFailure"
        && !terminating(pod)
    {
        super::unmodelled(state, format!("a restart of {} in place (restartPolicy OnFailure)", own.pod.full_name()));
    }
    state.store.update(&own.pod, |pod| {
        let reason = match (is_ready, own.ended) {
            (true, _) => "",
            (false, Some((_, 0))) => "PodCompleted",
            (false, Some(_)) => "PodFailed",
            (false, None) => "ContainersNotReady",
        };
        let status = if is_ready { "True" } else { "False" };
        set_condition(pod, now, "Initialized", "True", "", "");
        set_condition(pod, now, "Ready", status, reason, "");
        set_condition(pod, now, "ContainersReady", status, reason, "");
        set_condition(pod, now, "PodScheduled", "True", "", "");
        let containers = container_statuses(&pod["spec"]["containers"], own, is_ready);
        let status = &mut pod["status"];
        status["phase"] = json!(wanted);
        if let Some(started) = own.started
            && !status["startTime"].is_string()
        {
            status["startTime"] = json!(seconds(started));
        }
        status["containerStatuses"] = containers;
    });
}

fn container_statuses(containers: &Value, own: &Container, is_ready: bool) -> Value {
    let started = own.started.map(seconds);
    let state = match (own.ended, &started) {
        (Some((at, code)), started) => json!({ "terminated": {
            "exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" },
            "startedAt": started.clone().unwrap_or_else(|| seconds(at)), "finishedAt": seconds(at),
        } }),
        (None, Some(_)) if own.crashes => json!({ "waiting": { "reason": "CrashLoopBackOff" } }),
        (None, Some(started)) => json!({ "running": { "startedAt": started } }),
        (None, None) => json!({ "waiting": { "reason": "ContainerCreating" } }),
    };
    let status = |container: &Value| {
        // It outlives the rest.
        let lives = container["name"] == SIDECAR && own.kill_at.is_none() && started.is_some();
        let state = if lives { &json!({ "running": { "startedAt": started } }) } else { &state };
        json!({
            "name": container["name"], "image": container["image"], "imageID": "", "restartCount": if own.crashes { 5 } else { 0 },
            "ready": is_ready, "started": own.started.is_some() && own.ended.is_none(), "state": state,
        })
    };
    containers.as_array().into_iter().flatten().map(status).collect()
}

/// The process of a pod has ended, or was killed (137).
pub fn program_ended(state: &mut State, uid: &str, code: u8) {
    let Some(program) = state.programs.get_mut(uid) else { return };
    if program.phase == ProgramPhase::Killed {
        return;
    }
    program.phase = ProgramPhase::Killed;
    let now = state.now();
    if let Some(own) = state.control.containers.get_mut(uid)
        && own.ended.is_none()
    {
        own.ended = Some((now, code));
    }
    // The kubelet looks at its containers every second.
    let when = later(now, delay(state, 200, 1200));
    wake_at(state, Due::Pod(uid.to_owned()), when);
}

impl State {
    /// Kills every process of the program, as a machine's power does: what they began goes on, what they meant to do does not.
    pub fn kill_programs(&mut self) {
        let running: Vec<String> = self.programs.keys().cloned().collect();
        for uid in running {
            program_ended(self, &uid, 137);
        }
        super::react(self);
    }
}

/// The machine's power is gone: no container lives through that.
pub fn power_lost(state: &mut State, node: &str) {
    let now = state.now();
    for (uid, own) in &mut state.control.containers {
        if own.node != node || own.ended.is_some() {
            continue;
        }
        if let Some(program) = state.programs.get_mut(uid) {
            program.phase = ProgramPhase::Killed;
        }
        if own.started.is_some() && (own.never_restarts || own.kill_at.is_some()) {
            own.ended = Some((now, LOST));
        }
        (own.started, own.ends_at) = (None, None);
    }
}

/// The kubelet is back: it looks at each of its pods.
pub fn look_at_all(state: &mut State, node: &str) {
    let own: Vec<String> =
        state.control.containers.iter().filter(|(_, own)| own.node == node).map(|(uid, _)| uid.clone()).collect();
    for uid in own {
        let start_at = later(state.now(), delay(state, 1000, 3000));
        if let Some(own) = state.control.containers.get_mut(&uid) {
            own.start_at = own.start_at.max(start_at);
        }
        wake(state, Due::Pod(uid));
    }
}

/// Whether a pod stays on a node whose taint drives pods away.
pub fn stays(pod: &Value) -> bool {
    annotation(pod, MIRROR).is_some() || owner(pod).is_some_and(|owner| owner.reference["kind"] == "DaemonSet") || finished(pod)
}
