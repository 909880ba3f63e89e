//! Every name that outlives a process or that somebody else reads: labels, annotations, Jobs, metrics, alerts, Secret keys.
//! Dashboards, alerts and habits depend on them, so each stands here once.

/// The binary, its image, and its container in every pod of ours.
pub const PROGRAM: &str = "k8s-upgrade";

/// Namespace that holds the installation (a setting may change it).
pub const NAMESPACE: &str = "k8s-upgrade";
/// Detection and the chain act as this account.
pub const SERVICE_ACCOUNT: &str = "k8s-upgrade-job";
/// The watch acts as this one, which may less.
pub const WATCH_ACCOUNT: &str = "k8s-upgrade-watch";
/// Looks for a new release once a week.
pub const DETECT_CRONJOB: &str = "k8s-version-check";
/// Takes up a run whose Jobs all died.
pub const WATCH_CRONJOB: &str = "k8s-upgrade-watch";
/// Holds the SSH key, the webhooks, and what Prometheus wants.
pub const CREDS_SECRET: &str = "k8s-upgrade-creds";
/// Where a Job's pod has that Secret.
pub const CREDS_MOUNT: &str = "/secrets/k8s-upgrade";
/// Key of that Secret: the private half, as OpenSSH writes it.
pub const SECRET_SSH_KEY: &str = "ssh_key";
/// Its public half.
pub const SECRET_SSH_KEY_PUB: &str = "ssh_key_pub";
/// URL of Slack's webhook; without it nothing is sent there.
pub const SECRET_SLACK: &str = "slack_webhook";
/// URLs of the other webhooks, a line `NAME: URL` each. One key for all: pods and policies name the keys that a pod sees.
pub const SECRET_WEBHOOKS: &str = "webhooks";
/// What Prometheus wants of whoever asks it: a bearer token; or the next two.
pub const SECRET_PROMETHEUS_TOKEN: &str = "prometheus_token";
/// Of basic authentication.
pub const SECRET_PROMETHEUS_USERNAME: &str = "prometheus_username";
/// Of the same.
pub const SECRET_PROMETHEUS_PASSWORD: &str = "prometheus_password";
/// These three.
pub const SECRET_PROMETHEUS: [&str; 3] = [SECRET_PROMETHEUS_TOKEN, SECRET_PROMETHEUS_USERNAME, SECRET_PROMETHEUS_PASSWORD];
/// Public halves of the keys that the stored one replaced, a line each: a node that was away may accept them still.
pub const SECRET_FORMER: &str = "ssh_key_pub_former";
/// An ExternalSecret is read anew when this annotation changes.
pub const FORCE_SYNC: &str = "force-sync";
/// The settings of the installation.
pub const CONFIG_MAP: &str = "k8s-upgrade-config";
/// Key of that ConfigMap.
pub const CONFIG_KEY: &str = "config.yaml";
/// Where a pod has that ConfigMap.
pub const CONFIG_MOUNT: &str = "/etc/k8s-upgrade";
/// kubeadm's own, in kube-system: this and the next.
pub const KUBEADM_CONFIG: &str = "kubeadm-config";
/// Also kubeadm's: the KubeletConfiguration that every node is given.
pub const KUBELET_CONFIG: &str = "kubelet-config";
/// ConfigMap of the nodes' host keys: seeded by `manifests`, added to by runs that learn.
pub const KNOWN_HOSTS_MAP: &str = "k8s-upgrade-known-hosts";
/// ConfigMap with the alert rules.
pub const RULES_MAP: &str = "k8s-upgrade-alert-rules";
/// Key of that ConfigMap.
pub const RULES_KEY: &str = "upgrade-gates.yaml";
/// Of the shell pipeline that this program replaces: its scripts.
pub const FORMER_SCRIPTS: &str = "k8s-upgrade-scripts";
/// Likewise: the Job that it renders for each phase.
pub const FORMER_TEMPLATE: &str = "k8s-upgrade-job-template";
/// The stack of Terraform in which it is described.
pub const FORMER_STACK: &str = "stacks/k8s-version-upgrade";
/// Where its alert rules are described.
pub const FORMER_RULES: &str = "prometheus_chart_values.tpl";
/// Vault path that the ExternalSecret reads.
pub const VAULT_PATH: &str = "k8s-upgrade";

