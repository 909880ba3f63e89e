//! Eyes on each control plane, past the balancer: its member of etcd and its API server, several times a second; and, through the balancer, the
//! kubelets and the Leases of the leaders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;

use super::CONTROL_PLANES;
use crate::eyes::Eyes;
use crate::lab::Lab;
use crate::watch;

const EVERY: Duration = Duration::from_millis(400);
/// Who has not answered by then is away. The machine may be busy.
const PATIENCE: Duration = Duration::from_secs(3);
const LEADERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];

/// What one look at a member of etcd showed.
#[derive(Clone, Debug)]
struct Member {
    id: String,
    leader: String,
    learner: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub looks: usize,
    /// Spans in which a control plane's member of etcd did not answer; with it who led at the last look before.
    pub away: Vec<(String, Timestamp, Timestamp, Option<String>)>,
    /// Looks at which two or more did not.
    pub several_away: Vec<(Timestamp, Vec<String>)>,
    /// Who led, each time that another did.
    pub leaders: Vec<(Timestamp, String)>,
    pub learners: BTreeSet<String>,
    /// When a control plane's API server, and its kubelet, first showed a version.
    pub servers: BTreeMap<(String, String), Timestamp>,
    pub kubelets: BTreeMap<(String, String), Timestamp>,
    /// The times at which a leader's Lease was renewed, as they were seen, with its holder.
    renewed: BTreeMap<String, BTreeMap<Timestamp, String>>,
    ids: BTreeMap<String, String>,
    away_now: BTreeSet<String>,
}

impl Seen {
    /// The longest time for which a Lease was not renewed, when it began, and from whom to whom it went.
    pub fn longest_gap(&self, lease: &str) -> (f64, Timestamp, String) {
        let renewed: Vec<_> = self.renewed.get(lease).into_iter().flatten().collect();
        let gaps = renewed.windows(2).map(|pair| {
            let [(from, before), (to, after)] = pair else { unreachable!("windows of two") };
            (to.duration_since(**from).as_secs_f64(), **from, format!("{before} → {after}"))
        });
        gaps.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, Timestamp::UNIX_EPOCH, String::new()))
    }

    /// How often another held it.
    pub fn handed_over(&self, lease: &str) -> usize {
        let holders: Vec<_> = self.renewed.get(lease).into_iter().flat_map(BTreeMap::values).collect();
        holders.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    pub fn leases() -> [&'static str; 2] {
        LEADERS
    }

    fn members(&mut self, at: Timestamp, looked: Vec<Option<Member>>) {
        let led = self.leaders.last().map(|(_, node)| node.clone());
        let mut absent = Vec::new();
        for ((node, _), member) in CONTROL_PLANES.iter().zip(looked) {
            let was_away = self.away_now.contains(*node);
            let Some(member) = member else {
                absent.push((*node).to_owned());
                match self.away.iter_mut().rev().find(|(of, ..)| of == node).filter(|_| was_away) {
                    Some(span) => span.2 = Timestamp::now(),
                    None => self.away.push(((*node).to_owned(), at, Timestamp::now(), led.clone())),
                }
                self.away_now.insert((*node).to_owned());
                continue;
            };
            self.away_now.remove(*node);
            self.ids.insert(member.id, (*node).to_owned());
            if member.learner {
                self.learners.insert((*node).to_owned());
            }
            if let Some(leader) = self.ids.get(&member.leader).cloned()
                && self.leaders.last().is_none_or(|(_, last)| *last != leader)
                && member.leader != "0"
            {
                self.leaders.push((at, leader));
            }
        }
        if absent.len() > 1 {
            self.several_away.push((at, absent));
        }
        self.looks += 1;
    }
}

pub type Members = Eyes<Seen>;

impl Members {
    pub fn start(lab: &Lab) -> Members {
        let pki = "/etc/kubernetes/pki/etcd";
        let identity = lab.on("k8s-master", &format!("sudo -n cat {pki}/healthcheck-client.crt {pki}/healthcheck-client.key"));
        let kubeconfig = PathBuf::from(lab.env("KUBECONFIG"));
        Eyes::open(async move |seen, stop| {
            tokio::join!(machines(&identity, seen, stop), cluster(&kubeconfig, seen, stop));
        })
    }
}

