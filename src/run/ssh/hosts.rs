//! Operations on nodes, over SSH, each on the machine that was proved to be the node ([`super::proof`]). Host keys are learned once and kept
//! in a ConfigMap that all runners share; then they are strict. Where the settings name a known_hosts file, that file alone counts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use tokio::sync::{Mutex as Turns, OnceCell, Semaphore};
use tokio::time::Instant;

use crate::failure::Cause;
use crate::guard::{self, Guard};
use crate::names;
use crate::node::{self, Identify, Machine, Operation};
use crate::permit::{ChangeClass, Gate};
use crate::plan::model::facts::Node;
use crate::plan::model::policy::HostKeys;
use crate::plan::model::progress::Awaited;
use crate::plan::trust::known_hosts::KnownHosts;
use crate::report::Event;
use crate::run::cluster::Cluster;
use crate::run::outside::Credentials;
use crate::run::parallel;
use crate::run::session::{Change, Session, locked};
use crate::settings::Settings;
use crate::words::{command, ssh};
use crate::world::{Bounds, Files, Host, HostError, HostOutput, Hosts, Login, TEXT_FILE, World};

/// A machine that boots again and again under one operation is left alone.
const MOST_BOOTS: u32 = 2;
/// A node that does not answer at once is tried again for this long: sshd is restarted by upgrades, networks hiccup.
const CONNECT_PATIENCE: Duration = Duration::from_secs(60);
/// The same where a person waits for the answers of all nodes.
const PERSONS_PATIENCE: Duration = Duration::from_secs(5);

/// A node as SSH finds it.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    node: &'a str,
    /// Its InternalIP.
    address: Option<&'a str>,
    /// What the machine must be proved to be; None: it is only looked at.
    is: Option<&'a Node>,
    /// The key to log in with, where it is not the usual one.
    login: Option<&'a Login>,
    manner: Manner,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// As somebody who has work to do there.
    Work,
    /// Nothing may be asked of the API server.
    Alone,
    /// As somebody who only wants to see: tried once, and nothing is learned.
    Glance,
}

impl<'a> From<&'a Node> for Place<'a> {
    fn from(node: &'a Node) -> Self {
        Place { node: &node.name, address: node.address.as_deref(), is: Some(node), login: None, manner: Manner::Work }
    }
}

impl<'a> Place<'a> {
    /// A host of the settings: neither the API server nor anything that it keeps is asked.
    pub fn alone(node: &'a str) -> Self {
        Place { node, address: None, is: None, login: None, manner: Manner::Alone }
    }

    /// A node that somebody only wants to see: it is tried once, and its host key has to be known.
    pub fn glance(node: &'a Node) -> Self {
        Place { manner: Manner::Glance, is: None, ..node.into() }
    }

    /// How long it is tried after that. `looks`: for a person who waits, and to whom it does not matter whether sshd is being restarted.
    fn patience(self, error: &HostError, looks: bool) -> Duration {
        match self.manner {
            Manner::Glance => Duration::ZERO,
            Manner::Work if !looks => CONNECT_PATIENCE,
            Manner::Work | Manner::Alone if matches!(error, HostError::Closed(..)) => Duration::ZERO,
            Manner::Work | Manner::Alone => PERSONS_PATIENCE,
        }
    }
}

/// The way to nodes, by SSH.
pub struct Ssh {
    pub(super) settings: Arc<Settings>,
    pub(super) session: Arc<Session>,
    pub(super) cluster: Arc<Cluster>,
    credentials: Arc<Credentials>,
    hosts: Arc<dyn Hosts>,
    files: Arc<dyn Files>,
    /// Node name → its host keys, as far as they are known.
    pub(super) known_hosts: OnceCell<Mutex<BTreeMap<String, String>>>,
    /// Node name → the machine that was proved to be it.
    pub(super) proved: Mutex<BTreeMap<String, Machine>>,
    /// Of sessions that change nothing: in the order in which they come.
    looks: Semaphore,
    /// Nodes whose host keys this process has learned, one after the other: all are kept in one object.
    pub(super) learned: Turns<Vec<String>>,
}

