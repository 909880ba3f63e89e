//! The objects of the API server: what etcd holds, and what it tells those who watch.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// The kinds that exist here. Any other is unmodelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Namespace,
    Node,
    Pod,
    ConfigMap,
    Secret,
    ServiceAccount,
    Deployment,
    ReplicaSet,
    StatefulSet,
    DaemonSet,
    Job,
    CronJob,
    Budget,
    Autoscaler,
    Lease,
    ClusterRole,
    ClusterRoleBinding,
    Role,
    RoleBinding,
    /// Of admission: kept, and not applied.
    Policy,
    PolicyBinding,
    MutatingWebhook,
    ValidatingWebhook,
    EndpointSlice,
    Service,
    Quota,
    /// What controllers say of an object.
    Event,
    /// A custom kind: what External Secrets brings from Vault into a Secret.
    ExternalSecret,
    /// A pod's disk, as it is asked for: nothing is bound to it here.
    Claim,
}

/// How a kind is named in paths and in objects.
pub struct Names {
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
}

impl Kind {
    pub const ALL: [Kind; 29] = [
        Kind::Namespace,
        Kind::Node,
        Kind::Pod,
        Kind::ConfigMap,
        Kind::Secret,
        Kind::ServiceAccount,
        Kind::Deployment,
        Kind::ReplicaSet,
        Kind::StatefulSet,
        Kind::DaemonSet,
        Kind::Job,
        Kind::CronJob,
        Kind::Budget,
        Kind::Autoscaler,
        Kind::Lease,
        Kind::ClusterRole,
        Kind::ClusterRoleBinding,
        Kind::Role,
        Kind::RoleBinding,
        Kind::Policy,
        Kind::PolicyBinding,
        Kind::MutatingWebhook,
        Kind::ValidatingWebhook,
        Kind::EndpointSlice,
        Kind::Service,
        Kind::Quota,
        Kind::Event,
        Kind::ExternalSecret,
        Kind::Claim,
    ];

