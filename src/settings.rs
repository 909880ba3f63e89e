//! File + environment + flags → one validated [`Settings`]. The only reader of the environment, and the one place of every default.
//!
//! Layers, later ones win: defaults, the file (`--config`, else the first of [`Sources::candidates`] that exists), variables
//! `K8S_UPGRADE_<KEY>`, `--set key=value`. A key that is not known is an error that names the nearest known one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as span;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::failure::{Cause, nearest};
use crate::names;
use crate::plan::policy::{Policy, Unstick};
use crate::words::Fingerprint;
use crate::world::{Env, Files};

/// Variables that set a key start with this.
pub const ENV_PREFIX: &str = "K8S_UPGRADE_";

/// All that can be set. Durations are written as `90s`, `30m`, `1h 30m`; endpoints as URLs or `namespace/service:port`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Named in messages.
    pub cluster_name: String,
    /// Prefix of our annotations.
    pub annotation_prefix: String,
    /// Node that hosts the Jobs; empty: the first worker in natural order.
    pub runner: String,
    /// Nodes that are never upgraded; every output shows them.
    pub exclude_nodes: Vec<String>,

    pub ssh_user: String,
    pub ssh_port: u16,
    /// Private key file; empty: the mounted Secret, else the Secret read through the API, else the agent.
    pub ssh_key_file: PathBuf,
    /// Node name → address, where the node's InternalIP is not the way to it; all of them for what works without the API server.
    pub host_addresses: BTreeMap<String, String>,
    /// Host keys, as ssh keeps them; empty: the ConfigMap, where they are learned. With it nothing is learned.
    pub known_hosts_file: PathBuf,
    /// Folder of the etcd snapshots on the control planes, for a look at them by SSH alone; empty: the restore card's snapshot alone.
    pub snapshot_folder: String,

    /// Prometheus: a URL, or `namespace/service:port` (by its DNS name in the cluster, through the API server from outside).
    pub prometheus: String,
    pub pushgateway: String,
    /// File with the Slack webhook URL; empty: the mounted Secret or the Secret read through the API. Absent: nothing is sent.
    pub slack_webhook_file: PathBuf,
    /// Vault whose KV v2 holds the key, as a URL; empty: the Secret itself is where the key is stored.
    pub vault_address: String,
    pub vault_mount: String,
    pub vault_path: String,
    /// File with a token that may read and patch it; empty: `~/.vault-token`, where `vault login` leaves it.
    pub vault_token_file: PathBuf,
    /// Base of the package repositories: `<base>/core:/stable:/v1.N/deb/`.
    pub packages_url: String,
    /// OpenPGP keys of package repositories that a person has acknowledged: a node whose key would change takes these.
    pub package_keys: Vec<Fingerprint>,
    /// `namespace/name` of the CronJob whose template makes etcd snapshots.
    pub backup_cronjob: String,

    /// Flags added to every `kubeadm upgrade apply` and `node`.
    pub kubeadm_flags: Vec<String>,
    /// Alerts that never block: a regular expression that matches anywhere in the name, as kured's filter does.
    pub alert_ignore: String,
    /// What a drain may do about a pod that a budget can never release: structural, all or never.
    pub drain_unstick: Unstick,
    /// Detection reports what it found and starts nothing.
    pub detection_dry_run: bool,
    /// Nodes that are prepared (inspected, prefetched) at the same time.
    pub parallel: u16,
    /// Ready pods over unfinished pods that postflight wants.
    pub ready_ratio: f64,

    /// No node may have changed its readiness for this long before a run.
    #[serde(with = "span")]
    pub quiet: Duration,
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
    pub drain_deadline: Duration,
    /// How long a pod must have been refused before it may be unstuck.
    #[serde(with = "span")]
    pub drain_unstick_after: Duration,
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

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            cluster_name: "kubernetes".into(),
            annotation_prefix: names::ANNOTATION_PREFIX.into(),
            runner: String::new(),
            exclude_nodes: Vec::new(),
            ssh_user: "wizard".into(),
            ssh_port: 22,
            ssh_key_file: PathBuf::new(),
            host_addresses: BTreeMap::new(),
            known_hosts_file: PathBuf::new(),
            snapshot_folder: String::new(),
            prometheus: "monitoring/prometheus-server:80".into(),
            pushgateway: "monitoring/prometheus-prometheus-pushgateway:9091".into(),
            slack_webhook_file: PathBuf::new(),
            vault_address: String::new(),
            vault_mount: "secret".into(),
            vault_path: names::VAULT_PATH.into(),
            vault_token_file: PathBuf::new(),
            packages_url: "https://pkgs.k8s.io".into(),
            package_keys: Vec::new(),
            backup_cronjob: "default/backup-etcd".into(),
            kubeadm_flags: Vec::new(),
            alert_ignore: String::new(),
            drain_unstick: Unstick::Structural,
            detection_dry_run: false,
            parallel: 4,
            ready_ratio: 0.9,
            quiet: minutes(24 * 60),
            soak: minutes(10),
            alert_wait: minutes(30),
            resolve_wait: minutes(10),
            backup_deadline: minutes(15),
            drain_deadline: minutes(30),
            drain_unstick_after: minutes(2),
            step_deadline: minutes(30),
            ready_deadline: minutes(10),
            sync_deadline: minutes(20),
            api_patience: minutes(10),
            lease_duration: minutes(1),
        }
    }
}

