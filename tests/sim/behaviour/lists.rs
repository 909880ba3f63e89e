//! Selectors and pages.

use serde_json::{Value, json};

use crate::bench::{Bench, names, text, version};

async fn labelled(b: &Bench<'_>, name: &str, labels: Value) {
    b.post("secrets", json!({ "metadata": { "name": name, "labels": labels } })).await.ok();
}

/// In one namespace and in all, with what stands in them.
pub async fn of_workloads_and_budgets(b: &Bench<'_>) {
    let labels = json!({ "matchLabels": { "app": "web" } });
    let mut spec = crate::bench::container();
    // On no node: a DaemonSet would have pods wherever one is.
    spec["nodeSelector"] = json!({ "bench": "none" });
    let template = json!({ "metadata": { "labels": { "app": "web" } }, "spec": spec });
    let replicated = json!({ "replicas": 0, "selector": labels, "template": template });
    let all = [
        ("deployments", "/apis/apps/v1", replicated.clone()),
        ("statefulsets", "/apis/apps/v1", replicated),
        ("daemonsets", "/apis/apps/v1", json!({ "selector": labels, "template": template })),
        ("poddisruptionbudgets", "/apis/policy/v1", json!({ "minAvailable": 1, "selector": labels })),
    ];
    for (resource, api, spec) in all {
        b.post(resource, json!({ "metadata": { "name": "web" }, "spec": spec })).await.ok();
        let here = b.items(resource).await;
        assert_eq!(names(&here), ["web"]);
        assert_eq!(here[0]["spec"]["selector"], labels);
        let all = b.items(&format!("{api}/{resource}?limit=500")).await;
        let ours = all.iter().find(|item| text(item, "/metadata/namespace") == b.ns).unwrap();
        assert_eq!(ours["metadata"]["uid"], here[0]["metadata"]["uid"]);
    }
}

/// What is looked at of them: where they are, their labels, and their ports with names.
pub async fn of_services(b: &Bench<'_>) {
    let metadata = json!({ "name": "prometheus", "labels": { "app.kubernetes.io/name": "prometheus" } });
    let spec = json!({ "selector": { "app": "prometheus" }, "ports": [{ "name": "web", "port": 9090, "targetPort": 9090 }] });
    b.post("services", json!({ "metadata": metadata, "spec": spec })).await.ok();
    let all = b.items("/api/v1/services?limit=500").await;
    let found =
        all.iter().find(|service| service["metadata"]["namespace"] == b.ns && service["metadata"]["name"] == "prometheus");
    let found = found.unwrap_or_else(|| panic!("it is not listed: {all:?}"));
    assert_eq!(found["metadata"]["labels"]["app.kubernetes.io/name"], "prometheus");
    let ports = (&found["spec"]["ports"][0]["name"], &found["spec"]["ports"][0]["port"]);
    assert_eq!(ports, (&json!("web"), &json!(9090)));
}

/// Whether a workload may come to have more pods.
pub async fn of_autoscalers(b: &Bench<'_>) {
    let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" });
    let spec = json!({ "maxReplicas": 3, "scaleTargetRef": target });
    b.post("horizontalpodautoscalers", json!({ "metadata": { "name": "web" }, "spec": spec })).await.ok();
    let all = b.items("/apis/autoscaling/v2/horizontalpodautoscalers?limit=500").await;
    let ours = all.iter().find(|item| text(item, "/metadata/namespace") == b.ns).unwrap();
    assert_eq!((&ours["spec"]["maxReplicas"], &ours["spec"]["scaleTargetRef"]), (&json!(3), &target));
}

/// What a copy of a cluster tells that it leaves out.
pub async fn of_quotas(b: &Bench<'_>) {
    b.post("resourcequotas", json!({ "metadata": { "name": "web" }, "spec": { "hard": { "pods": "100" } } })).await.ok();
    let all = b.items("/api/v1/resourcequotas?limit=500").await;
    let ours = all.iter().find(|item| text(item, "/metadata/namespace") == b.ns).unwrap();
    assert_eq!(ours["spec"]["hard"]["pods"], "100");
}

