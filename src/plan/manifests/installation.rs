//! What one installation is: all that differs in its manifests from cluster to cluster.

use std::collections::BTreeMap;

use super::rights::Scope;
use crate::plan::model::hooks::Hooks;
use crate::plan::model::policy::{Gauges, Runner, Surge, Unstick};

/// What differs from cluster to cluster.
#[derive(Clone, Debug)]
pub struct Install<'a> {
    pub namespace: &'a str,
    /// Reference of the image that every Job runs.
    pub image: &'a str,
    /// The settings, as YAML; empty for the defaults.
    pub config: &'a str,
    /// Namespace and name of the CronJob whose template makes etcd snapshots; None: the program takes them itself.
    pub backup: Option<(&'a str, &'a str)>,
    /// The CronJobs whose templates are run before and after each node.
    pub hooks: Hooks<'a>,
    /// Prefix of our annotations.
    pub prefix: &'a str,
    /// What a drain may delete.
    pub unstick: Unstick,
    /// Namespaces in which it deletes what its budget can never release.
    pub forced_in: &'a [String],
    /// Whether it restarts Deployments.
    pub surge: Surge,
    /// Whether it tells what it does as Events.
    pub events: bool,
    /// What the alert rules can look at.
    pub gauges: Gauges,
    /// The page that they lead to.
    pub runbook: Option<&'a str>,
    /// Namespace and name of the ConfigMap with freezes.
    pub freezes: Option<(&'a str, &'a str)>,
    pub credentials: Credentials<'a>,
    /// Who hosts Jobs, beside the control planes.
    pub runner: &'a Runner,
    /// Who may stand in for it.
    pub standby: &'a [String],
    /// Host keys that are known from the first: node name → one a line.
    pub host_keys: BTreeMap<String, String>,
}

impl Install<'_> {
    /// What its accounts' rights depend on.
    pub(super) fn scope(&self) -> Scope<'_> {
        let Install { namespace, backup, hooks, unstick, forced_in, surge, events, freezes, .. } = *self;
        Scope { namespace, backup, hooks, unstick, forced_in, surge, events, freezes }
    }
}

/// Where the Secret with the SSH key comes from.
#[derive(Clone)]
pub enum Credentials<'a> {
    /// It is there already, or something else makes it.
    Existing,
    Secret {
        ssh_key: &'a [u8],
        ssh_key_pub: &'a [u8],
        slack_webhook: Option<&'a [u8]>,
        /// Of the other webhooks, a line `NAME: URL` each; empty: there are none.
        webhooks: &'a str,
        /// What Prometheus wants, by the keys of the Secret.
        prometheus: &'a [(&'static str, String)],
    },
    /// External Secrets reads it out of the ClusterSecretStore of this name.
    External {
        store: &'a str,
        /// The secret in it, as a remote key.
        key: &'a str,
    },
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Credentials::Existing => f.write_str("Existing"),
            Credentials::Secret { .. } => f.write_str("Secret(…)"),
            Credentials::External { store, .. } => write!(f, "External({store})"),
        }
    }
}
