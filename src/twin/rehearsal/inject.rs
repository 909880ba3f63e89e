//! Disturbances at a step: what a rehearsal can be asked to break.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::api::matches_selector;
use super::super::control::{Backup, Broken};
use super::super::state::later;
use super::super::store::{Key, Kind};
use super::super::web::{How, Injected, Service, Trouble};
use super::super::{Call, Fate, Scenario, State, Who, hosts};
use super::step;
use crate::failure::Cause;
use crate::names;
use crate::node::{AskDeprecated, Operation, TakeSnapshot};
use crate::plan::model::version::Version;

/// What can be injected, and what that is.
pub const KNOWN: [(&str, &str); 18] = [
    ("kill", "the Job's program is killed in the middle of its work"),
    ("ssh-loss", "the session to the node is cut and its sshd is away for 2 min"),
    ("api-outage", "the API server is away for 2 min"),
    ("alert", "an alert fires from the step's beginning on"),
    ("node-not-ready", "the node's kubelet reports nothing for 5 min"),
    ("pdb-deadlock", "a budget lets no pod of one workload on the node go"),
    ("deployment-down", "what a drain drives away of one Deployment never becomes Ready elsewhere"),
    ("crash-loop", "the same, and its new pods crash again and again"),
    ("etcd-ill", "the control plane's etcd raises an alarm"),
    ("etcd-slow", "from then on the disk of the control plane's etcd takes 400 ms for each write"),
    ("dns-away", "the cluster's DNS answers nobody for 20 min"),
    ("old-api-caller", "somebody calls an API that the next minor version no longer serves (preflight)"),
    ("backup-failure", "the etcd backup fails (preflight)"),
    ("power-cut", "the node's machine loses power for 3 min"),
    ("prometheus-away", "Prometheus refuses connections for 20 min"),
    ("pushgateway-away", "Pushgateway refuses connections for 20 min"),
    ("slack-away", "Slack refuses connections for 20 min"),
    ("new-release", "a newer patch is released"),
];

const SSH_AWAY: Duration = Duration::from_secs(120);
const API_AWAY: Duration = Duration::from_secs(120);
const SILENT: Duration = Duration::from_secs(300);
const POWER: Duration = Duration::from_secs(180);
const SERVICE_AWAY: Duration = Duration::from_secs(20 * 60);
/// The alert that fires.
const ALERT: &str = "RehearsedAlert";
/// What is called though it is to go.
const OLD_API: &str = "networking.k8s.io/v1beta1/ipaddresses";
const DEADLOCK: &str = "rehearsed-deadlock";

/// One disturbance, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    what: &'static str,
    /// Node or phase.
    place: String,
}

impl Injection {
    /// What is to be broken, and at which step, which may be none of the scenario's.
    pub fn known(text: &str) -> Result<(&'static str, &str), Cause> {
        let known = || KNOWN.map(|(name, meaning)| format!("{name:16}  {meaning}"));
        let (what, at) = text
            .split_once('@')
            .ok_or_else(|| Cause::usage(format!("--inject {text:?}: WHAT@STEP is wanted")).detail(known()))?;
        let found = KNOWN.iter().find(|(name, _)| *name == what);
        let (what, _) = found.ok_or_else(|| Cause::usage(format!("--inject: {what:?} is not known")).detail(known()))?;
        Ok((what, at))
    }

    /// Reads `WHAT@STEP`.
    pub fn read(text: &str, scenario: &Scenario) -> Result<Injection, Cause> {
        let (what, at) = Injection::known(text)?;
        let place = step::read(at, scenario).map_err(|cause| cause.during(format!("--inject {text}")))?;
        let of_node = scenario.node(&place).is_some();
        let needs = match what {
            "pdb-deadlock" | "deployment-down" | "crash-loop" if !of_node => Some("a node's step"),
            "etcd-ill" | "etcd-slow" if !scenario.node(&place).is_some_and(|node| node.control_plane) => {
                Some("a control plane's step")
            }
            "backup-failure" | "old-api-caller" if place != "preflight" => Some("preflight"),
            _ => None,
        };
        match needs {
            Some(needs) => Err(Cause::usage(format!("--inject {text}: {what} is for {needs} only"))),
            None => Ok(Injection { what, place }),
        }
    }

    pub fn place(&self) -> &str {
        &self.place
    }

