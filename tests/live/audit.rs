//! The API server's audit log: what the program's ServiceAccounts asked for, what they were refused, and which of their rights they never
//! used.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::lab::{Lab, NAMESPACE};
use super::watch::Observed;

/// As the program's accounts are called there, up to their own names.
const USERS: &str = "system:serviceaccount:k8s-upgrade:k8s-upgrade-";
/// An API server that has just come back refuses for a while what it will allow again.
const AFTER_OUTAGE: Duration = Duration::from_secs(90);

/// One request of the program.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at: Timestamp,
    pub verb: String,
    pub group: String,
    /// With its subresource: `pods/eviction`.
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub code: i64,
    pub reason: String,
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} {}/{} → {} {}", self.at, self.verb, self.resource, self.namespace, self.name, self.code, self.reason)
    }
}

/// Everything that it asked since `from`.
pub fn asked(lab: &Lab, from: Timestamp) -> Vec<Asked> {
    let file = std::fs::File::open(lab.env("LAB_AUDIT_LOG")).expect("the audit log");
    let mut asked = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.expect("the audit log can be read");
        // Cheap, before a line is parsed: nearly all are somebody else's.
        if !line.contains(USERS) {
            continue;
        }
        // A killed API server may leave half a line.
        let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
        if !event["user"]["username"].as_str().is_some_and(|name| name.starts_with(USERS)) {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let object = &event["objectRef"];
        let resource = match object["subresource"].as_str() {
            Some(sub) => format!("{}/{sub}", text(&object["resource"])),
            None => text(&object["resource"]),
        };
        let at: Timestamp = text(&event["requestReceivedTimestamp"]).parse().expect("a time");
        if at >= from {
            asked.push(Asked {
                at,
                verb: text(&event["verb"]),
                group: text(&object["apiGroup"]),
                resource,
                namespace: text(&object["namespace"]),
                name: text(&object["name"]),
                code: event["responseStatus"]["code"].as_i64().unwrap_or(0),
                reason: text(&event["annotations"]["authorization.k8s.io/reason"]),
            });
        }
    }
    assert!(!asked.is_empty(), "the audit log knows nothing of {USERS}…");
    asked
}

/// No 403 but right after an outage; and those end in a yes to the same question.
pub fn no_unexpected_refusal(lab: &Lab, asked: &[Asked], seen: &Observed) {
    let refused: Vec<&Asked> = asked.iter().filter(|asked| asked.code == 403).collect();
    let (expected, unexpected): (Vec<&Asked>, Vec<&Asked>) =
        refused.into_iter().partition(|asked| seen.near_outage(asked.at, AFTER_OUTAGE));
    lab.say(format!("audit: {} requests, {} times 403 right after an outage", asked.len(), expected.len()));
    for one in expected.iter().take(10) {
        lab.say(format!("  {one}"));
    }
    let told: Vec<String> = unexpected.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "403 with no outage before it:\n{}\noutages: {:?}", told.join("\n"), seen.away);
}

/// A verb on a resource, in a namespace or (empty) everywhere.
type Right = (String, String, String, String);

/// The rights that the installed roles give, as the cluster has them.
fn granted(lab: &Lab) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for kind in ["clusterroles", "roles"] {
        for role in lab.items(&["get", kind, "-A", "-l", "app.kubernetes.io/name=k8s-upgrade"]) {
            let place = role["metadata"]["namespace"].as_str().unwrap_or_default();
            for rule in role["rules"].as_array().into_iter().flatten() {
                let all = |key: &str| -> Vec<String> {
                    rule[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
                };
                for group in all("apiGroups") {
                    for resource in all("resources") {
                        for verb in all("verbs") {
                            rights.insert((place.to_owned(), group.clone(), resource.clone(), verb));
                        }
                    }
                }
            }
        }
    }
    assert!(rights.len() > 10, "the installed roles were not found: {rights:?}");
    rights
}

/// Rights that a run needs only where something is amiss, which this one is not: verb, resource, namespace. Simulations show them in use.
const IN_TROUBLE: [(&str, &str, &str); 3] = [
    ("list", "endpointslices", ""), // there is an admission webhook that must be asked
    ("list", "events", NAMESPACE),  // a Job gets no pod
    ("get", "cronjobs", NAMESPACE), // the watch is to try a deferred run again
];

/// Rights that no request of this run needed.
pub fn never_used(lab: &Lab, asked: &[Asked]) -> Vec<String> {
    let used = |(place, group, resource, verb): &Right| {
        asked.iter().any(|asked| {
            let here = place.is_empty() || *place == asked.namespace;
            here && asked.code != 403 && asked.group == *group && asked.resource == *resource && asked.verb == *verb
        })
    };
    let place = |place: &str| if place.is_empty() { "the cluster".to_owned() } else { place.to_owned() };
    let in_trouble = |right: &Right| IN_TROUBLE.contains(&(right.3.as_str(), right.2.as_str(), right.0.as_str()));
    let unused = granted(lab).into_iter().filter(|right| !used(right) && !in_trouble(right));
    unused.map(|right| format!("{} {} in {}", right.3, right.2, place(&right.0))).collect()
}

/// The names of pods that the program deleted itself, outside its own namespace: what it unstuck.
pub fn pods_deleted(asked: &[Asked]) -> Vec<String> {
    let deleted = asked.iter().filter(|a| a.verb == "delete" && a.resource == "pods" && a.namespace != NAMESPACE && a.code < 300);
    deleted.map(|asked| format!("{}/{}", asked.namespace, asked.name)).collect()
}