/// Tells our kinds of Jobs, pods and ConfigMaps apart, by one of the values `APP_…`.
pub const LABEL_APP: &str = "app";
/// A label of a pod: `false` keeps Istio's sidecar away.
pub const LABEL_ISTIO: &str = "sidecar.istio.io/inject";
/// An annotation of a pod: `disabled` keeps Linkerd's away.
pub const ANNOTATION_LINKERD: &str = "linkerd.io/inject";
/// On all that `manifests` prints.
pub const LABEL_NAME: &str = "app.kubernetes.io/name";
/// Who made an object out of somebody else's template: on the Jobs of etcd's snapshot and of hooks, by which their policies know them.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// kubectl's word on a Job that somebody has made out of a CronJob.
pub const INSTANTIATE: &str = "cronjob.kubernetes.io/instantiate";
/// Jobs of the chain and their pods.
pub const APP_CHAIN: &str = "k8s-upgrade-chain";
/// Detection.
pub const APP_DETECTION: &str = "k8s-version-upgrade";
/// The watch.
pub const APP_WATCH: &str = "k8s-upgrade-watch";
/// ConfigMaps with journals.
pub const APP_JOURNAL: &str = "k8s-upgrade-journal";
/// How names of the chain's Jobs begin; phase, target and node follow.
pub const JOB_PREFIX: &str = "k8s-upgrade";
/// How names of the snapshot's Jobs begin.
pub const ETCD_JOB_PREFIX: &str = "pre-upgrade-etcd";
/// How names of the Jobs of hooks begin; which hook, the turn and its node follow.
pub const HOOK_JOB_PREFIX: &str = "upgrade-hook";
/// How names of the nodes' Leases begin; the node's name follows.
pub const LEASE_PREFIX: &str = "k8s-upgrade-node";
/// Held by a person's process as long as it works: no Job tells of it.
pub const LEASE_BY_HAND: &str = "k8s-upgrade-by-hand";
/// Finished chain Jobs stay this long (seconds).
pub const JOB_TTL_SECONDS: i32 = 604_800;

// Defaults that are those of the cluster this program was written for, whose dashboards and habits know them. Each is a setting;
// docs/settings.yaml shows what others set.

/// The prefix of every annotation.
pub const ANNOTATION_PREFIX: &str = "viktorbarzin.me";
/// Who logs in on the nodes.
pub const SSH_USER: &str = "wizard";
/// Namespace and name of the CronJob that makes etcd's snapshot.
pub const BACKUP_CRONJOB: &str = "default/backup-etcd";
/// The Service of Prometheus, with its port.
pub const PROMETHEUS: &str = "monitoring/prometheus-server:80";
/// The Pushgateway's.
pub const PUSHGATEWAY: &str = "monitoring/prometheus-prometheus-pushgateway:9091";

/// Where a mark stands, and who writes it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On our namespace, a part of the record of the run in flight: its end removes all of that in one write.
    Run(Writer),
    /// On our namespace, whatever runs.
    Namespace,
    /// On our namespace, what detection remembers from one week to the next, whatever runs: written by it alone.
    Detection,
    /// On a node that this program changed.
    Node,
    /// On a Job of the chain.
    Job,
    /// On a Lease that a person's process holds.
    Lease,
    /// On an object that is not ours, as people read or write it.
    Workload,
}

/// Whose word a part of a run's record is. The API server's policy holds it: rights cannot say who may write which annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// Jobs of the chain, and whoever does their work by hand.
    Chain,
    /// The watch, which may write little else of it.
    Watch,
    /// The chain where a Job claims the run; else who creates the first Job of one that a person began: the chain or the watch.
    Creator,
    /// A person alone: a Job may remove it with the rest, and never write it.
    Person,
    /// A person alone, before the run that it is for: its beginning leaves it.
    PersonBefore,
    /// A person alone, for a release: the claim of a run to that one takes it, and no other run's beginning or end.
    PersonFor,
}

