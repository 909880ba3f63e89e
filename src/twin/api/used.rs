//! In which ways the API server was asked: what a program uses here must be held against a real one.

use serde_json::Value;

use super::route::{Request, Target, Verb};

/// Parameters that choose nothing.
const PLAIN: [&str; 4] = ["fieldManager", "pretty", "watch", "query"];

/// The verb with its resource, and each manner of asking: selectors, patch types, options.
pub fn manners(request: &Request) -> Vec<String> {
    let verb = request.verb.word();
    let what = match &request.target {
        Target::AccessReview => "selfsubjectaccessreviews".to_owned(),
        Target::Proxy { .. } => "services/proxy".to_owned(),
        Target::Resource { kind, sub, .. } if sub.is_empty() => kind.qualified(),
        Target::Resource { kind, sub, .. } => format!("{}/{sub}", kind.qualified()),
    };
    let mut all = vec![format!("{verb} {what}")];
    if let Target::Proxy { .. } = request.target {
        return all;
    }
    for (name, value) in request.query.iter().filter(|(name, value)| !PLAIN.contains(&name.as_str()) && !value.is_empty()) {
        match name.as_str() {
            "labelSelector" => all.extend(operators(value).map(|operator| format!("{verb} by a label {operator}"))),
            "fieldSelector" => all.extend(fields(value).map(|field| format!("{verb} {what} by {field}"))),
            _ => all.push(format!("{verb} with {name}")),
        }
    }
    let body = &request.body;
    match request.verb {
        Verb::Patch => {
            all.push(format!("patch as {}", request.content_type));
            if body["metadata"]["resourceVersion"].is_string() {
                all.push(format!("patch {what} at a resourceVersion"));
            }
        }
        Verb::Delete => options(&mut all, &format!("delete {what} with"), body),
        Verb::Create if what == "pods/eviction" => options(&mut all, "evict with", &body["deleteOptions"]),
        _ => {}
    }
    all
}

/// `=`, `!=`, `in`, …: of each requirement.
fn operators(selector: &str) -> impl Iterator<Item = &'static str> {
    // A list's commas stand in parentheses.
    let parts = selector.split(',').filter(|part| !part.is_empty() && (!part.contains(')') || part.contains('(')));
    parts.map(|part| {
        let known = [(" notin ", "notin"), (" in ", "in"), ("!=", "!="), ("=", "="), ("!", "absent")];
        known.into_iter().find(|(sign, _)| part.contains(sign)).map_or("present", |(_, name)| name)
    })
}

/// `spec.nodeName=`, `status.phase!=`.
fn fields(selector: &str) -> impl Iterator<Item = String> {
    selector.split(',').filter(|part| !part.is_empty()).map(|part| {
        let end = part.rfind('=').map_or(part.len(), |at| at + 1);
        part[..end].replace("==", "=")
    })
}

/// Each DeleteOption that is set, and the value of those that choose a behaviour.
fn options(all: &mut Vec<String>, start: &str, options: &Value) {
    for (name, value) in options.as_object().into_iter().flatten() {
        match (name.as_str(), value) {
            ("kind" | "apiVersion", _) | (_, Value::Null) => {}
            ("preconditions", Value::Object(fields)) => {
                all.extend(fields.keys().map(|field| format!("{start} preconditions.{field}")));
            }
            ("propagationPolicy", Value::String(policy)) => all.push(format!("{start} {name} {policy}")),
            _ => all.push(format!("{start} {name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::super::patch;
    use super::*;

    fn of(method: &Method, path: &str, query: &str, body: &str) -> Vec<String> {
        manners(&Request::new(method, path, query, patch::MERGE, body.as_bytes()).unwrap())
    }

    #[test]
    fn every_manner_of_asking_is_named() {
        let pods = "/api/v1/pods";
        let query = "fieldSelector=spec.nodeName%3Da&labelSelector=app%3Dx,y+in+(a,b),!z&limit=5";
        assert_eq!(
            of(&Method::GET, pods, query, ""),
            [
                "list pods",
                "list pods by spec.nodeName=",
                "list by a label =",
                "list by a label in",
                "list by a label absent",
                "list with limit"
            ]
        );
        let body = r#"{"preconditions":{"uid":"1"},"propagationPolicy":"Background","gracePeriodSeconds":null}"#;
        assert_eq!(
            of(&Method::DELETE, "/apis/batch/v1/namespaces/a/jobs/b", "", body),
            [
                "delete jobs.batch",
                "delete jobs.batch with preconditions.uid",
                "delete jobs.batch with propagationPolicy Background"
            ]
        );
        let body = r#"{"metadata":{"resourceVersion":"1"}}"#;
        let wanted = ["patch nodes", "patch as application/merge-patch+json", "patch nodes at a resourceVersion"];
        assert_eq!(of(&Method::PATCH, "/api/v1/nodes/a", "", body), wanted);
    }
}
