//! All that is outside the process, as traits: the real ones are in `adapters`, one in memory can stand behind the same doors.
//!
//! Traits here are byte-level: what the bytes mean is known by `clients` and `node`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

/// Everything that a run may touch.
#[derive(Clone)]
pub struct World {
    pub kube: Arc<dyn KubeSource>,
    pub hosts: Arc<dyn Hosts>,
    pub web: Arc<dyn Web>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub files: Arc<dyn Files>,
    pub terminal: Arc<dyn Terminal>,
}

/// Where the API server is and how it is reached.
#[derive(Clone, Debug, Default)]
pub struct KubeTarget {
    pub kubeconfig: Option<std::path::PathBuf>,
    pub context: Option<String>,
}

/// A client and what was learned while making it.
pub struct KubeConnection {
    pub client: kube::Client,
    /// True when the program runs in a pod and speaks with its ServiceAccount.
    pub in_cluster: bool,
    /// For messages: `https://10.0.0.1:6443 (context homelab)`.
    pub place: String,
}

/// Makes a client whose every request first passes `gate`.
pub trait KubeSource: Send + Sync {
    fn connect<'a>(&'a self, target: &'a KubeTarget, gate: crate::permit::Gate) -> BoxFuture<'a, Result<KubeConnection, String>>;
}

/// A node as SSH reaches it.
#[derive(Clone, Debug)]
pub struct Host {
    /// The node's name, for messages and known_hosts comments.
    pub node: String,
    pub address: String,
    pub port: u16,
    pub user: String,
    pub login: Login,
    /// The host's known keys, as `type base64` (two fields of a known_hosts line). Empty: the key is learned and returned.
    pub known_keys: Vec<String>,
}

/// How we log in. Debug never prints the key.
#[derive(Clone)]
pub enum Login {
    Key(Arc<str>),
    Agent,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Login::Key(_) => "Key(…)",
            Login::Agent => "Agent",
        })
    }
}

/// What a command on a host gave.
#[derive(Clone, Debug, Default)]
pub struct HostOutput {
    pub stdout: String,
    pub stderr: String,
    /// `type base64` of the host key that the session showed (for learning).
    pub host_key: String,
}

/// Why a command on a host has no (whole) output. A command that ran and failed is not an error here: its sentinel line says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    #[error("cannot connect to {0}: {1}")]
    Connect(String, String),
    #[error("{0} shows another host key than the one known (shown: {1})")]
    HostKeyChanged(String, String),
    #[error("{0} refused the key of {1}: {2}")]
    Auth(String, String, String),
    /// The session was cut: whatever ran on the host may still run.
    #[error("the session to {0} was lost: {1}")]
    Lost(String, String),
    #[error("{0} did not answer within {1:?}")]
    Deadline(String, Duration),
    #[error("the private key cannot be used: {0}")]
    BadKey(String),
}

/// Commands on hosts, over SSH.
pub trait Hosts: Send + Sync {
    /// Runs `command`, writes `stdin` to it and closes it, calls `on_line` with each line of its stdout as it comes, and returns
    /// all of it once the command ended. After `deadline` the wait ends; what runs on the host is left to finish.
    fn exec<'a>(
        &'a self,
        host: &'a Host,
        command: &'a str,
        stdin: Bytes,
        deadline: Duration,
        on_line: &'a mut (dyn FnMut(&str) + Send),
    ) -> BoxFuture<'a, Result<HostOutput, HostError>>;
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebError {
    #[error("cannot reach {0}: {1}")]
    Unreachable(String, String),
    #[error("{0} did not answer within {1:?}")]
    Deadline(String, Duration),
}

/// One HTTP exchange; redirects are followed unless a header is marked sensitive. Any status is an answer.
pub trait Web: Send + Sync {
    fn send<'a>(
        &'a self,
        request: http::Request<Bytes>,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<http::Response<Bytes>, WebError>>;
}

/// The one clock. Sleeping is tokio's, which a test can pause.
pub trait Clock: Send + Sync {
    fn now(&self) -> jiff::Timestamp;
}

pub trait Random: Send + Sync {
    fn u64(&self) -> u64;
    /// Bytes that nobody can guess, for keys.
    fn secret(&self) -> std::io::Result<[u8; 32]>;
}

/// Files of the machine that the program runs on.
pub trait Files: Send + Sync {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>>;
    /// Writes a whole file or nothing: to a temporary name first, then renamed.
    fn write(&self, path: &Path, content: &[u8], mode: u32) -> std::io::Result<()>;
}

/// What stands behind stdout.
pub trait Terminal: Send + Sync {
    /// As it is now; None if stdout is no terminal.
    fn size(&self) -> Option<Size>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub rows: usize,
    pub columns: usize,
}

/// Environment variables, as `main` found them.
pub type Env = BTreeMap<String, String>;