/// The marks, a row each: what it is, its suffix, where it stands. What is read out of those of a run is in
/// [`crate::plan::model::marks`], and a test there finds a row that nobody reads.
macro_rules! marks {
    ($($(#[$doc:meta])* $mark:ident = $suffix:literal, $place:expr;)*) => {
        /// An annotation that outlives a process; its full key is `<prefix>/k8s-upgrade-<suffix>`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mark {
            $($(#[$doc])* $mark,)*
        }

        impl Mark {
            /// Every one of them.
            pub const ALL: &[Mark] = &[$(Mark::$mark,)*];

            fn suffix(self) -> &'static str {
                match self { $(Mark::$mark => $suffix,)* }
            }

            /// Where it stands, and who writes it.
            pub fn place(self) -> Place {
                match self { $(Mark::$mark => $place,)* }
            }
        }
    };
}

marks! {
    /// A run is on: this alone says so.
    InFlight = "in-flight", Place::Run(Writer::Chain);
    /// The version that it goes to.
    Target = "target", Place::Run(Writer::Chain);
    /// Where etcd's snapshot lies.
    SnapshotPath = "snapshot-path", Place::Run(Writer::Chain);
    /// In which version of the record the run is written ([`crate::plan::model::marks::VERSION`]).
    RecordVersion = "record-version", Place::Run(Writer::Chain);
    /// The run's id.
    RunId = "run-id", Place::Run(Writer::Chain);
    /// Preflight has ended well: nodes have their repositories and packages.
    Prepared = "prepared", Place::Run(Writer::Chain);
    /// When it began.
    Started = "started", Place::Run(Writer::Chain);
    /// What the Jobs of this run run, whatever is installed meanwhile. None before the first Job of it.
    Image = "image", Place::Run(Writer::Creator);
    /// Steps that a person skipped by force.
    Skipped = "skipped", Place::Run(Writer::Person);
    /// Workers that the run leaves out, since they can never be drained.
    LeftOut = "left-out", Place::Run(Writer::Chain);
    /// What was well when the run was claimed: JSON of [`crate::plan::model::baseline::Baseline`].
    Baseline = "baseline", Place::Run(Writer::Chain);
    /// Drains of a node that did not end: JSON of [`crate::plan::model::held_drain::HeldDrain`].
    HeldDrain = "held-drain", Place::Run(Writer::Chain);
    /// Who performs the run in a process of their own, after Jobs had begun it.
    Local = "local", Place::Run(Writer::Person);
    /// The Job that the watch is about to replace.
    TakingUp = "taking-up", Place::Run(Writer::Watch);
    /// UID of a Job that died with its work done: the watch has created its successor.
    HandedOn = "handed-on", Place::Run(Writer::Watch);
    /// What a person means to lose by the next run: JSON of [`crate::plan::decide::losses::Acknowledged`].
    Acknowledged = "acknowledged", Place::Run(Writer::PersonBefore);
    /// A run that a gate which time opens kept from its claim: [`crate::plan::model::marks::Deferred`]. The watch tries it again.
    Deferred = "deferred", Place::Run(Writer::Chain);
    /// It has come to the end of a window: JSON of [`crate::plan::model::resting::Resting`]. The watch goes on with it in the next one.
    Resting = "resting", Place::Run(Writer::Chain);
    /// A canary that the run takes back to what it ran before, or has: [`crate::plan::model::taken_back::TakenBack`]. The run stands by it.
    TakenBack = "taken-back", Place::Run(Writer::Chain);
    /// A person lets this run work outside of the windows: [`crate::plan::model::marks::ByWord`].
    OutsideWindows = "outside-windows", Place::Run(Writer::PersonBefore);
    /// The run is to stop after this worker: [`crate::plan::model::marks::Only`].
    Only = "only", Place::Run(Writer::PersonBefore);
    /// A person lets a run to this release begin: [`crate::plan::model::approved::Approved`]. The watch begins it.
    Approved = "approved", Place::Run(Writer::PersonFor);
    /// Which failure of which place Slack was told of last: its retries are no news.
    Told = "told", Place::Run(Writer::Chain);
    /// Of which hold people were reminded, and when: JSON of [`crate::plan::model::reminded::Reminded`].
    Reminded = "reminded", Place::Run(Writer::Watch);
    /// Upgrades are halted: JSON of [`crate::plan::model::halt::Halt`], or anybody's words.
    Halted = "halted", Place::Namespace;
    /// Pools of workers that a person has paused: [`crate::plan::model::paused::PausedPools`]. Of a node it is a label, [`label_pause`].
    PausedPools = "paused-pools", Place::Namespace;
    /// What detection has told people of: JSON of [`crate::plan::model::found::Found`].
    Found = "found", Place::Detection;
    /// When detection first saw releases that are to come of age: [`crate::plan::model::found::Seen`].
    Seen = "seen", Place::Detection;
    /// Id of the run that cordoned the node.
    CordonedBy = "cordoned-by", Place::Node;
    /// Which packages it had before.
    FormerVersions = "former-versions", Place::Node;
    /// When a run changed it last.
    ChangedAt = "changed-at", Place::Node;
    /// The node's turn whose hooks have begun: [`crate::plan::model::hooks::Turn`]. It goes once the hook after the node has done its work.
    Hooked = "hooked", Place::Node;
    /// For which node a hook's Job runs.
    HookNode = "hook-node", Place::Workload;
    /// How often the watch took this step up because it had failed.
    TakenUp = "taken-up", Place::Job;
    /// What its pod, or the holder of the Lease, does: JSON of [`crate::plan::model::progress::Progress`].
    Progress = "progress", Place::Job;
    /// Who holds the Lease, where, and what they typed.
    Driver = "driver", Place::Lease;
    /// `never`: the drain does not delete it.
    Unstick = "unstick", Place::Workload;
}

impl Mark {
    /// What a run leaves on the namespace and its end removes, all in one write: a run is there whole or not at all.
    pub fn of_a_run() -> impl Iterator<Item = Mark> {
        Self::ALL.iter().copied().filter(|mark| matches!(mark.place(), Place::Run(_)))
    }

    /// Of these, what only a person says.
    pub fn of_a_person() -> impl Iterator<Item = Mark> {
        let person = |mark: &Mark| matches!(mark.place(), Place::Run(Writer::Person | Writer::PersonBefore | Writer::PersonFor));
        Self::of_a_run().filter(person)
    }

    /// What the chain's account may write on the namespace, or remove there.
    pub fn of_the_chain() -> impl Iterator<Item = Mark> {
        Self::ALL.iter().copied().filter(|mark| matches!(mark.place(), Place::Run(_) | Place::Detection))
    }

    /// What the watch may remove and never write: an approval whose time is over, and what waited by it.
    pub fn removed_by_the_watch() -> impl Iterator<Item = Mark> {
        [Mark::Approved, Mark::Deferred, Mark::Resting].into_iter()
    }

    /// Of these, what the watch may write.
    pub fn of_the_watch() -> impl Iterator<Item = Mark> {
        Self::of_a_run().filter(|mark| matches!(mark.place(), Place::Run(Writer::Watch | Writer::Creator)))
    }

    /// What a run leaves on a node.
    pub fn of_a_node() -> impl Iterator<Item = Mark> {
        Self::ALL.iter().copied().filter(|mark| mark.place() == Place::Node)
    }

    /// The annotation's whole key; `prefix` is the setting `annotation-prefix`.
    pub fn key(self, prefix: &str) -> String {
        format!("{prefix}/k8s-upgrade-{}", self.suffix())
    }
}

/// The name of an object that belongs to no namespace, or to one of somebody else: two installations never share one.
pub fn of_cluster(name: &str, namespace: &str) -> String {
    if namespace == NAMESPACE { name.to_owned() } else { format!("{name}-{namespace}") }
}

/// Pushgateway job of the chain's gauges.
pub const PUSH_JOB_CHAIN: &str = "k8s-version-upgrade";
/// Pushgateway job of the detection's gauges.
pub const PUSH_JOB_DETECTION: &str = "k8s-version-check";
/// Pushgateway job of a person's block.
pub const PUSH_JOB_BLOCKER: &str = "k8s-upgrade-blocker";
/// Pushgateway job of the gates that are closed.
pub const PUSH_JOB_GATES: &str = "k8s-upgrade-gates";
/// All of them.
pub const PUSH_JOBS: [&str; 4] = [PUSH_JOB_CHAIN, PUSH_JOB_DETECTION, PUSH_JOB_BLOCKER, PUSH_JOB_GATES];

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident = $metric:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $metric;)*

        /// Every gauge that this program pushes.
        pub const METRICS: &[&str] = &[$($name,)*];
    };
}

