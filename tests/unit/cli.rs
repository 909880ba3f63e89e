//! The whole program by its one entry, as a person or a Job calls it: exit codes, and what stands on which stream.

use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_upgrade::world::World;
use k8s_upgrade::{Invocation, adapters, run, signals};

/// A stream that keeps what was written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

pub struct Ran {
    code: ExitCode,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn is(&self, code: u8) -> &Self {
        assert_eq!(self.code, ExitCode::from(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
    pub fn says(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "stderr should say {text:?}: {}", self.stderr);
        self
    }
}

/// Runs a command line with an environment of its own.
pub fn program(args: &[&str], env: &[(&str, &str)]) -> Ran {
    program_in(None, args, env)
}

/// The same in a world that is made inside the runtime; else the real one. A command that stops time has no deadline here.
pub fn program_in(world: Option<&dyn Fn() -> World>, args: &[&str], env: &[(&str, &str)]) -> Ran {
    let (stdout, stderr) = (Kept::default(), Kept::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let code = runtime.block_on(async {
        let invocation = Invocation {
            argv: ["k8s-upgrade"].iter().chain(args).map(Into::into).collect(),
            env: env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            stdin: Box::new(std::io::empty()),
            stdout: Arc::new(Mutex::new(stdout.clone())),
            stderr: Arc::new(Mutex::new(stderr.clone())),
            interactive: false,
            stderr_is_terminal: false,
            stop: signals::listen().unwrap(),
            tee: None,
        };
        let ended = match world {
            Some(world) => Ok(run(invocation, &world()).await),
            None => tokio::time::timeout(Duration::from_secs(60), run(invocation, &adapters::world())).await,
        };
        ended.expect("the command hung")
    });
    Ran { code, stdout: stdout.text(), stderr: stderr.text() }
}

/// A kubeconfig of an API server that nobody listens for.
fn nobody(folder: &tempfile::TempDir) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let path = folder.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn help_and_version_are_data() {
    let help = program(&["--help"], &[]);
    help.is(0);
    assert!(
        help.stdout.contains("upgrade-node") && help.stdout.contains("Exit codes") && help.stderr.is_empty(),
        "{}",
        help.stdout
    );
    assert!(program(&["--version"], &[]).is(0).stdout.starts_with("k8s-upgrade "));
}

#[test]
fn every_command_s_help_ends_with_two_examples() {
    for command in [
        "detect",
        "start",
        "resume",
        "rehearse",
        "status",
        "preflight",
        "upgrade-node",
        "postflight",
        "drain",
        "manifests",
        "image",
        "completions",
        "man",
    ] {
        let help = program(&[command, "--help"], &[]);
        help.is(0);
        let examples = help.stdout.split_once("Examples:").unwrap_or_else(|| panic!("{command}: no examples")).1;
        assert_eq!(examples.trim().lines().count(), 2, "{command}: {examples}");
    }
}

#[test]
fn a_wrong_command_line_is_usage() {
    program(&[], &[]).is(2);
    program(&["upgrade"], &[]).is(2).says("unrecognized subcommand");
    program(&["start"], &[]).is(2).says("--target");
    program(&["preflight", "--target", "1.36"], &[]).is(2).says("is no Kubernetes release");
    program(&["preflight", "--target", "v1.36.3-rc.1"], &[]).is(2).says("is no Kubernetes release");
    program(&["preflight", "--target", "1.36.3", "--chain"], &[]).is(2).says("--run");
    program(&["manifests"], &[]).is(2).says("--image REF");
}

#[test]
fn wrong_settings_are_usage_and_name_their_source() {
    program(&["status", "--set", "soka=1m"], &[]).is(2).says("did you mean \"soak\"?");
    program(&["status"], &[("K8S_UPGRADE_SOAK", "long")]).is(2).says("environment variable K8S_UPGRADE_SOAK");
    program(&["status", "--config", "/nonexistent/config.yaml"], &[]).is(2).says("/nonexistent/config.yaml");
}

#[test]
fn an_api_server_that_is_not_there_is_told_in_bounded_time() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = nobody(&folder);
    let ran = program(&["status", "--kubeconfig", &kubeconfig], &[]);
    ran.is(7).says("✗ list nodes").says("onnection refused").says("Next:");
    let ran = program(&["status", "--kubeconfig", "/nonexistent/kubeconfig"], &[]);
    ran.is(7).says("/nonexistent/kubeconfig");
}

#[test]
fn json_goes_to_stderr_for_failures_too() {
    let folder = tempfile::tempdir().unwrap();
    let ran = program(&["status", "--kubeconfig", &nobody(&folder), "--log-format", "json"], &[]);
    let last = ran.stderr.lines().last().unwrap();
    let event: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!((event["event"].as_str(), event["failure"]["exitCode"].as_u64()), (Some("failed"), Some(7)), "{last}");
}

#[test]
fn manifests_and_rules_need_no_cluster() {
    let ran = program(&["manifests", "--image", "example.org/k8s-upgrade:1", "--set", "soak=1m"], &[]);
    assert!(ran.is(0).stdout.contains("soak: 1m"), "{}", ran.stdout);
    let rules = program(&["manifests", "--only", "rules"], &[]);
    assert!(rules.is(0).stdout.contains("K8sUpgradeStalled"), "{}", rules.stdout);
}