    pub const fn names(self) -> Names {
        const fn of(
            group: &'static str,
            version: &'static str,
            plural: &'static str,
            kind: &'static str,
            namespaced: bool,
        ) -> Names {
            Names { group, version, plural, kind, namespaced }
        }
        const RBAC: &str = "rbac.authorization.k8s.io";
        const ADMISSION: &str = "admissionregistration.k8s.io";
        match self {
            Kind::Namespace => of("", "v1", "namespaces", "Namespace", false),
            Kind::Node => of("", "v1", "nodes", "Node", false),
            Kind::Pod => of("", "v1", "pods", "Pod", true),
            Kind::ConfigMap => of("", "v1", "configmaps", "ConfigMap", true),
            Kind::Secret => of("", "v1", "secrets", "Secret", true),
            Kind::ServiceAccount => of("", "v1", "serviceaccounts", "ServiceAccount", true),
            Kind::Deployment => of("apps", "v1", "deployments", "Deployment", true),
            Kind::ReplicaSet => of("apps", "v1", "replicasets", "ReplicaSet", true),
            Kind::StatefulSet => of("apps", "v1", "statefulsets", "StatefulSet", true),
            Kind::DaemonSet => of("apps", "v1", "daemonsets", "DaemonSet", true),
            Kind::Job => of("batch", "v1", "jobs", "Job", true),
            Kind::CronJob => of("batch", "v1", "cronjobs", "CronJob", true),
            Kind::Budget => of("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true),
            Kind::Autoscaler => of("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", true),
            Kind::Lease => of("coordination.k8s.io", "v1", "leases", "Lease", true),
            Kind::ClusterRole => of(RBAC, "v1", "clusterroles", "ClusterRole", false),
            Kind::ClusterRoleBinding => of(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", false),
            Kind::Role => of(RBAC, "v1", "roles", "Role", true),
            Kind::RoleBinding => of(RBAC, "v1", "rolebindings", "RoleBinding", true),
            Kind::Policy => of(ADMISSION, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", false),
            Kind::PolicyBinding => {
                of(ADMISSION, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", false)
            }
            Kind::MutatingWebhook => of(ADMISSION, "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", false),
            Kind::ValidatingWebhook => {
                of(ADMISSION, "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", false)
            }
            Kind::EndpointSlice => of("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true),
            Kind::Service => of("", "v1", "services", "Service", true),
            Kind::Quota => of("", "v1", "resourcequotas", "ResourceQuota", true),
            Kind::Event => of("", "v1", "events", "Event", true),
            Kind::Claim => of("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", true),
            Kind::ExternalSecret => of("external-secrets.io", "v1", "externalsecrets", "ExternalSecret", true),
        }
    }

    /// `jobs.batch`, as messages of the API server name a resource.
    pub fn qualified(self) -> String {
        let names = self.names();
        if names.group.is_empty() { names.plural.to_owned() } else { format!("{}.{}", names.plural, names.group) }
    }

    pub fn api_version(self) -> String {
        let names = self.names();
        if names.group.is_empty() { names.version.to_owned() } else { format!("{}/{}", names.group, names.version) }
    }

    pub fn of_object(object: &Value) -> Option<Kind> {
        let (version, kind) = (object["apiVersion"].as_str()?, object["kind"].as_str()?);
        Kind::ALL.into_iter().find(|known| known.names().kind == kind && known.api_version() == version)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub kind: Kind,
    /// Empty for what lies in no namespace.
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Key { kind, namespace: namespace.to_owned(), name: name.to_owned() }
    }
    pub fn node(name: &str) -> Self {
        Key::new(Kind::Node, "", name)
    }
    pub fn of(kind: Kind, object: &Value) -> Self {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        Key::new(kind, text("namespace"), text("name"))
    }
    /// `namespace/name`, or the name alone.
    pub fn full_name(&self) -> String {
        if self.namespace.is_empty() { self.name.clone() } else { format!("{}/{}", self.namespace, self.name) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Added,
    Modified,
    Deleted,
}

/// One write, as watchers learn of it.
#[derive(Debug)]
pub struct Event {
    pub version: u64,
    pub verb: Verb,
    pub key: Key,
    pub object: Arc<Value>,
    /// What it was: a watch with a selector must see what leaves the selection.
    pub before: Option<Arc<Value>>,
}

/// There is an object of that name already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken(pub Key);

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} already exists", self.0.kind.qualified(), self.0.name)
    }
}

/// How many events a watch may lag behind before its version is too old.
const REMEMBERED: usize = 4000;

/// An object at one version, with its text once somebody has asked for it: lists are asked for far more often than anything changes.
#[derive(Clone, Debug)]
struct Stored {
    object: Arc<Value>,
    text: Arc<OnceLock<Bytes>>,
}

impl Stored {
    fn new(object: &Arc<Value>) -> Self {
        Stored { object: object.clone(), text: Arc::default() }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Store {
    objects: BTreeMap<Key, Stored>,
    version: u64,
    uids: u64,
    events: VecDeque<Arc<Event>>,
    /// Watches from this version or an older one are too old.
    compacted: u64,
}

impl Store {
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key).map(|stored| &stored.object)
    }

    /// All objects of a kind, by namespace and name.
    pub fn list(&self, kind: Kind) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.within(kind, "")
    }

    /// Those of one namespace; of all, where it is empty.
    pub fn within(&self, kind: Kind, namespace: &str) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        let (first, every) = (Key::new(kind, namespace, ""), namespace.is_empty());
        let own = self.objects.range(first.clone()..);
        let own = own.take_while(move |(key, _)| key.kind == kind && (every || key.namespace == first.namespace));
        own.map(|(key, stored)| (key, &stored.object))
    }

    /// Those of one namespace whose names begin so.
    pub fn beginning<'a>(
        &'a self,
        kind: Kind,
        namespace: &str,
        with: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        let first = Key::new(kind, namespace, with);
        let own = self.objects.range(first.clone()..);
        let own =
            own.take_while(move |(key, _)| key.kind == kind && key.namespace == first.namespace && key.name.starts_with(with));
        own.map(|(key, stored)| (key, &stored.object))
    }

    /// An object as JSON, without the kind and version that its list says once.
    pub fn item(&self, key: &Key, object: &Arc<Value>) -> Bytes {
        match self.objects.get(key).filter(|stored| Arc::ptr_eq(&stored.object, object)) {
            Some(stored) => stored.text.get_or_init(|| bare(object)).clone(),
            None => bare(object),
        }
    }

    /// An object as JSON.
    pub fn text(&self, key: &Key, object: &Arc<Value>) -> String {
        let item = String::from_utf8_lossy(&self.item(key, object)).into_owned();
        format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",{}", key.kind.names().kind, key.kind.api_version(), &item[1..])
    }