/// Each look on connections of its own: one that hangs on a machine without power would say nothing of the next. To an API server nothing is
/// shown: it lets in who shows nothing, and refuses a certificate of etcd's.
fn web(identity: Option<&str>) -> reqwest::Client {
    let builder =
        reqwest::Client::builder().danger_accept_invalid_certs(true).no_proxy().timeout(PATIENCE).pool_max_idle_per_host(0);
    let read = |identity: &str| reqwest::Identity::from_pem(identity.as_bytes()).expect("a certificate and its key");
    match identity.map(read) {
        Some(identity) => builder.identity(identity),
        None => builder,
    }
    .build()
    .expect("a client")
}

async fn machines(identity: &str, seen: &Mutex<Seen>, stop: &AtomicBool) {
    rustls::crypto::ring::default_provider().install_default().ok();
    let (known, anyone) = (web(Some(identity)), web(None));
    while !stop.load(Ordering::Relaxed) {
        let (begun, at) = (Instant::now(), Timestamp::now());
        let looks =
            CONTROL_PLANES.iter().map(|(_, address)| async { tokio::join!(member(&known, address), server(&anyone, address)) });
        let (members, servers): (Vec<_>, Vec<_>) = join_all(looks).await.into_iter().unzip();
        {
            let mut seen = seen.lock().expect("nobody panics with it");
            seen.members(at, members);
            for ((node, _), version) in CONTROL_PLANES.iter().zip(servers) {
                if let Some(version) = version {
                    seen.servers.entry(((*node).to_owned(), version)).or_insert(at);
                }
            }
        }
        tokio::time::sleep(EVERY.saturating_sub(begun.elapsed())).await;
    }
}

/// What a member says of itself; it is asked nothing that needs the others.
async fn member(web: &reqwest::Client, address: &str) -> Option<Member> {
    let asked = web.post(format!("https://{address}:2379/v3/maintenance/status")).body("{}").send().await.ok()?;
    let said: Value = asked.error_for_status().ok()?.json().await.ok()?;
    let text = |value: &Value| value.as_str().unwrap_or("0").to_owned();
    Some(Member { id: text(&said["header"]["member_id"]), leader: text(&said["leader"]), learner: said["isLearner"] == true })
}

async fn server(web: &reqwest::Client, address: &str) -> Option<String> {
    let said: Value = web.get(format!("https://{address}:6443/version")).send().await.ok()?.json().await.ok()?;
    Some(said["gitVersion"].as_str()?.trim_start_matches('v').to_owned())
}

async fn cluster(kubeconfig: &Path, seen: &Mutex<Seen>, stop: &AtomicBool) {
    let mut api = watch::connect(kubeconfig).await;
    while !stop.load(Ordering::Relaxed) {
        if look(&api, seen).await.is_err() {
            api = watch::connect(kubeconfig).await;
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn look(api: &kube::Client, seen: &Mutex<Seen>) -> Result<(), String> {
    let at = Timestamp::now();
    let nodes = watch::get(api, "/api/v1/nodes?labelSelector=node-role.kubernetes.io/control-plane").await?;
    for node in nodes["items"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().trim_start_matches('v').to_owned();
        let key = (text(&node["metadata"]["name"]), text(&node["status"]["nodeInfo"]["kubeletVersion"]));
        seen.lock().expect("nobody panics with it").kubelets.entry(key).or_insert(at);
    }
    for name in LEADERS {
        let lease = watch::get(api, &format!("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{name}")).await?;
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        if let Some(renewed) = lease["spec"]["renewTime"].as_str().and_then(|time| time.parse().ok()) {
            let holder = holder.rsplit_once('_').map_or(holder, |(node, _)| node).to_owned();
            seen.lock().expect("nobody panics with it").renewed.entry(name.to_owned()).or_default().insert(renewed, holder);
        }
    }
    Ok(())
}
