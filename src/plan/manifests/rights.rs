//! What each of the program's accounts may do in a cluster, and why: the one table from which the RBAC objects are made and that preflight
//! can ask for. No wildcard, and nothing that no run uses.

use serde_json::{Value, json};

use super::manifest::{Manifest, labels};
use crate::names;
use crate::plan::model::hooks::Hooks;
use crate::plan::model::policy::{Surge, Unstick};

/// What rights depend on from one installation to the next.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    pub namespace: &'a str,
    /// Namespace and name of the CronJob whose template makes etcd snapshots; None: there is no such Job.
    pub backup: Option<(&'a str, &'a str)>,
    /// The CronJobs whose templates are run before and after each node.
    pub hooks: Hooks<'a>,
    /// What a drain may delete.
    pub unstick: Unstick,
    /// Namespaces in which it deletes by force.
    pub forced_in: &'a [String],
    /// Whether it restarts Deployments.
    pub surge: Surge,
    /// Whether it tells what it does as Events.
    pub events: bool,
    /// Namespace and name of the ConfigMap with freezes.
    pub freezes: Option<(&'a str, &'a str)>,
}

/// As whom the program's pods act. A kubelet may ask for tokens of the accounts of its pods, so each has only what its pods do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// Detection and the Jobs of the chain.
    Chain,
    /// The look for a run whose Jobs all died: it writes facts of the run and Jobs, and no node.
    Watch,
}

impl Account {
    /// Both accounts.
    pub const ALL: [Account; 2] = [Account::Chain, Account::Watch];

    /// Of its ServiceAccount, and of the roles and bindings that give it its rights.
    pub fn name(self) -> &'static str {
        match self {
            Account::Chain => names::SERVICE_ACCOUNT,
            Account::Watch => names::WATCH_ACCOUNT,
        }
    }

    /// Who acts as it.
    fn actors(self) -> &'static str {
        match self {
            Account::Chain => "detection and the Jobs of the chain",
            Account::Watch => "the looks for a run whose Jobs all died",
        }
    }

    /// All that it may do. How much of an object it may change, and of which shape it must be, policies say beside this.
    pub fn grants(self, scope: Scope<'_>) -> Vec<Grant> {
        let mut grants = match self {
            Account::Chain => of_the_chain(scope),
            Account::Watch => of_the_watch(scope),
        };
        if scope.events {
            grants.extend(telling(scope.namespace));
        }
        grants
    }
}

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
    /// A run does without it: only evidence or a warning is lost.
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

fn cluster(group: &'static str, resource: &'static str, verbs: &'static [&'static str], why: &'static str) -> Grant {
    Grant { namespace: None, group, resource, name: None, verbs, why, optional: false }
}

impl Grant {
    fn within(self, namespace: &str) -> Self {
        Grant { namespace: Some(namespace.to_owned()), ..self }
    }

    fn named(self, name: &str) -> Self {
        Grant { name: Some(name.to_owned()), ..self }
    }
}

/// What both write: the run's facts, its Jobs and, with these verbs, what was done in it.
fn of_a_run(namespace: &str, journals: &'static [&'static str]) -> [Grant; 3] {
    [
        cluster("", "namespaces", &["get", "patch"], "the run's claim and facts are annotations on it").named(namespace),
        cluster("batch", "jobs", &["get", "list", "create", "delete"], "the chain; a finished Job makes room for its next try")
            .within(namespace),
        Grant {
            optional: true,
            ..cluster("", "configmaps", journals, "journals of the last runs; no name, for each has its own").within(namespace)
        },
    ]
}

/// What others have written of freezes.
fn of_freezes(freezes: Option<(&str, &str)>) -> Option<Grant> {
    let (namespace, name) = freezes?;
    Some(cluster("", "configmaps", &["get"], "when upgrades are frozen (freeze-configmap)").within(namespace).named(name))
}