metrics! {
    /// 1 for each gate that is closed: `{gate,verdict}`.
    METRIC_GATE_HOLDING = "k8s_upgrade_gate_holding";
    /// 1 while a run is on.
    METRIC_IN_FLIGHT = "k8s_upgrade_in_flight";
    /// When the run began (seconds since 1970); 0 without one.
    METRIC_STARTED = "k8s_upgrade_started_timestamp";
    /// 1 while a run is on whose etcd snapshot is recorded.
    METRIC_SNAPSHOT = "k8s_upgrade_snapshot_taken";
    /// When a run last made progress (seconds since 1970), by which a stall is seen.
    METRIC_PROGRESS = "k8s_upgrade_progress_timestamp";
    /// 1 where detection found a release to go to; with the labels `kind`, `running` and `target`.
    METRIC_AVAILABLE = "k8s_upgrade_available";
    /// When detection last came to an end (seconds since 1970).
    METRIC_LAST_CHECK = "k8s_version_check_last_run_timestamp";
    /// Since when a person's halt stands (seconds since 1970); 0 without one.
    METRIC_HALTED = "k8s_upgrade_halted_timestamp";
    /// 1 while a person blocks upgrades and reboots.
    METRIC_BLOCKER = "k8s_upgrade_blocker";
}

/// The group of alert rules that `manifests` ships.
pub const ALERT_GROUP: &str = "Upgrade Gates";
/// Kubelets and API servers run several versions.
pub const ALERT_SKEW: &str = "K8sVersionSkew";
/// A run is on without an etcd snapshot.
pub const ALERT_SNAPSHOT_MISSING: &str = "EtcdPreUpgradeSnapshotMissing";
/// A run has made no progress for [`crate::plan::decide::rules::STALLED_AFTER`].
pub const ALERT_STALLED: &str = "K8sUpgradeStalled";
/// A run is on: others who reboot nodes wait for it.
pub const ALERT_IN_FLIGHT: &str = "K8sUpgradeInFlight";
/// A node rebooted lately.
pub const ALERT_RECENT_REBOOT: &str = "RecentNodeReboot";
/// A person blocks upgrades and reboots.
pub const ALERT_BLOCKER: &str = "K8sUpgradeHaltedByOperator";
/// The same, as rules name it that a build before has written and that are loaded still.
pub const ALERT_BLOCKER_FORMER: &str = "K8sUpgradeBlocked";
/// A Job of a run has failed, and nothing has taken it up.
pub const ALERT_JOB_FAILED: &str = "K8sUpgradeJobFailed";
/// Detection has not run for [`crate::plan::decide::rules::MISSED_AFTER`].
pub const ALERT_DETECTION_MISSED: &str = "K8sVersionCheckMissed";
/// A person's halt stands for [`crate::plan::decide::rules::FORGOTTEN_AFTER`].
pub const ALERT_HALTED_LONG: &str = "K8sUpgradeHaltedForLong";
/// Always firing; that it is seen proves that the alert gate works.
pub const ALERT_WATCHDOG: &str = "Watchdog";

