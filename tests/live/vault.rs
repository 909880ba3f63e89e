//! `rotate-key` on real nodes with a real Vault in dev mode. What External Secrets would do, a thread does: it brings what Vault holds into
//! the Secret.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::hands;
use super::install::install;
use super::lab::{Lab, NAMESPACE};
use super::process;

const NODES: [&str; 2] = ["k8s-master", "k8s-node1"];
const ROOT: &str = "root-of-the-test";
const SHORT: Duration = Duration::from_secs(20);
/// Longer than a rotation of two nodes.
const ROTATION: Duration = Duration::from_secs(120);
/// What the README asks for.
const POLICY: &str = "path \"secret/data/k8s-upgrade\" { capabilities = [\"read\", \"create\", \"update\", \"patch\"] }";

pub fn run() {
    let lab = Lab::fresh(1, "1.36.3", &["1.36.3"]);
    let config = install(&lab, "");
    let keys = |node: &str| lab.on(node, "cat ~/.ssh/authorized_keys");
    let before = NODES.map(keys);
    let (file, former) = hands::key_of_its_own(&lab, &NODES);

    lab.phase("Vault holds that key, and is where the next one goes");
    let vault = Vault::start();
    let (private, public) = (format!("ssh_key=@{}", file.display()), format!("ssh_key_pub={former}"));
    let webhook = format!("slack_webhook={}", lab.env("LAB_SLACK_URL"));
    vault.asks(&["kv", "put", "-mount=secret", "k8s-upgrade", &private, &public, &webhook], "");
    let token = vault.token_file(&lab);
    let settings = [format!("vault-address={}", vault.address), format!("vault-token-file={}", token.display())];
    let ended = AtomicBool::new(false);
    let rotated = std::thread::scope(|scope| {
        scope.spawn(|| {
            let begun = Instant::now();
            while !ended.load(Ordering::Relaxed) && begun.elapsed() < ROTATION {
                vault.brings_to_the_secret(&lab, &file);
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        let line = ["rotate-key", "--yes", "--set", &settings[0], "--set", &settings[1]];
        let rotated = lab.typed(&config, &line, ROTATION);
        ended.store(true, Ordering::Relaxed);
        rotated
    });
    assert_eq!(rotated.code, Some(0), "{}", rotated.stderr);
    lab.say(&rotated.stderr);

    lab.phase("what is true at the end");
    let held = vault.holds();
    let old = std::fs::read_to_string(&file).expect("the former key");
    assert_ne!(held["ssh_key"].as_str().map(str::trim), Some(old.trim()), "Vault holds the former key");
    assert_eq!(held["slack_webhook"], lab.env("LAB_SLACK_URL"), "another field is lost");
    let new = held["ssh_key_pub"].as_str().expect("the public half").trim();
    for (node, before) in NODES.iter().zip(before) {
        let after = keys(node);
        assert_eq!(after, format!("{before}{new}\n"), "{node}");
    }
}

struct Vault {
    child: Child,
    address: String,
}

impl Drop for Vault {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Vault {
    fn start() -> Vault {
        let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a free port");
        let child = Command::new("vault")
            .args(["server", "-dev", "-dev-no-store-token"])
            .arg(format!("-dev-listen-address={address}"))
            .arg(format!("-dev-root-token-id={ROOT}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is no vault on PATH");
        let vault = Vault { child, address: format!("http://{address}") };
        let begun = Instant::now();
        while vault.try_asks(&["status"], "").code != Some(0) {
            assert!(begun.elapsed() < SHORT, "vault does not come up");
            std::thread::sleep(Duration::from_millis(200));
        }
        vault
    }

    fn try_asks(&self, args: &[&str], stdin: &str) -> process::Ended {
        let mut command = Command::new("vault");
        process::run(command.args(args).env("VAULT_ADDR", &self.address).env("VAULT_TOKEN", ROOT), stdin, SHORT)
    }

    fn asks(&self, args: &[&str], stdin: &str) -> String {
        self.try_asks(args, stdin).good()
    }

    /// A token that may do what the program needs, and nothing else.
    fn token_file(&self, lab: &Lab) -> PathBuf {
        self.asks(&["policy", "write", "k8s-upgrade", "-"], POLICY);
        let token = self.asks(&["token", "create", "-policy=k8s-upgrade", "-field=token"], "");
        let file = lab.scratch("vault-token");
        std::fs::write(&file, token).expect("the token is kept");
        file
    }

    fn holds(&self) -> Value {
        let answer = self.asks(&["kv", "get", "-mount=secret", "-format=json", "k8s-upgrade"], "");
        serde_json::from_str::<Value>(&answer).expect("JSON")["data"]["data"].clone()
    }

    /// Once it is another key than that of the file.
    fn brings_to_the_secret(&self, lab: &Lab, former: &Path) {
        let held = self.holds();
        let former = std::fs::read_to_string(former).expect("the former key");
        if held["ssh_key"].as_str().is_some_and(|key| key.trim() != former.trim()) {
            let metadata = json!({ "name": "k8s-upgrade-creds", "namespace": NAMESPACE });
            let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {
                "ssh_key": held["ssh_key"], "ssh_key_pub": held["ssh_key_pub"], "slack_webhook": held["slack_webhook"],
            } });
            lab.apply(&secret.to_string());
        }
    }
}
