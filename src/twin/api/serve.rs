//! The verbs, once a caller may use them.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::super::control::SIDECAR;
use super::super::store::{Key, Kind, Taken, seconds};
use super::super::{State, Twin, Who, web};
use super::authz::{Ask, reason};
use super::route::{Request, Target, Verb};
use super::select::{Fields, Labels};
use super::watch::{Selection, Watch};
use super::{Refusal, Reply, admit, delete, evict, patch, typed, unmodelled, webhooks};

pub fn serve(state: &mut State, twin: &Twin, who: &Who, request: &Request) -> Result<Reply, Refusal> {
    let (kind, sub) = match &request.target {
        Target::AccessReview => return Ok(access_review(state, who, &request.body)),
        Target::Proxy { namespace, service, path } => return proxy(state, request, namespace, service, path),
        Target::Resource { kind, sub, .. } => (*kind, sub.as_str()),
    };
    let key = request.key().unwrap_or(Key::new(kind, "", ""));
    match (request.verb, kind, sub) {
        (Verb::Get, Kind::Pod, "log") => log(state, &key, request.parameter("container"), request.query.get("tailLines")),
        (Verb::Get, _, "") => get(state, &key),
        (Verb::List, _, "") => list(state, &key, request),
        (Verb::Watch, _, "") => watch(state, twin, &key, request),
        (Verb::Create, Kind::Pod, "eviction") => evict::evict(state, &key, request),
        (Verb::Create, Kind::Pod, "binding") => bind(state, &key, &request.body),
        (Verb::Create, _, "") if key.name.is_empty() => create(state, &key, request),
        (Verb::Patch, _, "" | "status") => merge(state, &key, request, sub),
        (Verb::Delete, _, "") => delete::delete(state, &key, request),
        _ => Err(unmodelled(state, format!("{} {} {sub}", request.verb.word(), kind.qualified()))),
    }
}

fn found(state: &State, key: &Key) -> Result<Value, Refusal> {
    state.store.get(key).map(|object| (**object).clone()).ok_or_else(|| Refusal::not_found(key))
}

fn get(state: &State, key: &Key) -> Result<Reply, Refusal> {
    let object = state.store.get(key).ok_or_else(|| Refusal::not_found(key))?;
    Ok(Reply::Json(state.store.text(key, object).into_bytes()))
}

/// What a pod prints is of the first of its containers that nobody has put into it.
fn log(state: &State, key: &Key, container: Option<&str>, tail: Option<&String>) -> Result<Reply, Refusal> {
    let pod = found(state, key)?;
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let names: Vec<&str> = containers.filter_map(|container| container["name"].as_str()).collect();
    let chosen = match container {
        Some(name) if names.contains(&name) => name,
        Some(name) => return Err(Refusal::bad(format!("container {name} is not valid for pod {}", key.name))),
        None if names.len() > 1 => {
            let choose = names.join(" ");
            return Err(Refusal::bad(format!(
                "a container name must be specified for pod {}, choose one of: [{choose}]",
                key.name
            )));
        }
        None => names.first().copied().unwrap_or_default(),
    };
    let prints = names.iter().find(|name| **name != SIDECAR) == Some(&chosen);
    let lines = pod["metadata"]["uid"].as_str().filter(|_| prints).and_then(|uid| state.logs.get(uid));
    let lines = lines.map_or_else(Vec::new, |lines| lines.all().iter().map(|line| format!("{line}\n")).collect());
    let tail = tail.and_then(|tail| tail.parse().ok()).unwrap_or(lines.len());
    Ok(Reply::Text(200, lines[lines.len().saturating_sub(tail)..].concat()))
}

fn access_review(state: &State, who: &Who, body: &Value) -> Reply {
    let asked = &body["spec"]["resourceAttributes"];
    let field = |name: &str| asked[name].as_str().unwrap_or_default();
    let resource = match field("subresource") {
        "" => field("resource").to_owned(),
        sub => format!("{}/{sub}", field("resource")),
    };
    let within = match (field("namespace"), field("resource")) {
        ("", "namespaces") => field("name"),
        (namespace, _) => namespace,
    };
    let ask = Ask { verb: field("verb"), group: field("group"), resource: &resource, namespace: within, name: field("name") };
    let mut answer = body.clone();
    let reason = reason(state, who, &ask);
    answer["status"] = json!({ "allowed": reason.is_some() });
    if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
        answer["status"]["reason"] = json!(reason);
    }
    Reply::Object(201, answer)
}

