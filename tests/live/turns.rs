//! Two runners that pass the gate "one node at a time" together. Ours is real; the other is played by the traces that it leaves.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;

use super::broken::{A_WORKER, TARGET};
use super::lab::{Lab, NAMESPACE, mark};

pub struct Turns<'a> {
    lab: &'a Lab,
    ours: Child,
    /// What ours says.
    path: PathBuf,
    /// The other's node.
    other: &'static str,
}

impl Turns<'_> {
    /// Begins `upgrade-node NODE`. A Lease keeps it between its gates and its cordon, and meanwhile `other` gets the other runner's mark.
    pub fn begin<'a>(lab: &'a Lab, config: &str, node: &str, other: &'static str) -> Turns<'a> {
        let lease = format!("k8s-upgrade-node-{node}");
        let held = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": lease, "namespace": NAMESPACE },
            "spec": { "holderIdentity": "another-runner", "leaseDurationSeconds": 60, "renewTime": format!("{:.6}", Timestamp::now()) },
        });
        lab.apply(&held.to_string());
        let path = lab.scratch(&format!("{node}.stderr"));
        let stderr = std::fs::File::create(&path).expect("a file");
        let args = ["--config", config, "upgrade-node", node, "--target", TARGET, "--yes"];
        let ours = lab.product_command(&args).stdin(Stdio::null()).stderr(stderr).spawn().expect("it starts");
        let turns = Turns { lab, ours, path, other };
        turns.until_said(&format!("{node}  waits for the node's Lease: held by another-runner"));
        lab.kubectl(&["annotate", "node", other, &format!("{}=another-run", mark("cordoned-by"))]);
        lab.kubectl(&["-n", NAMESPACE, "delete", "lease", &lease]);
        turns
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.path).expect("what it said")
    }

    pub fn until_said(&self, words: &str) {
        self.lab.until(A_WORKER, &format!("it to say {words:?}"), || {
            let said = self.said();
            if said.contains(words) { Ok(()) } else { Err(said) }
        });
    }

    pub fn the_other_gives_way(&self) {
        self.lab.kubectl(&["annotate", "node", self.other, &format!("{}-", mark("cordoned-by"))]);
    }

    /// How ours ended, and all that it said.
    pub fn end(&mut self, limit: Duration) -> (Option<i32>, String) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.ours.try_wait().expect("it can be waited for") {
                let code = status.code();
                self.lab.say(format!("    exit {} after {:.1} s", code.unwrap_or(-1), begun.elapsed().as_secs_f64()));
                return (code, self.said());
            }
            assert!(begun.elapsed() < limit, "it did not end within {limit:?}:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// A test that fails leaves no runner behind.
impl Drop for Turns<'_> {
    fn drop(&mut self) {
        self.ours.kill().and_then(|()| self.ours.wait().map(drop)).ok();
    }
}
