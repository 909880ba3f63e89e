//! Rules about what a call does: gates that were asked, a run that ends, what is deleted, what is told.

use jiff::{SignedDuration, Timestamp};
use k8s_upgrade::twin::api::matches_selector;
use k8s_upgrade::twin::state::Access;
use k8s_upgrade::twin::store::{Event, Key, Kind, Verb};
use k8s_upgrade::twin::web::{Service, WEBHOOK};
use k8s_upgrade::twin::{Call, Fate, State, Who};
use serde_json::Value;

use super::super::world::{NAMESPACE, components, is_of_chain, mark, version_of};
use super::{Observer, version};

/// Alerts that a run sets off itself, and the one that always fires.
const OWN: [&str; 10] = [
    "Watchdog",
    "K8sVersionSkew",
    "KubeVersionMismatch",
    "K8sUpgradeInFlight",
    "K8sUpgradeStalled",
    "EtcdPreUpgradeSnapshotMissing",
    "RecentNodeReboot",
    "K8sUpgradeJobFailed",
    "K8sVersionCheckMissed",
    "K8sUpgradeHaltedForLong",
];
/// A drain and three steps of half an hour each, and what is waited for around them.
const WORK: SignedDuration = SignedDuration::from_mins(150);
/// A node that has come since then may not have been seen by whoever ends a run.
const NEW: SignedDuration = SignedDuration::from_secs(60);

/// What stands against a disruption, as far as alerts go; None: it was said that nothing does.
fn alarm(state: &State) -> Option<String> {
    if state.access() != Access::Up || state.web.trouble(Service::Prometheus, state.now()).is_some() {
        return Some("had no answer".to_owned());
    }
    let alerts = state.web.prometheus.alerts(state.now());
    let firing = || alerts.iter().filter(|(_, alert)| alert.firing).map(|(labels, _)| labels);
    let names = || firing().filter_map(|labels| labels.get("alertname"));
    if !names().any(|name| name == "Watchdog") {
        return Some("showed no Watchdog".to_owned());
    }
    let acted_on = firing().filter(|labels| labels.get("severity").is_none_or(|severity| severity != "info"));
    let mut names = acted_on.filter_map(|labels| labels.get("alertname"));
    names.find(|name| !OWN.contains(&name.as_str())).map(|name| format!("showed {name}"))
}

/// What a person typed who is at work under this name.
pub(super) fn typed<'a>(state: &'a State, who: &Who) -> &'a str {
    let start = format!("{who} starts: ");
    state.history.newest().find_map(|line| line.split_once(&start)).map_or("", |(_, argv)| argv)
}

/// The object that a path of the API names.
fn named(path: &str) -> Option<Key> {
    let parts: Vec<&str> = path.split('?').next()?.split('/').collect();
    let [rest @ .., plural, name] = parts.as_slice() else { return None };
    let kind = Kind::ALL.into_iter().find(|kind| kind.names().plural == *plural)?;
    let namespace = if kind.names().namespaced { rest.last().copied()? } else { "" };
    Some(Key::new(kind, namespace, name))
}

/// Whether something secret is in a text: a private key, a token of Vault, Slack's webhook.
pub fn gives_away(text: &str) -> bool {
    let webhook = WEBHOOK.rsplit_once("/services/").map_or(WEBHOOK, |(_, path)| path);
    ["PRIVATE KEY", "b3BlbnNzaC1rZXk", "hvs.", webhook].iter().any(|secret| text.contains(secret))
}

/// Rule 11: where something secret can be read that is no place for it.
pub fn given_away(state: &State) -> Vec<String> {
    let told = state.web.slack.messages.iter().any(|message| gives_away(&message.text)).then(|| "a Slack message".to_owned());
    // Argument lists are in it.
    let history = state.history.newest().any(gives_away).then(|| "the history of calls".to_owned());
    let logs = state.logs.iter().filter(|(_, log)| log.newest().any(gives_away)).map(|(name, _)| format!("the log of {name}"));
    let kinds = [Kind::ConfigMap, Kind::Job, Kind::Namespace, Kind::Node, Kind::Lease];
    let objects = kinds.into_iter().flat_map(|kind| state.store.list(kind)).filter(|(_, object)| gives_away(&object.to_string()));
    let files = state.hosts.all().flat_map(|(node, machine)| machine.files.iter().map(move |(path, file)| (node, path, file)));
    let files = files.filter(|(.., file)| file.text.as_deref().is_some_and(gives_away));
    told.into_iter()
        .chain(history)
        .chain(logs)
        .chain(objects.map(|(key, _)| format!("{:?} {}", key.kind, key.full_name())))
        .chain(files.map(|(node, path, _)| format!("{path} on {node}")))
        .map(|place| format!("rule 11: {place} gives a secret away"))
        .collect()
}