fn proxy(state: &mut State, request: &Request, namespace: &str, service: &str, path: &str) -> Result<Reply, Refusal> {
    let (name, port) = service.split_once(':').unwrap_or((service, "80"));
    let query: Vec<String> = request.query.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let tail = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let url = format!("http://{name}.{namespace}.svc:{port}{path}{tail}");
    // Who asks was said to the API server, which keeps that for itself.
    let mut headers = request.headers.clone();
    headers.remove(AUTHORIZATION);
    match web::serve(state, request.method.as_str(), &url, &headers, request.bytes) {
        Ok((code, body)) => Ok(Reply::Text(code, String::from_utf8_lossy(&body).into_owned())),
        Err(why) => Err(Refusal::new(503, "ServiceUnavailable", format!("error trying to reach service: {why}"))),
    }
}

/// What a list or a watch selects.
fn selection(state: &mut State, key: &Key, request: &Request) -> Result<Selection, Refusal> {
    let fields = request.parameter("fieldSelector").unwrap_or_default();
    let fields = Fields::parse(key.kind, fields).map_err(Refusal::bad)?;
    let text = request.parameter("labelSelector").unwrap_or_default();
    let labels = match Labels::parse(text) {
        Ok(labels) => labels,
        Err(Some(why)) => return Err(Refusal::bad(why)),
        Err(None) => return Err(unmodelled(state, format!("label selector {text}"))),
    };
    Ok(Selection { kind: key.kind, namespace: key.namespace.clone(), labels, fields })
}

fn list(state: &mut State, key: &Key, request: &Request) -> Result<Reply, Refusal> {
    let kind = key.kind;
    let selection = selection(state, key, request)?;
    let limit = request.parameter("limit").and_then(|limit| limit.parse::<usize>().ok()).filter(|limit| *limit > 0);
    let page = request.parameter("continue").map(continued).transpose()?;
    // All pages are of the first one's moment.
    let (version, from) = page.map_or((state.store.version(), None), |(version, from)| (version, Some(from)));
    let from = from.as_ref().map(|(namespace, name)| (namespace.as_str(), name.as_str()));
    let Some(then) = state.store.list_at(kind, &selection.namespace, version, from) else {
        return Err(Refusal::new(
            410,
            "Expired",
            "The provided continue parameter is too old to display a consistent list result.",
        ));
    };
    // Of one node the pods are known, and nobody looks through all others.
    let on_node = selection.fields.node().filter(|node| !node.is_empty() && version == state.store.version() && from.is_none());
    let then: Box<dyn Iterator<Item = (&Key, &Arc<Value>)>> = match on_node {
        Some(node) => Box::new(state.control.on_node(node).filter_map(|key| Some((key, state.store.get(key)?)))),
        None => Box::new(then),
    };
    let mut then = then.filter(|(key, object)| selection.select(key, object));
    let items: Vec<(&Key, &Arc<Value>)> = then.by_ref().take(limit.unwrap_or(usize::MAX)).collect();
    let mut meta = json!({ "resourceVersion": version.to_string() });
    if let (Some((last, _)), Some(_)) = (items.last(), then.next()) {
        if selection.selects_all() {
            meta["remainingItemCount"] = json!(1 + then.count());
        }
        meta["continue"] = json!(URL_SAFE_NO_PAD.encode(format!("{version} {}/{}", last.namespace, last.name)));
    }
    let (of, version) = (kind.names().kind, kind.api_version());
    let mut text = format!("{{\"kind\":\"{of}List\",\"apiVersion\":\"{version}\",\"metadata\":{meta},\"items\":[").into_bytes();
    for (index, (key, object)) in items.into_iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        text.extend_from_slice(&state.store.item(key, object));
    }
    text.extend_from_slice(b"]}");
    Ok(Reply::Json(text))
}

/// A continue token: the version of the first page, and the last object of the page before.
fn continued(token: &str) -> Result<(u64, (String, String)), Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let read = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| {
        let (version, from) = text.split_once(' ')?;
        let (namespace, name) = from.split_once('/')?;
        Some((version.parse().ok()?, (namespace.to_owned(), name.to_owned())))
    });
    read.ok_or_else(|| Refusal::bad(format!("invalid continue token: continue key is not valid: {token}")))
}

