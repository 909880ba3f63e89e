//! The settings of the installation, for whoever types elsewhere than in its pods.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::Api;

use crate::failure::Cause;
use crate::names;
use crate::run::services::Services;
use crate::settings::Settings;

/// As its pods have them; those of this process where nothing is installed, or where it is one of those pods.
///
/// # Errors
/// They cannot be read, or are not what settings are.
pub async fn settings(services: &Services) -> Result<Settings, Cause> {
    let own = || Ok((*services.settings).clone());
    if services.cluster.in_cluster {
        return own();
    }
    let api: Api<ConfigMap> = services.cluster.own();
    let found = services.cluster.find("read the installation's settings", async || api.get(names::CONFIG_MAP).await).await?;
    match found.and_then(|map| map.data?.remove(names::CONFIG_KEY)) {
        Some(text) => Settings::of_file(&format!("ConfigMap {}/{}", services.cluster.namespace, names::CONFIG_MAP), &text),
        None => own(),
    }
}
