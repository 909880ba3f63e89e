//! Paths, queries and bodies of requests, read.

use std::collections::BTreeMap;

use http::{HeaderMap, Method};
use serde_json::Value;

use super::super::store::{Key, Kind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    /// Of nothing but what is behind a proxy: this program patches.
    Update,
    Patch,
    Delete,
}

impl Verb {
    pub fn word(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
        }
    }
}

/// What a path names.
#[derive(Clone, Debug)]
pub enum Target {
    /// Objects of a kind: all, those of a namespace, or one by its name; or a subresource of it.
    Resource {
        kind: Kind,
        namespace: String,
        name: String,
        sub: String,
    },
    AccessReview,
    /// `namespace`, `service:port` and the path behind it.
    Proxy {
        namespace: String,
        service: String,
        path: String,
    },
}

#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub verb: Verb,
    pub method: Method,
    pub target: Target,
    pub query: BTreeMap<String, String>,
    /// For what is behind a proxy.
    pub headers: HeaderMap,
    pub content_type: &'a str,
    pub bytes: &'a [u8],
    /// The body as JSON; null where there is none.
    pub body: Value,
}

/// Parameters that mean something here, or that may be left out without harm.
const PARAMETERS: [&str; 15] = [
    "labelSelector",
    "fieldSelector",
    "limit",
    "continue",
    "resourceVersion",
    "watch",
    "timeoutSeconds",
    "allowWatchBookmarks",
    "dryRun",
    "container",
    "fieldManager",
    "limitBytes",
    "tailLines",
    "query",
    "pretty",
];

impl<'a> Request<'a> {
    /// The error says what is not modelled.
    pub fn new(method: &Method, path: &str, query: &str, content_type: &'a str, bytes: &'a [u8]) -> Result<Self, String> {
        let asked = format!("{method} {path}?{query}");
        let query: BTreeMap<String, String> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(key, value)| (decode(key), decode(value)))
            .collect();
        let target = target(path).ok_or(asked.clone())?;
        let proxied = matches!(target, Target::Proxy { .. });
        if !proxied && query.keys().any(|key| !PARAMETERS.contains(&key.as_str())) {
            return Err(asked);
        }
        let one = matches!(&target, Target::Resource { name, .. } if !name.is_empty());
        let verb = match *method {
            Method::GET if query.get("watch").is_some_and(|value| value == "true" || value == "1") => Verb::Watch,
            Method::GET if one || proxied => Verb::Get,
            Method::GET => Verb::List,
            Method::POST => Verb::Create,
            Method::PUT if proxied => Verb::Update,
            Method::PATCH if one => Verb::Patch,
            Method::DELETE if one => Verb::Delete,
            _ => return Err(asked),
        };
        let body = if bytes.is_empty() || proxied { Value::Null } else { serde_json::from_slice(bytes).map_err(|_| asked)? };
        Ok(Request { verb, method: method.clone(), target, query, headers: HeaderMap::new(), content_type, bytes, body })
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Nothing is to be persisted: as a parameter, or in the options that a delete or an eviction carries. A delete that carries some is
    /// asked nothing else.
    pub fn dry_run(&self) -> bool {
        let all = |options: &Value| options["dryRun"].as_array().is_some_and(|items| items.iter().any(|item| item == "All"));
        if self.verb == Verb::Delete && !self.body.is_null() {
            return all(&self.body);
        }
        self.parameter("dryRun") == Some("All") || all(&self.body["deleteOptions"])
    }

    pub fn key(&self) -> Option<Key> {
        match &self.target {
            Target::Resource { kind, namespace, name, .. } => Some(Key::new(*kind, namespace, name)),
            _ => None,
        }
    }
}

fn target(path: &str) -> Option<Target> {
    let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    if let ("", ["namespaces", namespace, "services", service, "proxy", ..]) = (group, rest) {
        let (_, behind) = path.split_once("/proxy")?;
        return Some(Target::Proxy {
            namespace: (*namespace).to_owned(),
            service: service.trim_start_matches("http:").to_owned(),
            path: behind.to_owned(),
        });
    }
    if (group, rest) == ("authorization.k8s.io", &["selfsubjectaccessreviews"]) {
        return Some(Target::AccessReview);
    }
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() && rest[0] != "status" => (*namespace, rest),
        _ => ("", rest),
    };
    let (plural, name, sub) = match rest {
        [plural] => (*plural, "", ""),
        [plural, name] => (*plural, *name, ""),
        [plural, name, sub] => (*plural, *name, *sub),
        _ => return None,
    };
    let kind = Kind::ALL.into_iter().find(|kind| {
        let names = kind.names();
        (names.group, names.version, names.plural) == (group, version, plural)
    })?;
    let misplaced = (kind.names().namespaced && namespace.is_empty() && !name.is_empty())
        || (!kind.names().namespaced && !namespace.is_empty());
    if misplaced {
        return None;
    }
    Some(Target::Resource { kind, namespace: namespace.to_owned(), name: name.to_owned(), sub: sub.to_owned() })
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}
