//! What the program may do in a cluster, and why: the one table from which the RBAC objects are made and that preflight can ask for.
//! No wildcard, and nothing that no run uses.

use serde_json::{Value, json};

use crate::names;

/// Verbs on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// None: in the whole cluster.
    pub namespace: Option<String>,
    /// API group; empty is the core.
    pub group: &'static str,
    /// With its subresource: `pods/eviction`.
    pub resource: &'static str,
    /// Only on the object of this name.
    pub name: Option<String>,
    pub verbs: &'static [&'static str],
    pub why: &'static str,
    /// A run does without it: only evidence is lost.
    pub optional: bool,
}

impl Grant {
    /// As a rule of a Role.
    fn rule(&self) -> Value {
        let mut rule = json!({ "apiGroups": [self.group], "resources": [self.resource], "verbs": self.verbs });
        if let Some(name) = &self.name {
            rule["resourceNames"] = json!([name]);
        }
        rule
    }
}

/// All of it, for an installation in `namespace` whose etcd snapshots are made by the CronJob `backup` (namespace, name).
pub fn grants(namespace: &str, backup: (&str, &str)) -> Vec<Grant> {
    let cluster =
        |group, resource, verbs, why| Grant { namespace: None, group, resource, name: None, verbs, why, optional: false };
    let within = |place: &str, group, resource, verbs, why| Grant {
        namespace: Some(place.to_owned()),
        ..cluster(group, resource, verbs, why)
    };
    let named = |grant: Grant, name: &str| Grant { name: Some(name.to_owned()), ..grant };
    let (backup_namespace, backup_name) = backup;
    vec![
        cluster("", "nodes", &["get", "list", "patch"], "versions and readiness; cordon, uncordon and our marks"),
        cluster("", "pods", &["get", "list", "watch", "delete"], "what a drain must move and whether it went; delete unsticks"),
        cluster("", "pods/eviction", &["create"], "drain"),
        cluster("policy", "poddisruptionbudgets", &["list", "watch"], "what holds a drain, and when it lets go"),
        cluster("apps", "deployments", &["list"], "all back before the next node"),
        named(cluster("", "namespaces", &["get", "patch"], "the run's claim and facts are annotations on it"), namespace),
        within(
            namespace,
            "batch",
            "jobs",
            &["get", "list", "create", "delete"],
            "the chain; a finished Job makes room for its next try",
        ),
        within(namespace, "coordination.k8s.io", "leases", &["get", "create", "patch", "delete"], "one runner a node"),
        named(within(namespace, "", "configmaps", &["get", "patch"], "learned host keys"), names::KNOWN_HOSTS_MAP),
        named(
            within("kube-system", "", "configmaps", &["get"], "where this cluster's images come from, and its flags"),
            names::KUBEADM_CONFIG,
        ),
        named(within("kube-system", "", "configmaps", &["get"], "what kubeadm gives every kubelet"), names::KUBELET_CONFIG),
        Grant {
            optional: true,
            ..within(
                namespace,
                "",
                "configmaps",
                &["list", "create", "patch", "delete"],
                "journals of the last runs; no name, for each has its own",
            )
        },
        named(within(backup_namespace, "batch", "cronjobs", &["get"], "the template of the etcd snapshot's Job"), backup_name),
        within(backup_namespace, "batch", "jobs", &["get", "create"], "the etcd snapshot"),
        within(backup_namespace, "", "pods/log", &["get"], "whether the snapshot says that it is done, and how large it is"),
    ]
}

/// The ClusterRole, the Roles, and their bindings to our ServiceAccount.
pub fn objects(namespace: &str, backup: (&str, &str)) -> Vec<Value> {
    let grants = grants(namespace, backup);
    let mut places: Vec<Option<&str>> = Vec::new();
    for grant in &grants {
        if !places.contains(&grant.namespace.as_deref()) {
            places.push(grant.namespace.as_deref());
        }
    }
    places.into_iter().flat_map(|place| role(&grants, place, namespace)).collect()
}

/// The role of one place and its binding.
fn role(grants: &[Grant], place: Option<&str>, namespace: &str) -> [Value; 2] {
    let rules: Vec<Value> = grants.iter().filter(|grant| grant.namespace.as_deref() == place).map(Grant::rule).collect();
    let (kind, mut metadata) = match place {
        None => ("ClusterRole", json!({ "name": names::SERVICE_ACCOUNT })),
        Some(place) => ("Role", json!({ "name": names::SERVICE_ACCOUNT, "namespace": place })),
    };
    metadata["labels"] = super::manifest::labels();
    [
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": format!("{kind}Binding"),
            "metadata": metadata,
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": names::SERVICE_ACCOUNT },
            "subjects": [{ "kind": "ServiceAccount", "name": names::SERVICE_ACCOUNT, "namespace": namespace }],
        }),
    ]
}