fn of_the_chain(Scope { namespace, backup, hooks, unstick, forced_in, surge, events: _, freezes }: Scope<'_>) -> Vec<Grant> {
    let [namespaces, jobs, journals] = of_a_run(namespace, &["list", "create", "patch", "delete"]);
    let progress = cluster("batch", "jobs", &["patch"], "what a Job does now is an annotation on it").within(namespace);
    let mut grants = vec![
        cluster("", "nodes", &["get", "list", "patch"], "versions and readiness; cordon, uncordon and our marks"),
        cluster("", "pods", &["get", "list", "watch"], "what a drain must move, and whether it went"),
        cluster("", "pods/eviction", &["create"], "a drain asks for each pod, and its budgets answer"),
        cluster("policy", "poddisruptionbudgets", &["list", "watch"], "what holds a drain, and when it lets go"),
        cluster(
            "autoscaling",
            "horizontalpodautoscalers",
            &["list"],
            "whether a budget that allows nothing may come to allow more",
        ),
        cluster("apps", "deployments", &["list"], "all back before the next node"),
        cluster("apps", "statefulsets", &["list"], "all back before the next node"),
        cluster("apps", "daemonsets", &["list"], "all back before the next node"),
        namespaces,
        jobs,
        Grant { optional: true, ..progress },
        cluster("coordination.k8s.io", "leases", &["get", "create", "patch", "delete"], "one runner a node").within(namespace),
        cluster("", "configmaps", &["get", "patch"], "learned host keys").within(namespace).named(names::KNOWN_HOSTS_MAP),
        cluster("", "configmaps", &["get"], "where this cluster's images come from, and its flags")
            .within("kube-system")
            .named(names::KUBEADM_CONFIG),
        cluster("", "configmaps", &["get"], "what kubeadm gives every kubelet")
            .within("kube-system")
            .named(names::KUBELET_CONFIG),
        journals,
        Grant {
            optional: true,
            ..cluster("", "events", &["list"], "why the next Job gets no pod, or its pod does not start").within(namespace)
        },
    ];
    if let Some((place, cronjob)) = backup {
        let done = "whether the snapshot says that it is done, and how large it is";
        grants.extend([
            cluster("batch", "cronjobs", &["get"], "the template of the etcd snapshot's Job").within(place).named(cronjob),
            cluster("batch", "jobs", &["get", "create"], "the etcd snapshot").within(place),
            cluster("", "pods/log", &["get"], done).within(place),
        ]);
    }
    let answers = "whether those answer that must be asked of pods, evictions, nodes, Jobs and Leases";
    for (group, resource) in [
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
        ("discovery.k8s.io", "endpointslices"),
    ] {
        grants.push(Grant { optional: true, ..cluster(group, resource, &["list"], answers) });
    }
    for (_, (place, cronjob)) in hooks.there() {
        let log = "what a hook says, and how it failed";
        let rights = [
            cluster("batch", "cronjobs", &["get"], "the template of a hook's Job").within(place).named(cronjob),
            cluster("batch", "jobs", &["get", "create"], "the Job of a hook").within(place),
            Grant { optional: true, ..cluster("", "pods/log", &["get"], log).within(place) },
        ];
        for right in rights {
            // Both hooks may be in one namespace.
            if !grants.contains(&right) {
                grants.push(right);
            }
        }
    }
    grants.extend(of_freezes(freezes));
    if unstick.deletes(forced_in) {
        grants.push(cluster(
            "",
            "pods",
            &["delete"],
            "a drain deletes pods whose PodDisruptionBudget never allows an eviction (drain-unstick, undrainable)",
        ));
    }
    if surge != Surge::Never {
        grants.extend([
            cluster("apps", "deployments", &["patch"], "a drain restarts a Deployment of one pod first (drain-surge)"),
            cluster("apps", "replicasets", &["get"], "which Deployment a pod belongs to (drain-surge)"),
            cluster("", "persistentvolumeclaims", &["get"], "whether two nodes can have a pod's volumes at once (drain-surge)"),
        ]);
    }
    grants
}

/// What both tell of what they do. An Event can be written on any object of its namespace, and proves nothing: nobody reads ours as a fact.
fn telling(namespace: &str) -> [Grant; 2] {
    let of = |place: &str, why| Grant { optional: true, ..cluster("", "events", &["create"], why).within(place) };
    [
        of(namespace, "what happens, on our Jobs (events)"),
        of(names::EVENTS_OF_NODES, "what happens to a node: Events of nodes lie there (events)"),
    ]
}

fn of_the_watch(Scope { namespace, freezes, .. }: Scope<'_>) -> Vec<Grant> {
    // Old journals go when a run begins.
    let [namespaces, jobs, journals] = of_a_run(namespace, &["create", "patch"]);
    let mut grants = vec![
        cluster("", "nodes", &["list"], "what is done, and where a Job may run"),
        namespaces,
        jobs,
        cluster("", "pods", &["get", "list"], "whether a Job still acts, and the image that its successor runs")
            .within(namespace),
        cluster("coordination.k8s.io", "leases", &["get"], "who else is at work").within(namespace),
        journals,
        cluster("batch", "cronjobs", &["get"], "whether detection is suspended: then no deferred run is tried again")
            .within(namespace),
        cluster("", "pods", &["list"], "versions of the control planes").within("kube-system"),
    ];
    grants.extend(of_freezes(freezes));
    grants
}

/// The ServiceAccounts, their ClusterRoles and Roles, and what binds them.
pub fn objects(scope: Scope<'_>) -> Vec<Manifest> {
    Account::ALL.into_iter().flat_map(|account| of_account(account, scope)).collect()
}

fn of_account(account: Account, scope: Scope<'_>) -> Vec<Manifest> {
    let namespace = scope.namespace;
    let grants = account.grants(scope);
    let mut places: Vec<Option<&str>> = Vec::new();
    for grant in &grants {
        if !places.contains(&grant.namespace.as_deref()) {
            places.push(grant.namespace.as_deref());
        }
    }
    let metadata = json!({ "name": account.name(), "namespace": namespace, "labels": labels() });
    let whom = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata });
    let whom = Manifest::new(format!("{} act as it", account.actors()), whom);
    let roles = places.into_iter().flat_map(|place| role(account, &grants, place, namespace));
    std::iter::once(whom).chain(roles).collect()
}

/// The role of one place and its binding.
fn role(account: Account, grants: &[Grant], place: Option<&str>, namespace: &str) -> [Manifest; 2] {
    let ours = place == Some(namespace);
    let name = if ours { account.name().to_owned() } else { names::of_cluster(account.name(), namespace) };
    let granted = || grants.iter().filter(|grant| grant.namespace.as_deref() == place);
    let rules: Vec<Value> = granted().map(Grant::rule).collect();
    let (kind, mut metadata) = match place {
        None => ("ClusterRole", json!({ "name": name })),
        Some(place) => ("Role", json!({ "name": name, "namespace": place })),
    };
    metadata["labels"] = labels();
    let whole = place.map_or("in the whole cluster".to_owned(), |place| format!("in the namespace {place}"));
    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": format!("{kind}Binding"),
        "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name },
        "subjects": [{ "kind": "ServiceAccount", "name": account.name(), "namespace": namespace }],
    });
    let what_for = format!("what {} may do {whole}", account.actors());
    let role = Manifest { what_for, object: role, rights: granted().map(|grant| grant.why).collect() };
    [role, Manifest::new(format!("gives {} these rights", account.name()), binding)]
}
