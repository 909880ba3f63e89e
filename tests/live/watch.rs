//! A second pair of eyes: looks at the cluster about once a second while a run is on, and remembers what it saw.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

use super::eyes::Eyes;
use super::lab::{Lab, NAMESPACE};

/// A pod of the chain, as last seen.
#[derive(Clone, Debug, Default)]
pub struct ChainPod {
    pub job: String,
    pub uid: String,
    pub node: String,
    pub phase: String,
    pub created: String,
    pub log: Option<String>,
}

/// All that was seen.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub looks: usize,
    /// Chain pods by name.
    pub pods: BTreeMap<String, ChainPod>,
    /// Spans in which a node was cordoned.
    pub cordoned: BTreeMap<String, Vec<(Timestamp, Timestamp)>>,
    /// Lowest number of available replicas of each Deployment in `shop`, and when.
    pub lowest: BTreeMap<String, (i64, Timestamp)>,
    /// Names of Leases, with the holders that they had.
    pub leases: BTreeMap<String, BTreeSet<String>>,
    /// Spans in which the API server did not answer, with its last words.
    pub away: Vec<(Timestamp, Timestamp, String)>,
    now_away: bool,
    last_look: Option<Timestamp>,
}

impl Observed {
    /// The chain pod at work on a Job, if one is running.
    pub fn running(&self, job: &str) -> Option<(String, ChainPod)> {
        let newest = self.pods.iter().filter(|(_, pod)| pod.job == job && pod.phase == "Running");
        newest.max_by(|a, b| a.1.created.cmp(&b.1.created)).map(|(name, pod)| (name.clone(), pod.clone()))
    }

    /// Whether a moment lies in an outage of the API server, or less than `after` behind one.
    pub fn near_outage(&self, at: Timestamp, after: Duration) -> bool {
        let after = jiff::SignedDuration::try_from(after).expect("a short time");
        self.away.iter().any(|(from, to, _)| at >= *from && at.duration_since(*to) <= after)
    }
}

pub type Watch = Eyes<Observed>;

impl Watch {
    pub fn start(lab: &Lab) -> Watch {
        let kubeconfig = PathBuf::from(lab.env("KUBECONFIG"));
        Eyes::open(async move |seen, stop| look_until_stopped(&kubeconfig, seen, stop).await)
    }
}

impl Observed {
    /// Notes a look and, where the API server did not answer it, since when and why.
    fn answered(&mut self, looked: Result<(), String>, at: Timestamp) {
        let away = self.now_away;
        self.now_away = looked.is_err();
        match (looked, self.away.last_mut().filter(|_| away)) {
            (Ok(()), Some(last)) => last.1 = Timestamp::now(),
            (Ok(()), None) => {}
            (Err(why), Some(last)) => (last.1, last.2) = (Timestamp::now(), why),
            (Err(why), None) => self.away.push((at, Timestamp::now(), why)),
        }
        self.looks += usize::from(!self.now_away);
    }
}

async fn look_until_stopped(kubeconfig: &Path, seen: &Mutex<Observed>, stop: &AtomicBool) {
    let mut api: Option<kube::Client> = None;
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let at = Timestamp::now();
        let client = match api.take() {
            Some(client) => client,
            None => connect(kubeconfig).await,
        };
        let looked = look(&client, seen, at).await;
        // A new client after a failure: the connections of this one may hang.
        api = looked.is_ok().then_some(client);
        seen.lock().expect("nobody panics with it").answered(looked, at);
        tokio::time::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed())).await;
    }
}

pub async fn connect(kubeconfig: &Path) -> kube::Client {
    // The one crypto provider of the process; a second installation is refused, which is no harm.
    rustls::crypto::ring::default_provider().install_default().ok();
    let read = Kubeconfig::read_from(kubeconfig).expect("the lab's kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.expect("a configuration");
    kube::Client::try_from(config).expect("a client")
}

pub async fn get(api: &kube::Client, path: &str) -> Result<Value, String> {
    let request = http::Request::get(path).body(Vec::new()).expect("a request");
    match tokio::time::timeout(Duration::from_secs(3), api.request::<Value>(request)).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(kube::Error::Api(status))) => Err(format!("{} {}", status.code, status.message)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer within 3 s".to_owned()),
    }
}

async fn log_of(api: &kube::Client, pod: &str) -> Result<String, String> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}/log");
    let request = http::Request::get(path).body(Vec::new()).expect("a request");
    match tokio::time::timeout(Duration::from_secs(5), api.request_text(request)).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("no log within 5 s".to_owned()),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

async fn look(api: &kube::Client, seen: &Mutex<Observed>, at: Timestamp) -> Result<(), String> {
    let pods = get(api, &format!("/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app%3Dk8s-upgrade-chain")).await?;
    let mut ended = Vec::new();
    for pod in items(&pods) {
        let (name, phase) = (text(&pod["metadata"]["name"]), text(&pod["status"]["phase"]));
        let mut seen = seen.lock().expect("nobody panics with it");
        let known = seen.pods.entry(name.clone()).or_default();
        known.job = text(&pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]);
        known.uid = text(&pod["metadata"]["uid"]);
        known.node = text(&pod["spec"]["nodeName"]);
        known.created = text(&pod["metadata"]["creationTimestamp"]);
        if ["Succeeded", "Failed"].contains(&phase.as_str()) && known.log.is_none() {
            ended.push(name);
        }
        known.phase = phase;
    }
    // A drain takes ended pods away, and their logs with them.
    for name in ended {
        let log = log_of(api, &name).await?;
        seen.lock().expect("nobody panics with it").pods.entry(name).or_default().log = Some(log);
    }
    let nodes = get(api, "/api/v1/nodes").await?;
    let deployments = get(api, "/apis/apps/v1/namespaces/shop/deployments").await?;
    let leases = get(api, &format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases")).await?;
    let mut seen = seen.lock().expect("nobody panics with it");
    // A node that was cordoned at two looks in a row was so all the while, the API server's outages included.
    let former = seen.last_look.replace(at);
    for node in items(&nodes).filter(|node| node["spec"]["unschedulable"] == true) {
        let spans = seen.cordoned.entry(text(&node["metadata"]["name"])).or_default();
        match spans.last_mut() {
            Some(last) if Some(last.1) == former => last.1 = at,
            _ => spans.push((at, at)),
        }
    }
    for deployment in items(&deployments) {
        let available = deployment["status"]["availableReplicas"].as_i64().unwrap_or(0);
        let lowest = seen.lowest.entry(text(&deployment["metadata"]["name"])).or_insert((available, at));
        if available < lowest.0 {
            *lowest = (available, at);
        }
    }
    for lease in items(&leases) {
        let holder = text(&lease["spec"]["holderIdentity"]);
        seen.leases.entry(text(&lease["metadata"]["name"])).or_default().insert(holder);
    }
    Ok(())
}