    /// The object with this UID.
    pub fn by_uid(&self, kind: Kind, uid: &str) -> Option<(&Key, &Arc<Value>)> {
        self.list(kind).find(|(_, object)| object["metadata"]["uid"] == uid)
    }

    /// Events after `version`, oldest first; None if it is too old.
    pub fn since(&self, version: u64) -> Option<impl Iterator<Item = &Arc<Event>>> {
        if version < self.compacted {
            return None;
        }
        let first = self.events.partition_point(|event| event.version <= version);
        Some(self.events.range(first..))
    }

    /// All objects of a kind and namespace as they were at a version, in order, those behind `after` (namespace, name); None if it is too old.
    pub fn list_at(
        &self,
        kind: Kind,
        namespace: &str,
        version: u64,
        after: Option<(&str, &str)>,
    ) -> Option<impl Iterator<Item = (&Key, &Arc<Value>)>> {
        let all = namespace.is_empty();
        let from = after.map_or(Bound::Included(Key::new(kind, namespace, "")), |(namespace, name)| {
            Bound::Excluded(Key::new(kind, namespace, name))
        });
        let within = Key::new(kind, namespace, "");
        let within = move |key: &Key| key.kind == kind && (all || key.namespace == within.namespace);
        // What has changed since, as it was.
        let mut then: BTreeMap<&Key, Option<&Arc<Value>>> = BTreeMap::new();
        for event in self.since(version)?.collect::<Vec<_>>().into_iter().rev() {
            if within(&event.key) && (from.as_ref(), Bound::Unbounded).contains(&event.key) {
                then.insert(&event.key, event.before.as_ref());
            }
        }
        let mut now = self
            .objects
            .range((from, Bound::Unbounded))
            .take_while(move |(key, _)| within(key))
            .map(|(key, one)| (key, &one.object))
            .peekable();
        let mut then = then.into_iter().peekable();
        Some(std::iter::from_fn(move || {
            loop {
                match (now.peek(), then.peek()) {
                    (Some((is, _)), Some((was, _))) if is < was => return now.next(),
                    (_, None) => return now.next(),
                    (is, Some((was, _))) => {
                        if is.is_some_and(|(is, _)| is == was) {
                            now.next();
                        }
                        if let Some((key, Some(object))) = then.next() {
                            return Some((key, object));
                        }
                    }
                }
            }
        }))
    }

