//! The one table of gates: what each is called, when it is asked, what it asks and why, and how to go on where it is closed.
//!
//! The lists of preflight and of a node, `preflight --help`, the manual page, README and `status` are views of it. What a gate decides is in
//! [`super::gates`] and [`super::alerts`]; `run::nodes::asking` asks, and finds a gate that was forgotten to be a bug.

use crate::failure::Advice;
use crate::words::texts;

/// When a gate is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Before a run is claimed: nothing has changed.
    Preflight,
    /// Before a node is taken out of service.
    BeforeNode,
    /// Once a node serves again, before the next.
    AfterNode,
    /// Before a run ends.
    Postflight,
}

impl Occasion {
    pub const ALL: [Occasion; 4] = [Occasion::Preflight, Occasion::BeforeNode, Occasion::AfterNode, Occasion::Postflight];

    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Occasion::Preflight => "preflight",
            Occasion::BeforeNode => "before a node",
            Occasion::AfterNode => "after a node",
            Occasion::Postflight => "postflight",
        }
    }
}

/// What people know of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is called in logs (`gate nodes: pass`) and in data; never changed, for people search for it.
    pub id: &'static str,
    /// In the order of a run.
    pub asked: &'static [Occasion],
    /// It passes where the answer is yes. What is unknown is a no.
    pub question: &'static str,
    /// Why it is asked.
    pub explanation: &'static str,
    /// What to type where it is closed and nothing better is known. What is in capitals, a person fills in.
    pub command: &'static str,
    /// What that command is for.
    pub purpose: &'static str,
}

impl Row {
    /// How to go on where it is closed.
    pub fn advice(&self) -> Advice {
        let Row { command, purpose, .. } = self;
        Advice::from(format!("{command}    # {purpose}"))
    }
}

macro_rules! gates {
    ($($gate:ident: $($asked:ident)+, $id:literal, $question:literal, $explanation:literal, $command:literal, $purpose:literal;)+) => {
        /// A question that must pass before a run goes on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Gate {
            $(#[doc = $question] $gate,)+
        }

        impl Gate {
            /// All, those of preflight first and in the order in which it asks them.
            pub const ALL: &[Gate] = &[$(Gate::$gate,)+];

            /// What people know of it.
            pub const fn row(self) -> Row {
                match self {
                    $(Gate::$gate => Row {
                        id: $id,
                        asked: &[$(Occasion::$asked,)+],
                        question: $question,
                        explanation: $explanation,
                        command: $command,
                        purpose: $purpose,
                    },)+
                }
            }
        }
    };
}

