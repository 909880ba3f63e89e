//! What behaviours are written with: a namespace of their own on some cluster, calls as they go over the wire, and waits with a deadline.

use std::time::Duration;

use futures::StreamExt;
use futures::future::LocalBoxFuture;
use futures::stream::BoxStream;
use kube::Client;
use kube::client::Body;
use kube::core::WatchEvent;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

/// What a cluster must offer to be held to the suite. No machine stands behind a node here: there is no scheduler and no kubelet, so the
/// suite plays both by the calls that they make. A cluster in which they are at work overrides the last three with a wait.
pub trait Cluster {
    /// May do everything, and asks for no permit.
    fn admin(&self) -> Client;
    /// Acts with the rights of a ServiceAccount.
    fn service_account(&self, namespace: &str, name: &str) -> Client;
    /// Shows a token that nobody has issued.
    fn stranger(&self) -> Client;
    /// Ends the names of what belongs to no namespace, so that a suite can run twice on one cluster.
    fn salt(&self) -> String;

    /// The pod runs on that node and is ready.
    fn run_pod<'a>(&'a self, bench: &'a Bench<'a>, pod: &'a str, node: &'a str) -> LocalBoxFuture<'a, ()> {
        Box::pin(crate::kubelet::run_pod(bench, pod, node))
    }
    /// Its container has ended with this code, and it is not restarted.
    fn end_pod<'a>(&'a self, bench: &'a Bench<'a>, pod: &'a str, exit: i32) -> LocalBoxFuture<'a, ()> {
        Box::pin(crate::kubelet::end_pod(bench, pod, exit))
    }
    /// A deleted pod has stopped: nothing of it runs any more.
    fn stop_pod<'a>(&'a self, bench: &'a Bench<'a>, pod: &'a str) -> LocalBoxFuture<'a, ()> {
        Box::pin(crate::kubelet::stop_pod(bench, pod))
    }
}

pub type Behaviour = for<'a> fn(&'a Bench<'a>) -> LocalBoxFuture<'a, ()>;

/// How long something may take that a controller does at once. Nothing here depends on it but how long a failure takes to be told.
pub const SOON: u64 = 60;

/// A behaviour's place in a cluster.
pub struct Bench<'a> {
    pub cluster: &'a dyn Cluster,
    client: Client,
    /// The namespace, which is also the prefix of all that belongs to none.
    pub ns: String,
}

/// Runs one behaviour in a namespace of its own and says how long it took.
pub async fn hold(cluster: &dyn Cluster, name: &str, behaviour: Behaviour) {
    let begun = Instant::now();
    // a namespace's name has room for 63 characters
    let ns: String = name.replace('_', "-").chars().take(50).collect();
    let bench = Bench { cluster, client: cluster.admin(), ns: format!("{}-{}", ns.trim_matches('-'), cluster.salt()) };
    bench.post("namespaces", json!({ "metadata": { "name": bench.ns } })).await.ok();
    // Admission refuses pods until then; a controller makes it.
    bench.there("serviceaccounts/default").await;
    behaviour(&bench).await;
    eprintln!("{:6.1} s  {name}", begun.elapsed().as_secs_f64());
}

/// `pods/x?dryRun=All` in its API group, and in the namespace if it belongs to one.
fn url(ns: &str, short: &str) -> String {
    if short.starts_with('/') {
        return short.to_owned();
    }
    let resource = short.split(['/', '?']).next().unwrap_or_default();
    let api = match resource {
        "nodes"
        | "namespaces"
        | "pods"
        | "configmaps"
        | "secrets"
        | "services"
        | "serviceaccounts"
        | "events"
        | "resourcequotas"
        | "persistentvolumeclaims" => "/api/v1",
        "jobs" | "cronjobs" => "/apis/batch/v1",
        "deployments" | "replicasets" | "daemonsets" | "statefulsets" => "/apis/apps/v1",
        "leases" => "/apis/coordination.k8s.io/v1",
        "horizontalpodautoscalers" => "/apis/autoscaling/v2",
        "poddisruptionbudgets" => "/apis/policy/v1",
        "selfsubjectaccessreviews" => "/apis/authorization.k8s.io/v1",
        "roles" | "rolebindings" | "clusterroles" | "clusterrolebindings" => "/apis/rbac.authorization.k8s.io/v1",
        "endpointslices" => "/apis/discovery.k8s.io/v1",
        "validatingadmissionpolicies"
        | "validatingadmissionpolicybindings"
        | "mutatingwebhookconfigurations"
        | "validatingwebhookconfigurations" => "/apis/admissionregistration.k8s.io/v1",
        other => panic!("the suite does not know where {other} belongs"),
    };
    match resource {
        "nodes" | "namespaces" | "selfsubjectaccessreviews" | "clusterroles" | "clusterrolebindings" => format!("{api}/{short}"),
        "validatingadmissionpolicies" | "validatingadmissionpolicybindings" => format!("{api}/{short}"),
        "mutatingwebhookconfigurations" | "validatingwebhookconfigurations" => format!("{api}/{short}"),
        _ => format!("{api}/namespaces/{ns}/{short}"),
    }
}