/// By which a person sees whether the installation's are there.
pub async fn policies_and_their_bindings(b: &Bench<'_>) {
    let metadata = json!({ "name": b.ns, "labels": { "bench": b.ns } });
    let rules =
        json!([{ "apiGroups": ["none.example"], "apiVersions": ["v1"], "resources": ["nothing"], "operations": ["CREATE"] }]);
    let spec = json!({ "matchConstraints": { "resourceRules": rules }, "validations": [{ "expression": "false" }] });
    b.post("validatingadmissionpolicies", json!({ "metadata": metadata, "spec": spec })).await.with_code(201);
    let spec = json!({ "policyName": b.ns, "validationActions": ["Deny"] });
    b.post("validatingadmissionpolicybindings", json!({ "metadata": metadata, "spec": spec })).await.with_code(201);
    for resource in ["validatingadmissionpolicies", "validatingadmissionpolicybindings"] {
        assert_eq!(names(&b.items(&format!("{resource}?labelSelector=bench={}&limit=500", b.ns)).await), [b.ns.as_str()]);
    }
}

/// What a person is shown of who works where; and a watch tells each renewal.
pub async fn leases_are_listed_and_watched(b: &Bench<'_>) {
    let spec = |renewed: &str| json!({ "holderIdentity": "me", "leaseDurationSeconds": 60, "renewTime": renewed });
    b.post("leases", json!({ "metadata": { "name": "one" }, "spec": spec("2026-01-02T03:04:05.000006Z") })).await.ok();
    let list = b.get("leases?limit=500").await.ok();
    assert_eq!(list["items"][0]["spec"], spec("2026-01-02T03:04:05.000006Z"));
    let mut watch = b.watch(&format!("leases?resourceVersion={}", text(&list, "/metadata/resourceVersion"))).await;
    b.patch("leases/one", json!({ "spec": { "renewTime": "2026-01-02T03:04:15.000000Z" } })).await.ok();
    assert_eq!(watch.expect("MODIFIED", "one").await["spec"], spec("2026-01-02T03:04:15.000000Z"));
}

