//! Admission webhooks: what comes of a request where nobody answers for them. That one denies cannot be shown where no pods run.

use serde_json::{Value, json};

use crate::bench::{Answer, Bench, text};

/// A webhook of this namespace whose Service does not exist.
async fn webhook(b: &Bench<'_>, resource: &str, policy: &str) {
    let rule = json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource] });
    let webhook = json!({
        "name": "evict.guard.io", "failurePolicy": policy, "sideEffects": "None", "admissionReviewVersions": ["v1"], "rules": [rule],
        "clientConfig": { "service": { "namespace": b.ns, "name": "guard", "path": "/evict" } },
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": b.ns } },
    });
    let object = json!({ "metadata": { "name": b.ns }, "webhooks": [webhook] });
    b.post("validatingwebhookconfigurations", object).await.ok();
}

async fn dry_eviction(b: &Bench<'_>) -> Answer {
    let body = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "one", "namespace": b.ns },
        "deleteOptions": { "dryRun": ["All"] },
    });
    b.post("pods/one/eviction?dryRun=All", body).await
}

async fn running_pod(b: &Bench<'_>) {
    let node = b.node("n").await;
    b.pod("one", "web").await;
    b.run_pod("one", &node).await;
}

/// No word on an outage: the API server is there. Webhooks are known a moment after they were made.
pub async fn a_webhook_without_a_service_is_500_in_its_words(b: &Bench<'_>) {
    running_pod(b).await;
    dry_eviction(b).await.with_code(201);
    webhook(b, "pods/eviction", "Fail").await;
    let refused = b.until("the webhook", async || Some(dry_eviction(b).await).filter(|answer| answer.code != 201)).await;
    let status: Value = refused.with_code(500);
    assert_eq!(status["reason"], "InternalError", "{status}");
    let says = text(&status, "/message");
    assert!(
        says.starts_with("Internal error occurred: failed calling webhook \"evict.guard.io\": failed to call webhook: "),
        "{says}"
    );
    assert!(says.ends_with("service \"guard\" not found"), "{says}");
    // It can be listed, and taken out without being asked.
    let listed = b.items("validatingwebhookconfigurations").await;
    let own = listed.iter().find(|object| object["metadata"]["name"] == b.ns.as_str()).unwrap();
    assert_eq!(own["webhooks"][0]["clientConfig"]["service"]["name"], "guard");
    b.delete(&format!("validatingwebhookconfigurations/{}", b.ns), json!({})).await.ok();
    b.until("no webhook", async || (dry_eviction(b).await.code == 201).then_some(())).await;
}

pub async fn one_that_may_be_ignored_is(b: &Bench<'_>) {
    running_pod(b).await;
    webhook(b, "pods/eviction", "Ignore").await;
    b.always(2, "it may go", async || dry_eviction(b).await.code == 201).await;
    b.delete(&format!("validatingwebhookconfigurations/{}", b.ns), json!({})).await.ok();
}

/// Evictions are a resource of their own, apart from pods.
pub async fn of_what_it_does_not_ask_for_it_is_not_asked(b: &Bench<'_>) {
    running_pod(b).await;
    webhook(b, "pods", "Fail").await;
    let pod = json!({ "metadata": { "name": "two" }, "spec": crate::bench::container() });
    b.until("the webhook", async || (b.post("pods?dryRun=All", pod.clone()).await.code == 500).then_some(())).await;
    dry_eviction(b).await.with_code(201);
    b.delete(&format!("validatingwebhookconfigurations/{}", b.ns), json!({})).await.ok();
}

/// Slices are found by their Service's name; whoever is not ready is in them, too.
pub async fn whoever_answers_for_a_service_is_listed(b: &Bench<'_>) {
    let endpoint = |ready: bool| json!({ "addresses": ["10.1.1.1"], "conditions": { "ready": ready }, "nodeName": "n" });
    let slice = json!({
        "metadata": { "name": "guard-1", "labels": { "kubernetes.io/service-name": "guard" } }, "addressType": "IPv4",
        "endpoints": [endpoint(true), endpoint(false)],
    });
    b.post("endpointslices", slice).await.ok();
    let found = b.items("endpointslices?labelSelector=kubernetes.io/service-name=guard").await;
    assert_eq!(found.len(), 1, "{found:#?}");
    let ready: Vec<&Value> = found[0]["endpoints"].as_array().unwrap().iter().map(|one| &one["conditions"]["ready"]).collect();
    assert_eq!(ready, [true, false]);
    assert!(b.items("endpointslices?labelSelector=kubernetes.io/service-name=other").await.is_empty());
    let all = b.get("mutatingwebhookconfigurations?limit=500").await.ok();
    assert_eq!(all["kind"], "MutatingWebhookConfigurationList");
}
