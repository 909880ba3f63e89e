//! `resume --if-orphaned` as its CronJob calls it, against an API server of a few objects: what it writes, in which order, and what not.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::program::{Ran, program};

const JOB: &str = "k8s-upgrade-worker-1-34-7-k8s-node2";
const NS: &str = "/api/v1/namespaces/k8s-upgrade";
const JOBS: &str = "/apis/batch/v1/namespaces/k8s-upgrade/jobs";

/// Objects by path; what was written, in order.
#[derive(Default)]
struct Api {
    objects: BTreeMap<String, Value>,
    written: Vec<(String, String)>,
}

impl Api {
    fn list(&self, under: &str) -> Value {
        let items: Vec<&Value> =
            self.objects.iter().filter(|(path, _)| path.starts_with(&format!("{under}/"))).map(|(_, object)| object).collect();
        json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": items })
    }

    /// Status and body of an answer.
    fn answer(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        if path.ends_with("/selfsubjectaccessreviews") {
            return (201, json!({ "metadata": {}, "spec": {}, "status": { "allowed": true } }));
        }
        if method != "GET" {
            self.written.push((format!("{method} {path}"), body.to_owned()));
        }
        let absent =
            (404, json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404 }));
        match method {
            "POST" if path.starts_with("/metrics") => (200, Value::Null),
            "POST" => {
                let mut object: Value = serde_json::from_str(body).unwrap();
                object["metadata"]["uid"] = json!("created");
                object["metadata"]["creationTimestamp"] = json!("2026-11-22T13:30:00Z");
                let name = object["metadata"]["name"].as_str().unwrap();
                self.objects.insert(format!("{path}/{name}"), object.clone());
                (201, object)
            }
            "PATCH" => {
                let patch: Value = serde_json::from_str(body).unwrap();
                let object = self.objects.get_mut(path).unwrap();
                for (key, value) in patch["metadata"]["annotations"].as_object().unwrap() {
                    let annotations = object["metadata"]["annotations"].as_object_mut().unwrap();
                    annotations.remove(key);
                    if !value.is_null() {
                        annotations.insert(key.clone(), value.clone());
                    }
                }
                (200, object.clone())
            }
            "DELETE" => self.objects.remove(path).map_or(absent, |object| (200, object)),
            _ => match self.objects.get(path) {
                Some(object) => (200, object.clone()),
                None if ["/nodes", "/pods", "/jobs"].iter().any(|kind| path.ends_with(kind)) => (200, self.list(path)),
                None => absent,
            },
        }
    }
}

fn serve(api: &Mutex<Api>, socket: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(socket);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = target.split('?').next()?;
    let (status, answer) = api.lock().unwrap().answer(&method, path, &String::from_utf8(body).ok()?);
    let text = answer.to_string();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", text.len());
    (&*socket).write_all(format!("{head}Connection: close\r\n\r\n{text}").as_bytes()).ok()
}

struct Cluster {
    api: Arc<Mutex<Api>>,
    server: String,
    folder: tempfile::TempDir,
}

/// A master at the target, two workers that are not, and a run whose newest Job, node2's, ended with `exit`.
fn cluster(exit: i32) -> Cluster {
    let mut objects = BTreeMap::new();
    let mut insert = |path: &str, object: Value| {
        objects.insert(path.to_owned(), object);
    };
    let mark = |suffix: &str| format!("viktorbarzin.me/k8s-upgrade-{suffix}");
    let marks = json!({
        mark("in-flight"): "true", mark("run-id"): "5f3a21bc", mark("target"): "1.34.7", mark("started"): "2026-11-22T12:00:00Z",
        mark("prepared"): "5f3a21bc", mark("snapshot-path"): "/backup/etcd.db",
        mark("image"): "docker.io/library/k8s-upgrade:0123456789ab",
    });
    insert(NS, json!({ "metadata": { "name": "k8s-upgrade", "annotations": marks } }));
    for (name, version, labels) in [
        ("k8s-master", "v1.34.7", json!({ "node-role.kubernetes.io/control-plane": "" })),
        ("k8s-node1", "v1.34.2", json!({})),
        ("k8s-node2", "v1.34.2", json!({})),
    ] {
        let info = json!({
            "kubeletVersion": version, "kubeProxyVersion": "", "containerRuntimeVersion": "containerd://1.7.28", "architecture": "",
            "bootID": "", "kernelVersion": "", "machineID": "", "operatingSystem": "", "osImage": "", "systemUUID": "",
        });
        let ready = json!([{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-11-01T00:00:00Z" }]);
        let node = json!({ "metadata": { "name": name, "labels": labels }, "status": { "nodeInfo": info, "conditions": ready } });
        insert(&format!("/api/v1/nodes/{name}"), node);
    }
    for component in ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
        let image = format!("registry.k8s.io/{component}:v1.34.7");
        let pod = json!({
            "metadata": { "name": component, "labels": { "component": component } },
            "spec": { "nodeName": "k8s-master", "containers": [{ "name": component, "image": image }] },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
        });
        insert(&format!("/api/v1/namespaces/kube-system/pods/{component}"), pod);
    }
    let arguments = json!(["upgrade-node", "k8s-node2", "--chain", "--target", "1.34.7", "--run", "5f3a21bc"]);
    let message =
        format!("Container k8s-upgrade for pod k8s-upgrade/x failed with exit code {exit} matching FailJob rule at index 1");
    let job = json!({
        "metadata": { "name": JOB, "uid": "dead", "creationTimestamp": "2026-11-22T13:00:00Z" },
        "spec": { "template": { "spec": { "containers": [{ "name": "k8s-upgrade", "args": arguments }] } } },
        "status": { "conditions": [{ "type": "Failed", "status": "True", "reason": "R", "message": message }] },
    });
    insert(&format!("{JOBS}/{JOB}"), job);
    let container = json!({ "name": "k8s-upgrade", "image": "docker.io/library/k8s-upgrade:0123456789ab" });
    let template = json!({ "spec": { "template": { "spec": { "containers": [container] } } } });
    let cronjob = json!({ "metadata": { "name": "k8s-version-check" }, "spec": { "schedule": "", "jobTemplate": template } });
    insert("/apis/batch/v1/namespaces/k8s-upgrade/cronjobs/k8s-version-check", cronjob);

    let api = Arc::new(Mutex::new(Api { objects, written: Vec::new() }));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let serving = api.clone();
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let api = serving.clone();
            std::thread::spawn(move || serve(&api, &socket));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: '{server}'}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
    );
    std::fs::write(folder.path().join("kubeconfig"), text).unwrap();
    Cluster { api, server, folder }
}