impl Ssh {
    /// Has no session yet.
    pub fn new(
        settings: Arc<Settings>,
        session: Arc<Session>,
        cluster: Arc<Cluster>,
        credentials: Arc<Credentials>,
        world: &World,
    ) -> Self {
        let (hosts, files) = (world.hosts.clone(), world.files.clone());
        let (known_hosts, proved) = (OnceCell::new(), Mutex::default());
        let (looks, learned) = (Semaphore::new(parallel::LOOKS), Turns::default());
        Ssh { settings, session, cluster, credentials, hosts, files, known_hosts, proved, looks, learned }
    }

    /// Runs one operation on a node. A lost session is tried again if the operation only reads; the caller decides otherwise.
    pub async fn on_node<O: Operation>(&self, node: &Node, operation: &O) -> Result<O::Output, Cause> {
        self.exec(node.into(), operation, &mut |_| {}).await
    }

    /// The same with a key of the caller's.
    pub async fn on_node_as<O: Operation>(&self, node: &Node, login: &Login, operation: &O) -> Result<O::Output, Cause> {
        self.exec(Place { login: Some(login), ..node.into() }, operation, &mut |_| {}).await
    }

    /// The same on a host of the settings, by SSH alone.
    pub async fn on_host<O: Operation>(&self, node: &str, operation: &O) -> Result<O::Output, Cause> {
        self.exec(Place::alone(node), operation, &mut |_| {}).await
    }

    /// The same, and what the script says meanwhile is told.
    pub async fn on_node_telling<O: Operation>(&self, node: &Node, operation: &O) -> Result<O::Output, Cause> {
        let mut tell = |line: &str| {
            let Some(line) = node::progress(line) else { return };
            let place = node.name.clone();
            self.session.emit(&match node::waits(line) {
                Some((left, on)) => Event::Waiting { place, on: Awaited::new(on, ""), left },
                None => Event::Output { place, line: line.to_owned() },
            });
        };
        self.exec(node.into(), operation, &mut tell).await
    }

