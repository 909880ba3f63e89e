//! Operations on nodes, over SSH. Host keys are learned once and kept in a ConfigMap that all runners share; then they are strict.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use super::ctx::{Change, Ctx, locked};
use crate::failure::Cause;
use crate::names;
use crate::node::{self, Operation};
use crate::permit::{ChangeClass, Permit};
use crate::plan::facts::Node;
use crate::report::Event;
use crate::world::{Host, HostError, Login};

/// A node that does not answer at once is tried again for this long: sshd is restarted by upgrades, networks hiccup.
const CONNECT_PATIENCE: Duration = Duration::from_secs(60);

impl Ctx {
    /// Runs one operation on a node. A lost session is tried again if the operation only reads; the caller decides otherwise.
    pub async fn on_node<O: Operation>(&self, node: &Node, operation: &O) -> Result<O::Output, Cause> {
        self.exec(node, &self.creds().await?.login, operation, &mut |_| {}).await
    }

    /// The same with a key of the caller's.
    pub async fn on_node_as<O: Operation>(&self, node: &Node, login: &Login, operation: &O) -> Result<O::Output, Cause> {
        self.exec(node, login, operation, &mut |_| {}).await
    }

    /// The same, and what the script says meanwhile is told.
    pub async fn on_node_telling<O: Operation>(&self, node: &Node, operation: &O) -> Result<O::Output, Cause> {
        let mut tell = |line: &str| {
            let Some(line) = node::progress(line) else { return };
            let place = node.name.clone();
            self.emit(&match node::waits(line) {
                Some((left, on)) => Event::Waiting { place, on: on.to_owned(), left },
                None => Event::Output { place, line: line.to_owned() },
            });
        };
        self.exec(node, &self.creds().await?.login, operation, &mut tell).await
    }

    async fn exec<O: Operation>(
        &self,
        node: &Node,
        login: &Login,
        operation: &O,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<O::Output, Cause> {
        self.gate()
            .check(O::MUTATES, || format!("{} on {}", O::NAME, node.name))
            .map_err(|error| Cause::bug(error.to_string()))?;
        let stdin = Bytes::from(node::stdin(operation));
        let begun = Instant::now();
        loop {
            let host = self.host(node, login).await?;
            let error = match self.world.hosts.exec(&host, node::COMMAND, stdin.clone(), O::DEADLINE, on_line).await {
                Ok(output) => {
                    if host.known_keys.is_empty() && !self.dry_run {
                        self.learn(&node.name, &output.host_key).await?;
                    }
                    return node::read(operation, &output).map_err(|cause| cause.during(O::NAME));
                }
                Err(error) => error,
            };
            let again = match &error {
                HostError::Connect(..) => true,
                HostError::Lost(..) => !O::MUTATES,
                _ => false,
            };
            let left = CONNECT_PATIENCE.saturating_sub(begun.elapsed());
            if !again || left.is_zero() {
                return Err(self.host_cause(node, &error).during(O::NAME));
            }
            self.emit(&Event::Waiting { place: node.name.clone(), on: format!("SSH: {error}"), left });
            self.sleep(Duration::from_secs(3).min(left), false).await;
        }
    }

    fn host_cause(&self, node: &Node, error: &HostError) -> Cause {
        let text = error.to_string();
        let ssh = format!("ssh {}@{} true", self.settings.ssh_user, self.address(node).unwrap_or_else(|| node.name.clone()));
        match error {
            HostError::Connect(..) | HostError::Deadline(..) => Cause::unreachable(text).next(ssh),
            HostError::Lost(..) => Cause::step(text).next(ssh),
            HostError::HostKeyChanged(..) => Cause::refused(text).next(format!(
                "kubectl -n {} edit configmap {}   # if the node was reinstalled: delete the line of {}",
                self.namespace,
                names::KNOWN_HOSTS_MAP,
                node.name
            )),
            HostError::Auth(..) => Cause::refused(text)
                .detail([format!(
                    "the key's public half must stand in ~{}/.ssh/authorized_keys of {}",
                    self.settings.ssh_user, node.name
                )])
                .next(ssh),
            HostError::BadKey(_) => Cause::refused(text),
        }
    }

    /// Where SSH reaches a node: the setting, else its InternalIP (names need not resolve).
    fn address(&self, node: &Node) -> Option<String> {
        self.settings.host_addresses.get(&node.name).cloned().or_else(|| node.address.clone())
    }

    async fn host(&self, node: &Node, login: &Login) -> Result<Host, Cause> {
        let address = self.address(node).ok_or_else(|| {
            Cause::refused(format!("{} has no InternalIP", node.name)).detail(["set host-addresses for it".to_owned()])
        })?;
        Ok(Host {
            node: node.name.clone(),
            address,
            port: self.settings.ssh_port,
            user: self.settings.ssh_user.clone(),
            login: login.clone(),
            known_keys: self.known_keys(&node.name).await?,
        })
    }

    fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    /// What is known of a node's host keys. Read once a process: an operation on a node must not need the API server, which is away
    /// while we upgrade it.
    async fn known_keys(&self, node: &str) -> Result<Vec<String>, Cause> {
        let known = self
            .known_hosts
            .get_or_try_init(async || {
                let api = self.config_maps();
                let map = self.api_opt("read the known host keys", async || api.get(names::KNOWN_HOSTS_MAP).await).await?;
                Ok::<_, Cause>(Mutex::new(map.and_then(|map| map.data).unwrap_or_default()))
            })
            .await?;
        let lines = locked(known).get(node).cloned().unwrap_or_default();
        Ok(lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    /// Keeps a host key that was seen for the first time.
    async fn learn(&self, node: &str, key: &str) -> Result<(), Cause> {
        if key.is_empty() {
            return Err(Cause::bug(format!("the session to {node} showed no host key")));
        }
        let api = self.config_maps();
        let body = json!({ "data": { node: key } });
        let permit = Permit { class: ChangeClass::Prepare, step: "learn a host key".into() };
        let keep = self.api_opt("keep a host key", async || {
            api.patch(names::KNOWN_HOSTS_MAP, &PatchParams::default(), &Patch::Merge(&body)).await
        });
        if permit.scope(keep).await?.is_none() {
            return Err(Cause::refused(format!("ConfigMap {}/{} does not exist", self.namespace, names::KNOWN_HOSTS_MAP))
                .next("k8s-upgrade manifests --image REF | kubectl apply -f -"));
        }
        if let Some(known) = self.known_hosts.get() {
            locked(known).insert(node.to_owned(), key.to_owned());
        }
        self.note(node, "host key learned; from now on it must stay the same");
        Ok(())
    }

    /// An operation that changes the node, as a told step.
    pub async fn change_node<O: Operation>(
        &self,
        node: &Node,
        class: ChangeClass,
        step: &str,
        operation: &O,
    ) -> Result<O::Output, Cause> {
        let change = Change { class, place: &node.name, step, deadline: O::DEADLINE + CONNECT_PATIENCE, told: true };
        self.change(change, self.on_node_telling(node, operation)).await
    }
}
