//! Who may do what, by the RBAC objects that stand in the store: those that `manifests` prints.

use serde_json::Value;

use super::super::store::{Key, Kind};
use super::super::{State, Who};
use super::route::{Request, Target};
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
    let ask = Ask { verb: request.verb.word(), group, resource: &resource, namespace, name };
    if allowed(state, who, &ask) {
        return Ok(());
    }
    let plural = resource.split('/').next().unwrap_or_default();
    let full = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
    let named = if name.is_empty() { full } else { format!("{full} {name:?}") };
    let place = if namespace.is_empty() { "at the cluster scope".to_owned() } else { format!("in the namespace {namespace:?}") };
    Err(Refusal::new(
        403,
        "Forbidden",
        format!(
            "{named} is forbidden: User {:?} cannot {} resource {resource:?} in API group {group:?} {place}",
            user(who),
            ask.verb
        ),
    ))
}

pub fn allowed(state: &State, who: &Who, ask: &Ask) -> bool {
    let Who::Pod { account, .. } = who else { return true };
    let cluster = bound(state, Kind::ClusterRoleBinding, "", account);
    let local = bound(state, Kind::RoleBinding, ask.namespace, account);
    let within = if ask.namespace.is_empty() { Vec::new() } else { local };
    cluster
        .into_iter()
        .chain(within)
        .filter_map(|role| state.store.get(&role))
        .any(|role| role["rules"].as_array().into_iter().flatten().any(|rule| grants(rule, ask)))
}

/// The roles that bindings of a place give to an account.
fn bound(state: &State, kind: Kind, namespace: &str, account: &(String, String)) -> Vec<Key> {
    let binds = |binding: &Value| {
        binding["subjects"].as_array().into_iter().flatten().any(|subject| {
            subject["kind"] == "ServiceAccount" && subject["namespace"] == account.0 && subject["name"] == account.1
        })
    };
    state
        .store
        .list(kind)
        .filter(|(key, binding)| key.namespace == namespace && binds(binding))
        .filter_map(|(_, binding)| {
            let name = binding["roleRef"]["name"].as_str()?;
            Some(match binding["roleRef"]["kind"].as_str()? {
                "ClusterRole" => Key::new(Kind::ClusterRole, "", name),
                _ => Key::new(Kind::Role, namespace, name),
            })
        })
        .collect()
}

fn grants(rule: &Value, ask: &Ask) -> bool {
    let has = |field: &str, wanted: &str| rule[field].as_array().into_iter().flatten().any(|item| item == wanted || item == "*");
    let named = rule["resourceNames"].as_array().is_none_or(|names| names.is_empty() || names.iter().any(|n| n == ask.name));
    has("verbs", ask.verb) && has("apiGroups", ask.group) && has("resources", ask.resource) && named
}
