//! The lab as the tests see it: one cluster with its services, the program under test, and waits that say what they waited for.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::process::{self, Ended};

pub const NAMESPACE: &str = "k8s-upgrade";
/// A command that does not wait for a node ends by then.
pub const COMMAND: Duration = Duration::from_secs(180);
const PREFIX: &str = "viktorbarzin.me/k8s-upgrade-";

/// Full key of one of the program's annotations.
pub fn mark(suffix: &str) -> String {
    format!("{PREFIX}{suffix}")
}

/// The lab is ours for as long as this process lives: the child holds it until its standard input ends. `tests/run` has it already.
static HOLD: LazyLock<Option<(Child, String)>> = LazyLock::new(|| {
    if std::env::var_os("LAB_HOLD").is_some() {
        return None;
    }
    let what = format!("cargo test --test live, process {}", std::process::id());
    let mut hold = Command::new(tool());
    hold.args(["hold", &what, "sh", "-c", "echo \"$LAB_HOLD\"; exec cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = hold.spawn().expect("the lab's tool starts");
    let mut id = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut id).expect("its output can be read");
    assert!(!id.trim().is_empty(), "the lab is somebody else's");
    Some((child, id.trim().to_owned()))
});

fn tool() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/lab")
}

/// `tests/lab/lab …`, as the holder of the lab.
fn lab_command() -> Command {
    let mut command = Command::new(tool());
    if let Some((_, id)) = &*HOLD {
        command.env("LAB_HOLD", id);
    }
    command
}

/// The cluster that a test left for the next, in words. None: nothing that could be relied on.
static LEFT: Mutex<Option<&str>> = Mutex::new(None);

pub struct Lab {
    binary: PathBuf,
    env: BTreeMap<String, String>,
    scratch: tempfile::TempDir,
    begun: Instant,
    phase: Mutex<Option<(String, Instant)>>,
}

impl Lab {
    /// A cluster that nobody has used, of which apt offers `published` from now on.
    pub fn fresh(workers: u8, version: &str, published: &[&str]) -> Lab {
        Lab::fresh_of(1, workers, version, published)
    }

    /// The same, of several control planes behind a balancer.
    pub fn fresh_of(control_planes: u8, workers: u8, version: &str, published: &[&str]) -> Lab {
        let mut lab = Lab::unused();
        *LEFT.lock().unwrap() = None;
        lab.phase(&format!("lab: control planes {control_planes}, workers {workers}, at {version}"));
        lab.tool(&["down"]);
        lab.tool(&[
            "up",
            "--control-planes",
            &control_planes.to_string(),
            "--workers",
            &workers.to_string(),
            "--version",
            version,
        ]);
        lab.tool(&[&["publish"], published].concat());
        lab.learn_env();
        assert_eq!(lab.pushed("k8s_upgrade_"), "", "a fresh Pushgateway holds none of the program's gauges");
        lab
    }

    /// The cluster that the test before has left, if it is this one.
    pub fn left(what: &str) -> Option<Lab> {
        LEFT.lock().unwrap().take().filter(|left| *left == what)?;
        let mut lab = Lab::unused();
        lab.learn_env();
        lab.say(format!("on the cluster that the test before has left: {what}"));
        Some(lab)
    }

    fn unused() -> Lab {
        Lab {
            binary: binary(),
            env: BTreeMap::new(),
            scratch: tempfile::tempdir().expect("a scratch folder"),
            begun: Instant::now(),
            phase: Mutex::new(None),
        }
    }

    /// The next test may have the cluster.
    pub fn leave(&self, what: &'static str) {
        *LEFT.lock().unwrap() = Some(what);
    }

    fn learn_env(&mut self) {
        let text = self.tool(&["env"]);
        self.env = text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    }

    pub fn env(&self, key: &str) -> &str {
        self.env.get(key).unwrap_or_else(|| panic!("`lab env` names no {key}"))
    }