pub async fn label_selectors(b: &Bench<'_>) {
    labelled(b, "a", json!({ "app": "web", "tier": "front" })).await;
    labelled(b, "b", json!({ "app": "web" })).await;
    labelled(b, "c", json!({ "app": "db" })).await;
    labelled(b, "d", json!({})).await;
    for (selector, wanted) in [
        ("app=web", &["a", "b"][..]),
        ("app==web", &["a", "b"]),
        ("app%3Dweb", &["a", "b"]),
        ("app!=web", &["c", "d"]), // also those without it
        ("app%20in%20(web,db)", &["a", "b", "c"]),
        ("app%20notin%20(web)", &["c", "d"]),
        ("app", &["a", "b", "c"]),
        ("!app", &["d"]),
        ("app=web,tier=front", &["a"]),
        ("app=none", &[]),
        ("", &["a", "b", "c", "d"]),
    ] {
        assert_eq!(names(&b.items(&format!("secrets?labelSelector={selector}")).await), wanted, "{selector}");
    }
    let status = b.get("secrets?labelSelector=a%20b").await.with_code(400);
    assert_eq!(
        (text(&status, "/reason"), text(&status, "/message")),
        ("BadRequest", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
    );
}

pub async fn field_selectors_of_pods(b: &Bench<'_>) {
    let node = b.node("n").await;
    for name in ["one", "two"] {
        b.pod(name, "web").await;
    }
    b.run_pod("one", &node).await;
    for (selector, wanted) in [
        (format!("spec.nodeName={node}"), &["one"][..]),
        ("spec.nodeName=".to_owned(), &["two"]),
        ("metadata.name=two".to_owned(), &["two"]),
        ("status.phase=Running".to_owned(), &["one"]),
        ("status.phase!=Running".to_owned(), &["two"]),
        (format!("spec.nodeName={node},metadata.name=two"), &[]),
    ] {
        assert_eq!(names(&b.items(&format!("pods?fieldSelector={selector}")).await), wanted, "{selector}");
    }
    // In all namespaces alike, as a drain asks.
    let found = b.items(&format!("/api/v1/pods?fieldSelector=spec.nodeName={node}")).await;
    assert_eq!(names(&found), ["one"]);
}

/// Kinds other than pods know two fields only, and each says so in its own words.
pub async fn a_field_that_cannot_be_selected_by_is_400(b: &Bench<'_>) {
    let says = "field label not supported: spec.priority";
    b.get("pods?fieldSelector=spec.priority=1").await.refused(400, "BadRequest", says);
    b.get("pods?watch=true&fieldSelector=spec.priority=1").await.refused(400, "BadRequest", says);
    let says = "\"data.a\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"";
    b.get("configmaps?fieldSelector=data.a=1").await.refused(400, "BadRequest", says);
    let named = b.items("configmaps?fieldSelector=metadata.name=kube-root-ca.crt").await;
    assert!(named.len() <= 1);
    b.get("nodes?fieldSelector=spec.unschedulable=true").await.with_code(200);
}

/// All pages show the moment of the first: what is created or deleted in between is not in them. They also bear its resourceVersion.
pub async fn pages_are_of_one_moment(b: &Bench<'_>) {
    for name in ["a", "b", "c", "d", "e"] {
        labelled(b, name, json!({ "app": "web" })).await;
    }
    let first = b.get("secrets?limit=2&labelSelector=app=web").await.ok();
    assert_eq!(names(first["items"].as_array().unwrap()), ["a", "b"]);
    assert!(first["metadata"].get("remainingItemCount").is_none(), "not with a selector");
    labelled(b, "c1", json!({ "app": "web" })).await;
    b.delete("secrets/d", json!({})).await.ok();
    let mut all = Vec::new();
    let mut page = first.clone();
    while !text(&page, "/metadata/continue").is_empty() {
        let path = format!("secrets?limit=2&labelSelector=app=web&continue={}", text(&page, "/metadata/continue"));
        page = b.get(&path).await.ok();
        assert_eq!(version(&page), version(&first));
        all.extend(names(page["items"].as_array().unwrap()));
    }
    assert_eq!(all, ["c", "d", "e"]);
    let whole = b.get("secrets?limit=500").await.ok();
    assert!(text(&whole, "/metadata/continue").is_empty());
    let page = b.get("secrets?limit=2").await.ok();
    assert_eq!(page["metadata"]["remainingItemCount"], 3, "a, b | c, c1, e");
}

pub async fn a_continue_token_must_be_one(b: &Bench<'_>) {
    let status = b.get("secrets?limit=2&continue=nonsense").await.with_code(400);
    assert_eq!(text(&status, "/reason"), "BadRequest");
    assert!(text(&status, "/message").starts_with("invalid continue token: continue key is not valid: "), "{status}");
}

pub async fn a_list_of_all_namespaces_is_ordered_by_namespace(b: &Bench<'_>) {
    labelled(b, "z", json!({ "bench": b.ns })).await;
    let second = format!("a-{}", b.ns);
    b.post("namespaces", json!({ "metadata": { "name": second } })).await.ok();
    let body = json!({ "metadata": { "name": "z", "labels": { "bench": b.ns } } });
    b.post(&format!("/api/v1/namespaces/{second}/secrets"), body).await.ok();
    let found = b.items(&format!("/api/v1/secrets?labelSelector=bench={}", b.ns)).await;
    let of: Vec<&str> = found.iter().map(|item| text(item, "/metadata/namespace")).collect();
    assert_eq!(of, [second.as_str(), b.ns.as_str()]);
}
