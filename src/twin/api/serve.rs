//! The verbs, once a caller may use them.

use serde_json::{Map, Value, json};

use super::super::store::{Key, Kind, seconds};
use super::super::{State, Twin, Who, web};
use super::authz::{Ask, allowed};
use super::route::{Request, Target, Verb};
use super::select::{Fields, Labels};
use super::watch::{Selection, Watch};
use super::{Refusal, Reply, evict, patch, unmodelled};

/// Seconds that a pod has to end unless it says otherwise.
const USUAL_GRACE: u64 = 30;

pub fn serve(state: &mut State, twin: &Twin, who: &Who, request: &Request) -> Result<Reply, Refusal> {
    let (kind, sub) = match &request.target {
        Target::AccessReview => return Ok(access_review(state, who, &request.body)),
        Target::Proxy { namespace, service, path } => return proxy(state, request, namespace, service, path),
        Target::Resource { kind, sub, .. } => (*kind, sub.as_str()),
    };
    let key = request.key().unwrap_or(Key::new(kind, "", ""));
    match (request.verb, kind, sub) {
        (Verb::Get, Kind::Pod, "log") => log(state, &key),
        (Verb::Get, _, "") => found(state, &key).map(|object| Reply::Object(200, object)),
        (Verb::List, _, "") => list(state, &key, request),
        (Verb::Watch, _, "") => watch(state, twin, &key, request),
        (Verb::Create, Kind::Pod, "eviction") => evict::evict(state, &key, request),
        (Verb::Create, _, "") if key.name.is_empty() => create(state, &key, request),
        (Verb::Patch, _, "" | "status") => merge(state, &key, request, sub),
        (Verb::Delete, _, "") => delete(state, &key, request),
        _ => Err(unmodelled(state, format!("{} {} {sub}", request.verb.word(), kind.qualified()))),
    }
}

fn found(state: &State, key: &Key) -> Result<Value, Refusal> {
    state.store.get(key).map(|object| (**object).clone()).ok_or_else(|| Refusal::not_found(key))
}

fn log(state: &State, key: &Key) -> Result<Reply, Refusal> {
    let pod = found(state, key)?;
    let lines = pod["metadata"]["uid"].as_str().and_then(|uid| state.logs.get(uid));
    Ok(Reply::Text(lines.map_or(String::new(), |lines| lines.all().iter().map(|line| format!("{line}\n")).collect())))
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
    answer["status"] = json!({ "allowed": allowed(state, who, &ask) });
    Reply::Object(201, answer)
}

fn proxy(state: &mut State, request: &Request, namespace: &str, service: &str, path: &str) -> Result<Reply, Refusal> {
    let (name, port) = service.split_once(':').unwrap_or((service, "80"));
    let query: Vec<String> = request.query.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let tail = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let url = format!("http://{name}.{namespace}.svc:{port}{path}{tail}");
    match web::serve(state, request.method.as_str(), &url, request.bytes) {
        Ok((200..=299, body)) => Ok(Reply::Text(String::from_utf8_lossy(&body).into_owned())),
        Ok((code, body)) => Err(Refusal::new(code, "", String::from_utf8_lossy(&body))),
        Err(why) => Err(Refusal::new(503, "ServiceUnavailable", format!("error trying to reach service: {why}"))),
    }
}

/// What a list or a watch selects.
fn selection(state: &mut State, key: &Key, request: &Request) -> Result<Selection, Refusal> {
    let fields = request.parameter("fieldSelector").unwrap_or_default();
    let fields = Fields::parse(key.kind, fields).map_err(|field| Refusal::bad(format!("field label not supported: {field}")))?;
    let text = request.parameter("labelSelector").unwrap_or_default();
    let Some(labels) = Labels::parse(text) else { return Err(unmodelled(state, format!("label selector {text}"))) };
    Ok(Selection { kind: key.kind, namespace: key.namespace.clone(), labels, fields })
}

fn list(state: &mut State, key: &Key, request: &Request) -> Result<Reply, Refusal> {
    let selection = selection(state, key, request)?;
    let limit = request.parameter("limit").and_then(|limit| limit.parse::<usize>().ok()).unwrap_or(usize::MAX);
    // `VERSION namespace/name` of the last object of the page before.
    let (version, from) = match request.parameter("continue").and_then(|token| token.split_once(' ')) {
        Some((version, from)) => (version.to_owned(), Some(from.to_owned())),
        None => (state.store.version().to_string(), None),
    };
    let mut items: Vec<(String, Value)> = state
        .store
        .list(key.kind)
        .filter(|(key, object)| selection.select(key, object))
        .map(|(key, object)| (format!("{}/{}", key.namespace, key.name), (**object).clone()))
        .filter(|(name, _)| from.as_ref().is_none_or(|from| name > from))
        .take(limit.saturating_add(1))
        .collect();
    let mut meta = json!({ "resourceVersion": version });
    if items.len() > limit {
        items.truncate(limit);
        meta["continue"] = json!(items.last().map(|(name, _)| format!("{version} {name}")));
    }
    let items: Vec<Value> = items.into_iter().map(|(_, object)| object).collect();
    let kind = key.kind;
    Ok(Reply::Object(
        200,
        json!({ "kind": format!("{}List", kind.names().kind), "apiVersion": kind.api_version(), "metadata": meta, "items": items }),
    ))
}