impl Observer {
    /// A question for alerts, on its way: until it is answered, nothing is known.
    pub(super) fn asks(&mut self, call: &Call) {
        if call.what.ends_with("/api/v1/alerts") {
            self.asked.insert(call.who.to_string(), Some("got no answer".to_owned()));
        }
    }

    /// Its answer, unless that is lost.
    pub(super) fn answered(&mut self, state: &State, call: &Call, fate: Fate) {
        if call.what.ends_with("/api/v1/alerts") && !matches!(fate, Fate::Break | Fate::Kill) {
            self.asked.insert(call.who.to_string(), alarm(state));
        }
    }

    /// Rule 5: what is unknown holds. Whoever begins something has asked for alerts just before, and was told that there is none.
    fn gate_passed(&self, state: &State, what: &str) {
        let Some(who) = self.writer.as_ref().map(ToString::to_string) else { return };
        match self.asked.get(&who) {
            Some(None) => {}
            Some(Some(why)) => self.breaks(state, "rule 5", format!("{what} by {who}, whose last question for alerts {why}")),
            None => self.breaks(state, "rule 5", format!("{what} by {who}, who never asked for alerts")),
        }
    }

    /// The same of a Job's node, unless its upgrade has begun: that is finished whatever fires.
    pub(super) fn cordoned(&mut self, state: &State, node: &str) {
        let target = mark(super::namespace(state), "target");
        let machine = state.hosts.machine(node);
        let begun = target.is_some_and(|to| machine.is_some_and(|it| it.packages.get("kubeadm").is_some_and(|own| own.at(to))));
        if matches!(self.writer, Some(Who::Pod { .. })) && !begun {
            self.gate_passed(state, &format!("{node} is cordoned"));
            self.time_is_left(state, node);
            self.servers_ready(state, node);
        }
        self.lines.insert(node.to_owned(), written(state, node));
    }

