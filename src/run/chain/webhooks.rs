//! A look at admission webhooks before a run: whether somebody answers for those that an upgrade cannot do without. It warns; what they let
//! in is theirs to say, and they may be back by then.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, RuleWithOperations, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use crate::failure::Cause;
use crate::plan::decide::order;
use crate::plan::decide::webhooks::{Endpoints, Rule, Service, Webhook, in_the_way};
use crate::plan::model::facts::Facts;
use crate::run::cluster::Cluster;
use crate::run::services::Services;

/// Of an EndpointSlice.
const OF_SERVICE: &str = "kubernetes.io/service-name";
/// So many Services are looked at; a cluster has a few webhooks, and none needs more.
const SERVICES: usize = 100;
/// It is asked for once: nothing depends on it.
const ONCE: Option<Duration> = Some(Duration::ZERO);

/// Warns of each that is in the way; where that cannot be known, says so once.
pub async fn warn(services: &Services, place: &str, facts: &Facts) {
    let order = order::order(facts, &services.settings.policy());
    let looked = async {
        let webhooks = closed(&services.cluster).await?;
        let endpoints = endpoints(&services.cluster, &webhooks).await?;
        Ok::<_, Cause>(in_the_way(&webhooks, &endpoints, order.first().map(|node| node.name.as_str())))
    };
    match looked.await {
        Ok(told) => told.into_iter().for_each(|what| services.session.warn(place, what)),
        Err(cause) => services.session.note(place, format!("whether admission webhooks answer is not known: {}", cause.what)),
    }
}

/// Those that fail what they cannot be asked of, and that are asked of something that an upgrade needs.
pub async fn closed(cluster: &Cluster) -> Result<Vec<Webhook>, Cause> {
    let all = ListParams::default;
    let what = "list admission webhooks";
    let (validating, _) = cluster.list_at(what, cluster.all::<ValidatingWebhookConfiguration>(), all(), ONCE).await?;
    let (mutating, _) = cluster.list_at(what, cluster.all::<MutatingWebhookConfiguration>(), all(), ONCE).await?;
    let mut found = Vec::new();
    for object in validating {
        let of = format!("ValidatingWebhookConfiguration {}", object.name_any());
        let webhooks = object.webhooks.into_iter().flatten();
        found.extend(webhooks.filter_map(|it| webhook(&of, it.name, it.failure_policy, it.client_config, it.rules)));
    }
    for object in mutating {
        let of = format!("MutatingWebhookConfiguration {}", object.name_any());
        let webhooks = object.webhooks.into_iter().flatten();
        found.extend(webhooks.filter_map(|it| webhook(&of, it.name, it.failure_policy, it.client_config, it.rules)));
    }
    found.retain(|webhook| !webhook.needed().is_empty());
    Ok(found)
}

fn webhook(
    of: &str,
    name: String,
    policy: Option<String>,
    client: WebhookClientConfig,
    rules: Option<Vec<RuleWithOperations>>,
) -> Option<Webhook> {
    // Without a word it fails.
    let service = client.service.filter(|_| policy.as_deref() != Some("Ignore"))?;
    let rule = |rule: RuleWithOperations| Rule {
        groups: rule.api_groups.unwrap_or_default(),
        resources: rule.resources.unwrap_or_default(),
        operations: rule.operations.unwrap_or_default(),
    };
    let rules = rules.into_iter().flatten().map(rule).collect();
    Some(Webhook { name, configuration: of.to_owned(), service: (service.namespace, service.name), rules })
}

/// Who answers for their Services.
async fn endpoints(cluster: &Cluster, webhooks: &[Webhook]) -> Result<Endpoints, Cause> {
    let mut found = Endpoints::new();
    let mut services: Vec<&Service> = webhooks.iter().map(|webhook| &webhook.service).collect();
    services.sort();
    services.dedup();
    for service in services.into_iter().take(SERVICES) {
        let (namespace, name) = service;
        let api: Api<EndpointSlice> = cluster.within(namespace);
        let of_service = ListParams::default().labels(&format!("{OF_SERVICE}={name}"));
        let (slices, _) = cluster.list_at("list the endpoints of a webhook's Service", api, of_service, ONCE).await?;
        let all = slices.into_iter().flat_map(|slice| slice.endpoints);
        let ready = all.filter(|endpoint| endpoint.conditions.as_ref().and_then(|is| is.ready) != Some(false));
        found.insert(service.clone(), ready.map(|endpoint| endpoint.node_name).collect());
    }
    Ok(found)
}
