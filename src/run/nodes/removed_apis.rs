//! Asks each API server, on its own node, which deprecated APIs are called. What counts is in [`crate::plan::decide::removed_apis`].

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, RuleWithOperations, ValidatingWebhookConfiguration,
};
use kube::ResourceExt;
use kube::api::ListParams;

use crate::failure::Cause;
use crate::guard::{self, Guard};
use crate::node::{AskDeprecated, Deprecated};
use crate::plan::decide::removed_apis::{self, Callers, Found, Server};
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::{Facts, Node};
use crate::plan::model::version::Version;
use crate::run::cluster::Cluster;
use crate::run::parallel;
use crate::run::services::Services;
use crate::words::ApiResource;

/// It is asked for once: no decision depends on it.
const ONCE: Option<Duration> = Some(Duration::ZERO);

/// The gate of a run to another minor version; tells what it lets pass.
pub async fn served(services: &Services, place: &str, facts: &Facts, target: Version) -> Result<(), Cause> {
    let found = called(services, facts, target).await;
    let ignore = &services.settings.removed_apis_ignore;
    found.ignored(ignore).into_iter().for_each(|what| services.session.warn(place, what));
    found.quiet().into_iter().chain(found.later()).for_each(|what| services.session.note(place, what));
    found.judge(ignore, &callers(&services.cluster, &found).await)
}

/// What is called that is deprecated, of every API server.
pub async fn called(services: &Services, facts: &Facts, target: Version) -> Found {
    let asked = facts.nodes.iter().filter(|node| node.control_plane).map(|node| async move { ask(services, node).await });
    let mut servers: Vec<_> = parallel::looks(asked).await;
    if !guard::on(Guard::RemovedApisKnown) {
        servers.retain(|server| matches!(server.counted, Answer::Known(_)));
    }
    removed_apis::find(&servers, target)
}

async fn ask(services: &Services, node: &Node) -> Server {
    let counted = match services.ssh.on_node(node, &AskDeprecated).await {
        Ok(Deprecated::Counted(counted)) => Answer::Known(counted),
        Ok(Deprecated::Unasked(why)) => Answer::Unknown(why),
        Err(cause) => Answer::Unknown(cause.what),
    };
    Server { node: node.name.clone(), counted }
}

/// Who uses what is gone at the target, as far as it is to be seen: a webhook that is asked of it by name is asked of nothing then.
pub async fn callers(cluster: &Cluster, found: &Found) -> Callers {
    let gone = found.gone();
    if gone.is_empty() {
        return Callers::new();
    }
    let all = ListParams::default;
    let what = "list admission webhooks";
    let validating = cluster.list_at(what, cluster.all::<ValidatingWebhookConfiguration>(), all(), ONCE).await;
    let mutating = cluster.list_at(what, cluster.all::<MutatingWebhookConfiguration>(), all(), ONCE).await;
    // Who may not see them is told of the calls all the same.
    let validating = validating.map(|(all, _)| all).unwrap_or_default();
    let mutating = mutating.map(|(all, _)| all).unwrap_or_default();
    let mut callers = Callers::new();
    let mut look = |kind: &str, configuration: &str, name: &str, rules: &[RuleWithOperations]| {
        for api in gone.iter().filter(|api| rules.iter().any(|rule| names(rule, api))) {
            let line = format!("webhook {name} of {kind} {configuration} is asked of this version by name");
            callers.entry((**api).clone()).or_default().push(line);
        }
    };
    for object in &validating {
        for webhook in object.webhooks.iter().flatten() {
            let rules = webhook.rules.as_deref().unwrap_or_default();
            look("ValidatingWebhookConfiguration", &object.name_any(), &webhook.name, rules);
        }
    }
    for object in &mutating {
        for webhook in object.webhooks.iter().flatten() {
            let rules = webhook.rules.as_deref().unwrap_or_default();
            look("MutatingWebhookConfiguration", &object.name_any(), &webhook.name, rules);
        }
    }
    callers
}

/// This very version, and not any.
fn names(rule: &RuleWithOperations, api: &ApiResource) -> bool {
    let (group, version, resource) = api.parts();
    let has = |list: &Option<Vec<String>>, wanted: &[&str]| list.iter().flatten().any(|item| wanted.contains(&item.as_str()));
    has(&rule.api_groups, &[group, "*"])
        && has(&rule.api_versions, &[version])
        && has(&rule.resources, &[resource, "*", "*/*", &format!("{resource}/*")])
}
