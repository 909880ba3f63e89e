//! What a person types once a run is over, or seems to be: looking, reading, halting and clearing, from outside the cluster.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::dashboard::Panels;
use super::end::{Expected, marks};
use super::install::detect;
use super::lab::{COMMAND, Lab, NAMESPACE, mark};
use super::process::{self, Ended};

pub fn after_a_run(lab: &Lab, config: &str, run: &str, expected: &Expected<'_>, panels: &Panels) {
    let it = Hands { lab, config };
    it.looks(run, expected);
    it.halts(panels);
    it.clears_a_leaked_latch(expected);
    it.clears_what_is_left(expected);
    it.rotates_the_key(expected);
}

struct Hands<'a> {
    lab: &'a Lab,
    config: &'a str,
}

impl Hands<'_> {
    fn types(&self, args: &[&str], code: i32, words: &[&str]) -> Ended {
        let ended = self.lab.typed(self.config, args, COMMAND);
        assert_eq!(ended.code, Some(code), "{args:?}: {}\n{}", ended.stdout, ended.stderr);
        for word in words {
            let said = ended.stdout.contains(word) || ended.stderr.contains(word);
            assert!(said, "{word:?} is not said by {args:?}:\n{}\n{}", ended.stdout, ended.stderr);
        }
        ended
    }

    fn looks(&self, run: &str, expected: &Expected<'_>) {
        self.lab.phase("a person looks at what was");
        let target = expected.to;
        self.types(&["status"], 0, &["no run in flight", target, "safe to walk away: yes"]);
        self.types(&["status", "--health"], 0, &["k8s-version-check"]);
        let checked = self.types(&["check"], 0, &["every pod may leave its node", "etcd snapshots"]);
        self.lab.say(&checked.stdout);
        self.types(&["acknowledge"], 0, &[]);
        let report: Value = serde_json::from_str(&self.types(&["report", run, "-o", "json"], 0, &[]).stdout).expect("JSON");
        assert_eq!((&report["run"], &report["result"]), (&json!(run), &json!("complete")), "{report:#}");
        let markdown = self.types(&["report", "-o", "markdown"], 0, &[run, expected.from, target]).stdout;
        for node in std::iter::once(&"k8s-master").chain(expected.workers) {
            assert!(markdown.contains(node), "{node} is not in the report:\n{markdown}");
        }
        self.lab.say(&markdown);
    }

    /// A detection that starts by hand says who halted and why, and begins nothing.
    fn halts(&self, panels: &Panels) {
        let lab = self.lab;
        lab.phase("a person halts, and lifts it");
        let suspended = || lab.json(&["-n", NAMESPACE, "get", "cronjob", "k8s-version-check"])["spec"]["suspend"] == true;
        self.types(&["halt", "--reason", "disks are replaced"], 0, &[]);
        assert!(suspended(), "detection goes on");
        self.types(&["status"], 0, &["disks are replaced"]);
        panels.until(lab, "Halted for");
        detect(lab, "detect-halted");
        let said = lab.kubectl(&["-n", NAMESPACE, "logs", "job/detect-halted"]);
        assert!(said.contains("disks are replaced"), "{said}");
        self.types(&["halt", "--lift"], 0, &[]);
        assert!(!suspended(), "detection is still suspended");
        assert_eq!(marks(&lab.json(&["get", "namespace", NAMESPACE])), []);

        self.types(&["halt", "--detection-only", "--reason", "no new run this week"], 0, &["halt --lift"]);
        assert!(suspended(), "detection goes on");
        self.types(&["halt", "--lift"], 0, &["lifted"]);
        assert!(!suspended(), "detection is still suspended");

        self.types(&["halt", "--blocker-alert", "--reason", "nothing may reboot"], 0, &["halt --lift"]);
        let blocker = |wanted: &str| {
            lab.until(Duration::from_secs(30), &format!("the blocker's gauge to be {wanted}"), || {
                let values = lab.query("k8s_upgrade_blocker");
                let value = values.first().map(|value| value["value"][1].clone());
                if value == Some(json!(wanted)) { Ok(()) } else { Err(format!("{values:?}")) }
            });
        };
        blocker("1");
        panels.until(lab, "Blocker");
        assert!(!suspended(), "the blocker alert alone suspends no detection");
        self.types(&["halt", "--lift"], 0, &["lifted"]);
        blocker("0");
        assert_eq!(marks(&lab.json(&["get", "namespace", NAMESPACE])), []);
    }

    /// Our cordon, a Lease whose holder died, and a Job that no node runs go; a person's cordon stays. Not while somebody is at work.
    fn clears_what_is_left(&self, expected: &Expected<'_>) {
        let lab = self.lab;
        lab.phase("a cordon of ours, a Lease and a Job are left, and cleared");
        let [ours, persons] = [expected.workers[0], expected.workers[1]];
        lab.kubectl(&["cordon", ours]);
        lab.kubectl(&["cordon", persons]);
        lab.kubectl(&["annotate", "node", ours, &format!("{}=leaked", mark("cordoned-by"))]);
        let latch = [("in-flight", "true"), ("target", expected.to), ("run-id", "leaked")];
        let annotations: Vec<String> = latch.iter().map(|(key, value)| format!("{}={value}", mark(key))).collect();
        lab.kubectl(
            &[&["annotate", "namespace", NAMESPACE], &annotations.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat(),
        );
        let lease = |renewed: Timestamp, seconds: u32| {
            let at = renewed.strftime("%Y-%m-%dT%H:%M:%S.%6fZ");
            lab.apply(&format!(
                "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {{name: k8s-upgrade-node-{ours}, namespace: {NAMESPACE}}}\n\
                 spec: {{holderIdentity: somebody-else, leaseDurationSeconds: {seconds}, acquireTime: \"{at}\", renewTime: \"{at}\"}}\n"
            ));
        };
        lease(Timestamp::now(), 300);
        let image = lab.env("LAB_WEB_IMAGE");
        lab.apply(&format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: k8s-upgrade-leaked, namespace: {NAMESPACE}, labels: {{app: k8s-upgrade-chain}}}}\n\
             spec: {{suspend: true, template: {{spec: {{restartPolicy: Never, containers: [{{name: web, image: \"{image}\"}}]}}}}}}\n"
        ));
        self.types(&["clear-state", "--yes"], 6, &["is at work on", ours]);
        lease(Timestamp::now() - Duration::from_secs(3600), 5);
        self.types(
            &["clear-state", "--yes"],
            0,
            &["our cordon is taken back", "its stale Lease is removed", "k8s-upgrade-leaked"],
        );
        let node = |name: &str| lab.json(&["get", "node", name]);
        assert!(node(ours)["spec"]["unschedulable"].is_null(), "our cordon is still there");
        assert_eq!(node(persons)["spec"]["unschedulable"], true, "a person's cordon is gone");
        assert!(!marks(&node(ours)).iter().any(|(key, _)| key == "cordoned-by"));
        lab.kubectl(&["uncordon", persons]);
        for left in ["leases", "jobs/k8s-upgrade-leaked"] {
            let found = lab.kubectl(&["-n", NAMESPACE, "get", left, "--ignore-not-found", "-o", "name"]);
            assert_eq!(found.trim(), "", "{left} are left");
        }
        assert_eq!(marks(&lab.json(&["get", "namespace", NAMESPACE])), []);
    }

    /// Every node is at the target, no Job is at work, and yet the run is marked.
    fn clears_a_leaked_latch(&self, expected: &Expected<'_>) {
        let lab = self.lab;
        lab.phase("a leaked latch is told, and cleared");
        let started = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let latch = [("in-flight", "true"), ("target", expected.to), ("run-id", "leaked"), ("started", &started)];
        let annotations: Vec<String> = latch.iter().map(|(key, value)| format!("{}={value}", mark(key))).collect();
        lab.kubectl(
            &[&["annotate", "namespace", NAMESPACE], &annotations.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat(),
        );
        lab.push("k8s-version-upgrade", "# TYPE k8s_upgrade_in_flight gauge\nk8s_upgrade_in_flight 1\n");
        // Nobody is there to be asked.
        self.types(&["clear-state"], 2, &["--yes"]);
        assert_eq!(marks(&lab.json(&["get", "namespace", NAMESPACE])).len(), latch.len());
        self.types(&["clear-state", "--yes"], 0, &["a leaked latch", "cleared"]);
        assert_eq!(marks(&lab.json(&["get", "namespace", NAMESPACE])), []);
        lab.until(Duration::from_secs(30), "the gauge of the run to be 0", || {
            let values = lab.query("k8s_upgrade_in_flight{job=\"k8s-version-upgrade\"}");
            match values.first().map(|value| &value["value"][1]) {
                Some(value) if value == "0" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }

    /// The lab's own key stands for a person's, and must survive.
    fn rotates_the_key(&self, expected: &Expected<'_>) {
        let lab = self.lab;
        lab.phase("the key is rotated");
        let nodes: Vec<&str> = std::iter::once("k8s-master").chain(expected.workers.iter().copied()).collect();
        let keys = |node: &str| lab.on(node, "stat -c '%a %U' ~/.ssh/authorized_keys; cat ~/.ssh/authorized_keys");
        let before: Vec<String> = nodes.iter().map(|node| keys(node)).collect();
        let (file, former) = key_of_its_own(lab, &nodes);
        let secret = || lab.json(&["-n", NAMESPACE, "get", "secret", "k8s-upgrade-creds"])["data"].clone();
        let old = secret();

        self.types(&["rotate-key", "--dry-run"], 0, &nodes);
        assert_eq!(secret(), old, "a dry run changed the Secret");
        let rotated = self.types(&["rotate-key", "--yes"], 0, &nodes);
        lab.say(&rotated.stderr);
        assert_ne!(secret()["ssh_key"], old["ssh_key"], "the Secret holds the former key");
        assert_eq!(secret()["slack_webhook"], old["slack_webhook"]);
        for (node, before) in nodes.iter().zip(before) {
            let after = keys(node);
            let new = after.strip_prefix(&before).unwrap_or_else(|| panic!("{node} had:\n{before}and has:\n{after}"));
            assert!(new.lines().count() == 1 && new.trim().ends_with("k8s-upgrade-key"), "{node} has got:\n{new}");
            assert!(!after.contains(&former), "{node} still lets the former key in");
        }

        lab.phase("a node that was away meanwhile gets the key that the cluster holds");
        let away = nodes[1];
        let whole = keys(away);
        lab.on(away, &format!("sed -i '$d' ~/.ssh/authorized_keys; echo '{former}' >> ~/.ssh/authorized_keys"));
        let own = format!("ssh-key-file={}", file.display());
        self.types(&["rotate-key", "--only", away, "--yes", "--set", &own], 0, &[away]);
        assert_eq!(keys(away), whole, "{away} does not let in what the others do");
    }
}

/// The program gets a key of its own, on these nodes and in the Secret: the lab's own stands for a person's from then on. Returns the file
/// of the private half, and the public one.
pub fn key_of_its_own(lab: &Lab, nodes: &[&str]) -> (PathBuf, String) {
    let file = lab.scratch("former-key");
    let keygen = ["-q", "-t", "ed25519", "-N", "", "-C", "k8s-upgrade-key", "-f"];
    process::run(Command::new("ssh-keygen").args(keygen).arg(&file), "", Duration::from_secs(10)).good();
    let public = std::fs::read_to_string(file.with_extension("pub")).expect("its public half");
    let public = public.trim().to_owned();
    for node in nodes {
        lab.on(node, &format!("echo '{public}' >> ~/.ssh/authorized_keys"));
    }
    let private = format!("--from-file=ssh_key={}", file.display());
    let beside =
        [format!("--from-literal=ssh_key_pub={public}"), format!("--from-literal=slack_webhook={}", lab.env("LAB_SLACK_URL"))];
    let create = ["-n", NAMESPACE, "create", "secret", "generic", "k8s-upgrade-creds", "--dry-run=client", "-o", "yaml"];
    lab.apply(&lab.kubectl(&[&create[..], &[&private, &beside[0], &beside[1]]].concat()));
    (file, public)
}