    pub fn scratch(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Told at once, whatever the test runner captures.
    pub fn say(&self, text: impl std::fmt::Display) {
        let line = format!("  {:6.1} s  {text}\n", self.begun.elapsed().as_secs_f64());
        std::io::stdout().write_all(line.as_bytes()).ok();
    }

    /// A part of the test begins, and the one before ends.
    pub fn phase(&self, name: &str) {
        let former = self.phase.lock().unwrap().replace((name.to_owned(), Instant::now()));
        if let Some((former, since)) = former {
            self.say(format!("took {:.1} s: {former}", since.elapsed().as_secs_f64()));
        }
        self.say(format!("— {name}"));
    }

    // --- commands ---------------------------------------------------------------------------------------------------------------

    /// `tests/lab/lab …`
    pub fn tool(&self, args: &[&str]) -> String {
        let limit = if args[0] == "up" { 40 * 60 } else { 180 };
        process::run(lab_command().args(args), "", Duration::from_secs(limit)).good()
    }

    /// A shell line on a node, as its user with sudo; what it printed, whatever its end.
    pub fn ssh(&self, node: &str, line: &str) -> String {
        process::run(lab_command().args(["ssh", node, line]), "", Duration::from_secs(60)).stdout
    }

    /// The same, for a line that must succeed.
    pub fn on(&self, node: &str, line: &str) -> String {
        process::run(lab_command().args(["ssh", node, line]), "", Duration::from_secs(60)).good()
    }

    fn kubectl_with(&self, args: &[&str], stdin: &str) -> Ended {
        let mut command = Command::new(Path::new(self.env("LAB_DIR")).join("bin/kubectl"));
        command.args(args).env("KUBECONFIG", self.env("KUBECONFIG"));
        process::run(&mut command, stdin, Duration::from_secs(150))
    }

    pub fn kubectl(&self, args: &[&str]) -> String {
        self.kubectl_with(args, "").good()
    }

    /// For moments at which the API may be away: None then.
    pub fn try_kubectl(&self, args: &[&str]) -> Option<String> {
        let ended = self.kubectl_with(&[&["--request-timeout=5s"], args].concat(), "");
        (ended.code == Some(0)).then_some(ended.stdout)
    }

    pub fn apply(&self, manifests: &str) {
        self.kubectl_with(&["apply", "-f", "-"], manifests).good();
    }

    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.kubectl(&[args, &["-o", "json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("kubectl {args:?} printed no JSON: {error}"))
    }

    pub fn items(&self, args: &[&str]) -> Vec<Value> {
        self.json(args)["items"].as_array().cloned().unwrap_or_default()
    }

    /// The program under test, as an operator outside the cluster runs it.
    pub fn product(&self, args: &[&str]) -> Ended {
        self.product_within(args, COMMAND)
    }

    pub fn product_within(&self, args: &[&str], limit: Duration) -> Ended {
        process::run(&mut self.product_command(args), "", limit)
    }

    /// The same with a settings file, and told.
    pub fn typed(&self, config: &str, args: &[&str], limit: Duration) -> Ended {
        self.told(self.product_within(&[&["--config", config], args].concat(), limit), args)
    }

    pub fn told(&self, ended: Ended, args: &[&str]) -> Ended {
        let (code, took) = (ended.code.unwrap_or(-1), ended.took.as_secs_f64());
        self.say(format!("    exit {code} after {took:.1} s: {}", args.join(" ")));
        ended
    }

    pub fn product_command(&self, args: &[&str]) -> Command {
        self.command_of(&self.binary, args)
    }

    /// Another build of the same program: it does the same, and its bytes, so its image, are others.
    pub fn another_build(&self) -> PathBuf {
        let (file, mut bytes) = (self.scratch("another-build"), std::fs::read(&self.binary).expect("the binary is read"));
        bytes.extend(b"another build");
        std::fs::write(&file, bytes).expect("it is written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("it may be run");
        file
    }

    /// The same as [`Lab::product_command`], of that binary.
    pub fn command_of(&self, binary: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command.args(args).env_clear().env("KUBECONFIG", self.env("KUBECONFIG")).env("HOME", self.scratch.path());
        command
    }

    // --- waits ------------------------------------------------------------------------------------------------------------------

    /// Asks every half second until there is an answer. After the deadline the test ends with what it waited for and the last "not yet".
    pub fn until<T>(&self, limit: Duration, what: &str, mut probe: impl FnMut() -> Result<T, String>) -> T {
        let begun = Instant::now();
        loop {
            match probe() {
                Ok(value) => return value,
                Err(why) if begun.elapsed() > limit => {
                    panic!("waited {} s for {what}: {why}", limit.as_secs());
                }
                Err(_) => std::thread::sleep(Duration::from_millis(500)),
            }
        }
    }

    // --- services ---------------------------------------------------------------------------------------------------------------

    fn curl(&self, args: &[&str]) -> String {
        process::run(Command::new("curl").args(["-fsS", "--max-time", "10"]).args(args), "", Duration::from_secs(20)).good()
    }

    /// Posts gauges to a Pushgateway job, as the runbook's cleaning does.
    pub fn push(&self, job: &str, gauges: &str) {
        let url = format!("{}/metrics/job/{job}", self.env("LAB_PUSHGATEWAY_URL"));
        self.curl(&["--data-binary", gauges, &url]);
    }

    /// A query as it stands now.
    pub fn query(&self, query: &str) -> Vec<Value> {
        self.prometheus("query", query, &[])
    }

    /// The same over the time until now, as a graph asks it.
    pub fn graph(&self, query: &str, span: Duration) -> Vec<Value> {
        let now = jiff::Timestamp::now().as_second();
        let from = now.saturating_sub_unsigned(span.as_secs());
        self.prometheus("query_range", query, &[&format!("start={from}"), &format!("end={now}"), "step=15"])
    }

    fn prometheus(&self, way: &str, query: &str, more: &[&str]) -> Vec<Value> {
        let url = format!("{}/api/v1/{way}", self.env("LAB_PROMETHEUS_URL"));
        let query = format!("query={query}");
        let parameters = std::iter::once(query.as_str()).chain(more.iter().copied()).flat_map(|it| ["--data-urlencode", it]);
        let text = self.curl(&["-G", url.as_str()].into_iter().chain(parameters).collect::<Vec<_>>());
        let answer: Value = serde_json::from_str(&text).expect("Prometheus answers JSON");
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    }

    /// The lines of what the Pushgateway holds that begin so.
    pub fn pushed(&self, prefix: &str) -> String {
        let text = self.curl(&[&format!("{}/metrics", self.env("LAB_PUSHGATEWAY_URL"))]);
        text.lines().filter(|line| line.starts_with(prefix)).collect::<Vec<_>>().join("\n")
    }

    /// Every value that Prometheus scraped of a gauge since `from`, in order, with repetitions left out.
    pub fn values(&self, query: &str, from: jiff::Timestamp) -> Vec<f64> {
        let span = (jiff::Timestamp::now().as_second() - from.as_second()).max(1);
        let mut scraped: Vec<(f64, f64)> = Vec::new();
        for series in self.query(&format!("{query}[{span}s]")) {
            for value in series["values"].as_array().into_iter().flatten() {
                let number = value[1].as_str().and_then(|text| text.parse().ok()).expect("a number");
                scraped.push((value[0].as_f64().expect("a time"), number));
            }
        }
        scraped.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut values: Vec<f64> = scraped.into_iter().map(|(_, value)| value).collect();
        values.dedup();
        values
    }

    /// The texts that Slack would have got since `from`.
    pub fn slack(&self, from: jiff::Timestamp) -> Vec<String> {
        let lines = std::fs::read_to_string(self.env("LAB_SLACK_FILE")).unwrap_or_default();
        let read = |line: &str| -> Option<(jiff::Timestamp, String)> {
            let message: Value = serde_json::from_str(line).ok()?;
            Some((message["time"].as_str()?.parse().ok()?, message["body"]["text"].as_str()?.to_owned()))
        };
        let all = lines.lines().map(|line| read(line).unwrap_or_else(|| panic!("no Slack message: {line}")));
        all.filter(|(at, _)| *at >= from).map(|(_, text)| text).collect()
    }

    // --- for a person who reads a failure ------------------------------------------------------------------------------------------

    fn diagnosis(&self) -> String {
        let look = |args: &[&str]| self.try_kubectl(args).unwrap_or_else(|| "(the API server does not answer)\n".to_owned());
        let mut text = look(&["-n", NAMESPACE, "get", "jobs,pods", "-o", "wide"]);
        let names = look(&["-n", NAMESPACE, "get", "pods", "-o", "name"]);
        for pod in names.lines().filter(|line| line.starts_with("pod/")) {
            text.push_str(&format!("--- {pod}\n{}", look(&["-n", NAMESPACE, "logs", "--tail=12", pod])));
        }
        let status = process::run(lab_command().arg("status"), "", Duration::from_secs(60));
        text.push_str(&format!("--- lab status\n{}", status.stdout));
        text
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some((phase, since)) = self.phase.lock().ok().and_then(|mut phase| phase.take()) {
            self.say(format!("took {:.1} s: {phase}", since.elapsed().as_secs_f64()));
        }
        if std::thread::panicking() && !self.env.is_empty() {
            self.say(format!("FAILED; how it stands:\n{}", self.diagnosis()));
        }
    }
}

/// LAB_BINARY, else `release/k8s-upgrade` of the target folder that this test was built into.
fn binary() -> PathBuf {
    let named = std::env::var_os("LAB_BINARY").map(PathBuf::from);
    let built = || {
        let own = std::env::current_exe().ok()?;
        Some(own.parent()?.parent()?.parent()?.join("release/k8s-upgrade"))
    };
    let path = named.or_else(built).expect("a path");
    assert!(
        path.is_file(),
        "the program under test, {}, is not there: cargo build --release, or name it by LAB_BINARY",
        path.display()
    );
    path
}
