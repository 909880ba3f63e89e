//! File + environment + flags → one validated [`Settings`]. The only reader of the environment, and the one place of every default.
//! A value is typed when it is read ([`load`]); how far numbers and durations may go, and why, stands in [`bounds`]; what people read of each, in
//! [`manual`].

pub mod bounds;
mod load;
mod manual;
#[cfg(test)]
mod mistakes;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as span;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::failure::Cause;
use crate::names;
use crate::plan::model::addons::Addons;
use crate::plan::model::calendar::{Calendar, Freeze, Window};
use crate::plan::model::hooks::Hooks;
use crate::plan::model::matcher::Matcher;
use crate::plan::model::policy::{
    Alerts, Ceiling, Days, Force, Gauges, HostKeys, Pace, Policy, QuietScope, Releases, Runner, Snapshot, Surge, Undrainable,
    Unstick, Unverified,
};
use crate::plan::model::waves::{LateJoiners, Pool, RampUp, Share, Waves, Zones};
use crate::plan::model::webhook::Webhook;
use crate::words::{
    Address, AnnotationPrefix, ApiResource, Certificates, ClusterName, Fingerprint, Flag, HostAddress, HostPath, Login, NodeName,
    ObjectPath, PackagesUrl, PageUrl, PoolName, Tenant, Url, VaultPath, WebhookName, is_open,
};
pub use load::{ENV_PREFIX, Fault, Sources, service_links};
pub use manual::{Row, SUBJECTS, Subject};
pub use values::{AlertFilter, KubeadmFlag, PlainHttp};