/// As whom its Events are reported: what `kubectl describe` shows below "From".
pub const EVENT_CONTROLLER: &str = PROGRAM;
/// How names of its Events begin; the API server adds the rest.
pub const EVENT_PREFIX: &str = "k8s-upgrade-";
/// Where Events of objects lie that have no namespace, as those of nodes.
pub const EVENTS_OF_NODES: &str = "default";

macro_rules! reasons {
    ($($kind:ident $reason:ident: $what:literal;)*) => {
        /// Why a Kubernetes Event is there: people select and alert by it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum EventReason {
            $(#[doc = $what] $reason,)*
        }

        impl EventReason {
            /// Every one of them.
            pub const ALL: &[EventReason] = &[$(EventReason::$reason,)*];

            /// As the Event has it.
            pub fn word(self) -> &'static str {
                match self { $(EventReason::$reason => stringify!($reason),)* }
            }

            /// `Normal`, or `Warning` where a person may have to do something.
            pub fn kind(self) -> &'static str {
                match self { $(EventReason::$reason => stringify!($kind),)* }
            }

            /// What has happened, for the manual.
            pub fn what(self) -> &'static str {
                match self { $(EventReason::$reason => $what,)* }
            }
        }
    };
}

reasons! {
    Normal UpgradeStarted: "a run has claimed the cluster";
    Normal SnapshotTaken: "etcd's snapshot of the run is there, and verified";
    Normal StepStarted: "a step begins, with its deadline";
    Normal StepDone: "a step has ended well, and how long it took";
    Normal StepSkipped: "a step was not needed, and why";
    Normal Waiting: "something is waited for: told once, however often it is looked at";
    Normal OutOfService: "the node takes no new pods";
    Normal InService: "the node takes pods again";
    Normal NodeUpgraded: "the node is at the target, and has soaked";
    Normal UpgradeDone: "the run is over, and every node is at the target";
    Normal UpgradeRests: "no window has room for the next node: the run goes on by itself in the next one";
    Normal UpgradeStopped: "the work was stopped by a signal, by a halt, or after the one worker that it was begun for";
    Normal UpgradeHalted: "a person has halted upgrades";
    Normal HaltLifted: "a person has lifted the halt";
    Normal StateCleared: "a person has cleared the state of the run";
    Normal ReleasePassedOver: "a newer release is there that the settings keep detection from";
    Normal UpgradeApproved: "a person has approved a release: the watch begins its run";
    Normal ApprovalLifted: "a person has taken an approval back";
    Warning ApprovalWanted: "a release is there, and waits for a person's approval";
    Warning ApprovalExpired: "an approval's time was over before a run could begin";
    Warning UpgradeHeld: "a gate stays closed: the run holds";
    Warning UpgradeStillHeld: "a reminder: a run has stood for long";
    Warning UpgradeDeferred: "a gate was closed before anything was claimed";
    Warning DrainHeld: "a drain cannot evict a pod";
    Warning PodForced: "a drain has deleted a pod that its budget can never release";
    Warning NodeLeftOut: "a worker that can never be drained is not upgraded by this run";
    Warning StepForced: "a person has skipped a step by force";
    Warning UpgradePartial: "the run is over, and not every node is at the target";
    Warning UpgradeWarning: "something to look at, though the work goes on";
    Warning UpgradeFailed: "the work has failed: what failed, and what state that leaves";
}

