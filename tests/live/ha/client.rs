//! A client of the cluster that reads and writes through the balancer all the while, and tries nothing twice: what an upgrade costs others.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::eyes::Eyes;
use crate::lab::Lab;
use crate::watch;

const OBJECT: &str = "/api/v1/namespaces/default/configmaps/ha-client";
/// Between two requests of a kind.
const PAUSE: Duration = Duration::from_millis(100);
/// Who waits longer for an answer gives up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of the requests of a kind.
#[derive(Clone, Debug, Default)]
pub struct Kind {
    pub good: usize,
    pub failed: Vec<(Timestamp, String)>,
    /// Of two good answers that follow each other, the times.
    gaps: Vec<(Timestamp, Timestamp)>,
    last: Option<Timestamp>,
}

impl Kind {
    fn note(&mut self, answer: Result<(), String>) {
        let now = Timestamp::now();
        match answer {
            Ok(()) => {
                self.good += 1;
                if let Some(last) = self.last.replace(now) {
                    self.gaps.push((last, now));
                }
            }
            Err(why) => self.failed.push((now, why)),
        }
    }

    pub fn failed_in(&self, from: Timestamp, to: Timestamp) -> usize {
        self.failed.iter().filter(|(at, _)| (from..=to).contains(at)).count()
    }

    /// The longest time without a good answer that touches these; seconds.
    pub fn longest_in(&self, from: Timestamp, to: Timestamp) -> f64 {
        let touching = self.gaps.iter().filter(|(begin, end)| *end >= from && *begin <= to);
        touching.map(|(begin, end)| end.duration_since(*begin).as_secs_f64()).fold(0.0, f64::max)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub reads: Kind,
    pub writes: Kind,
    /// The last number whose writing was acknowledged.
    written: u64,
    /// Reads that showed an older number than one that had been acknowledged before they began.
    pub stale: Vec<(Timestamp, u64, u64)>,
}

pub type Client = Eyes<Seen>;

impl Client {
    pub fn start(lab: &Lab) -> Client {
        lab.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ha-client, namespace: default}\ndata: {n: \"0\"}\n");
        let kubeconfig = PathBuf::from(lab.env("KUBECONFIG"));
        Eyes::open(async move |seen, stop| {
            tokio::join!(reads(&kubeconfig, seen, stop), writes(&kubeconfig, seen, stop));
        })
    }

    /// All that it saw; it ends, and what it last wrote is there.
    pub fn served(self, lab: &Lab) -> Seen {
        let (seen, left) = (self.end(), lab.json(&["-n", "default", "get", "configmap", "ha-client"]));
        assert!(number(&left) >= Some(seen.written), "{} was acknowledged, {:?} is there", seen.written, number(&left));
        assert!(seen.stale.is_empty(), "reads that went back: {:?}", seen.stale);
        seen
    }
}

fn number(object: &Value) -> Option<u64> {
    object["data"]["n"].as_str()?.parse().ok()
}

async fn ask(api: &kube::Client, request: http::Request<Vec<u8>>) -> Result<Value, String> {
    match tokio::time::timeout(PATIENCE, api.request::<Value>(request)).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(kube::Error::Api(status))) => Err(format!("{} {}", status.code, status.message)),
        Ok(Err(error)) => Err(format!("{error:?}").chars().take(200).collect()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// One connection each, as most clients have; a new one after a failure.
async fn reads(kubeconfig: &Path, seen: &Mutex<Seen>, stop: &AtomicBool) {
    let mut api = watch::connect(kubeconfig).await;
    while !stop.load(Ordering::Relaxed) {
        let acknowledged = seen.lock().expect("nobody panics with it").written;
        let answer = ask(&api, http::Request::get(OBJECT).body(Vec::new()).expect("a request")).await;
        if answer.is_err() {
            api = watch::connect(kubeconfig).await;
        }
        {
            let mut seen = seen.lock().expect("nobody panics with it");
            if let Some(n) = answer.as_ref().ok().and_then(number).filter(|n| *n < acknowledged) {
                seen.stale.push((Timestamp::now(), n, acknowledged));
            }
            seen.reads.note(answer.map(drop));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn writes(kubeconfig: &Path, seen: &Mutex<Seen>, stop: &AtomicBool) {
    let mut api = watch::connect(kubeconfig).await;
    for n in 1.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let body = serde_json::to_vec(&json!({ "data": { "n": n.to_string() } })).expect("JSON");
        let request = http::Request::patch(OBJECT).header("Content-Type", "application/merge-patch+json").body(body);
        let answer = ask(&api, request.expect("a request")).await;
        if answer.is_err() {
            api = watch::connect(kubeconfig).await;
        }
        {
            let mut seen = seen.lock().expect("nobody panics with it");
            if answer.is_ok() {
                seen.written = n;
            }
            seen.writes.note(answer.map(drop));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