/// All that can be set. Durations are written as `90s`, `30m`, `1h 30m`; endpoints as URLs or `namespace/service:port`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Named in messages.
    pub cluster_name: ClusterName,
    /// Prefix of our annotations.
    pub annotation_prefix: AnnotationPrefix,
    /// Node that hosts the Jobs, and so has the key; empty: the first worker in natural order. `control-plane`: no worker has it.
    #[serde(with = "values::optional")]
    pub runner: Option<NodeName>,
    /// Workers that may stand in for a lost runner, and so have the key, too; none: a control plane does, or the run holds.
    pub runner_standby: Vec<NodeName>,
    /// Nodes that are never upgraded; every output shows them.
    pub exclude_nodes: Vec<NodeName>,

    pub ssh_user: Login,
    pub ssh_port: u16,
    /// Private key file; empty: the mounted Secret, else the Secret read through the API, else the agent.
    #[serde(with = "values::file")]
    pub ssh_key_file: PathBuf,
    /// Node name → address, where the node's InternalIP is not the way to it; all of them for what works without the API server.
    pub host_addresses: BTreeMap<NodeName, HostAddress>,
    /// Host keys, as ssh keeps them; empty: the ConfigMap, where they are learned. With it nothing is learned.
    #[serde(with = "values::file")]
    pub known_hosts_file: PathBuf,
    /// A host whose key is not known: learn keeps what it shows at first, strict refuses it.
    pub host_keys: HostKeys,
    /// Who takes the etcd snapshot before a run: cronjob, out of backup-cronjob's template; or etcdctl, the program itself on each control plane, in
    /// the container in which kubeadm runs etcd.
    pub snapshot: Snapshot,
    /// Folder of the etcd snapshots on the control planes. Empty: with etcdctl /var/backups/k8s-upgrade, else the restore card's snapshot alone is
    /// looked at by SSH alone.
    #[serde(with = "values::optional")]
    pub snapshot_folder: Option<HostPath>,
    /// With etcdctl: so many snapshots of its own the program keeps on each control plane.
    pub snapshot_keep: u16,
    /// A snapshot that cannot be looked at on the first control plane: tell goes by its backup's word, refuse does not.
    pub snapshot_unverified: Unverified,

    /// Who is asked for alerts that hold a run: prometheus; or off, nobody, and the cluster's own health alone holds it.
    pub alerts: Alerts,
    /// Where gauges are pushed to: pushgateway; or off, nowhere, and the alerts that look at them never fire.
    pub gauges: Gauges,
    /// Prometheus: a URL, or `namespace/service:port` (by its DNS name in the cluster, through the API server from outside).
    pub prometheus: Address,
    /// Who may vouch for a Prometheus by https, as PEM; empty: the usual authorities. With it, nobody else may.
    #[serde(with = "values::optional")]
    pub prometheus_ca: Option<Certificates>,
    /// Whose alerts are asked for, where Prometheus has many tenants: `team-a` behind `X-Scope-OrgID`, or `HEADER: TENANT`; empty: no header.
    #[serde(with = "values::optional")]
    pub prometheus_tenant: Option<Tenant>,
    pub pushgateway: Address,
    /// The page that each alert rule leads to by its annotation `runbook_url`; empty: the rules have none.
    #[serde(with = "values::optional")]
    pub runbook_url: Option<PageUrl>,
    /// Each step, hold and failure is told as a Kubernetes Event, on our Jobs and on the nodes.
    pub events: bool,
    /// File with the Slack webhook URL; empty: the mounted Secret or the Secret read through the API. Absent: nothing is sent.
    #[serde(with = "values::file")]
    pub slack_webhook_file: PathBuf,
    /// Other webhooks: name → what each is sent, and of what it is told. Their URLs are secrets.
    pub webhooks: BTreeMap<WebhookName, Webhook>,
    /// File with the webhooks' URLs, a line `NAME: URL` each; empty: the mounted Secret or the Secret read through the API.
    #[serde(with = "values::file")]
    pub webhooks_file: PathBuf,
    /// Vault whose KV v2 holds the key, as a URL; empty: the Secret itself is where the key is stored.
    #[serde(with = "values::optional")]
    pub vault_address: Option<Url>,
    pub vault_mount: VaultPath,
    pub vault_path: VaultPath,
    /// File with a token that may read and patch it; empty: `~/.vault-token`, where `vault login` leaves it.
    #[serde(with = "values::file")]
    pub vault_token_file: PathBuf,
    /// Where the package repositories are: the base of upstream's layout (`<base>/core:/stable:/v1.N/deb/`), or a URL with `{minor}` in it.
    #[serde(with = "values::packages")]
    pub packages_url: PackagesUrl,
    /// OpenPGP keys of package repositories that a person has acknowledged: a node whose key would change takes these.
    pub package_keys: Vec<Fingerprint>,
    /// Which of packages-url, vault-address, slack-webhook, webhooks and prometheus (with credentials) may be http:// to another machine, where
    /// others can read and change it.
    pub plain_http: Vec<PlainHttp>,
    /// `namespace/name` of the CronJob whose template makes etcd snapshots.
    pub backup_cronjob: ObjectPath,
    /// `namespace/name` of a suspended CronJob whose template is run before each node is taken out of service; empty: none.
    #[serde(with = "values::optional")]
    pub hook_before_node: Option<ObjectPath>,
    /// The same once a node is back in service, upgraded or not.
    #[serde(with = "values::optional")]
    pub hook_after_node: Option<ObjectPath>,

    /// Flags added to every `kubeadm upgrade apply` and `node`.
    pub kubeadm_flags: Vec<KubeadmFlag>,
    /// APIs that a run may go on without, though somebody calls them and the target no longer serves them.
    pub removed_apis_ignore: Vec<ApiResource>,
    /// Alerts that never block: a regular expression that matches anywhere in the name, as kured's filter does.
    pub alert_ignore: AlertFilter,
    /// Only alerts whose labels match all of these hold a run, as `severity=~"critical|page"`; none: all do. The program's own always do.
    pub alert_matchers: Vec<Matcher>,
    /// Alerts of the severities none and info hold a run like any other.
    pub alert_info_holds: bool,
    /// What a drain may do about a pod that a budget can never release: structural, all or never.
    pub drain_unstick: Unstick,
    /// What a drain does for a Deployment's only pod: never evicts it, single restarts the Deployment first, so that its new pod is up
    /// elsewhere before the former goes.
    pub drain_surge: Surge,
    /// A node with pods that can never be evicted, and that drain-unstick does not delete: refuse does not begin a run, skip leaves
    /// it out, try drains it nevertheless, for an operator may move such a pod once its node is cordoned, force-after deletes those of
    /// the namespaces that are named.
    pub undrainable: Undrainable,
    /// With force-after: where a drain deletes such a pod.
    #[serde(with = "values::namespaces")]
    pub undrainable_namespaces: Vec<String>,
    /// So many drain deadlines a node may be out of service in one run for drains that do not end; then a person must look.
    pub drain_tries: u16,
    /// Days and hours in which a run may begin, and each of its nodes: `Sat,Sun 01:00-05:00 Europe/Berlin`; none: at any time.
    pub windows: Vec<Window>,
    /// Days on which none does: `2026-12-20..2027-01-06 Europe/Berlin: end of the year`; without a zone those of UTC.
    pub freezes: Vec<Freeze>,
    /// `namespace/name` of a ConfigMap with more freezes, which others may write: its keys are reasons, its values days; empty: none.
    #[serde(with = "values::optional")]
    pub freeze_configmap: Option<ObjectPath>,
    /// Patches that detection finds: auto goes there, ask waits for `approve`, off leaves them to people.
    pub patch: Pace,
    /// The same of minor versions.
    pub minor: Pace,
    /// The highest release (`1.36.4`) or minor version (`1.36`) that detection goes to; empty: there is none.
    #[serde(with = "values::optional")]
    pub max_version: Option<Ceiling>,
    /// Detection stays so many patches of a minor version behind the newest.
    pub lag: u16,
    /// How long detection must have known a patch before it goes there.
    pub patch_min_age: Days,
    /// The same of minor versions.
    pub minor_min_age: Days,
    /// How long what a person approves may begin.
    pub approval_holds: Days,
    /// How far Kubernetes may go while an addon runs at a version: `{cilium: {"1.18": "<=1.35"}}`; none: no addon is looked at.
    pub addons: Addons,
    /// Detection reports what it found and starts nothing.
    pub detection_dry_run: bool,
    /// People are reminded of a run that is held: after 1 h, 6 h, then each day.
    pub remind: bool,
    /// So many workers, or so great a part of all, may be out of service at the same time, whoever took them out; empty: one after the other.
    #[serde(with = "values::unavailable")]
    pub max_unavailable: Option<Share>,
    /// With max-unavailable: so many workers are upgraded alone, each with its whole soak, before others are beside each other.
    pub canary: u16,
    /// A canary after whose upgrade the cluster got worse is rolled back by the run itself, which then stands.
    pub canary_rollback: bool,
    /// With max-unavailable: exponential upgrades one worker, then two at a time, then four, and so on, up to it.
    pub ramp_up: RampUp,
    /// With max-unavailable: one-at-a-time upgrades workers at the same time only where they are in one zone.
    pub zones: Zones,
    /// So many workers, or so great a part of all, may be NotReady, and a run goes on.
    pub max_not_ready: Share,
    /// Workers with rules of their own, chosen by labels: `{gpu: {selector: [hardware=gpu], order: 1, max-unavailable: 1}}`; none: all are alike.
    pub pools: BTreeMap<PoolName, Pool>,
    /// Old workers that join while a run is on: upgrade upgrades each, report leaves them to the next run.
    pub late_joiners: LateJoiners,
    /// Nodes that are prepared (sources, packages, images) at the same time; for who only looks there is `run::parallel::LOOKS`.
    pub parallel: u16,
    /// Ready pods over unfinished pods that postflight wants.
    pub ready_ratio: f64,

    /// No node may have changed its readiness for this long before a run.
    #[serde(with = "span")]
    pub quiet: Duration,
    /// Of which nodes quiet is asked: auto, in a cluster of more than 20 nodes, before a run of the control planes and the runner, and before each
    /// node of itself; cluster, of all before a run.
    pub quiet_scope: QuietScope,
    /// How long a run that was deferred is tried again, hourly; 0: not before the next detection.
    #[serde(with = "span")]
    pub retry_deferred: Duration,
    /// Watch after each node before the next begins.
    #[serde(with = "span")]
    pub soak: Duration,
    /// How long a blocking or unknown alert is waited for before it holds.
    #[serde(with = "span")]
    pub alert_wait: Duration,
    /// How long postflight waits for alerts of the upgrade to resolve and pods to become ready.
    #[serde(with = "span")]
    pub resolve_wait: Duration,
    #[serde(with = "span")]
    pub backup_deadline: Duration,
    #[serde(with = "span")]
    pub hook_deadline: Duration,
    #[serde(with = "span")]
    pub drain_deadline: Duration,
    /// How long a pod must have been refused before it may be unstuck.
    #[serde(with = "span")]
    pub drain_unstick_after: Duration,
    /// With force-after: how long such a pod must have been refused before it is deleted.
    #[serde(with = "span")]
    pub undrainable_after: Duration,
    /// One long step on a node (packages, kubeadm).
    #[serde(with = "span")]
    pub step_deadline: Duration,
    /// Until a node is Ready at its new version, and its workloads are Available.
    #[serde(with = "span")]
    pub ready_deadline: Duration,
    /// How long a new key's way from Vault into the Secret may take.
    #[serde(with = "span")]
    pub sync_deadline: Duration,
    /// How long an API server that is away is waited for in the middle of a run.
    #[serde(with = "span")]
    pub api_patience: Duration,
    /// A node's Lease that was not renewed for this long is free.
    #[serde(with = "span")]
    pub lease_duration: Duration,
}