    /// Why it never came up. `began`: its step did.
    pub fn missed(&self, began: bool, scenario: &Scenario) -> String {
        let Injection { what, place } = self;
        let node = scenario.node(place);
        let why = match node {
            Some(_) if began => "its step ended before kubeadm began".to_owned(),
            None if began => "its step ended before its work began".to_owned(),
            Some(_) if scenario.is_excluded(place) => "the setting exclude-nodes leaves that node out".to_owned(),
            Some(node) if node.version == scenario.target => format!("that node was at {} before the run", node.version),
            _ => "its step was not reached".to_owned(),
        };
        format!("{what} at {place}: {why}")
    }

    /// At the step's first call, or only in the middle of its work.
    fn at_once(&self) -> bool {
        !matches!(self.what, "kill" | "ssh-loss" | "api-outage" | "node-not-ready" | "power-cut")
    }
}

/// What happened, and whether anybody met it.
#[derive(Clone, Debug)]
pub struct Struck {
    pub at: Timestamp,
    pub place: String,
    pub text: String,
    effect: Effect,
}

impl Struck {
    /// Why nothing came of it.
    pub fn without_effect(&self) -> Option<&str> {
        match &self.effect {
            Effect::Met => None,
            Effect::Open { otherwise, .. } => Some(otherwise),
            Effect::None(why) => Some(why),
        }
    }
}

#[derive(Clone, Debug)]
enum Effect {
    Met,
    /// Not until somebody calls this in time; if nobody does, that is why it had none.
    Open {
        by: Callers,
        until: Timestamp,
        otherwise: &'static str,
    },
    None(&'static str),
}

/// Whose calls meet a disturbance.
#[derive(Clone, Debug)]
enum Callers {
    Of(Service),
    OfSsh(String),
    /// Of any call that begins, or ends, with this.
    From(String),
    To(&'static str),
}

impl Callers {
    fn has(&self, state: &State, call: &Call) -> bool {
        match self {
            Callers::Of(service) => {
                let url = call.what.split_once(' ').map(|(_, url)| url);
                url.is_some_and(|url| state.web.service_at(url) == Some(*service))
            }
            Callers::OfSsh(node) => call.what.strip_suffix(node).is_some_and(|before| before.ends_with(" on ")),
            Callers::From(start) => call.what.starts_with(start),
            Callers::To(end) => call.what.ends_with(end),
        }
    }
}

/// Lets injections happen when their time has come.
pub struct Injector {
    waiting: Vec<Injection>,
    pub happened: Vec<Struck>,
    /// Kubelets that are silent until then.
    silent: Vec<(Timestamp, String)>,
    /// How an etcd backup is made.
    backup: String,
}

impl Injector {
    pub fn new(waiting: Vec<Injection>, scenario: &Scenario) -> Self {
        let backup = match scenario.backup() {
            Some((namespace, _)) => format!("POST /apis/batch/v1/namespaces/{namespace}/jobs"),
            None => TakeSnapshot::NAME.to_owned(),
        };
        Injector { waiting, happened: Vec::new(), silent: Vec::new(), backup }
    }

    /// What has not come up yet.
    pub fn left(&self) -> &[Injection] {
        &self.waiting
    }

    /// Ends what has lasted long enough.
    pub fn look(&mut self, state: &mut State) {
        let now = state.now();
        for (_, node) in self.silent.extract_if(.., |(until, _)| *until <= now) {
            state.control.silent.remove(&node);
        }
    }

    /// Before a call's effect.
    pub fn before(&mut self, state: &mut State, call: &Call) -> Fate {
        let now = state.now();
        for struck in &mut self.happened {
            if let Effect::Open { by, until, .. } = &struck.effect
                && now < *until
                && by.has(state, call)
            {
                struck.effect = Effect::Met;
            }
        }
        self.strike(state, call, true)
    }

    /// After it.
    pub fn after(&mut self, state: &mut State, call: &Call) -> Fate {
        self.strike(state, call, false)
    }

    fn strike(&mut self, state: &mut State, call: &Call, before: bool) -> Fate {
        if self.waiting.is_empty() {
            return Fate::Go;
        }
        let Who::Pod { uid, name, .. } = &call.who else { return Fate::Go };
        let Some(step) = state.programs.get(uid).and_then(|program| step::of(&program.argv)) else { return Fate::Go };
        let place = step::place(&step).to_owned();
        let middle = match &step.node {
            Some(node) => call.what == format!("begin kubeadm-upgrade on {node}"),
            None if place == "preflight" => call.what.starts_with("prefetch on "),
            None => call.changes,
        };
        let due =
            |injection: &mut Injection| injection.place == place && if injection.at_once() { before } else { middle && !before };
        let struck: Vec<Injection> = self.waiting.extract_if(.., due).collect();
        let mut fate = Fate::Go;
        for injection in struck {
            // Where a phase has no node of its own, the one that its pod runs on.
            let on = step.node.clone().or_else(|| node_of(state, uid)).unwrap_or_default();
            let (did, effect) = match injection.what {
                "kill" => {
                    fate = Fate::Kill;
                    (format!("the program in {name} is killed"), Effect::Met)
                }
                what => self.break_it(state, what, &on, &place),
            };
            let text = format!("{}: {did}", injection.what);
            state.tell(format_args!("=== {text}"));
            self.happened.push(Struck { at: state.now(), place: place.clone(), text, effect });
        }
        fate
    }