/// Where settings come from.
pub struct Sources<'a> {
    pub config: Option<&'a Path>,
    pub set: &'a [String],
    pub env: &'a Env,
    pub files: &'a dyn Files,
}

impl Sources<'_> {
    /// Files that are read when `--config` names none: the mounted ConfigMap, then the user's own.
    fn candidates(&self) -> Vec<PathBuf> {
        let home = self.env.get("HOME").map(|home| Path::new(home).join(".config"));
        let user = self.env.get("XDG_CONFIG_HOME").map(PathBuf::from).or(home);
        let mounted = Path::new(names::CONFIG_MOUNT).join(names::CONFIG_KEY);
        std::iter::once(mounted).chain(user.map(|dir| dir.join(names::PROGRAM).join(names::CONFIG_KEY))).collect()
    }

    fn file(&self) -> Result<Option<(PathBuf, String)>, Cause> {
        let read = |path: &Path| self.files.read(path);
        let named = self.config.map(Path::to_path_buf);
        let paths = named.clone().map_or_else(|| self.candidates(), |path| vec![path]);
        for path in paths {
            match read(&path) {
                Ok(bytes) => {
                    let text = String::from_utf8(bytes).map_err(|_| Cause::usage(format!("{} is not UTF-8", path.display())))?;
                    return Ok(Some((path, text)));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => {}
                Err(error) => return Err(Cause::usage(format!("cannot read the settings in {}: {error}", path.display()))),
            }
        }
        Ok(None)
    }
}

impl Settings {
    /// Merges all layers and validates the result.
    pub fn load(sources: &Sources<'_>) -> Result<Settings, Cause> {
        let mut merged = Merged::new()?;
        if let Some((path, text)) = sources.file()? {
            merged.file(&path.display().to_string(), &text)?;
        }
        for (name, value) in sources.env.iter().filter(|(name, _)| name.starts_with(ENV_PREFIX)) {
            let key = name[ENV_PREFIX.len()..].to_lowercase().replace('_', "-");
            merged.text(&format!("environment variable {name}"), &key, value)?;
        }
        for pair in sources.set {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| Cause::usage(format!("--set {pair:?}: key=value is wanted, for example --set soak=5m")))?;
            merged.text("--set", key, value)?;
        }
        let mut settings = merged.settings;
        if let Some(home) = sources.env.get("HOME").filter(|_| settings.vault_token_file.as_os_str().is_empty()) {
            settings.vault_token_file = Path::new(home).join(".vault-token");
        }
        settings.validate()?;
        Ok(settings)
    }

    fn validate(&self) -> Result<(), Cause> {
        if let Err(error) = regex::Regex::new(&self.alert_ignore) {
            return Err(Cause::usage("alert-ignore is no regular expression").detail(error.to_string().lines()));
        }
        self.backup()?;
        if !self.snapshot_folder.is_empty() && !self.snapshot_folder.starts_with('/') {
            return Err(Cause::usage(format!("snapshot-folder is {:?}: an absolute path is wanted", self.snapshot_folder)));
        }
        if !(0.0..=1.0).contains(&self.ready_ratio) {
            return Err(Cause::usage(format!("ready-ratio is {}: it lies between 0 and 1", self.ready_ratio)));
        }
        if self.parallel == 0 {
            return Err(Cause::usage("parallel is 0: at least one node must be prepared at a time"));
        }
        if let Some(flag) = self.kubeadm_flags.iter().find(|flag| !flag.starts_with("--") || flag.starts_with("--force")) {
            return Err(Cause::usage(format!(
                "kubeadm-flags: {flag:?} is not allowed: flags begin with -- and --force is never used"
            )));
        }
        let short = [("lease-duration", self.lease_duration, 15), ("step-deadline", self.step_deadline, 60)];
        for (key, value, least) in short {
            if value < Duration::from_secs(least) {
                return Err(Cause::usage(format!("{key} is {value:?}: less than {least}s cannot work")));
            }
        }
        Ok(())
    }

    /// Namespace and name of the backup CronJob.
    pub fn backup(&self) -> Result<(&str, &str), Cause> {
        self.backup_cronjob
            .split_once('/')
            .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty() && !name.contains('/'))
            .ok_or_else(|| Cause::usage(format!("backup-cronjob is {:?}: namespace/name is wanted", self.backup_cronjob)))
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
            runner: (!self.runner.is_empty()).then(|| self.runner.clone()),
            quiet: self.quiet,
            soak: self.soak,
            ready_ratio: self.ready_ratio,
        }
    }

    /// The settings that differ from the defaults, for the ConfigMap of an installation; files of this machine mean nothing to a pod.
    pub fn for_jobs(&self) -> Result<Map<String, Value>, Cause> {
        let default = as_map(&Settings::default())?;
        let of_this_machine = |key: &str| ["ssh-key-file", "known-hosts-file", "slack-webhook-file"].contains(&key);
        let travels = |key: &str| !of_this_machine(key) && !key.starts_with("vault-");
        Ok(as_map(self)?.into_iter().filter(|(key, value)| travels(key) && default.get(key) != Some(value)).collect())
    }
}