impl Bench<'_> {
    /// The same place, with the rights of a ServiceAccount of its namespace.
    pub fn acting_as(&self, account: &str) -> Bench<'_> {
        self.with(self.cluster.service_account(&self.ns, account))
    }

    pub fn with(&self, client: Client) -> Bench<'_> {
        Bench { cluster: self.cluster, client, ns: self.ns.clone() }
    }

    async fn call(&self, method: &str, path: &str, content: &str, body: Option<Value>) -> Answer {
        let url = url(&self.ns, path);
        let call = format!("{method} {url}");
        let body = body.map_or_else(Vec::new, |body| serde_json::to_vec(&body).unwrap());
        let request = http::Request::builder().method(method).uri(&url).header("accept", "application/json");
        let request = request.header("content-type", content).body(Body::from(body)).unwrap();
        let response = timeout(Duration::from_secs(30), self.client.send(request)).await;
        let response = response.unwrap_or_else(|_| panic!("{call}: no answer")).unwrap_or_else(|error| panic!("{call}: {error}"));
        let (parts, body) = response.into_parts();
        let bytes = body.collect_bytes().await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        Answer { call, code: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "application/json", None).await
    }

    /// Kind and group may be left out: the path says them.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, "application/json", Some(body)).await
    }

    /// A merge patch, the one type that the program uses.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call("PATCH", path, "application/merge-patch+json", Some(body)).await
    }

    /// With DeleteOptions; `{}` for none.
    pub async fn delete(&self, path: &str, options: Value) -> Answer {
        self.call("DELETE", path, "application/json", Some(options)).await
    }

    /// Whatever the method, as those above.
    pub async fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        match method {
            "POST" => self.post(path, body).await,
            "PATCH" => self.patch(path, body).await,
            "DELETE" => self.delete(path, body).await,
            _ => self.get(path).await,
        }
    }

    /// A list's items.
    pub async fn items(&self, path: &str) -> Vec<Value> {
        self.get(path).await.ok()["items"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until it exists.
    pub async fn there(&self, path: &str) -> Value {
        self.until(path, async || Some(self.get(path).await).filter(|answer| answer.code == 200).map(|answer| answer.body)).await
    }

    /// Waits until it is gone.
    pub async fn gone(&self, path: &str) {
        self.until(&format!("{path} to be gone"), async || (self.get(path).await.code == 404).then_some(())).await;
    }

    /// Waits until the object is as wanted.
    pub async fn is(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let what = format!("{path} to be as wanted");
        self.until(&what, async || Some(self.get(path).await.ok()).filter(|object| wanted(object))).await
    }

    /// Waits for the one pod that a selector chooses beside the known ones, and gives its name.
    pub async fn new_pod(&self, labels: &str, known: &[&str]) -> String {
        self.new_pods(labels, known, 1).await.remove(0)
    }

    pub async fn new_pods(&self, labels: &str, known: &[&str], count: usize) -> Vec<String> {
        let path = format!("pods?labelSelector={labels}");
        let what = format!("{count} pods {labels}");
        self.until(&what, async || {
            let names = names(&self.items(&path).await);
            let new: Vec<String> = names.into_iter().filter(|name| !known.contains(&name.as_str())).collect();
            (new.len() == count).then_some(new)
        })
        .await
    }

    pub async fn until<T>(&self, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
        self.within(SOON, what, async || probe().await).await
    }

    /// Looks until there is something, or panics after `seconds`.
    pub async fn within<T>(&self, seconds: u64, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            assert!(begun.elapsed().as_secs() < seconds, "{}: waited {seconds} s for {what}", self.ns);
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Sees that something holds all the time.
    pub async fn always(&self, seconds: u64, what: &str, mut probe: impl AsyncFnMut() -> bool) {
        let begun = Instant::now();
        while begun.elapsed().as_secs() < seconds {
            assert!(probe().await, "{}: after {:?} no longer: {what}", self.ns, begun.elapsed());
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Opens a watch; the path says from where.
    pub async fn watch(&self, path: &str) -> Watch {
        let joint = if path.contains('?') { '&' } else { '?' };
        let url = format!("{}{joint}watch=true", url(&self.ns, path));
        let request = http::Request::builder().uri(&url).body(Vec::new()).unwrap();
        let events = self.client.request_events::<Value>(request).await;
        Watch { events: events.unwrap_or_else(|error| panic!("watch {url}: {error}")).boxed() }
    }

    pub async fn run_pod(&self, pod: &str, node: &str) {
        self.cluster.run_pod(self, pod, node).await;
    }

    pub async fn end_pod(&self, pod: &str, exit: i32) {
        self.cluster.end_pod(self, pod, exit).await;
    }

    pub async fn stop_pod(&self, pod: &str) {
        self.cluster.stop_pod(self, pod).await;
    }

    /// A node that is Ready, by that name behind the namespace's.
    pub async fn node(&self, name: &str) -> String {
        let node = format!("{}-{name}", self.ns);
        crate::kubelet::join(self, &node).await;
        node
    }

    /// A pod of one container, labelled `app=<app>`.
    pub async fn pod(&self, name: &str, app: &str) -> Value {
        let metadata = json!({ "name": name, "labels": { "app": app } });
        self.post("pods", json!({ "metadata": metadata, "spec": container() })).await.ok()
    }
}

/// A pod's spec of one container, named as the program's.
pub fn container() -> Value {
    json!({ "containers": [{ "name": "k8s-upgrade", "image": "none" }] })
}

/// The text at a JSON pointer; nothing where there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

pub fn version(object: &Value) -> &str {
    text(object, "/metadata/resourceVersion")
}

pub fn names(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| text(item, "/metadata/name").to_owned()).collect()
}

/// A condition of an object's status; null if it has none of that type.
pub fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

pub fn is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind)["status"] == "True"
}

/// What the API server said.
pub struct Answer {
    pub call: String,
    pub code: u16,
    pub headers: http::HeaderMap,
    pub body: Value,
}

impl Answer {
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.code), "{} gave {}: {}", self.call, self.code, self.body["message"]);
        self.body
    }

    #[track_caller]
    pub fn with_code(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}: {}", self.call, self.body);
        self.body
    }

    /// A Status of failure with exactly this code, reason and message.
    #[track_caller]
    pub fn refused(self, code: u16, reason: &str, message: &str) -> Value {
        let said = (self.code, text(&self.body, "/reason"), text(&self.body, "/message"));
        assert_eq!(said, (code, reason, message), "{}: {}", self.call, self.body);
        assert_eq!((&self.body["kind"], &self.body["status"]), (&json!("Status"), &json!("Failure")), "{}", self.call);
        assert_eq!(self.body["code"], code, "{}: the body's code", self.call);
        self.body
    }
}