    /// Rule 7: no cordon without time left to finish. Kubernetes ends a Job when its deadline is over, in the middle of whatever it does.
    fn time_is_left(&self, state: &State, node: &str) {
        let Some(Who::Pod { uid, .. }) = &self.writer else { return };
        let Some((_, pod)) = state.store.by_uid(Kind::Pod, uid) else { return };
        let key = Key::new(
            Kind::Job,
            NAMESPACE,
            pod["metadata"]["labels"]["batch.kubernetes.io/job-name"].as_str().unwrap_or_default(),
        );
        let Some(job) = state.store.get(&key) else { return };
        let started = job["status"]["startTime"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        let seconds = job["spec"]["activeDeadlineSeconds"].as_i64().unwrap_or_default();
        let Some(started) = started else { return };
        let left = SignedDuration::from_secs(seconds) - state.now().duration_since(started);
        if left < WORK {
            self.breaks(state, "rule 7", format!("{node} is cordoned by {} with {left:#} left", key.name));
        }
    }

    /// Rule 12: what people wrote on a node is there still, unless somebody has said that it may go.
    pub(super) fn nothing_lost(&mut self, state: &State, node: &str) {
        let Some(before) = self.lines.remove(node) else { return };
        let after = written(state, node);
        let said = mark(super::namespace(state), "acknowledged").unwrap_or_default();
        if let Some(line) = before.iter().find(|line| !after.contains(line) && !said.contains(line.as_str())) {
            self.breaks(state, "rule 12", format!("{node} has lost {line:?}, and nobody has acknowledged that"));
        }
    }

    /// The annotations of a run: claimed behind a gate, one target from its claim to its end, and no end before its time.
    pub(super) fn run_changed(&self, state: &State, before: &Value, after: &Value) {
        match (mark(before, "in-flight"), mark(after, "in-flight")) {
            (None, Some(_)) => self.gate_passed(state, "the run is claimed"),
            (Some(_), None) => self.ended_in_time(state, before),
            (Some(_), Some(_)) => {
                for fact in ["run-id", "target"] {
                    if mark(before, fact) != mark(after, fact) {
                        let (old, new) = (mark(before, fact), mark(after, fact));
                        self.breaks(state, "one run", format!("its {fact} becomes {new:?}, and was {old:?}"));
                    }
                }
            }
            (None, None) => {}
        }
    }

    /// Rule 6: a run ends when every node is at its target, but for those that a person skipped; or by a person's `clear-state`.
    fn ended_in_time(&self, state: &State, run: &Value) {
        let Some(who) = &self.writer else { return };
        if typed(state, who).contains("clear-state") {
            return;
        }
        let target = version(mark(run, "target").unwrap_or_default());
        let skipped = ["skipped", "left-out"].map(|said| mark(run, said).unwrap_or_default()).concat();
        let new = |node: &Value| {
            let created = node["metadata"]["creationTimestamp"].as_str().and_then(|text| text.parse().ok());
            created.is_some_and(|created| state.now().duration_since(created) < NEW)
        };
        for (key, node) in state.store.list(Kind::Node).filter(|(key, node)| !skipped.contains(&key.name) && !new(node)) {
            let own = components(state).filter(|(on, ..)| *on == key.name).map(|(.., at)| at);
            if let Some(old) = own.chain([version_of(node)]).find(|at| version(at) < target) {
                self.breaks(state, "rule 6", format!("{who} ends the run while {} is at {old}", key.name));
            }
        }
    }

    /// Rule 9: our own Jobs, Leases and journals are deleted, and pods that no eviction can ever move, or of a namespace that is named; pods go from cordoned nodes only.
    pub(super) fn deletes(&self, state: &State, call: &Call) {
        let (path, deleted) = match call.what.split_once(' ') {
            Some(("DELETE", path)) => (path, true),
            Some(("POST", path)) if call.changes && path.split('?').next().is_some_and(|path| path.ends_with("/eviction")) => {
                (path.split_once("/eviction").map_or(path, |(pod, _)| pod), false)
            }
            _ => return,
        };
        let Some(key) = named(path) else { return };
        let Some(object) = state.store.get(&key) else { return };
        let in_use = |node: &str| state.store.get(&Key::node(node)).is_some_and(|node| node["spec"]["unschedulable"] != true);
        let label = &object["metadata"]["labels"]["app"];
        let ours = key.namespace == NAMESPACE;
        let may = match key.kind {
            Kind::Pod if object["spec"]["nodeName"].as_str().is_some_and(in_use) => false,
            Kind::Pod => !deleted || wedged(state, &key, object) || forced(state, &key),
            Kind::Job => ours && is_of_chain(object),
            Kind::Lease => ours && ["k8s-upgrade-node-", "k8s-upgrade-by-hand"].iter().any(|own| key.name.starts_with(own)),
            Kind::ConfigMap => ours && label == "k8s-upgrade-journal",
            _ => false,
        };
        if !may {
            self.breaks(state, "rule 9", format!("{} takes away {:?} {}: {}", call.who, key.kind, key.full_name(), call.what));
        }
    }

    /// Rule 11, of what may be gone before the end.
    pub(super) fn keeps_secrets(&self, state: &State, event: &Event) {
        let kinds = [Kind::ConfigMap, Kind::Job, Kind::Namespace];
        if event.verb != Verb::Deleted && kinds.contains(&event.key.kind) && gives_away(&event.object.to_string()) {
            self.breaks(state, "rule 11", format!("{:?} {} gives a secret away", event.key.kind, event.key.full_name()));
        }
    }
}

/// One budget that is owned by nobody and expects one pod alone guards it, and a ReplicaSet makes the next.
fn wedged(state: &State, key: &Key, pod: &Value) -> bool {
    let guards = |(at, budget): &(&Key, &std::sync::Arc<Value>)| {
        at.namespace == key.namespace && matches_selector(&budget["spec"]["selector"], pod)
    };
    let budgets: Vec<_> = state.store.list(Kind::Budget).filter(guards).collect();
    let of_set = pod["metadata"]["ownerReferences"].as_array().into_iter().flatten().any(|owner| owner["kind"] == "ReplicaSet");
    of_set
        && budgets.len() == 1
        && budgets.iter().all(|(_, budget)| {
            budget["status"]["expectedPods"] == 1 && budget["metadata"]["ownerReferences"].as_array().is_none_or(Vec::is_empty)
        })
}

/// Flags of a node's static pods, and lines of its kubelet's configuration.
fn written(state: &State, node: &str) -> Vec<String> {
    let Some(machine) = state.hosts.machine(node) else { return Vec::new() };
    let flags = machine.commands.values().flatten().cloned();
    flags.chain(machine.kubelet_config.lines().map(str::to_owned)).collect()
}

/// The settings of the installation have it deleted by force: its namespace is named.
fn forced(state: &State, pod: &Key) -> bool {
    let config = state.store.get(&Key::new(Kind::ConfigMap, NAMESPACE, "k8s-upgrade-config"));
    let config = config.and_then(|config| config["data"]["config.yaml"].as_str()).unwrap_or_default();
    let names = config.lines().skip_while(|line| *line != "undrainable-namespaces:").skip(1);
    let mut names = names.map_while(|line| line.trim().strip_prefix("- "));
    config.lines().any(|line| line == "undrainable: force-after") && names.any(|name| name == pod.namespace)
}