fn watch(state: &mut State, twin: &Twin, key: &Key, request: &Request) -> Result<Reply, Refusal> {
    let selection = selection(state, key, request)?;
    let version = match request.parameter("resourceVersion") {
        None => None,
        Some(asked) => match asked.parse::<u64>() {
            Ok(version) if version > 0 => Some(version),
            _ => return Err(unmodelled(state, format!("a watch from the version {asked:?}"))),
        },
    };
    let limit = request.parameter("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(1800);
    let bookmarks = request.parameter("allowWatchBookmarks") == Some("true");
    Ok(Reply::Watch(Watch::new(twin, state, selection, version, std::time::Duration::from_secs(limit), bookmarks)))
}

fn create(state: &mut State, key: &Key, request: &Request) -> Result<Reply, Refusal> {
    let kind = key.kind;
    let mut object = request.body.clone();
    if object["apiVersion"].is_null() && object["kind"].is_null() {
        // The path says it.
        (object["apiVersion"], object["kind"]) = (json!(kind.api_version()), json!(kind.names().kind));
    }
    if Kind::of_object(&object) != Some(kind) {
        return Err(Refusal::bad(format!("the object provided is no {}", kind.names().kind)));
    }
    let mut object = typed::normal(kind, object)?;
    if kind.names().namespaced {
        object["metadata"]["namespace"] = json!(key.namespace);
    }
    if object["metadata"]["generateName"].is_null() {
        admit::check_name(kind, &object)?;
    }
    own(&mut object);
    if let Some(object) = object.as_object_mut() {
        object.shift_remove("status");
    }
    match kind {
        Kind::Pod => object["status"] = json!({ "phase": "Pending" }),
        Kind::Node => admit::new_node(&mut object),
        _ => {}
    }
    admit::admit(state, kind, &mut object)?;
    let new = Key::of(kind, &object);
    if let Some(known) = state.store.get(&new) {
        let mut refusal = Refusal::already_exists(&Taken(new));
        if known["metadata"]["deletionTimestamp"].is_string() {
            refusal.message = format!("object is being deleted: {}", refusal.message);
        }
        return Err(refusal);
    }
    let now = state.now();
    if request.dry_run() {
        object["metadata"]["creationTimestamp"] = json!(seconds(now));
        return Ok(Reply::Object(201, object));
    }
    let created = state.store.create(now, kind, object).map_err(|taken| Refusal::already_exists(&taken))?;
    Ok(Reply::Object(201, (*created).clone()))
}

/// What the API server alone writes is not taken from others.
fn own(object: &mut Value) {
    let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    for field in ["uid", "resourceVersion", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"]
    {
        meta.shift_remove(field);
    }
}

/// The scheduler's call.
fn bind(state: &mut State, key: &Key, binding: &Value) -> Result<Reply, Refusal> {
    let pod = found(state, key)?;
    if let Some(node) = pod["spec"]["nodeName"].as_str() {
        let why = format!("pod {} is already assigned to node {node:?}", key.name);
        let what = format!("Operation cannot be fulfilled on pods/binding {:?}: {why}", key.name);
        return Err(Refusal::new(409, "Conflict", what).about(&key.name, "", "pods/binding"));
    }
    let now = seconds(state.now());
    let condition = json!({ "type": "PodScheduled", "status": "True", "lastTransitionTime": now });
    state.store.update(key, |pod| {
        pod["spec"]["nodeName"] = binding["target"]["name"].clone();
        let known = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let others = known.into_iter().filter(|known| known["type"] != "PodScheduled");
        pod["status"]["conditions"] = others.chain([condition]).collect();
    });
    Ok(Reply::Object(201, json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 })))
}

fn merge(state: &mut State, key: &Key, request: &Request, sub: &str) -> Result<Reply, Refusal> {
    if request.content_type != patch::MERGE {
        return Err(unmodelled(state, format!("a patch of the type {}", request.content_type)));
    }
    let before = found(state, key)?;
    if let Some(version) = request.body["metadata"]["resourceVersion"].as_str()
        && before["metadata"]["resourceVersion"] != version
    {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(Refusal::conflict(key, why));
    }
    let mut wanted = request.body.clone();
    if sub == "status" {
        wanted = json!({ "status": wanted["status"] });
    } else if let Some(wanted) = wanted.as_object_mut() {
        wanted.shift_remove("status");
    }
    own(&mut wanted);
    let mut after = before.clone();
    patch::merge(&mut after, &wanted);
    let after = typed::normal(key.kind, after)?;
    if key.kind == Kind::Job && before["spec"]["template"] != after["spec"]["template"] {
        return Err(Refusal::invalid(key.kind, &key.name, "spec.template: Invalid value: field is immutable"));
    }
    webhooks::ask(state, "UPDATE", key, sub)?;
    if request.dry_run() {
        return Ok(Reply::Object(200, after));
    }
    let patched = state.store.update(key, |object| *object = after);
    patched.map(|object| Reply::Object(200, (*object).clone())).ok_or_else(|| Refusal::not_found(key))
}