    /// Does it, and says what it did.
    fn break_it(&mut self, state: &mut State, what: &str, node: &str, place: &str) -> (String, Effect) {
        let now = state.now();
        let open = |by, until, otherwise| Effect::Open { by, until, otherwise };
        let text = match what {
            "ssh-loss" => {
                state.hosts.change(node, |machine| {
                    machine.faults.sessions_cut = 1;
                    machine.faults.away_until = Some(later(now, SSH_AWAY));
                });
                let effect =
                    open(Callers::OfSsh(node.to_owned()), later(now, SSH_AWAY), "nobody asked that node by SSH meanwhile");
                return (format!("{node} cannot be reached by SSH for 2 min"), effect);
            }
            "api-outage" => {
                state.take_api_away(now, API_AWAY);
                "the API server is away for 2 min".to_owned()
            }
            "alert" => {
                let until = Timestamp::MAX;
                state.web.prometheus.injected.push(Injected { name: ALERT.to_owned(), labels: [].into(), from: now, until });
                let effect = match place {
                    "postflight" => Effect::None("the end of a run waits only for alerts of the group Upgrade Gates"),
                    _ => open(Callers::To("/api/v1/alerts"), until, "the run asked for no alerts any more"),
                };
                return (format!("{ALERT} fires"), effect);
            }
            "node-not-ready" => {
                state.control.silent.insert(node.to_owned());
                self.silent.push((later(now, SILENT), node.to_owned()));
                format!("the kubelet of {node} reports nothing for 5 min")
            }
            "pdb-deadlock" => return deadlock(state, node),
            "deployment-down" => return breaks(state, node, Broken::Unready),
            "crash-loop" => return breaks(state, node, Broken::Crashes),
            "etcd-ill" => {
                state.hosts.change(node, |machine| machine.faults.etcd_ill = Some("ALARM NOSPACE".to_owned()));
                format!("etcd on {node} has no space left")
            }
            "etcd-slow" => {
                state.hosts.change(node, |machine| machine.faults.etcd_slow = Some(now));
                format!("the disk of etcd on {node} takes 400 ms for each write")
            }
            "dns-away" => {
                let until = later(now, SERVICE_AWAY);
                state.dns_away_until = Some(until);
                let effect = open(Callers::From("resolve ".to_owned()), until, "nobody asked it for anything meanwhile");
                return ("the cluster's DNS is away for 20 min".to_owned(), effect);
            }
            "old-api-caller" => return call_old_api(state),
            "backup-failure" => {
                state.control.backup = Backup::Fails;
                let effect = open(Callers::From(self.backup.clone()), Timestamp::MAX, "the run ended before it made a backup");
                return ("backups fail".to_owned(), effect);
            }
            "power-cut" => {
                hosts::power_cut(state, node, POWER);
                format!("{node} has no power for 3 min")
            }
            "prometheus-away" => return away(state, Service::Prometheus),
            "pushgateway-away" => return away(state, Service::Pushgateway),
            "slack-away" => return away(state, Service::Slack),
            _ => return newer_release(state),
        };
        (text, Effect::Met)
    }
}

fn node_of(state: &State, uid: &str) -> Option<String> {
    let (_, pod) = state.store.by_uid(Kind::Pod, uid)?;
    pod["spec"]["nodeName"].as_str().map(str::to_owned)
}

fn away(state: &mut State, service: Service) -> (String, Effect) {
    let (from, until) = (state.now(), later(state.now(), SERVICE_AWAY));
    state.web.troubles.push(Trouble { service, from, until, how: How::Refused });
    let effect = Effect::Open { by: Callers::Of(service), until, otherwise: "nobody asked it for anything meanwhile" };
    (format!("{service:?} is away for 20 min"), effect)
}

/// Every API server is asked for it: whoever calls it comes by a load balancer.
fn call_old_api(state: &mut State) -> (String, Effect) {
    let masters: Vec<String> = state.hosts.all().filter(|(_, m)| m.control_plane).map(|(node, _)| node.to_owned()).collect();
    let mut removed = String::new();
    for node in masters {
        state.hosts.change(&node, |machine| {
            let running = machine.manifests.get("kube-apiserver").and_then(|version| version.parse::<Version>().ok());
            if let Some(running) = running {
                removed = Version::new(running.major, running.minor + 1, 0).series();
                machine.deprecated.insert(hosts::deprecated_call(OLD_API, &removed));
            }
        });
    }
    let by = Callers::From(format!("{} on ", AskDeprecated::NAME));
    let effect = Effect::Open { by, until: Timestamp::MAX, otherwise: "only a run to another minor version asks for it" };
    (format!("{OLD_API} is called, which {removed} no longer serves"), effect)
}

fn newer_release(state: &mut State) -> (String, Effect) {
    let now = state.now();
    match state.web.packages.newest(now) {
        Some(newest) => {
            let newer = Version::new(newest.major, newest.minor, newest.patch + 1);
            state.web.packages.release(newer, now);
            (format!("{newer} is released"), Effect::Met)
        }
        None => ("nothing is released".to_owned(), Effect::None("there is no release to be newer than")),
    }
}

/// A Deployment of which a drain of the node drives pods away: those to come do not work.
fn breaks(state: &mut State, node: &str, how: Broken) -> (String, Effect) {
    let moves = |pod: &Value| {
        let kept = pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet";
        kept && pod["spec"]["nodeName"] == node
            && pod["status"]["phase"] == "Running"
            && pod["metadata"]["namespace"] != names::NAMESPACE
    };
    let set = state.store.list(Kind::Pod).find(|(_, pod)| moves(pod)).and_then(|(key, pod)| {
        let set = pod["metadata"]["ownerReferences"][0]["name"].as_str()?;
        Some((key.namespace.clone(), set.rsplit_once('-').map_or(set, |(name, _)| name).to_owned()))
    });
    let Some(workload) = set else {
        let why = "no pod of a Deployment runs there";
        return (format!("no pod on {node} is driven away"), Effect::None(why));
    };
    let what = format!("new pods of Deployment {}/{} do not work", workload.0, workload.1);
    state.control.broken.insert(workload, how);
    (what, Effect::Met)
}

/// Of a budget that belongs to an operator: what a drain deletes behind others' budgets, it leaves alone behind this.
fn operators() -> Value {
    json!([{ "apiVersion": "example.org/v1", "kind": "Database", "name": DEADLOCK, "uid": DEADLOCK, "controller": true }])
}

/// Makes sure that a budget never lets one pod of the node go: its own, or a new one where none guards it.
fn deadlock(state: &mut State, node: &str) -> (String, Effect) {
    let movable = |pod: &Value| {
        let controller = pod["metadata"]["ownerReferences"][0]["kind"].as_str().unwrap_or_default();
        pod["spec"]["nodeName"] == node
            && pod["status"]["phase"] == "Running"
            && matches!(controller, "ReplicaSet" | "StatefulSet")
            && pod["metadata"]["namespace"] != names::NAMESPACE
    };
    let Some((key, pod)) = state.store.list(Kind::Pod).find(|(_, pod)| movable(pod)).map(|(k, pod)| (k.clone(), pod.clone()))
    else {
        let why = "no pod of a Deployment or StatefulSet runs there";
        return (format!("no pod on {node} is held"), Effect::None(why));
    };
    let guards = |(budget, object): &(&Key, &std::sync::Arc<Value>)| {
        budget.namespace == key.namespace && matches_selector(&object["spec"]["selector"], &pod)
    };
    let own = state.store.list(Kind::Budget).find(guards).map(|(budget, _)| budget.clone());
    let budget = match own {
        Some(budget) => {
            state.store.update(&budget, |object| {
                object["metadata"]["ownerReferences"] = operators();
                if let Some(spec) = object["spec"].as_object_mut() {
                    spec.shift_remove("minAvailable");
                    spec.insert("maxUnavailable".to_owned(), json!(0));
                }
            });
            budget
        }
        None => {
            let mut labels = pod["metadata"]["labels"].as_object().cloned().unwrap_or_default();
            labels.retain(|label, _| !label.contains("hash") && !label.contains("pod-"));
            let object = json!({
                "metadata": { "name": DEADLOCK, "namespace": key.namespace, "ownerReferences": operators() },
                "spec": { "selector": { "matchLabels": labels }, "maxUnavailable": 0 },
            });
            let now = state.now();
            if let Err(taken) = state.store.create(now, Kind::Budget, object) {
                return (format!("no PDB could be made: {taken}"), Effect::None("an earlier one has its name"));
            }
            Key::new(Kind::Budget, &key.namespace, DEADLOCK)
        }
    };
    (format!("PDB {} never lets {} go", budget.full_name(), key.full_name()), Effect::Met)
}