/// kubectl's, in a pod template: `kubectl rollout restart` writes it, and so every pod is made anew.
pub const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
/// kubeadm's, on each control-plane node.
pub const LABEL_CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";
/// The taint of a cordon.
pub const TAINT_CORDON: &str = "node.kubernetes.io/unschedulable";
/// A kubelet may set it: a pin names the Node itself, too.
pub const LABEL_HOSTNAME: &str = "kubernetes.io/hostname";

/// Which zone a node is in: <https://kubernetes.io/docs/reference/labels-annotations-taints/#topologykubernetesiozone>.
pub const LABEL_ZONE: &str = "topology.kubernetes.io/zone";

/// People's, on a node: it has no turn while it bears it, whatever its value. `prefix` is the setting `annotation-prefix`.
pub fn label_pause(prefix: &str) -> String {
    format!("{prefix}/k8s-upgrade-pause")
}

/// User and group of the program in its image: nobody's usual number, and no root, as restricted Pod Security asks.
pub const USER: u32 = 65532;
/// Hex digits of a build's hash that are the tag of its image.
pub const BUILD_DIGITS: usize = 12;

/// Folder on a control plane for the etcd snapshots that the program takes itself; root only.
pub const SNAPSHOT_DIR: &str = "/var/backups/k8s-upgrade";

/// Folder on a node for scripts, logs and status files of our units; root only.
pub const NODE_DIR: &str = "/var/lib/k8s-upgrade";
