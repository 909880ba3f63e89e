//! Whether we may do what a run will do: asked of the API server before anything changes, so that no missing verb is found midway.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;

use crate::failure::Cause;
use crate::plan::manifests::rights::{Account, Grant, Scope};
use crate::run::cluster::Cluster;
use crate::settings::Settings;

/// What rights depend on, as the settings have it.
pub fn scope<'a>(namespace: &'a str, settings: &'a Settings) -> Scope<'a> {
    Scope {
        namespace,
        backup: settings.backup(),
        hooks: settings.hooks(),
        unstick: settings.drain_unstick,
        forced_in: settings.forced_in(),
        surge: settings.drain_surge,
        events: settings.events,
        freezes: settings.freezes_elsewhere(),
    }
}

/// Whoever asks, a person too, must be able to do what that account does.
pub async fn permissions(cluster: &Cluster, settings: &Settings, account: Account) -> Result<(), Cause> {
    let mut missing = Vec::new();
    let grants = account.grants(scope(&cluster.namespace, settings));
    for grant in grants.into_iter().filter(|grant| !grant.optional) {
        for verb in grant.verbs {
            if !allowed(cluster, &grant, verb).await? {
                let place =
                    grant.namespace.as_deref().map_or("the whole cluster".to_owned(), |place| format!("namespace {place}"));
                missing.push(format!("{verb} {} in {place}: {}", grant.resource, grant.why));
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Cause::refused(format!("{} rights are missing", missing.len()))
        .detail(missing)
        .next("k8s-upgrade manifests --image REF | kubectl apply -f -"))
}

async fn allowed(cluster: &Cluster, grant: &Grant, verb: &str) -> Result<bool, Cause> {
    let (resource, subresource) = match grant.resource.split_once('/') {
        Some((resource, sub)) => (resource, Some(sub)),
        None => (grant.resource, None),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(grant.group.into()),
                name: grant.name.clone(),
                namespace: grant.namespace.clone(),
                resource: Some(resource.into()),
                subresource: subresource.map(str::to_owned),
                verb: Some(verb.into()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = cluster.all();
    let answer = cluster.call("ask for our rights", async || api.create(&PostParams::default(), &review).await).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
