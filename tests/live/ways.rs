//! Two ways out instead of a drain that takes something down: a Deployment's only pod is up elsewhere before it goes, and a client that asks all
//! the time never misses it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::lab::{COMMAND, Lab};

/// A client that asks again and again, each time over a new connection.
struct Client {
    ends: Arc<AtomicBool>,
    asks: JoinHandle<(u32, Vec<String>)>,
}

impl Client {
    fn of(address: SocketAddr) -> Client {
        let ends = Arc::new(AtomicBool::new(false));
        let told = ends.clone();
        let asks = std::thread::spawn(move || {
            let (mut answered, mut failed) = (0, Vec::new());
            while !told.load(Ordering::Relaxed) {
                match ask(address) {
                    Ok(()) => answered += 1,
                    Err(error) => failed.push(format!("{}: {error}", jiff::Timestamp::now())),
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            (answered, failed)
        });
        Client { ends, asks }
    }

    /// How many were answered, and why the others were not.
    fn end(self) -> (u32, Vec<String>) {
        self.ends.store(true, Ordering::Relaxed);
        self.asks.join().expect("the client ends")
    }
}

fn ask(address: SocketAddr) -> std::io::Result<()> {
    let limit = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(std::io::Error::other(answer)) }
}

/// Its budget never lets it go, and its Deployment may have two for a while. It is longer in coming than in going, so that an eviction of it is
/// seen by whoever asks.
pub fn an_only_pod_is_moved_without_a_gap(lab: &Lab, config: &str) {
    lab.phase("a Deployment's only pod is moved without a gap");
    lab.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
    lab.apply(&format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: only, namespace: shop}}\nspec:\n  replicas: 1\n  \
         selector: {{matchLabels: {{app: only}}}}\n  template:\n    metadata: {{labels: {{app: only}}}}\n    spec:\n      \
         terminationGracePeriodSeconds: 20\n      containers:\n      - name: web\n        image: \"{}\"\n        \
         env: [{{name: START_DELAY, value: 10s}}, {{name: STOP_DELAY, value: 5s}}]\n        \
         readinessProbe: {{httpGet: {{path: /ready, port: 8080}}, periodSeconds: 1}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: only, namespace: shop}}\n\
         spec: {{type: NodePort, selector: {{app: only}}, ports: [{{port: 80, targetPort: 8080, nodePort: 30080}}]}}\n---\n\
         apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: only, namespace: shop}}\n\
         spec: {{minAvailable: 1, selector: {{matchLabels: {{app: only}}}}}}\n",
        lab.env("LAB_WEB_IMAGE")
    ));
    lab.kubectl(&["-n", "shop", "rollout", "status", "deployment/only", "--timeout=60s"]);
    let pod = || lab.items(&["-n", "shop", "get", "pods", "-l", "app=only"]).remove(0);
    let before = pod();
    let node = before["spec"]["nodeName"].as_str().expect("its node").to_owned();
    let master =
        lab.json(&["get", "node", "k8s-master"])["status"]["addresses"][0]["address"].as_str().expect("an address").to_owned();
    let address: SocketAddr = format!("{master}:30080").parse().expect("an address");
    lab.until(Duration::from_secs(20), "the Service to answer", || ask(address).map_err(|error| error.to_string()));

    let (answered, failed) = drained(lab, config, address, &node, "single");
    assert!(failed.is_empty() && answered > 20, "of {answered} and these: {failed:#?}");
    let after = pod();
    assert_ne!(after["metadata"]["uid"], before["metadata"]["uid"], "the pod was not replaced");
    assert_ne!(after["spec"]["nodeName"], before["spec"]["nodeName"], "it is where it was");
    lab.kubectl(&["uncordon", &node]);

    // The same client does see a gap: where such a pod is evicted.
    lab.kubectl(&["-n", "shop", "delete", "poddisruptionbudget", "only"]);
    let node = after["spec"]["nodeName"].as_str().expect("its node").to_owned();
    let (_, failed) = drained(lab, config, address, &node, "never");
    assert!(!failed.is_empty(), "a client that misses nothing proves nothing");
    lab.kubectl(&["uncordon", &node]);
    lab.kubectl(&["delete", "namespace", "shop", "--wait=true"]);
}

/// Drains the node under a client; how often that was answered, and why not.
fn drained(lab: &Lab, config: &str, address: SocketAddr, node: &str, surge: &str) -> (u32, Vec<String>) {
    let client = Client::of(address);
    let surge = format!("drain-surge={surge}");
    let sets = [surge.as_str(), "drain-unstick=never", "drain-deadline=120s"];
    let args = [&["drain", node, "--yes"][..], &sets.iter().flat_map(|set| ["--set", set]).collect::<Vec<_>>()].concat();
    let ended = lab.typed(config, &args, COMMAND);
    lab.kubectl(&["-n", "shop", "rollout", "status", "deployment/only", "--timeout=60s"]);
    let (answered, failed) = client.end();
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
    lab.say(format!(
        "    a client asked {} times, {} of them without an answer ({surge})",
        answered as usize + failed.len(),
        failed.len()
    ));
    (answered, failed)
}