/// A default, which is of its kind: the tests go through all of them.
#[expect(clippy::expect_used, reason = "a constant")]
fn known<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("the default of a setting")
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            cluster_name: known("kubernetes"),
            annotation_prefix: known(names::ANNOTATION_PREFIX),
            runner: None,
            runner_standby: Vec::new(),
            exclude_nodes: Vec::new(),
            ssh_user: known(names::SSH_USER),
            ssh_port: 22,
            ssh_key_file: PathBuf::new(),
            host_addresses: BTreeMap::new(),
            known_hosts_file: PathBuf::new(),
            host_keys: HostKeys::Learn,
            snapshot: Snapshot::Cronjob,
            snapshot_folder: None,
            snapshot_keep: 5,
            snapshot_unverified: Unverified::Tell,
            alerts: Alerts::Prometheus,
            gauges: Gauges::Pushgateway,
            prometheus: known(names::PROMETHEUS),
            prometheus_ca: None,
            prometheus_tenant: None,
            pushgateway: known(names::PUSHGATEWAY),
            runbook_url: None,
            events: true,
            slack_webhook_file: PathBuf::new(),
            webhooks: BTreeMap::new(),
            webhooks_file: PathBuf::new(),
            vault_address: None,
            vault_mount: known("secret"),
            vault_path: known(names::VAULT_PATH),
            vault_token_file: PathBuf::new(),
            packages_url: known("https://pkgs.k8s.io"),
            package_keys: Vec::new(),
            plain_http: Vec::new(),
            backup_cronjob: known(names::BACKUP_CRONJOB),
            hook_before_node: None,
            hook_after_node: None,
            kubeadm_flags: Vec::new(),
            removed_apis_ignore: Vec::new(),
            alert_ignore: AlertFilter::default(),
            alert_matchers: Vec::new(),
            alert_info_holds: false,
            drain_unstick: Unstick::Structural,
            drain_surge: Surge::Never,
            undrainable: Undrainable::Refuse,
            undrainable_namespaces: Vec::new(),
            drain_tries: 2,
            windows: Vec::new(),
            freezes: Vec::new(),
            freeze_configmap: None,
            patch: Pace::Auto,
            minor: Pace::Auto,
            max_version: None,
            lag: 0,
            patch_min_age: Days::default(),
            minor_min_age: Days::default(),
            approval_holds: known("14d"),
            addons: Addons::default(),
            detection_dry_run: false,
            remind: true,
            max_unavailable: None,
            canary: 0,
            canary_rollback: false,
            ramp_up: RampUp::Off,
            zones: Zones::Any,
            max_not_ready: Share::default(),
            pools: BTreeMap::new(),
            late_joiners: LateJoiners::Upgrade,
            parallel: 4,
            ready_ratio: 0.9,
            quiet: minutes(24 * 60),
            quiet_scope: QuietScope::Auto,
            retry_deferred: minutes(24 * 60),
            soak: minutes(10),
            alert_wait: minutes(30),
            resolve_wait: minutes(10),
            backup_deadline: minutes(15),
            hook_deadline: minutes(10),
            drain_deadline: minutes(30),
            drain_unstick_after: minutes(2),
            undrainable_after: minutes(15),
            step_deadline: minutes(30),
            ready_deadline: minutes(10),
            sync_deadline: minutes(20),
            api_patience: minutes(10),
            lease_duration: minutes(1),
        }
    }
}