impl Cluster {
    fn watch(&self, more: &[&str]) -> Ran {
        let kubeconfig = self.folder.path().join("kubeconfig").display().to_string();
        let pushgateway = format!("pushgateway={}", self.server);
        // What it reminds people of, and records of that, the simulations have.
        let args = ["--kubeconfig", &kubeconfig, "--set", &pushgateway, "--set", "remind=false", "resume", "--if-orphaned"];
        program(&[&args[..], more].concat(), &[])
    }

    /// What was written since it was last asked for; the gauges by themselves.
    fn written(&self) -> (Vec<(String, String)>, Vec<String>) {
        let written = std::mem::take(&mut self.api.lock().unwrap().written);
        let (gauges, others): (Vec<_>, Vec<_>) = written.into_iter().partition(|(what, _)| what.starts_with("POST /metrics"));
        (others, gauges.into_iter().map(|(_, body)| body).collect())
    }

    fn nothing_but_gauges(&self) {
        let (others, gauges) = self.written();
        assert_eq!(others, [], "only gauges were to be written");
        let [gauges] = &gauges[..] else { panic!("gauges were pushed {} times", gauges.len()) };
        assert!(gauges.contains("k8s_upgrade_in_flight 1") && gauges.contains("k8s_upgrade_snapshot_taken 1"), "{gauges}");
        // To look is no progress: else no run would ever be seen to stall.
        assert!(!gauges.contains("progress"), "{gauges}");
    }
}

#[test]
fn a_failed_job_is_replaced_with_word_left_before_and_its_count_on_it() {
    let cluster = cluster(5);
    cluster.watch(&["--dry-run"]).is(0).says(&format!("would create Job {JOB} on k8s-node1"));
    assert_eq!(cluster.written(), (vec![], vec![]), "a dry run writes nothing");

    cluster.watch(&[]).is(0).says(&format!("Job {JOB} failed (R, exit 5)")).says(&format!("Job {JOB} created"));
    let (written, _) = cluster.written();
    let order: Vec<&str> = written.iter().map(|(what, _)| what.as_str()).collect();
    let (patch, delete, create) = (format!("PATCH {NS}"), format!("DELETE {JOBS}/{JOB}"), format!("POST {JOBS}"));
    let journal = format!("POST {NS}/configmaps");
    assert_eq!(order, [&patch, &delete, &create, &patch, &journal]);
    assert!(written[0].1.contains(&format!("taking-up\":\"{JOB} 1\"")), "{}", written[0].1);
    assert!(written[1].1.contains("\"uid\":\"dead\""), "only the Job that was seen may be deleted: {}", written[1].1);
    let created: Value = serde_json::from_str(&written[2].1).unwrap();
    assert_eq!(created["metadata"]["annotations"], json!({ "viktorbarzin.me/k8s-upgrade-taken-up": "1" }));
    assert_eq!(created["spec"]["template"]["spec"]["nodeSelector"]["kubernetes.io/hostname"], "k8s-node1");
    assert!(written[3].1.contains("taking-up\":null"), "{}", written[3].1);

    cluster.watch(&[]).is(0).says(&format!("Job {JOB} is at work"));
    cluster.nothing_but_gauges();
}

#[test]
fn a_hold_is_asked_again_quietly() {
    let cluster = cluster(3);
    cluster.watch(&[]).is(0).says(&format!("Job {JOB} held"));
    let (written, _) = cluster.written();
    let created: Value = serde_json::from_str(&written[2].1).unwrap();
    assert_eq!(created["metadata"]["annotations"], json!({ "viktorbarzin.me/k8s-upgrade-taken-up": "0" }));
    let arguments = created["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
    assert_eq!(arguments.last().unwrap(), "--held");
}

#[test]
fn what_is_a_persons_is_told_and_left() {
    let refused = cluster(4);
    refused.watch(&[]).is(0).says("exit 4").says("a person must change something first");
    refused.nothing_but_gauges();

    let at_work = cluster(5);
    let renewed = format!("{:.6}", Timestamp::now());
    let spec = json!({ "holderIdentity": "eve-1", "leaseDurationSeconds": 3600, "renewTime": renewed });
    let lease = json!({ "metadata": {}, "spec": spec });
    let path = "/apis/coordination.k8s.io/v1/namespaces/k8s-upgrade/leases/k8s-upgrade-node-k8s-node2";
    at_work.api.lock().unwrap().objects.insert(path.to_owned(), lease);
    at_work.watch(&[]).is(0).says("eve-1 is at work on k8s-node2: left alone");
    at_work.nothing_but_gauges();
}
