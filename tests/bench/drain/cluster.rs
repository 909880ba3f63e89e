//! What a drain finds: nodes, and the pods on one of them, by Deployments and budgets.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::scenario::Scenario;

/// Where pods go while another node is drained.
pub const SPARE: &str = "spare";
/// All that is waited for before a drain is there within this.
const PATIENCE: Duration = Duration::from_secs(120);

/// The node that is drained, and the namespace of what runs there.
pub struct Place {
    client: Client,
    pub node: String,
    namespace: String,
}

async fn create<K>(api: &Api<K>, object: Value) -> Result<()>
where
    K: Resource + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
    Ok(())
}

async fn node(client: &Client, name: &str, labels: Value) -> Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    let since = "2026-01-01T00:00:00Z";
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
        "lastTransitionTime": since, "lastHeartbeatTime": since,
    });
    let info = json!({
        "machineID": name, "systemUUID": "", "bootID": "", "kernelVersion": "6.1.0", "osImage": "Debian GNU/Linux 12",
        "containerRuntimeVersion": "containerd://1.7.28", "kubeletVersion": "v1.34.2", "kubeProxyVersion": "",
        "operatingSystem": "linux", "architecture": "amd64",
    });
    create(&api, json!({ "metadata": { "name": name, "labels": labels }, "status": { "conditions": [ready], "nodeInfo": info } }))
        .await
}

/// Those that are never drained.
pub async fn nodes(client: Client) -> Result<()> {
    node(&client, "control-plane", json!({ "node-role.kubernetes.io/control-plane": "" })).await?;
    node(&client, SPARE, json!({})).await
}

/// Until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !is_so().await? {
        if begun.elapsed() > PATIENCE {
            bail!("{what}: not within {} s", PATIENCE.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

impl Place {
    pub fn new(client: Client, scenario: &Scenario, drainer: &str, round: usize) -> Self {
        let number = crate::scenario::SCENARIOS.iter().position(|one| std::ptr::eq(one, scenario)).unwrap_or_default();
        let name = format!("{drainer}-{number}-{round}");
        Place { client, node: name.clone(), namespace: name }
    }

    fn api<K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Full, with all pods ready, and each budget knowing its own.
    pub async fn make(&self, scenario: &Scenario) -> Result<()> {
        node(&self.client, &self.node, json!({})).await?;
        create(&Api::<Namespace>::all(self.client.clone()), json!({ "metadata": { "name": self.namespace } })).await?;
        let accounts: Api<ServiceAccount> = self.api();
        until("the namespace's ServiceAccount", async || Ok(accounts.get_opt("default").await?.is_some())).await?;
        let groups = scenario.budgets.max(1);
        for group in 0..groups {
            let allows = if scenario.opens.is_some() { 0 } else { scenario.allows };
            self.workload(&format!("web-{group}"), scenario.pods / groups, (scenario.budgets > 0).then_some(allows)).await?;
        }
        if scenario.blocked {
            self.workload("only", 1, Some(0)).await?;
        }
        let (pods, all) = (self.api::<Pod>(), scenario.pods + usize::from(scenario.blocked));
        let here = ListParams::default().fields(&format!("spec.nodeName={},status.phase=Running", self.node));
        until("pods on the node", async || Ok(pods.list(&here).await?.items.len() == all)).await?;
        let budgets: Api<PodDisruptionBudget> = self.api();
        let per_budget = i32::try_from(scenario.pods / groups)?;
        until("budgets that know their pods", async || {
            let budgets = budgets.list(&ListParams::default()).await?;
            let knows = |budget: &PodDisruptionBudget| {
                let healthy = budget.status.as_ref().map(|status| status.current_healthy);
                healthy == Some(if budget.metadata.name.as_deref() == Some("only") { 1 } else { per_budget })
            };
            Ok(budgets.items.iter().all(knows))
        })
        .await
    }

    /// A Deployment, and its budget where it allows so many.
    async fn workload(&self, name: &str, replicas: usize, allows: Option<usize>) -> Result<()> {
        let labels = json!({ "app": name });
        if let Some(allows) = allows {
            let spec = json!({ "maxUnavailable": allows, "selector": { "matchLabels": labels } });
            create(&self.api::<PodDisruptionBudget>(), json!({ "metadata": { "name": name }, "spec": spec })).await?;
        }
        let container = json!({ "name": "app", "image": "app" });
        let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [container] } });
        let spec = json!({ "replicas": replicas, "selector": { "matchLabels": labels }, "template": template });
        create(&self.api::<Deployment>(), json!({ "metadata": { "name": name }, "spec": spec })).await
    }

    /// Nothing of it is left.
    pub async fn remove(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await?;
        until("the namespace's end", async || Ok(namespaces.get_opt(&self.namespace).await?.is_none())).await?;
        Api::<Node>::all(self.client.clone()).delete(&self.node, &DeleteParams::default()).await?;
        Ok(())
    }
}

/// Its budgets allow so many from now on.
pub async fn allow(place: &Place, disruptions: usize) -> Result<()> {
    let budgets: Api<PodDisruptionBudget> = place.api();
    for budget in budgets.list(&ListParams::default()).await? {
        let name = budget.metadata.name.unwrap_or_default();
        let patch = Patch::Merge(json!({ "spec": { "maxUnavailable": disruptions } }));
        budgets.patch(&name, &PatchParams::default(), &patch).await?;
    }
    Ok(())
}
