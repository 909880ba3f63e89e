//! What manifests are printed from.

use std::collections::BTreeMap;

use k8s_upgrade::names::ANNOTATION_PREFIX;
use k8s_upgrade::plan::manifests::installation::{Credentials, Install};
use k8s_upgrade::plan::model::hooks::Hooks;
use k8s_upgrade::plan::model::policy::{Gauges, Runner, Surge, Unstick};

/// An installation whose settings nobody has touched.
pub fn install(namespace: &str) -> Install<'_> {
    Install {
        namespace,
        image: "docker.io/library/k8s-upgrade:0123456789ab",
        config: "",
        backup: Some(("default", "backup-etcd")),
        hooks: Hooks::default(),
        prefix: ANNOTATION_PREFIX,
        unstick: Unstick::Structural,
        forced_in: &[],
        surge: Surge::Never,
        events: true,
        gauges: Gauges::Pushgateway,
        runbook: None,
        freezes: None,
        credentials: Credentials::Existing,
        runner: &Runner::FirstWorker,
        standby: &[],
        host_keys: BTreeMap::new(),
    }
}
