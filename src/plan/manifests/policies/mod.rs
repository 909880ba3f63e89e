//! What our accounts may do with the rights that they have: policies of admission, which the API server itself applies. Rights say *on
//! what*; where they cannot say *how much of it*, these do. They match our accounts by name, so that nobody else is ever refused by one;
//! but the one of our CronJobs, which keeps whoever installs from merging ours into another pipeline's.
//!
//! A policy that asks for another object (a parameter) is refused to **everybody** where that is missing, before it is known who asks.
//! So only those of Jobs out of somebody's CronJob do, and they look only at Jobs that bear our label; everything else that they take stands in the
//! policies' own text. And once the last policy with a parameter of some kind of Kubernetes' own is deleted, the API server's cache of that kind stands
//! still until it is restarted, also for a policy that comes anew: policies are changed in place, never deleted and made again.

mod cel;
mod cronjobs;
mod jobs;
mod records;

use serde_json::{Value, json};

use super::installation::Install;
use super::manifest::Manifest;
use super::rights::{Account, Scope};
use crate::names;
use crate::plan::model::hooks::Hook;
use crate::plan::model::policy::Surge;

const NODES: &str = "nodes";
const NAMESPACE: &str = "namespace";
const CONFIG_MAPS: &str = "config-maps";
const PODS: &str = "pods";
const DEPLOYMENTS: &str = "deployments";
const JOBS: &str = "jobs";
const ENDED_JOBS: &str = "ended-jobs";
const SNAPSHOTS: &str = "snapshots";
const CRONJOBS: &str = "cronjobs";

/// One policy, which is bound where it stands.
struct Policy {
    /// Behind `k8s-upgrade-`.
    name: &'static str,
    /// What it keeps off, or lets through.
    what_for: &'static str,
    /// Whom or what it binds: the name of a condition, and its expression.
    binds: (&'static str, String),
    group: &'static str,
    resource: &'static str,
    operations: &'static [&'static str],
    /// Looks only at objects with this label.
    label: Option<(&'static str, String)>,
    /// Namespace and name of the CronJob that its expressions call `params`.
    cronjob: Option<(String, String)>,
    variables: Vec<(&'static str, String)>,
    /// What must hold, and what is said where it does not.
    rules: Vec<(String, String)>,
}

impl Policy {
    /// The policy and its binding.
    fn objects(&self, namespace: &str) -> [Manifest; 2] {
        let name = full_name(self.name, namespace);
        let metadata = json!({ "name": name, "labels": super::manifest::labels() });
        let mut constraints = json!({ "resourceRules": [{
            "apiGroups": [self.group], "apiVersions": ["v1"], "resources": [self.resource], "operations": self.operations,
        }] });
        if let Some((key, value)) = &self.label {
            constraints["objectSelector"] = json!({ "matchLabels": { *key: value } });
        }
        let variables: Vec<Value> =
            self.variables.iter().map(|(name, expression)| json!({ "name": name, "expression": expression })).collect();
        let validations: Vec<Value> = self
            .rules
            .iter()
            .map(|(expression, message)| json!({ "expression": expression, "message": message, "reason": "Forbidden" }))
            .collect();
        let mut spec = json!({
            "failurePolicy": "Fail",
            "matchConstraints": constraints,
            "matchConditions": [{ "name": self.binds.0, "expression": self.binds.1 }],
            "variables": variables,
            "validations": validations,
        });
        let mut binding = json!({ "policyName": name, "validationActions": ["Deny"] });
        if let Some((place, cronjob)) = &self.cronjob {
            spec["paramKind"] = json!({ "apiVersion": "batch/v1", "kind": "CronJob" });
            binding["paramRef"] = json!({ "namespace": place, "name": cronjob, "parameterNotFoundAction": "Deny" });
            // Where there is no CronJob, that refuses whoever asks, before the account is looked at. In other namespaces it has no say:
            // another installation's snapshots lie there, and our own accounts are refused them by the policy of Jobs.
            let there = json!({ "matchLabels": { "kubernetes.io/metadata.name": place } });
            binding["matchResources"] = json!({ "namespaceSelector": there });
        }
        let object = |kind: &str, spec: Value| json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec });
        [
            Manifest::new(self.what_for, object("ValidatingAdmissionPolicy", spec)),
            Manifest::new(format!("puts the policy {name} into force"), object("ValidatingAdmissionPolicyBinding", binding)),
        ]
    }
}

/// All policies, each followed by its binding.
pub fn objects(install: &Install) -> Vec<Manifest> {
    policies(install).iter().flat_map(|policy| policy.objects(install.namespace)).collect()
}

fn policies(install: &Install) -> Vec<Policy> {
    let policies = [
        Some(records::nodes(install)),
        Some(records::namespace(install)),
        Some(records::config_maps(install)),
        records::pods(install),
        records::deployments(install),
        Some(jobs::chain(install)),
        Some(jobs::ended(install)),
        install.backup.map(|cronjob| jobs::snapshot(install, cronjob)),
        Some(cronjobs::unmixed(install)),
    ];
    let hooks = install.hooks.there().map(|(hook, cronjob)| jobs::hook(install, hook, cronjob));
    policies.into_iter().flatten().chain(hooks).collect()
}

/// What the policies of an installation are called, each as its binding is.
pub fn names(scope: Scope<'_>) -> Vec<String> {
    let some = [
        scope.backup.map(|_| SNAPSHOTS),
        scope.unstick.deletes(scope.forced_in).then_some(PODS),
        (scope.surge != Surge::Never).then_some(DEPLOYMENTS),
    ];
    let all = [NODES, NAMESPACE, CONFIG_MAPS, JOBS, ENDED_JOBS, CRONJOBS].into_iter().chain(some.into_iter().flatten());
    let of_hooks = scope.hooks.there().map(|(hook, _)| of_hook(hook));
    all.chain(of_hooks).map(|name| full_name(name, scope.namespace)).collect()
}

fn of_hook(hook: Hook) -> &'static str {
    match hook {
        Hook::Before => "hooks-before",
        Hook::After => "hooks-after",
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    names::of_cluster(&format!("{}-{name}", names::PROGRAM), namespace)
}

/// As the API server names a ServiceAccount.
fn user(install: &Install, account: Account) -> String {
    format!("system:serviceaccount:{}:{}", install.namespace, account.name())
}

/// It binds these accounts of ours.
fn accounts(users: &[String]) -> (&'static str, String) {
    ("one-of-our-accounts", format!("request.userInfo.username in {}", cel::list(users)))
}

fn both(install: &Install) -> (&'static str, String) {
    accounts(&Account::ALL.map(|account| user(install, account)))
}
