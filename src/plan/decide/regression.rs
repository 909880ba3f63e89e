//! What has got worse since a run was claimed: a look at the cluster's health, held against the [`Baseline`] of then. What was bad before the
//! run does not count, nor does what is new, gone, or of another size since. What could not be asked is bad, as what answers badly is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::etcd::{ControlPlane, slow};
use super::gates::{Gate, SMALL};
use super::workloads::Workload;
use crate::guard::{self, Guard};
use crate::plan::model::answer::Answer;
use crate::plan::model::baseline::Baseline;
use crate::plan::model::facts::{COMPONENTS, Facts, Node};
use crate::plan::model::member::Means;

/// So often something must be seen, and for so long, before it counts: pods restart, and a node's report may be late.
pub const LOOKS: u32 = 3;
/// See [`LOOKS`].
pub const STANDS: Duration = Duration::from_secs(60);

/// Of which pods a look asks whether they crash: a large cluster is not asked for all of its pods again and again while its workers have their
/// turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pods {
    All,
    /// Of these nodes: what a worker's upgrade breaks is there. What was driven away from it is a workload that is not whole.
    On(Vec<String>),
}

impl Pods {
    /// Before or after the turn of the node `name`. What a control plane's upgrade breaks may be anywhere.
    pub fn around(facts: &Facts, name: &str, soak: Duration, now: Timestamp) -> Self {
        let fresh = |node: &&Node| node.changed_at.is_some_and(|at| now.duration_since(at).unsigned_abs() <= soak);
        let around: Vec<&Node> = facts.nodes.iter().filter(|node| node.name == name || fresh(node)).collect();
        if facts.nodes.len() <= SMALL || around.iter().any(|node| node.control_plane) {
            return Pods::All;
        }
        let mut names: Vec<String> = around.into_iter().map(|node| node.name.clone()).collect();
        names.sort();
        Pods::On(names)
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symptom {
    pub gate: Gate,
    /// What it is about: `Deployment shop/web`, `etcd of k8s-master`.
    pub of: String,
    /// `has 1 of 2 pods available`.
    pub what: String,
}

impl Symptom {
    fn new(gate: Gate, of: impl Into<String>, what: impl Into<String>) -> Self {
        Symptom { gate, of: of.into(), what: what.into() }
    }

    /// By which it is known again, whatever is said of it.
    pub fn key(&self) -> String {
        format!("{}: {}", self.gate.row().id, self.of)
    }

    /// As people read it.
    pub fn words(&self) -> String {
        format!("{} {}", self.of, self.what)
    }
}

/// What one look has seen.
#[derive(Clone, Debug, Default)]
pub struct Look {
    symptoms: Vec<Symptom>,
    workloads: Vec<Workload>,
    /// How long the disk of each member of etcd takes.
    disks: Vec<(String, Means)>,
}

impl Look {
    /// Of nodes, but for those that may be `away`, and of API servers as their kubelets report them.
    pub fn new(facts: &Facts, away: &BTreeSet<&str>) -> Self {
        let nodes = facts.managed().filter(|node| node.ready || !away.contains(node.name.as_str())).flat_map(of_node);
        let masters = facts.nodes.iter().filter(|node| node.control_plane);
        let servers = masters.flat_map(|node| {
            let wrong = node.components_wrong(&COMPONENTS[..1], None).into_iter();
            wrong.map(|what| Symptom::new(Gate::ApiServers, format!("{}:", node.name), what))
        });
        Look { symptoms: nodes.chain(servers).collect(), ..Look::default() }
    }

    /// Of control planes, as they say themselves. Who cannot be asked is another thing than who is ill: the one of before the run does not
    /// hide the other.
    #[must_use]
    pub fn with_control_planes(mut self, asked: impl IntoIterator<Item = ControlPlane>) -> Self {
        let symptom = |gate: Gate, of: String, answer: Answer<Option<String>>| match answer {
            Answer::Known(wrong) => wrong.map(|what| Symptom::new(gate, of, format!("is not well: {what}"))),
            Answer::Unknown(why) => Some(Symptom::new(gate, format!("the health of the {of}"), format!("is not known: {why}"))),
        };
        for ControlPlane { node, api, etcd, member, elsewhere } in asked {
            let well = etcd == Answer::Known(None) && !elsewhere;
            self.symptoms.extend(symptom(Gate::ApiServers, format!("API server of {node}"), api));
            self.symptoms.extend(symptom(Gate::Etcd, format!("etcd of {node}"), etcd));
            if let (true, Answer::Unknown(why)) = (well, member) {
                self.symptoms.push(Symptom::new(
                    Gate::Etcd,
                    format!("the disk of etcd of {node}"),
                    format!("is not known: {why}"),
                ));
            }
        }
        self
    }

    /// Of the disks of etcd, as far as there is something to say of them.
    #[must_use]
    pub fn with_disks(mut self, disks: impl IntoIterator<Item = (String, Means)>) -> Self {
        self.disks.extend(disks);
        self
    }

    /// Of Deployments, StatefulSets and DaemonSets.
    #[must_use]
    pub fn with_workloads(mut self, workloads: impl IntoIterator<Item = Workload>) -> Self {
        self.workloads.extend(workloads);
        self
    }

    /// Of pods that crash again and again: whose they are, each as often as it has such pods.
    #[must_use]
    pub fn with_crash_loops(mut self, owners: impl IntoIterator<Item = String>) -> Self {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        owners.into_iter().for_each(|owner| *counts.entry(owner).or_default() += 1);
        let symptom = |(owner, count): (String, u32)| {
            let what = if count == 1 { "has a pod that crashes".to_owned() } else { format!("has {count} pods that crash") };
            Symptom::new(Gate::CrashLoops, owner, format!("{what} again and again"))
        };
        self.symptoms.extend(counts.into_iter().map(symptom));
        self
    }

    /// Of the cluster's DNS, asked for `name`.
    #[must_use]
    pub fn with_dns(mut self, name: &str, answer: Answer<()>) -> Self {
        if let Answer::Unknown(why) = answer {
            self.symptoms.push(Symptom::new(Gate::Dns, "cluster DNS", format!("gives no answer for {name}: {why}")));
        }
        self
    }

    /// What later looks are held against.
    pub fn baseline(&self, at: Timestamp) -> Baseline {
        let whole = self.workloads.iter().filter(|workload| workload.is_whole());
        Baseline::new(at, self.symptoms.iter().map(Symptom::key), whole.map(Workload::key)).with_disks(self.disks.iter().cloned())
    }

    /// What is wrong now, for whoever is told at the beginning of a run.
    pub fn ill(&self) -> Vec<String> {
        let workloads = self.workloads.iter().filter(|workload| !workload.is_whole());
        let words = |workload: &Workload| format!("{} {}", workload.name, workload.words());
        self.symptoms.iter().map(Symptom::words).chain(workloads.map(words)).collect()
    }

    /// What has got worse since.
    pub fn worse(&self, baseline: &Baseline) -> Vec<Symptom> {
        let before = guard::on(Guard::BadBefore);
        let new = self.symptoms.iter().filter(|symptom| !(before && baseline.was_ill(&symptom.key()))).cloned();
        let lost = missing(&self.workloads, |key| !before || baseline.was_whole(key));
        let slow = self.disks.iter().filter_map(|(node, means)| {
            let before = baseline.disk(node).filter(|_| before);
            Some(Symptom::new(Gate::Etcd, format!("the disk of etcd of {node}"), slow(*means, before)?))
        });
        new.chain(lost.map(|workload| Symptom::new(Gate::Workloads, &workload.name, workload.words()))).chain(slow).collect()
    }
}

/// Workloads that are not whole, of those that count by their keys.
pub fn missing(workloads: &[Workload], counts: impl Fn(&str) -> bool) -> impl Iterator<Item = &Workload> {
    workloads.iter().filter(move |workload| !workload.is_whole() && counts(&workload.key()))
}

/// What is wrong with a node that should serve.
fn of_node(node: &Node) -> Vec<Symptom> {
    if !node.ready {
        return vec![Symptom::new(Gate::Nodes, &node.name, "is not Ready")];
    }
    node.pressures.iter().map(|pressure| Symptom::new(Gate::Nodes, &node.name, format!("has {pressure}"))).collect()
}

/// Looks one after the other: what is seen again and again, for long enough, stands.
#[derive(Clone, Debug, Default)]
pub struct Looks {
    /// By key: when it was seen first, and how often in a row.
    seen: BTreeMap<String, (Timestamp, u32)>,
}

impl Looks {
    /// One more look. Of what it has found worse, what stands by now, with the time of the first look that saw it; all of it once it is
    /// `late`, for what changes with each look never stands.
    pub fn see(&mut self, now: Timestamp, worse: &[Symptom], late: bool) -> Vec<(Symptom, Timestamp)> {
        let former = std::mem::take(&mut self.seen);
        let mut standing = Vec::new();
        for symptom in worse {
            let key = symptom.key();
            let (since, times) = former.get(&key).map_or((now, 1), |(since, times)| (*since, times.saturating_add(1)));
            let stands = times >= LOOKS && now.duration_since(since).unsigned_abs() >= STANDS;
            if stands || late || !guard::on(Guard::ThreeLooks) {
                standing.push((symptom.clone(), since));
            }
            self.seen.insert(key, (since, times));
        }
        standing
    }
}

#[cfg(test)]
#[path = "regression_tests.rs"]
mod tests;