    /// A UID for an object to come, which nobody else will have.
    pub fn next_uid(&mut self) -> String {
        self.uids += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.uids)
    }

    /// Forgets the events up to now: whoever watches from before gets 410.
    pub fn compact(&mut self) {
        self.compacted = self.version;
        self.events.clear();
    }

    fn tell(&mut self, verb: Verb, key: Key, object: Arc<Value>, before: Option<Arc<Value>>) {
        self.events.push_back(Arc::new(Event { version: self.version, verb, key, object, before }));
        if self.events.len() > REMEMBERED
            && let Some(gone) = self.events.pop_front()
        {
            self.compacted = gone.version;
        }
    }

    /// Creates an object with the fields that the API server fills in.
    pub fn create(&mut self, now: Timestamp, kind: Kind, mut object: Value) -> Result<Arc<Value>, Taken> {
        let names = kind.names();
        if object["metadata"]["name"].as_str().is_none_or(str::is_empty)
            && let Some(start) = object["metadata"]["generateName"].as_str().map(str::to_owned)
        {
            object["metadata"]["name"] = json!(format!("{start}{}", suffix(self.uids + 1)));
        }
        let key = Key::of(kind, &object);
        if self.objects.contains_key(&key) {
            return Err(Taken(key));
        }
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(self.next_uid());
        }
        self.version += 1;
        object["apiVersion"] = json!(kind.api_version());
        object["kind"] = json!(names.kind);
        let meta = &mut object["metadata"];
        meta["resourceVersion"] = json!(self.version.to_string());
        meta["creationTimestamp"] = json!(seconds(now));
        if has_generation(kind) {
            meta["generation"] = json!(1);
        }
        let object = Arc::new(object);
        self.objects.insert(key.clone(), Stored::new(&object));
        self.tell(Verb::Added, key, object.clone(), None);
        Ok(object)
    }

    /// Changes an object; nothing is written where nothing changes. What is being deleted goes with its last finalizer. None: there is no
    /// such object.
    pub fn update(&mut self, key: &Key, edit: impl FnOnce(&mut Value)) -> Option<Arc<Value>> {
        let before = self.get(key)?.clone();
        let mut object = (*before).clone();
        edit(&mut object);
        if object == *before {
            return Some(before);
        }
        self.version += 1;
        if has_generation(key.kind) && object["spec"] != before["spec"] {
            let generation = before["metadata"]["generation"].as_u64().unwrap_or(0);
            object["metadata"]["generation"] = json!(generation + 1);
        }
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let released = is_held(&before) && !is_held(&object);
        let object = Arc::new(object);
        if released && object["metadata"]["deletionTimestamp"].is_string() && !runs(&object) {
            self.objects.remove(key);
            self.tell(Verb::Deleted, key.clone(), object.clone(), Some(before));
        } else {
            self.objects.insert(key.clone(), Stored::new(&object));
            self.tell(Verb::Modified, key.clone(), object.clone(), Some(before));
        }
        Some(object)
    }

    /// Takes an object away at once, whatever guards it.
    pub fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?.object;
        self.version += 1;
        let mut last = (*before).clone();
        last["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let last = Arc::new(last);
        self.tell(Verb::Deleted, key.clone(), last.clone(), Some(before));
        Some(last)
    }
}

fn bare(object: &Value) -> Bytes {
    struct Bare<'a>(&'a Value);
    impl Serialize for Bare<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let fields = self.0.as_object().into_iter().flatten();
            serializer.collect_map(fields.filter(|(name, _)| !matches!(name.as_str(), "kind" | "apiVersion")))
        }
    }
    serde_json::to_vec(&Bare(object)).unwrap_or_default().into()
}

/// Finalizers guard it.
pub fn is_held(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

/// A pod whose kubelet has the last word on its end.
fn runs(object: &Value) -> bool {
    object["metadata"]["deletionGracePeriodSeconds"].as_u64().is_some_and(|grace| grace > 0)
}

fn has_generation(kind: Kind) -> bool {
    use Kind::{Budget, CronJob, DaemonSet, Deployment, Job, Pod, ReplicaSet, StatefulSet};
    matches!(kind, Pod | Deployment | ReplicaSet | StatefulSet | DaemonSet | Job | CronJob | Budget)
}

/// Kubernetes' times are whole seconds.
pub fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Five characters of a generated name, as Kubernetes chooses them: no vowels, nothing that looks alike.
pub fn suffix(number: u64) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (number << 17);
    let mut text = String::new();
    for _ in 0..5 {
        text.push(char::from(LETTERS[(mixed >> 32) as usize % LETTERS.len()]));
        mixed = mixed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(1);
    }
    text
}