fn as_map(settings: &Settings) -> Result<Map<String, Value>, Cause> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(map)) => Ok(map),
        other => Err(Cause::bug(format!("settings do not serialise to an object: {other:?}"))),
    }
}

/// Settings so far. Each key is applied by itself, so that an error can name the key and where it stands.
struct Merged {
    settings: Settings,
    default: Map<String, Value>,
}

impl Merged {
    fn new() -> Result<Self, Cause> {
        let settings = Settings::default();
        Ok(Merged { default: as_map(&settings)?, settings })
    }

    fn file(&mut self, path: &str, text: &str) -> Result<(), Cause> {
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(());
        }
        let value: Value = serde_saphyr::from_str(text)
            .map_err(|error| Cause::usage(format!("{path} is not YAML")).detail(error.to_string().lines()))?;
        let Value::Object(map) = value else {
            return Err(Cause::usage(format!("{path}: keys with values are wanted, for example `soak: 10m`")));
        };
        map.into_iter().try_for_each(|(key, value)| self.apply(path, &key, value))
    }

    /// A value given as text takes the shape that the key's default has.
    fn text(&mut self, source: &str, key: &str, text: &str) -> Result<(), Cause> {
        let items = || text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let value = match self.default.get(key) {
            Some(Value::Bool(_) | Value::Number(_)) => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
            Some(Value::Array(_)) => items().map(Value::from).collect(),
            Some(Value::Object(_)) => Value::Object(
                items().filter_map(|item| item.split_once('=')).map(|(k, v)| (k.to_owned(), Value::from(v))).collect(),
            ),
            _ => Value::from(text),
        };
        self.apply(source, key, value)
    }

    fn apply(&mut self, source: &str, key: &str, value: Value) -> Result<(), Cause> {
        if !self.default.contains_key(key) {
            let hint = nearest(self.default.keys().map(String::as_str), key);
            let hint = hint.map_or(String::new(), |nearest| format!("; did you mean {nearest:?}?"));
            return Err(Cause::usage(format!("{source}: unknown setting {key:?}{hint}")));
        }
        let mut map = as_map(&self.settings)?;
        map.insert(key.to_owned(), value);
        self.settings = serde_json::from_value(Value::Object(map))
            .map_err(|error| Cause::usage(format!("{source}: setting {key}: {error}")))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct OneFile(&'static str);
    impl Files for OneFile {
        fn read(&self, _: &Path) -> std::io::Result<Vec<u8>> {
            Ok(self.0.into())
        }
        fn write(&self, _: &Path, _: &[u8], _: u32) -> std::io::Result<()> {
            Err(std::io::Error::other("read-only"))
        }
    }

    fn load(file: &'static str, env: &[(&str, &str)], set: &[&str]) -> Result<Settings, String> {
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let set: Vec<String> = set.iter().map(|s| (*s).to_owned()).collect();
        Settings::load(&Sources { config: Some(Path::new("f.yaml")), set: &set, env: &env, files: &OneFile(file) })
            .map_err(|e| e.what)
    }

    #[test]
    fn later_layers_win() {
        let s = load(
            "soak: 1m\nquiet: 0s\nparallel: 2\n",
            &[("K8S_UPGRADE_SOAK", "2m"), ("K8S_UPGRADE_PARALLEL", "3")],
            &["soak=3m"],
        )
        .unwrap();
        assert_eq!((s.soak, s.quiet, s.parallel), (Duration::from_secs(180), Duration::ZERO, 3));
    }

    #[test]
    fn texts_take_the_shape_of_the_default() {
        let s =
            load("", &[], &["exclude-nodes=a, b", "host-addresses=n1=10.0.0.1,n2=10.0.0.2", "detection-dry-run=true"]).unwrap();
        assert_eq!(s.exclude_nodes, ["a", "b"]);
        assert_eq!(s.host_addresses["n2"], "10.0.0.2");
        assert!(s.detection_dry_run);
    }

    /// Where `vault login` leaves it; and it is no business of a pod's.
    #[test]
    fn the_vault_token_is_at_home() {
        let home = [("HOME", "/home/ann")];
        let s = load("vault-address: https://v:8200", &home, &[]).unwrap();
        assert_eq!(s.vault_token_file, Path::new("/home/ann/.vault-token"));
        assert!(s.for_jobs().unwrap().is_empty());
        let s = load("", &home, &["vault-token-file=/run/token"]).unwrap();
        assert_eq!(s.vault_token_file, Path::new("/run/token"));
    }

    #[test]
    fn bad_input_names_source_and_key() {
        for (result, wanted) in [
            (load("soka: 1m", &[], &[]), "f.yaml: unknown setting \"soka\"; did you mean \"soak\"?"),
            (load("soak: banana", &[], &[]), "f.yaml: setting soak: "),
            (load("- a", &[], &[]), "f.yaml: keys with values are wanted"),
            (load("", &[("K8S_UPGRADE_SOKA", "1m")], &[]), "environment variable K8S_UPGRADE_SOKA: unknown setting"),
            (load("", &[], &["parallel=many"]), "--set: setting parallel: "),
            (load("", &[], &["soak"]), "--set \"soak\": key=value is wanted"),
            (load("alert-ignore: '('", &[], &[]), "alert-ignore is no regular expression"),
            (load("backup-cronjob: backup-etcd", &[], &[]), "backup-cronjob is \"backup-etcd\": namespace/name is wanted"),
            (load("kubeadm-flags: [--force]", &[], &[]), "kubeadm-flags: \"--force\" is not allowed"),
            (load("drain-unstick: maybe", &[], &[]), "f.yaml: setting drain-unstick: "),
            (load("parallel: 0", &[], &[]), "parallel is 0"),
            (load("snapshot-folder: backup", &[], &[]), "snapshot-folder is \"backup\": an absolute path is wanted"),
        ] {
            let message = result.unwrap_err();
            assert!(message.starts_with(wanted), "{message:?} should start with {wanted:?}");
        }
    }

    #[test]
    fn what_ssh_alone_needs_is_named_with_the_ways_to_give_it() {
        let cause = Settings::default().by_ssh_alone().unwrap_err();
        assert_eq!(cause.what, "without the API server these settings are needed: host-addresses, known-hosts-file");
        let s = load("host-addresses: {k8s-master: 10.0.20.100}\n", &[], &[]).unwrap();
        let cause = s.by_ssh_alone().unwrap_err();
        assert_eq!(cause.what, "without the API server these settings are needed: known-hosts-file");
        let ways =
            "known-hosts-file: in the settings file, as K8S_UPGRADE_KNOWN_HOSTS_FILE=FILE, or by --set known-hosts-file=FILE";
        assert_eq!(cause.detail, [ways]);
        // Each of these ways works.
        for (file, env, set) in [
            ("known-hosts-file: /k\n", None, None),
            ("", Some(("K8S_UPGRADE_KNOWN_HOSTS_FILE", "/k")), None),
            ("", None, Some("known-hosts-file=/k")),
        ] {
            let hosts = ["host-addresses=k8s-master=10.0.20.100"];
            let set: Vec<&str> = hosts.into_iter().chain(set).collect();
            let env: Vec<(&str, &str)> = env.into_iter().collect();
            assert_eq!(load(file, &env, &set).unwrap().by_ssh_alone(), Ok(()));
        }
    }

    #[test]
    fn only_what_differs_goes_into_the_config_map() {
        let s = load("soak: 1m\nssh-user: wizard\nssh-key-file: /k\nknown-hosts-file: /h\n", &[], &[]).unwrap();
        assert_eq!(s.for_jobs().unwrap().keys().collect::<Vec<_>>(), ["soak"]);
    }
}
