//! Who may do what, by the RBAC objects that stand in the store: those that `manifests` prints.

use serde_json::Value;

use super::super::store::{Key, Kind};
use super::super::{State, Who};
use super::route::{Request, Target};
use super::select::Fields;
use super::{Refusal, user};

/// What is asked for.
pub struct Ask<'a> {
    pub verb: &'a str,
    pub group: &'a str,
    /// With its subresource: `pods/eviction`.
    pub resource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

pub fn check(state: &State, who: &Who, request: &Request) -> Result<(), Refusal> {
    let (resource, group, namespace, name) = match &request.target {
        // Everybody may ask what they may do.
        Target::AccessReview => return Ok(()),
        Target::Proxy { namespace, service, .. } => ("services/proxy".to_owned(), "", namespace.as_str(), service.as_str()),
        Target::Resource { kind, namespace, name, sub } => {
            let names = kind.names();
            let resource = if sub.is_empty() { names.plural.to_owned() } else { format!("{}/{sub}", names.plural) };
            // A namespace object lies in itself, as far as rights go.
            let within = if *kind == Kind::Namespace { name } else { namespace };
            (resource, names.group, within.as_str(), name.as_str())
        }
    };
    // A list that asks for one very name is one of that name.
    let fields = request.parameter("fieldSelector").unwrap_or_default();
    let asked = match &request.target {
        Target::Resource { kind, .. } if name.is_empty() => {
            Fields::parse(*kind, fields).ok().and_then(|fields| fields.name().map(str::to_owned))
        }
        _ => None,
    };
    let ask = Ask { verb: request.verb.word(), group, resource: &resource, namespace, name: asked.as_deref().unwrap_or(name) };
    if allowed(state, who, &ask) {
        return Ok(());
    }
    let plural = resource.split('/').next().unwrap_or_default();
    let full = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
    let named = if name.is_empty() { full } else { format!("{full} {name:?}") };
    let place = if namespace.is_empty() { "at the cluster scope".to_owned() } else { format!("in the namespace {namespace:?}") };
    let what = format!(
        "{named} is forbidden: User {:?} cannot {} resource {resource:?} in API group {group:?} {place}",
        user(who),
        ask.verb
    );
    Err(Refusal::new(403, "Forbidden", what).about(ask.name, group, plural))
}

pub fn allowed(state: &State, who: &Who, ask: &Ask) -> bool {
    reason(state, who, ask).is_some()
}

/// Why something is allowed, as a review says it; None: it is not.
pub fn reason(state: &State, who: &Who, ask: &Ask) -> Option<String> {
    let account = match who {
        Who::Operator(_) => return Some(String::new()),
        Who::Stranger => return None,
        Who::Pod { account, .. } => account,
    };
    let cluster = bound(state, Kind::ClusterRoleBinding, "", account);
    let local = bound(state, Kind::RoleBinding, ask.namespace, account);
    let within = if ask.namespace.is_empty() { Vec::new() } else { local };
    let granted = |(_, role): &(Key, Key)| {
        let rules = state.store.get(role).and_then(|role| role["rules"].as_array());
        rules.into_iter().flatten().any(|rule| grants(rule, ask))
    };
    let (binding, role) = cluster.into_iter().chain(within).find(granted)?;
    let kind = |key: &Key| key.kind.names().kind;
    let full =
        if binding.namespace.is_empty() { binding.name.clone() } else { format!("{}/{}", binding.name, binding.namespace) };
    let whom = format!("{}/{}", account.1, account.0);
    Some(format!("RBAC: allowed by {} {full:?} of {} {:?} to ServiceAccount {whom:?}", kind(&binding), kind(&role), role.name))
}

/// The bindings of a place for an account, and the roles that they give.
fn bound(state: &State, kind: Kind, namespace: &str, account: &(String, String)) -> Vec<(Key, Key)> {
    let binds = |binding: &Value| {
        binding["subjects"].as_array().into_iter().flatten().any(|subject| {
            subject["kind"] == "ServiceAccount" && subject["namespace"] == account.0 && subject["name"] == account.1
        })
    };
    state
        .store
        .list(kind)
        .filter(|(key, binding)| key.namespace == namespace && binds(binding))
        .filter_map(|(key, binding)| {
            let name = binding["roleRef"]["name"].as_str()?;
            let role = match binding["roleRef"]["kind"].as_str()? {
                "ClusterRole" => Key::new(Kind::ClusterRole, "", name),
                _ => Key::new(Kind::Role, namespace, name),
            };
            Some((key.clone(), role))
        })
        .collect()
}

fn grants(rule: &Value, ask: &Ask) -> bool {
    let has = |field: &str, wanted: &str| rule[field].as_array().into_iter().flatten().any(|item| item == wanted || item == "*");
    let named = rule["resourceNames"].as_array().is_none_or(|names| names.is_empty() || names.iter().any(|n| n == ask.name));
    has("verbs", ask.verb) && has("apiGroups", ask.group) && has("resources", ask.resource) && named
}
