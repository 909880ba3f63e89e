//! What Prometheus, the Pushgateway, Vault and the package index answer, and how their places are written.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use k8s_upgrade::adapters::Proxies;
use k8s_upgrade::clients::{Access, Endpoint, Hook, Packages, Prometheus, Pushgateway, Slack, Vault};
use k8s_upgrade::plan::model::answer::Answer;
use k8s_upgrade::world::{Bounds, Env, Web, WebError};

use super::ends;

const DEADLINE: Duration = Duration::from_secs(1);

/// Answers everything with the same text.
#[derive(Default)]
struct Peer(Mutex<String>);

impl Web for Peer {
    fn send<'a>(&'a self, _: Request<Bytes>, _: Bounds) -> BoxFuture<'a, Result<Response<Bytes>, WebError>> {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move { Ok(Response::new(body.into())) })
    }
}

fn known<T>(answer: Answer<T>) -> Option<T> {
    match answer {
        Answer::Known(value) => Some(value),
        Answer::Unknown(_) => None,
    }
}

/// Each text is the peer's answer to `ask`.
fn answers<T, F: Future<Output = Option<T>>>(samples: &[&str], ask: impl Fn(Arc<dyn Web>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let peer = Arc::new(Peer::default());
    ends(samples, |text| {
        text.clone_into(&mut peer.0.lock().unwrap_or_else(PoisonError::into_inner));
        runtime.block_on(ask(peer.clone()))
    });
}

fn at(web: Arc<dyn Web>) -> Endpoint {
    Endpoint::Url { base: "http://there".into(), web, access: Access::default() }
}

#[test]
fn prometheus() {
    let alerts = [
        r#"{"status":"success","data":{"alerts":[{"labels":{"alertname":"Watchdog","severity":"none"},"annotations":{},
        "state":"firing","activeAt":"2026-11-22T16:54:41.1Z","value":"1e+00"},{"labels":{"alertname":"A"},"state":"pending"}]}}"#,
    ];
    answers(&alerts, |web| async move { Prometheus::new(at(web)).look(DEADLINE).await.ok() });
    let rules = [r#"{"status":"success","data":{"groups":[{"name":"Upgrade Gates","interval":60,"rules":[
        {"state":"inactive","name":"K8sVersionSkew","health":"ok","type":"alerting"},{"name":"Bad","health":"err","lastError":"x"}]}]}}"#];
    answers(&rules, |web| async move { known(Prometheus::new(at(web)).rules(DEADLINE).await) });
    let samples = [
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"job":"a"},"value":[1763000000.1,"+Inf"]}]}}"#,
    ];
    answers(&samples, |web| async move { known(Prometheus::new(at(web)).query("up", DEADLINE).await) });
}

#[test]
fn pushgateway() {
    let samples = [
        "# HELP k8s_upgrade_in_flight x\n# TYPE k8s_upgrade_in_flight gauge\nk8s_upgrade_in_flight{job=\"k8s-upgrade\"} 1\nk8s_x 2e+09\n",
        "# TYPE go_info gauge\ngo_info{version=\"go1.2\"} 1\nk8s_upgrade_available{kind=\"a } b\",target=\"1.36.3\"} NaN\n",
    ];
    answers(&samples, |web| async move { known(Pushgateway::new(at(web)).series(DEADLINE).await) });
}

#[test]
fn package_index() {
    let samples = [
        "Package: kubeadm\nVersion: 1.36.10-1.1\nArchitecture: amd64\nDescription: Package: kubelet\n Version: 9.9.9-9\n\n\
         Package: kubeadm\nVersion: 1.36.3-10.1\n\nPackage: kubeadm\nVersion: 1.36.0~rc.1-1.1\n",
        "Package: kubeadm\r\nVersion: 1.36.3-2.1\r\n",
    ];
    answers(&samples, |web| async move {
        let releases = known(Packages::new("https://packages.example", web).releases(36, DEADLINE).await)?.ok()?;
        assert!(!releases.is_empty() && releases.iter().all(|release| release.version.series() == "1.36"), "{releases:?}");
        Some(releases)
    });
}

#[test]
fn vault() {
    fn vault(web: Arc<dyn Web>) -> Vault {
        Vault::new("https://vault.example:8200", "secret", "k8s", "s.token", web).unwrap()
    }
    let kept = [r#"{"data":{"data":{"ssh_key":"x","n":1},"metadata":{"version":3,"destroyed":false}}}"#];
    answers(&kept, |web| async move { vault(web).read(DEADLINE).await.ok() });
    let mount = [r#"{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}"#];
    answers(&mount, |web| async move { vault(web).is_kv2(DEADLINE).await.ok() });
    // As a refusal, the same texts are told.
    let refused = [
        r#"{"errors":["1 error occurred:\n\t* permission denied","invalid token"]}"#,
        r#"{"data":{"secret/data/k8s":["deny"]}}"#,
    ];
    answers(&refused, |web| async move { vault(web).read(DEADLINE).await.err() });
}

#[test]
fn places() {
    let web: Arc<dyn Web> = Arc::new(Peer::default());
    ends(&["https://vault.example:8200", "http://10.0.0.9/"], |text| Vault::new(text, text, text, "t", web.clone()).ok());
    ends(&["https://hooks.example.org/services/T/B/x"], |text| Hook::new(Slack::NAME, text, web.clone()).ok());
    let proxies = ["http://me:x@proxy.example:3128", "proxy:3128", "socks5://10.0.0.1:1080"];
    let url = "https://pkgs.example".parse().unwrap();
    ends(&proxies, |text| {
        let env = ["HTTPS_PROXY", "NO_PROXY"].map(|name| (name.to_owned(), text.to_owned()));
        Some(Proxies::new(&Env::from(env)).ok()?.of(&url).cloned())
    });
}