pub struct Watch {
    events: BoxStream<'static, kube::Result<WatchEvent<Value>>>,
}

impl Watch {
    /// The next event: its type and its object. None when the stream has ended cleanly.
    pub async fn next(&mut self) -> Option<(&'static str, Value)> {
        self.next_within(SOON).await
    }

    pub async fn next_within(&mut self, seconds: u64) -> Option<(&'static str, Value)> {
        let event = timeout(Duration::from_secs(seconds), self.events.next()).await.expect("the watch is silent");
        Some(match event?.unwrap_or_else(|error| panic!("the watch broke: {error}")) {
            WatchEvent::Added(object) => ("ADDED", object),
            WatchEvent::Modified(object) => ("MODIFIED", object),
            WatchEvent::Deleted(object) => ("DELETED", object),
            WatchEvent::Bookmark(bookmark) => ("BOOKMARK", serde_json::to_value(bookmark).unwrap()),
            WatchEvent::Error(status) => ("ERROR", serde_json::to_value(status).unwrap()),
        })
    }

    /// The next event, which must be of this type and about an object of this name.
    #[track_caller]
    pub fn expect<'a>(&'a mut self, kind: &'a str, name: &'a str) -> LocalBoxFuture<'a, Value> {
        let caller = std::panic::Location::caller();
        Box::pin(async move {
            let (got, object) = self.next().await.unwrap_or_else(|| panic!("{caller}: the watch ended"));
            assert_eq!((got, text(&object, "/metadata/name")), (kind, name), "{caller}: {object}");
            object
        })
    }
}