impl Settings {
    /// The keys of all settings.
    pub fn keys() -> Vec<String> {
        let map = serde_json::to_value(Settings::default()).ok();
        map.as_ref().and_then(|map| map.as_object()).into_iter().flat_map(|map| map.keys().cloned()).collect()
    }

    /// Each that names a file of this machine.
    fn files(&mut self) -> [&mut PathBuf; 5] {
        let Settings { ssh_key_file, known_hosts_file, slack_webhook_file, webhooks_file, vault_token_file, .. } = self;
        [ssh_key_file, known_hosts_file, slack_webhook_file, webhooks_file, vault_token_file]
    }

    /// What SSH needs where neither the API server nor anything that it keeps may be asked. Without a key file, an agent has the key.
    ///
    /// # Errors
    /// Usage: settings are missing; each is named, with the ways to give it.
    pub fn by_ssh_alone(&self) -> Result<(), Cause> {
        let wanted = [
            ("host-addresses", self.host_addresses.is_empty(), "NODE=ADDRESS,NODE=ADDRESS"),
            ("known-hosts-file", self.known_hosts_file.as_os_str().is_empty(), "FILE"),
        ];
        let missing: Vec<_> = wanted.into_iter().filter(|(_, missing, _)| *missing).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let keys: Vec<&str> = missing.iter().map(|(key, ..)| *key).collect();
        let ways = missing.iter().map(|(key, _, value)| {
            let variable = key.to_uppercase().replace('-', "_");
            format!("{key}: in the settings file, as {ENV_PREFIX}{variable}={value}, or by --set {key}={value}")
        });
        Err(Cause::usage(format!("without the API server these settings are needed: {}", keys.join(", "))).detail(ways))
    }