fn watch(state: &mut State, twin: &Twin, key: &Key, request: &Request) -> Result<Reply, Refusal> {
    let selection = selection(state, key, request)?;
    let asked = request.parameter("resourceVersion").unwrap_or_default();
    let Ok(version) = asked.parse::<u64>() else {
        return Err(unmodelled(state, format!("a watch from the version {asked:?}")));
    };
    let limit = request.parameter("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(1800);
    let bookmarks = request.parameter("allowWatchBookmarks") == Some("true");
    Ok(Reply::Watch(Watch::new(twin, state, selection, version, std::time::Duration::from_secs(limit), bookmarks)))
}

fn create(state: &mut State, key: &Key, request: &Request) -> Result<Reply, Refusal> {
    let mut object = request.body.clone();
    let kind = key.kind;
    if kind.names().namespaced {
        let namespace = Key::new(Kind::Namespace, "", &key.namespace);
        found(state, &namespace)?;
        object["metadata"]["namespace"] = json!(key.namespace);
    }
    if Kind::of_object(&object) != Some(kind) {
        return Err(Refusal::bad(format!("the object provided is no {}", kind.names().kind)));
    }
    if request.dry_run() {
        let new = Key::of(kind, &object);
        return match state.store.get(&new) {
            Some(_) => Err(Refusal::already_exists(&new)),
            None => Ok(Reply::Object(201, object)),
        };
    }
    if let Some(object) = object.as_object_mut() {
        object.shift_remove("status");
    }
    if kind == Kind::Pod {
        object["status"] = json!({ "phase": "Pending" });
    }
    let now = state.now();
    state.store.create(now, kind, object).map(|object| Reply::Object(201, (*object).clone()))
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
    // What the API server alone writes.
    for field in ["uid", "resourceVersion", "creationTimestamp", "generation", "deletionTimestamp"] {
        if let Some(meta) = wanted.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.shift_remove(field);
        }
    }
    let mut after = before;
    patch::merge(&mut after, &wanted);
    if request.dry_run() {
        return Ok(Reply::Object(200, after));
    }
    let patched = state.store.update(key, |object| *object = after);
    let ending = patched.as_ref().is_some_and(|object| {
        let kept = object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
        key.kind != Kind::Pod && object["metadata"]["deletionTimestamp"].is_string() && !kept
    });
    if ending {
        state.store.remove(key);
    }
    patched.map(|object| Reply::Object(200, (*object).clone())).ok_or_else(|| Refusal::not_found(key))
}

fn delete(state: &mut State, key: &Key, request: &Request) -> Result<Reply, Refusal> {
    let object = found(state, key)?;
    let options = &request.body;
    for (field, name) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
        if let Some(wanted) = options["preconditions"][field].as_str()
            && object["metadata"][field] != wanted
        {
            let is = object["metadata"][field].as_str().unwrap_or_default();
            let why = format!("Precondition failed: {name} in precondition: {wanted}, {name} in object meta: {is}");
            return Err(Refusal::conflict(key, &why));
        }
    }
    match options["propagationPolicy"].as_str() {
        None | Some("Background") => {}
        Some(other) => return Err(unmodelled(state, format!("deletion with propagationPolicy {other}"))),
    }
    if request.dry_run() {
        return Ok(Reply::Object(200, object));
    }
    if key.kind == Kind::Pod {
        delete_pod(state, key, options["gracePeriodSeconds"].as_u64());
    } else if object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty()) {
        let now = seconds(state.now());
        state.store.update(key, |object| {
            let meta = &mut object["metadata"];
            if !meta["deletionTimestamp"].is_string() {
                meta["deletionTimestamp"] = json!(now);
            }
        });
    } else {
        state.store.remove(key);
    }
    Ok(Reply::Object(200, state.store.get(key).map_or(object, |object| (**object).clone())))
}

/// Deletes a pod as the API server does: one that is bound has its grace period, and its kubelet the last word; others vanish at once.
pub fn delete_pod(state: &mut State, key: &Key, grace: Option<u64>) {
    let Some(pod) = state.store.get(key) else { return };
    let usual = pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(USUAL_GRACE);
    let finished = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let bound = pod["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    let grace = if finished { 0 } else { grace.unwrap_or(usual) };
    if !bound || (grace == 0 && finished) {
        state.store.remove(key);
        return;
    }
    let ends = seconds(super::super::state::later(state.now(), std::time::Duration::from_secs(grace)));
    state.store.update(key, |pod| {
        let Some(meta) = pod["metadata"].as_object_mut() else { return };
        shorten(meta, &ends, grace);
    });
}

/// A deletion that has begun can only be made shorter.
fn shorten(meta: &mut Map<String, Value>, ends: &str, grace: u64) {
    let longer = meta.get("deletionGracePeriodSeconds").and_then(Value::as_u64).is_none_or(|former| grace < former);
    if longer {
        meta.insert("deletionTimestamp".to_owned(), json!(ends));
        meta.insert("deletionGracePeriodSeconds".to_owned(), json!(grace));
    }
}
