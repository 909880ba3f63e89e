//! All that is outside the process, as traits: the real ones are in `adapters`, one in memory can stand behind the same doors.
//!
//! Traits here are byte-level: what the bytes mean is known by `clients` and `node`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::words::{KubeconfigName, Subject};

/// Everything that a run may touch.
#[derive(Clone)]
pub struct World {
    pub kube: Arc<dyn KubeSource>,
    pub hosts: Arc<dyn Hosts>,
    pub web: Arc<dyn Web>,
    pub resolver: Arc<dyn Resolver>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub files: Arc<dyn Files>,
    pub terminal: Arc<dyn Terminal>,
}

/// How long an answer is waited for, and how many bytes of it are taken: none is read without both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub time: Duration,
    pub bytes: usize,
}

impl Bounds {
    /// A wait, and bytes.
    pub const fn new(time: Duration, bytes: usize) -> Self {
        Bounds { time, bytes }
    }
}

/// Somebody sent more than is taken of an answer of that kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{peer} sent more than {}, which is the limit for {what}", size(*limit_bytes))]
pub struct TooMuch {
    /// Who: `https://10.0.0.1:6443 (context homelab)`.
    pub peer: String,
    /// What it is a limit of: `an answer`.
    pub what: &'static str,
    /// Bytes.
    pub limit_bytes: usize,
}

/// Bytes as people read them; limits are round.
fn size(bytes: usize) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        bytes if bytes >= 1 << 10 => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

/// Where the API server is, how it is reached, and as whom. What is not said, the kubeconfig or the pod's ServiceAccount says.
#[derive(Clone, Debug, Default)]
pub struct KubeTarget {
    pub kubeconfig: Option<std::path::PathBuf>,
    pub context: Option<KubeconfigName>,
    /// Instead of the context's.
    pub cluster: Option<KubeconfigName>,
    pub user: Option<KubeconfigName>,
    /// Whom the API server is to take us for, if it lets us.
    pub as_user: Option<Subject>,
    pub as_groups: Vec<Subject>,
}

impl KubeTarget {
    /// Whether something of a kubeconfig is named: then it is one that is meant, in a pod, too.
    pub fn names_kubeconfig(&self) -> bool {
        self.kubeconfig.is_some() || [&self.context, &self.cluster, &self.user].into_iter().any(Option::is_some)
    }
}

/// Bytes of one answer of the API server: a page of a list is the largest.
pub const API_ANSWER: usize = 32 << 20;
/// Bytes of one event of a watch, or of one line of a stream: an object is at most about 1.5 MiB.
pub const EVENT: usize = 4 << 20;
/// Bytes of a pod's log.
pub const LOG: usize = 1 << 20;
/// Bytes of what a Service answers through the API server; whoever asks takes less.
pub const PROXIED: usize = 8 << 20;

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
    /// Opens a connection to an API server, past this gate of permits. Errors: why there is none.
    fn connect<'a>(&'a self, target: &'a KubeTarget, gate: crate::permit::Gate) -> BoxFuture<'a, Result<KubeConnection, String>>;

    /// What the kubeconfig has names for. None: there is none that can be read.
    fn named<'a>(&'a self, _target: &'a KubeTarget) -> BoxFuture<'a, Option<Named>> {
        Box::pin(std::future::ready(None))
    }
}

/// Names in a kubeconfig.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    pub contexts: Vec<String>,
    pub clusters: Vec<String>,
    pub users: Vec<String>,
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
    /// The machine answers that nothing listens there: no wait would show more, unless sshd is about to come back.
    #[error("cannot connect to {0}: {1}")]
    Closed(String, String),
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
    /// The session was ended: whatever runs on the host may still run.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
}

/// Bytes of a command's stderr: a script says there why it failed, and nothing else.
pub const STDERR: usize = 64 << 10;

/// Commands on hosts, over SSH.
pub trait Hosts: Send + Sync {
    /// Runs `command`, writes `stdin` to it and closes it, calls `on_line` with each line of its stdout as it comes, and returns
    /// all of it once the command ended. Of stdout `bounds.bytes` are taken, of stderr [`STDERR`]. After `bounds.time`, or beyond a
    /// limit, the session ends; what runs on the host is left to finish.
    fn exec<'a>(
        &'a self,
        host: &'a Host,
        command: &'a str,
        stdin: Bytes,
        bounds: Bounds,
        on_line: &'a mut (dyn FnMut(&str) + Send),
    ) -> BoxFuture<'a, Result<HostOutput, HostError>>;
}

/// Why there is no answer. Any status is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebError {
    #[error("cannot reach {0}: {1}")]
    Unreachable(String, String),
    #[error("{0} did not answer within {1:?}")]
    Deadline(String, Duration),
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
}

/// One HTTP exchange; redirects are followed unless a header is marked sensitive. Any status is an answer. A request whose extensions have
/// [`crate::words::Certificates`] trusts these authorities and no others.
pub trait Web: Send + Sync {
    /// Sends one request and reads its answer, within the deadline and the limit of bytes.
    fn send<'a>(
        &'a self,
        request: http::Request<Bytes>,
        bounds: Bounds,
    ) -> BoxFuture<'a, Result<http::Response<Bytes>, WebError>>;
}

/// The machine's own way from names to addresses; that of a pod is the cluster's DNS, by the address of its Service.
pub trait Resolver: Send + Sync {
    /// Asks for a name's addresses. Errors: why there is none.
    fn resolve<'a>(&'a self, name: &'a str, deadline: Duration) -> BoxFuture<'a, Result<(), String>>;
}

/// The one clock. Sleeping is tokio's, which a test can pause.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> jiff::Timestamp;
}

/// Where ids and keys come from; a simulation has its own, by a seed.
pub trait Random: Send + Sync {
    /// Any number, each as likely.
    fn u64(&self) -> u64;
    /// Bytes that nobody can guess, for keys.
    fn secret(&self) -> std::io::Result<[u8; 32]>;
}

/// Bytes of a file that holds a key, a token or the like.
pub const SECRET_FILE: usize = 64 << 10;
/// Bytes of a file of text: settings, a kubeconfig, known hosts, a scenario.
pub const TEXT_FILE: usize = 16 << 20;
/// Bytes of a program.
pub const BINARY_FILE: usize = 512 << 20;

/// Files of the machine that the program runs on.
pub trait Files: Send + Sync {
    /// A whole file of at most `limit` bytes. One that nobody writes, such as a FIFO, is not waited for for ever.
    fn read(&self, path: &Path, limit: usize) -> std::io::Result<Vec<u8>>;
    /// Writes a whole file or nothing: to a temporary name first, then renamed. A symbolic link stays, and what it leads to is written;
    /// what is no regular file, such as /dev/stdout or a FIFO, is written to and never replaced.
    fn write(&self, path: &Path, content: &[u8], mode: u32) -> std::io::Result<()>;
    /// Makes a folder and those that it lies in, where they are not there.
    fn make_folder(&self, path: &Path) -> std::io::Result<()>;
    /// A regular file is there, which a write would replace.
    fn is_file(&self, path: &Path) -> std::io::Result<bool>;
}

/// What stands behind stdout.
pub trait Terminal: Send + Sync {
    /// As it is now; None if stdout is no terminal.
    fn size(&self) -> Option<Size>;
}

/// In characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub rows: usize,
    pub columns: usize,
}

/// Environment variables, as `main` found them.
pub type Env = BTreeMap<String, String>;