    /// What pure decisions need of the settings.
    pub fn policy(&self) -> Policy {
        Policy {
            runner: Runner::read(self.runner.as_deref().unwrap_or_default()),
            standby: self.runner_standby.iter().map(ToString::to_string).collect(),
            quiet: self.quiet,
            quiet_scope: self.quiet_scope,
            // Detection that starts nothing has nothing tried again either.
            retry_deferred: (!self.detection_dry_run).then_some(self.retry_deferred),
            soak: self.soak,
            ready_ratio: self.ready_ratio,
            calendar: self.calendar(),
            waves: self.waves(),
        }
    }

    /// How many workers may be out of service at the same time; the pools in the order in which their workers have their turns.
    pub fn waves(&self) -> Waves {
        let mut pools: Vec<_> = self.pools.iter().map(|(name, pool)| (name.to_string(), pool.clone())).collect();
        pools.sort_by_key(|(_, pool)| pool.order);
        Waves {
            max_unavailable: self.max_unavailable,
            canary: self.canary,
            ramp_up: self.ramp_up,
            zones: self.zones,
            max_not_ready: self.max_not_ready,
            pools,
        }
    }

    /// The pool that a worker with these labels is in: of several, the first in order.
    pub fn pool_of(&self, labels: &BTreeMap<String, String>) -> Option<&PoolName> {
        self.pools.iter().filter(|(_, pool)| pool.has(labels)).min_by_key(|(_, pool)| pool.order).map(|(name, _)| name)
    }

    /// What closes a run; that of a ConfigMap is not known yet.
    fn calendar(&self) -> Calendar {
        let unread = self.freezes_elsewhere().map(|(namespace, name)| format!("ConfigMap {namespace}/{name} was not read"));
        Calendar { windows: self.windows.clone(), freezes: self.freezes.clone(), unknown: unread.into_iter().collect() }
    }

    /// Which releases detection goes to by itself.
    pub fn releases(&self) -> Releases {
        Releases {
            patch: self.patch,
            minor: self.minor,
            patch_age: self.patch_min_age,
            minor_age: self.minor_min_age,
            max: self.max_version,
            lag: self.lag,
        }
    }

    /// Namespace and name of the ConfigMap with freezes.
    pub fn freezes_elsewhere(&self) -> Option<(&str, &str)> {
        self.freeze_configmap.as_ref().map(|path| (path.namespace.as_str(), path.name.as_str()))
    }

    /// The settings that differ from the defaults.
    ///
    /// # Errors
    /// A bug: they are not of the kind that settings are.
    pub fn set(&self) -> Result<Map<String, Value>, Cause> {
        let default = as_map(&Settings::default())?;
        // Where `vault login` leaves it, nobody has set it.
        let is_set = |key: &str| key != "vault-token-file" || !self.vault_token_file.ends_with(load::TOKEN_FILE);
        Ok(as_map(self)?.into_iter().filter(|(key, value)| default.get(key) != Some(value) && is_set(key)).collect())
    }