gates! {
    WorkByHand: Preflight, "work by hand",
        "does nobody else work on the cluster by hand?",
        "two at work could take two nodes out of service at once",
        "k8s-upgrade status --watch", "until their process has ended";
    Nodes: Preflight BeforeNode, "nodes",
        "is every node Ready and under no pressure?",
        "the pods of a drained node need room on the others",
        "kubectl get nodes", "repair the node, or exclude it (setting exclude-nodes)";
    ApiServers: Preflight BeforeNode, "control plane",
        "is the API server of every control plane Running and Ready?",
        "with one away already, the upgrade of another could take the whole API away",
        "kubectl get pods -n kube-system -l component=kube-apiserver -o wide", "repair the one that is not Ready";
    Quiet: Preflight, "quiet",
        "has no node come or gone lately (setting quiet)?",
        "a node that has just failed may fail again",
        "kubectl get nodes", "the gate opens by itself once the nodes have been quiet for long enough";
    Permissions: Preflight, "permissions",
        "may the program do everything that a run does?",
        "a missing right would stop the run halfway",
        "k8s-upgrade manifests --image REF | kubectl apply -f -", "grants the rights that this build needs";
    Backup: Preflight, "backup",
        "does the CronJob exist that makes etcd snapshots?",
        "without a snapshot no control plane can be restored",
        "kubectl get cronjobs -A", "name the one that makes them (setting backup-cronjob)";
    Release: Preflight, "release",
        "does the package index list the target?",
        "no node could install a release that does not exist",
        "k8s-upgrade detect --dry-run", "says which releases there are";
    Hosts: Preflight, "hosts",
        "does every node answer by SSH, and is it fit to be upgraded?",
        "half installed packages, a full disk or a stray manifest are found while the node still serves",
        "k8s-upgrade status --hosts", "what each node says by SSH";
    ChangesByHand: Preflight BeforeNode, "changes by hand",
        "would kubeadm overwrite no change that was made by hand?",
        "kubeadm rewrites its files, and does not say what it drops",
        "k8s-upgrade acknowledge", "shows the changes, and the ID that lets the next run overwrite them";
    Alerts: Preflight BeforeNode AfterNode Postflight, "alerts",
        "is no alert firing that blocks upgrades?",
        "an upgrade makes worse what is broken already; alerts that cannot be read count as firing",
        "k8s-upgrade status --health", "whether alerts can be read; the setting alert-ignore names those that never block";
    Kubeadm: Preflight, "kubeadm",
        "does kubeadm upgrade plan lead to the target?",
        "kubeadm itself knows what it cannot upgrade",
        "sudo kubeadm upgrade plan", "on the first control plane: what kubeadm would do, and why";
    Order: BeforeNode, "order",
        "is it this node's turn?",
        "no kubelet may be newer than an API server, so all control planes come before any worker",
        "k8s-upgrade resume --dry-run", "says which node comes next";
    Packages: BeforeNode, "packages",
        "does the node's repository offer the target?",
        "a node that cannot install the target need not be taken out of service",
        "k8s-upgrade preflight --target X.Y.Z", "prepares the repositories of all nodes";
    Soak: BeforeNode AfterNode Postflight, "soak",
        "has the cluster stayed healthy since the last node (setting soak)?",
        "what an upgrade breaks often shows only minutes later",
        "kubectl get nodes", "repair what got worse: nothing else is started until then";
    Workloads: BeforeNode AfterNode, "workloads",
        "do the Deployments have all their replicas again?",
        "two drains in a row must not take both of two replicas; before a node it only warns",
        "kubectl get deployments -A", "find those that are not Available";
    OneAtATime: BeforeNode, "one at a time",
        "is no other node out of service by this program?",
        "the cluster has room for the pods of one node, not of two",
        "k8s-upgrade status --watch", "until the other node is back in service";
    ControlPlane: BeforeNode, "control plane version",
        "before a worker: does every control plane run at the target?",
        "no kubelet may be newer than an API server",
        "kubectl get pods -n kube-system -l tier=control-plane -o wide", "find the component that is not at the target";
    Target: Postflight, "target",
        "is every node at the target?",
        "a run that ends leaves no node behind, unless a person skipped it",
        "kubectl get nodes", "find the node that is not at the target";
    Pods: Postflight, "pods",
        "are enough pods Ready (setting ready-ratio)?",
        "nodes that are Ready do not show yet that the workloads run",
        "kubectl get pods -A", "find those that are not Ready";
}

texts!(none: Gate);

impl Gate {
    /// The gates of an occasion.
    pub fn of(occasion: Occasion) -> impl Iterator<Item = Gate> {
        Self::ALL.iter().copied().filter(move |gate| gate.row().asked.contains(&occasion))
    }

    /// The one of this id, as records carry it; none for what another build wrote.
    pub fn by_id(id: &str) -> Option<Gate> {
        Self::ALL.iter().copied().find(|gate| gate.row().id == id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_is_whole() {
        for gate in Gate::ALL {
            let row = gate.row();
            let order: Vec<usize> =
                row.asked.iter().filter_map(|asked| Occasion::ALL.iter().position(|occasion| occasion == asked)).collect();
            assert!(!order.is_empty() && order.is_sorted_by(|a, b| a < b), "{gate:?} is asked at {:?}", row.asked);
            assert!(row.question.ends_with('?'), "{gate:?}: {}", row.question);
            for text in [row.id, row.question, row.explanation, row.command, row.purpose] {
                assert!(!text.is_empty() && text.trim() == text && !text.ends_with('.'), "{gate:?}: {text:?}");
                assert!(!text.contains(['|', '`', '\n']) || text == row.command, "{gate:?}: README has {text:?} in a table");
            }
            for text in [row.question, row.explanation, row.purpose] {
                assert!(text.starts_with(char::is_lowercase), "{gate:?}: {text:?} stands behind a colon");
            }
            assert!(!row.command.contains('#') && row.advice() == &*format!("{}    # {}", row.command, row.purpose));
        }
    }

    #[test]
    fn ids_are_unique_and_found_again() {
        let ids: BTreeSet<&str> = Gate::ALL.iter().map(|gate| gate.row().id).collect();
        assert_eq!(ids.len(), Gate::ALL.len());
        assert!(Gate::ALL.iter().all(|gate| Gate::by_id(gate.row().id) == Some(*gate)));
        assert_eq!(Gate::by_id("another build's"), None);
    }

    #[test]
    fn each_occasion_has_gates() {
        for occasion in Occasion::ALL {
            assert!(Gate::of(occasion).count() >= 3, "{occasion:?}");
        }
    }
}
