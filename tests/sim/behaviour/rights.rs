//! RBAC: what a ServiceAccount may do, how it can ask, and how it is refused.

use k8s_upgrade::plan::manifests::rights::{self, Account, Scope};
use k8s_upgrade::plan::model::policy::{Surge, Unstick};
use serde_json::{Value, json};

use crate::bench::{Bench, text};

fn user(b: &Bench<'_>, account: &str) -> String {
    format!("system:serviceaccount:{}:{account}", b.ns)
}

async fn grant(b: &Bench<'_>, kind: &str, name: &str, account: &str, rules: Value) {
    let group = "rbac.authorization.k8s.io";
    let (roles, bindings) = match kind {
        "Role" => ("roles", "rolebindings"),
        _ => ("clusterroles", "clusterrolebindings"),
    };
    b.post(roles, json!({ "metadata": { "name": name }, "rules": rules })).await.ok();
    let subject = json!({ "kind": "ServiceAccount", "name": account, "namespace": b.ns });
    let role = json!({ "apiGroup": group, "kind": kind, "name": name });
    b.post(bindings, json!({ "metadata": { "name": name }, "roleRef": role, "subjects": [subject] })).await.ok();
}

async fn may(b: &Bench<'_>, attributes: Value) -> Value {
    let review = b.post("selfsubjectaccessreviews", json!({ "spec": { "resourceAttributes": attributes } })).await.with_code(201);
    review["status"].clone()
}

pub async fn nothing_is_allowed_at_first(b: &Bench<'_>) {
    let (account, user) = (b.acting_as("nobody"), user(b, "nobody"));
    let cannot = |what: &str| format!("{what} in the namespace \"{}\"", b.ns);
    let says = format!("pods is forbidden: User \"{user}\" cannot list resource \"pods\" in API group \"\"");
    let status = account.get("pods").await.refused(403, "Forbidden", &cannot(&says));
    assert_eq!(status["details"], json!({ "kind": "pods" }));
    let says = format!("jobs.batch \"x\" is forbidden: User \"{user}\" cannot get resource \"jobs\" in API group \"batch\"");
    let status = account.get("jobs/x").await.refused(403, "Forbidden", &cannot(&says));
    assert_eq!(status["details"], json!({ "name": "x", "group": "batch", "kind": "jobs" }));
    let says =
        format!("nodes is forbidden: User \"{user}\" cannot list resource \"nodes\" in API group \"\" at the cluster scope");
    account.get("nodes").await.refused(403, "Forbidden", &says);
    let says = format!("pods is forbidden: User \"{user}\" cannot list resource \"pods\" in API group \"\" at the cluster scope");
    account.get("/api/v1/pods").await.refused(403, "Forbidden", &says);
    let says = format!(
        "nodes \"x\" is forbidden: User \"{user}\" cannot patch resource \"nodes\" in API group \"\" at the cluster scope"
    );
    account.patch("nodes/x", json!({})).await.refused(403, "Forbidden", &says);
    // A create names the resource only, for the name is in the body; of a subresource it is in the path.
    let says = format!("secrets is forbidden: User \"{user}\" cannot create resource \"secrets\" in API group \"\"");
    account.post("secrets", json!({ "metadata": { "name": "x" } })).await.refused(403, "Forbidden", &cannot(&says));
    let says = format!("pods \"x\" is forbidden: User \"{user}\" cannot create resource \"pods/eviction\" in API group \"\"");
    let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "x" } });
    account.post("pods/x/eviction", eviction).await.refused(403, "Forbidden", &cannot(&says));
    // A namespace is judged as if it were in itself.
    let says =
        format!("namespaces \"{}\" is forbidden: User \"{user}\" cannot get resource \"namespaces\" in API group \"\"", b.ns);
    account.get(&format!("namespaces/{}", b.ns)).await.refused(403, "Forbidden", &cannot(&says));
    let says = format!("pods is forbidden: User \"{user}\" cannot watch resource \"pods\" in API group \"\"");
    account.get("pods?watch=true").await.refused(403, "Forbidden", &cannot(&says));
}