    /// The same anywhere, with each line that the script says meanwhile.
    pub async fn exec<O: Operation>(
        &self,
        place: Place<'_>,
        operation: &O,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<O::Output, Cause> {
        let node = place.node;
        Gate.check(O::MUTATES, || format!("{} on {node}", O::NAME)).map_err(|error| Cause::bug(error.to_string()))?;
        let (mut begun, mut boots) = (None, 0);
        loop {
            let stdin = match place.is {
                Some(is) => {
                    let proved = self.proved(place, is, &mut begun).await?;
                    if guard::on(Guard::IdentityAfterBoot) { node::stdin_on(operation, &proved) } else { node::stdin(operation) }
                }
                None => node::stdin(operation),
            };
            let (host, output) =
                self.reach::<O>(place, stdin.into(), &mut begun, on_line).await.map_err(|cause| cause.during(O::NAME))?;
            if !node::is_elsewhere::<O>(&output) || boots == MOST_BOOTS {
                return answer(&host, operation, &output);
            }
            boots += 1;
            self.forget_proof(node);
            self.session.note(node, "it has booted, or is another machine, since it was proved to be the node: proving it again");
        }
    }

    /// One session that reaches the host, and the host as it was reached. `begun`: when it was tried first; to stand in line is no try.
    pub async fn reach<O: Operation>(
        &self,
        place: Place<'_>,
        stdin: Bytes,
        begun: &mut Option<Instant>,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(Host, HostOutput), Cause> {
        let bounds = Bounds::new(O::DEADLINE, O::OUTPUT);
        loop {
            let host = self.host(place).await?;
            let place_in_line = if O::MUTATES { None } else { self.looks.acquire().await.ok() };
            let begun = *begun.get_or_insert_with(Instant::now);
            let error = match self.hosts.exec(&host, node::COMMAND, stdin.clone(), bounds, on_line).await {
                Ok(output) => return Ok((host, output)),
                Err(error) => error,
            };
            drop(place_in_line);
            // Whoever answers next need not be the same.
            self.forget_proof(place.node);
            let again = match &error {
                HostError::Connect(..) | HostError::Closed(..) => true,
                HostError::Lost(..) => !O::MUTATES,
                _ => false,
            };
            let left = place.patience(&error, self.session.only_looks()).saturating_sub(begun.elapsed());
            if !again || left.is_zero() {
                return Err(self.host_cause(&host, &error));
            }
            self.session.emit(&Event::Waiting { place: place.node.to_owned(), on: Awaited::new("SSH", error.to_string()), left });
            self.session.sleep(Duration::from_secs(3).min(left), false).await;
        }
    }

    fn host_cause(&self, host: &Host, error: &HostError) -> Cause {
        let text = error.to_string();
        let ssh = ssh(&host.user, &host.address, host.port, "true");
        match error {
            HostError::Connect(..) | HostError::Closed(..) | HostError::Deadline(..) => Cause::unreachable(text).next(ssh),
            HostError::Lost(..) | HostError::TooMuch(_) => Cause::step(text).next(ssh),
            HostError::HostKeyChanged(..) => Cause::refused(text).next(match self.known_hosts_file() {
                Some(file) => {
                    command!("ssh-keygen -R {} -f {}   # if the node was reinstalled", written(host), file.display())
                }
                None => command!(
                    "kubectl -n {} edit configmap {}   # if the node was reinstalled: delete the line of {}",
                    self.cluster.namespace,
                    names::KNOWN_HOSTS_MAP,
                    host.node
                ),
            }),
            HostError::Auth(..) => Cause::refused(text)
                .detail([format!("the key's public half must stand in ~{}/.ssh/authorized_keys of {}", host.user, host.node)])
                .next(ssh),
            HostError::BadKey(_) if matches!(host.login, Login::Agent) => {
                Cause::refused(text).next("k8s-upgrade … --set ssh-key-file=FILE      # the key, without an agent")
            }
            HostError::BadKey(_) => Cause::refused(text),
        }
    }

    /// Where SSH reaches a node: the setting, else its InternalIP (names need not resolve).
    fn address(&self, place: Place<'_>) -> Option<String> {
        self.settings.host_addresses.get(place.node).map(ToString::to_string).or_else(|| place.address.map(str::to_owned))
    }

    /// The same, of a node of the cluster.
    pub fn address_of(&self, node: &Node) -> Option<String> {
        self.address(node.into())
    }

    async fn host(&self, place: Place<'_>) -> Result<Host, Cause> {
        let address = self.address(place).ok_or_else(|| {
            Cause::refused(format!("{} has no InternalIP", place.node)).detail(["set host-addresses for it".to_owned()])
        })?;
        let host = Host {
            node: place.node.to_owned(),
            address,
            port: self.settings.ssh_port,
            user: self.settings.ssh_user.to_string(),
            login: match place.login {
                Some(login) => login.clone(),
                None => self.login(place.manner == Manner::Alone).await?,
            },
            known_keys: Vec::new(),
        };
        let known_keys = match self.known_hosts_file() {
            Some(file) => self.keys_in_file(file, &host)?,
            None if place.manner == Manner::Alone => {
                return Err(Cause::bug("a host was asked by SSH alone, without a known_hosts file"));
            }
            None => self.known_keys(place.node).await?,
        };
        if known_keys.is_empty() {
            self.may_be_unknown(place, &host)?;
        }
        Ok(Host { known_keys, ..host })
    }

    /// Whether a host whose key nobody knows may be asked.
    fn may_be_unknown(&self, place: Place<'_>, host: &Host) -> Result<(), Cause> {
        if place.manner == Manner::Glance {
            return Err(Cause::refused("its host key is not known yet"));
        }
        if self.settings.host_keys == HostKeys::Learn || !guard::on(Guard::HostKeyKnown) {
            return Ok(());
        }
        let scan = command!(
            "ssh-keyscan -t ed25519 -p {} {} >> known_hosts      # then compare it: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on the node",
            host.port,
            host.address
        );
        Err(Cause::refused(format!("the host key of {} is not known, and host-keys is strict", host.node))
            .next(scan)
            .next("k8s-upgrade manifests --image REF --set known-hosts-file=known_hosts | kubectl apply -f -"))
    }

    async fn login(&self, alone: bool) -> Result<Login, Cause> {
        match self.credentials.login_at_hand()? {
            Some(login) => Ok(login),
            None if alone => Ok(Login::Agent),
            None => self.credentials.own_login().await,
        }
    }

    fn known_hosts_file(&self) -> Option<&Path> {
        Some(self.settings.known_hosts_file.as_path()).filter(|path| !path.as_os_str().is_empty())
    }

    fn known_hosts(&self, file: &Path) -> Result<KnownHosts, Cause> {
        let place = file.display().to_string();
        let cannot = |why: String| Cause::usage(format!("cannot read the setting known-hosts-file, {place}: {why}"));
        let bytes = self.files.read(file, TEXT_FILE).map_err(|error| cannot(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| cannot("it is not text".to_owned()))?;
        KnownHosts::read(&place, &text)
    }

    /// What SSH alone needs is there and can be read; better told once than by each host.
    pub fn fit_for_ssh_alone(&self) -> Result<(), Cause> {
        self.settings.by_ssh_alone()?;
        self.credentials.login_at_hand()?;
        self.known_hosts_file().map_or(Ok(()), |file| self.known_hosts(file).map(drop))
    }

    /// What the file knows of a host, by its name or its address. One that it does not know is refused: nothing vouches for it.
    fn keys_in_file(&self, file: &Path, host: &Host) -> Result<Vec<String>, Cause> {
        let place = file.display();
        let keys = self.known_hosts(file)?.of(&[&host.node, &host.address], host.port);
        if keys.is_empty() {
            let scan = command!(
                "ssh-keyscan -p {} {} >> {}      # then compare it: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on the node",
                host.port,
                host.address,
                place
            );
            return Err(Cause::refused(format!("{place} knows no host key of {} ({})", host.node, written(host))).next(scan));
        }
        Ok(keys)
    }

    fn config_maps(&self) -> Api<ConfigMap> {
        self.cluster.own()
    }

    /// What is known of a node's host keys. Read once a process: an operation on a node must not need the API server, which is away
    /// while we upgrade it.
    async fn known_keys(&self, node: &str) -> Result<Vec<String>, Cause> {
        let known = self
            .known_hosts
            .get_or_try_init(async || {
                let api = self.config_maps();
                let map = self.cluster.find("read the known host keys", async || api.get(names::KNOWN_HOSTS_MAP).await).await?;
                Ok::<_, Cause>(Mutex::new(map.and_then(|map| map.data).unwrap_or_default()))
            })
            .await?;
        let lines = locked(known).get(node).cloned().unwrap_or_default();
        Ok(lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    /// An operation that changes the node, as a told step.
    pub async fn change_node<O: Operation>(
        &self,
        node: &Node,
        class: ChangeClass,
        step: &str,
        operation: &O,
    ) -> Result<O::Output, Cause> {
        let change =
            Change { class, place: &node.name, step, deadline: O::DEADLINE + Identify::DEADLINE + CONNECT_PATIENCE, told: true };
        self.session.change(change, self.on_node_telling(node, operation)).await
    }
}

/// What the operation gave there. Where something else answers than our script, a person tries the way in by hand.
pub fn answer<O: Operation>(host: &Host, operation: &O, output: &HostOutput) -> Result<O::Output, Cause> {
    node::read(operation, output).map_err(|cause| {
        let cause = cause.during(O::NAME);
        let foreign = node::is_foreign::<O>(output);
        if foreign { cause.next(ssh(&host.user, &host.address, host.port, "sudo -n true")) } else { cause }
    })
}

/// As a known_hosts file names it.
fn written(host: &Host) -> String {
    if host.port == 22 { host.address.clone() } else { format!("'[{}]:{}'", host.address, host.port) }
}