    /// Those of them that an installation takes into its ConfigMap; those of this machine mean nothing to a pod.
    pub fn for_jobs(&self) -> Result<Map<String, Value>, Cause> {
        let travels = |key: &str| OF_THIS_MACHINE.iter().all(|(own, _)| *own != key);
        Ok(self.set()?.into_iter().filter(|(key, _)| travels(key)).collect())
    }

    /// The settings that are set and mean nothing to a pod: each with what to do instead.
    pub fn left_behind(&self) -> Result<Vec<(&'static str, &'static str)>, Cause> {
        let set = self.set()?;
        Ok(OF_THIS_MACHINE.into_iter().filter(|(key, _)| set.contains_key(*key)).collect())
    }

    /// The secret in Vault as External Secrets names it: by its path, which it looks for in the mount of its store; where the settings name
    /// another mount, by both.
    pub fn external_key(&self) -> String {
        let path = self.vault_path.to_string();
        if self.vault_mount == Settings::default().vault_mount { path } else { format!("{}/{path}", self.vault_mount) }
    }

    /// Whether what goes to this URL may go there: by https, on this machine, or because the settings say that plain http is meant.
    pub fn allows(&self, what: PlainHttp, url: &str) -> bool {
        !is_open(url) || self.plain_http.contains(&what)
    }

    /// How long a node may be out of service in one run for drains that do not end.
    pub fn drain_deadlines(&self) -> Duration {
        self.drain_deadline * u32::from(self.drain_tries)
    }

    /// Where, and when, a drain deletes a pod that its budget can never release; None: nowhere.
    pub fn force(&self) -> Option<Force<'_>> {
        let Settings { undrainable_namespaces: namespaces, undrainable_after: after, .. } = self;
        (self.undrainable == Undrainable::ForceAfter).then_some(Force { namespaces, after: *after })
    }

    /// The namespaces of [`Settings::force`].
    pub fn forced_in(&self) -> &[String] {
        self.force().map_or(&[], |force| force.namespaces)
    }

    /// Namespace and name of the backup CronJob; None: the program takes the etcd snapshot itself.
    pub fn backup(&self) -> Option<(&str, &str)> {
        let ObjectPath { namespace, name } = &self.backup_cronjob;
        (self.snapshot == Snapshot::Cronjob).then_some((namespace, name))
    }

    /// The folder of the etcd snapshots on the control planes, as far as it is known.
    pub fn snapshots(&self) -> Option<HostPath> {
        let own = || (self.snapshot == Snapshot::Etcdctl).then(|| known(names::SNAPSHOT_DIR));
        self.snapshot_folder.clone().or_else(own)
    }

    /// The CronJobs of the hooks.
    pub fn hooks(&self) -> Hooks<'_> {
        fn path(setting: &Option<ObjectPath>) -> Option<(&str, &str)> {
            setting.as_ref().map(|path| (path.namespace.as_str(), path.name.as_str()))
        }
        Hooks { before: path(&self.hook_before_node), after: path(&self.hook_after_node) }
    }

    /// The flags that are added to kubeadm's.
    pub fn kubeadm_flags(&self) -> Vec<Flag> {
        self.kubeadm_flags.iter().map(KubeadmFlag::flag).cloned().collect()
    }
}

const ROTATION: &str =
    "only rotate-key speaks with Vault, from where you type it; the cluster reads it with --external-secret STORE";

/// Settings that speak of the machine of whoever types, and what an installation has instead.
const OF_THIS_MACHINE: [(&str, &str); 8] = [
    ("ssh-key-file", "Jobs take the key from the Secret: --ssh-key FILE puts it there"),
    ("known-hosts-file", "the host keys of nodes in it are printed into the ConfigMap k8s-upgrade-known-hosts"),
    ("slack-webhook-file", "Jobs take the webhook from the Secret: --slack-webhook FILE puts it there"),
    ("webhooks-file", "Jobs take their URLs from the Secret: --webhook NAME=FILE puts each there"),
    ("vault-address", ROTATION),
    ("vault-mount", ROTATION),
    ("vault-path", ROTATION),
    ("vault-token-file", ROTATION),
];

fn as_map(settings: &Settings) -> Result<Map<String, Value>, Cause> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(map)) => Ok(map),
        other => Err(Cause::bug(format!("settings do not serialise to an object: {other:?}"))),
    }
}