/// Everybody may ask about themselves.
pub async fn reviews_answer_for_each_verb(b: &Bench<'_>) {
    let rules = json!([
        { "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"] },
        { "apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"] },
        { "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"], "resourceNames": ["mine"] },
    ]);
    grant(b, "Role", "some", "me", rules).await;
    let me = b.acting_as("me");
    let pods =
        |verb: &str, sub: &str| json!({ "namespace": b.ns, "verb": verb, "resource": "pods", "subresource": sub, "group": "" });
    // The authorizer hears of a new role a moment after it was made.
    b.until("the role to be known", async || (may(&me, pods("list", "")).await["allowed"] == true).then_some(())).await;
    let status = may(&me, pods("get", "")).await;
    assert_eq!(status["allowed"], true);
    assert!(text(&status, "/reason").starts_with("RBAC: allowed by RoleBinding \"some/"), "{status}");
    assert_eq!(may(&me, pods("delete", "")).await, json!({ "allowed": false }));
    assert_eq!(may(&me, pods("create", "eviction")).await["allowed"], true);
    assert_eq!(may(&me, pods("create", "")).await["allowed"], false);
    assert_eq!(may(&me, json!({ "verb": "list", "resource": "pods" })).await["allowed"], false, "in the whole cluster");
    let map = |name: &str| json!({ "namespace": b.ns, "verb": "get", "resource": "configmaps", "name": name });
    assert_eq!(may(&me, map("mine")).await["allowed"], true);
    assert_eq!(may(&me, map("other")).await["allowed"], false);
    assert_eq!(may(&me, map("")).await["allowed"], false, "all of them");
}

/// A right on a name reads that object; it lists and creates nothing, but a list that asks for the very name is allowed.
pub async fn a_right_on_a_name_is_on_that_name(b: &Bench<'_>) {
    let verbs = json!(["get", "patch", "list", "create"]);
    let rules = json!([{ "apiGroups": [""], "resources": ["configmaps"], "verbs": verbs, "resourceNames": ["mine"] }]);
    for name in ["mine", "other"] {
        b.post("configmaps", json!({ "metadata": { "name": name } })).await.ok();
    }
    grant(b, "Role", "some", "me", rules).await;
    let me = b.acting_as("me");
    b.until("the role to be known", async || (me.get("configmaps/mine").await.code == 200).then_some(())).await;
    me.patch("configmaps/mine", json!({ "data": { "a": "b" } })).await.with_code(200);
    me.get("configmaps/other").await.with_code(403);
    me.get("configmaps").await.with_code(403);
    assert_eq!(me.items("configmaps?fieldSelector=metadata.name=mine").await.len(), 1);
    me.post("configmaps", json!({ "metadata": { "name": "mine" } })).await.with_code(403);
    // Rights are looked at before the object: what one may not see is 403, there or not.
    me.get("configmaps/absent").await.with_code(403);
    me.delete("configmaps/mine", json!({})).await.with_code(403);
}

/// The program's own roles are enough for what it says that it needs, and for nothing beside.
pub async fn the_programs_own_grants(b: &Bench<'_>) {
    let backup = format!("backup-{}", b.ns);
    b.post("namespaces", json!({ "metadata": { "name": backup } })).await.ok();
    let (hooks, unstick, surge) = (Default::default(), Unstick::Structural, Surge::Never);
    let scope = Scope {
        namespace: &b.ns,
        backup: Some((&backup, "backup-etcd")),
        hooks,
        unstick,
        forced_in: &[],
        surge,
        events: true,
        freezes: None,
    };
    for object in rights::objects(scope).into_iter().map(|manifest| manifest.object) {
        let kind = text(&object, "/kind").to_lowercase();
        if kind == "serviceaccount" {
            continue;
        }
        // Their names tell installations apart: the suite may run twice.
        let namespace = text(&object, "/metadata/namespace");
        let group = "/apis/rbac.authorization.k8s.io/v1";
        let path =
            if namespace.is_empty() { format!("{group}/{kind}s") } else { format!("{group}/namespaces/{namespace}/{kind}s") };
        b.post(&path, object.clone()).await.with_code(201);
    }
    for account in Account::ALL {
        let me = b.acting_as(account.name());
        let ask = |namespace: &Option<String>, group: &str, resource: &str, name: &Option<String>, verb: &str| {
            let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
            json!({ "namespace": namespace, "group": group, "resource": resource, "subresource": sub, "name": name, "verb": verb })
        };
        for grant in account.grants(scope) {
            for verb in grant.verbs {
                let asked = ask(&grant.namespace, grant.group, grant.resource, &grant.name, verb);
                b.until(&format!("{asked}"), async || (may(&me, asked.clone()).await["allowed"] == true).then_some(())).await;
            }
        }
        let nodes = if account == Account::Watch { vec!["patch", "watch", "delete"] } else { vec!["delete"] };
        for (group, resource, verb) in [
            ("", "secrets", "get"),
            ("apps", "deployments", "patch"),
            ("", "pods", "create"),
            ("", "serviceaccounts/token", "create"),
        ]
        .into_iter()
        .chain(nodes.into_iter().map(|verb| ("", "nodes", verb)))
        {
            let allowed = may(&me, ask(&None, group, resource, &None, verb)).await["allowed"].clone();
            assert_eq!(allowed, false, "{verb} {resource} as {account:?}");
        }
    }
}

pub async fn an_unknown_token_is_401(b: &Bench<'_>) {
    b.with(b.cluster.stranger()).get("pods").await.refused(401, "Unauthorized", "Unauthorized");
}
