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
/// Holds the SSH key and Slack's webhook.
pub const CREDS_SECRET: &str = "k8s-upgrade-creds";
/// Where a Job's pod has that Secret.
pub const CREDS_MOUNT: &str = "/secrets/k8s-upgrade";
/// Key of that Secret: the private half, as OpenSSH writes it.
pub const SECRET_SSH_KEY: &str = "ssh_key";
/// Its public half.
pub const SECRET_SSH_KEY_PUB: &str = "ssh_key_pub";
/// URL of the webhook; without it nothing is sent.
pub const SECRET_SLACK: &str = "slack_webhook";
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
/// Vault path that the ExternalSecret reads.
pub const VAULT_PATH: &str = "k8s-upgrade";

/// Tells our kinds of Jobs, pods and ConfigMaps apart, by one of the values `APP_…`.
pub const LABEL_APP: &str = "app";
/// On all that `manifests` prints.
pub const LABEL_NAME: &str = "app.kubernetes.io/name";
/// Who made an object out of somebody else's template: on the Jobs of etcd's snapshot, by which their policy knows them.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
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
/// How names of the nodes' Leases begin; the node's name follows.
pub const LEASE_PREFIX: &str = "k8s-upgrade-node";
/// Held by a person's process as long as it works: no Job tells of it.
pub const LEASE_BY_HAND: &str = "k8s-upgrade-by-hand";
/// Finished chain Jobs stay this long (seconds).
pub const JOB_TTL_SECONDS: i32 = 604_800;

/// The prefix of every annotation, unless the settings name another.
pub const ANNOTATION_PREFIX: &str = "viktorbarzin.me";

/// An annotation that outlives a process; its full key is `<prefix>/k8s-upgrade-<suffix>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    // on the namespace
    InFlight,
    Target,
    SnapshotPath,
    RunId,
    /// Preflight has ended well: nodes have their repositories and packages.
    Prepared,
    Started,
    /// What the Jobs of this run run, whatever is installed meanwhile. Only where a Job claimed it.
    Image,
    Skipped,
    /// Who performs the run in a process of their own, after Jobs had begun it.
    Local,
    /// The Job that the watch is about to replace.
    TakingUp,
    /// UID of a Job that died with its work done: the watch has created its successor.
    HandedOn,
    /// Which failure of which place Slack was told of last: its retries are no news.
    Told,
    /// What a person means to lose by the next run: JSON of [`crate::plan::decide::losses::Acknowledged`].
    Acknowledged,
    Halted,
    // on a node that this program changed
    CordonedBy,
    FormerVersions,
    ChangedAt,
    // on a Job of the chain
    /// How often the watch took this step up because it had failed.
    TakenUp,
    /// What its pod does: JSON of [`crate::plan::model::progress::Progress`].
    Progress,
    // on a Lease that a person's process holds
    /// Who that is, where, and what they typed.
    Driver,
    // on a pod or its disruption budget, by its owner: the drain never deletes it
    Unstick,
}

impl Mark {
    /// What a run leaves on the namespace and its end removes, all in one write: a run is there whole or not at all.
    pub const OF_A_RUN: [Mark; 13] = [
        Mark::InFlight,
        Mark::Target,
        Mark::SnapshotPath,
        Mark::RunId,
        Mark::Prepared,
        Mark::Started,
        Mark::Image,
        Mark::Skipped,
        Mark::Local,
        Mark::TakingUp,
        Mark::HandedOn,
        Mark::Acknowledged,
        Mark::Told,
    ];
    /// Of these, what only a person says: a Job may remove it with the rest, and never write it.
    pub const OF_A_PERSON: [Mark; 3] = [Mark::Skipped, Mark::Local, Mark::Acknowledged];
    /// Of these, what the watch writes.
    pub const OF_THE_WATCH: [Mark; 2] = [Mark::TakingUp, Mark::HandedOn];
    /// What a run leaves on a node.
    pub const OF_A_NODE: [Mark; 3] = [Mark::CordonedBy, Mark::FormerVersions, Mark::ChangedAt];

    /// The annotation's whole key; `prefix` is the setting `annotation-prefix`.
    pub fn key(self, prefix: &str) -> String {
        let suffix = match self {
            Mark::InFlight => "in-flight",
            Mark::Target => "target",
            Mark::SnapshotPath => "snapshot-path",
            Mark::RunId => "run-id",
            Mark::Prepared => "prepared",
            Mark::Started => "started",
            Mark::Image => "image",
            Mark::Skipped => "skipped",
            Mark::Local => "local",
            Mark::TakingUp => "taking-up",
            Mark::HandedOn => "handed-on",
            Mark::Told => "told",
            Mark::Acknowledged => "acknowledged",
            Mark::Halted => "halted",
            Mark::CordonedBy => "cordoned-by",
            Mark::FormerVersions => "former-versions",
            Mark::ChangedAt => "changed-at",
            Mark::TakenUp => "taken-up",
            Mark::Progress => "progress",
            Mark::Driver => "driver",
            Mark::Unstick => "unstick",
        };
        format!("{prefix}/k8s-upgrade-{suffix}")
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

/// 1 while a run is on.
pub const METRIC_IN_FLIGHT: &str = "k8s_upgrade_in_flight";
/// When the run began (seconds since 1970); 0 without one.
pub const METRIC_STARTED: &str = "k8s_upgrade_started_timestamp";
/// 1 while a run is on whose etcd snapshot is recorded.
pub const METRIC_SNAPSHOT: &str = "k8s_upgrade_snapshot_taken";
/// When a run last made progress (seconds since 1970), by which a stall is seen.
pub const METRIC_PROGRESS: &str = "k8s_upgrade_progress_timestamp";
/// 1 where detection found a release to go to; with the labels `kind`, `running` and `target`.
pub const METRIC_AVAILABLE: &str = "k8s_upgrade_available";
/// When detection last came to an end (seconds since 1970).
pub const METRIC_LAST_CHECK: &str = "k8s_version_check_last_run_timestamp";
/// 1 while a person blocks upgrades and reboots.
pub const METRIC_BLOCKER: &str = "k8s_upgrade_blocker";

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
/// A node rebooted lately. No rule of ours: a cluster may have it.
pub const ALERT_RECENT_REBOOT: &str = "RecentNodeReboot";
/// A person blocks upgrades and reboots.
pub const ALERT_BLOCKER: &str = "K8sUpgradeBlocked";
/// Always firing; that it is seen proves that the alert gate works.
pub const ALERT_WATCHDOG: &str = "Watchdog";

/// kubeadm's, on each control-plane node.
pub const LABEL_CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";
/// The taint of a cordon.
pub const TAINT_CORDON: &str = "node.kubernetes.io/unschedulable";
/// A kubelet may set it: a pin names the Node itself, too.
pub const LABEL_HOSTNAME: &str = "kubernetes.io/hostname";

/// User and group of the program in its image: nobody's usual number, and no root, as restricted Pod Security asks.
pub const USER: u32 = 65532;
/// Hex digits of a build's hash that are the tag of its image.
pub const BUILD_DIGITS: usize = 12;

/// Folder on a node for scripts, logs and status files of our units; root only.
pub const NODE_DIR: &str = "/var/lib/k8s-upgrade";
