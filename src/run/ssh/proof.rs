//! That the machine which SSH reached is the node: proved before anything is done there, and again whenever a session was lost, the machine
//! has booted, or another one answers. A host key that was not known is kept only then.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use crate::failure::{Cause, Class};
use crate::guard::{self, Guard};
use crate::names;
use crate::node::{self, Identify, Machine, Operation};
use crate::permit::{ChangeClass, Permit};
use crate::plan::decide::gates::first_few;
use crate::plan::model::facts::Node;
use crate::plan::trust::identity::{self, Proof, Shown};
use crate::plan::trust::known_hosts;
use crate::run::session::locked;
use crate::run::ssh::Ssh;
use crate::run::ssh::hosts::{Place, answer};
use crate::words::command;

/// How often a host key is tried to be kept while others write the same object.
const TRIES: u32 = 8;
/// So many learned host keys are told each; in a large cluster the others in one line.
const TOLD: usize = 10;

impl Ssh {
    /// The machine that is the node; proved once, until something speaks against it ([`Ssh::forget_proof`]).
    ///
    /// # Errors
    /// Refused: it is another one, or nothing tells. Whatever keeps SSH from it.
    pub async fn proved(&self, place: Place<'_>, is: &Node, begun: &mut Option<Instant>) -> Result<Machine, Cause> {
        if let Some(machine) = locked(&self.proved).get(&is.name) {
            return Ok(machine.clone());
        }
        let stdin = node::stdin(&Identify).into();
        let during = |cause: Cause| cause.during(Identify::NAME);
        let (host, output) = self.reach::<Identify>(place, stdin, begun, &mut |_| {}).await.map_err(during)?;
        let found = answer(&host, &Identify, &output)?;
        let machine = found.machine_id.clone().zip(found.boot_id.clone());
        let proof = identity::prove(is, &Shown { certificate: found.certificate, machine_id: found.machine_id });
        let by_certificate = proof == Proof::ByCertificate;
        if guard::on(Guard::Identity) {
            proof.into_result(&is.name, &host.address)?;
        }
        let machine = machine.map(|(machine_id, boot_id)| Machine { machine_id, boot_id });
        let none = || Proof::Unknown("it has no machine id, or no boot id".to_owned()).into_result(&is.name, &host.address);
        let Some(machine) = machine else { return none().and(Err(Cause::bug("a machine without ids was proved"))) };
        if by_certificate {
            self.session
                .note(&is.name, "the Node reports no machine id: its kubelet's certificate alone says that this is its machine");
        }
        if !is.boot_id.is_empty() && is.boot_id != machine.boot_id.as_str() {
            self.session.note(&is.name, "it has booted since its kubelet reported last");
        }
        if host.known_keys.is_empty() {
            self.learn(&is.name, &output.host_key).await?;
        }
        locked(&self.proved).insert(is.name.clone(), machine.clone());
        Ok(machine)
    }

    /// After a lost session or a boot: the next operation proves the machine anew.
    pub fn forget_proof(&self, node: &str) {
        locked(&self.proved).remove(node);
    }

    /// Keeps a host key that was seen for the first time, for all runners: added where there is none, never put in the place of another.
    async fn learn(&self, node: &str, key: &str) -> Result<(), Cause> {
        let fingerprint = known_hosts::fingerprint(key)
            .ok_or_else(|| Cause::bug(format!("the session to {node} showed no host key that can be read")))?;
        let mut learned = self.learned.lock().await;
        let another = || {
            Cause::refused(format!("{node} shows the host key {fingerprint}, and meanwhile another one of it has become known"))
        };
        if self.session.dry_run {
            // Several operations may have met it at once: the first of them tells.
            return match self.remembered(node) {
                Some(there) if known_hosts::has(&there, key) => Ok(()),
                Some(_) => Err(another()
                    .next("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub    # on the node itself: which of both is its own")),
                None => {
                    self.remember(node, key);
                    learned.push(node.to_owned());
                    if learned.len() <= TOLD {
                        let told =
                            format!("its host key, {fingerprint}, is not known and was accepted unseen; a dry run keeps none");
                        self.session.warn(node, told);
                    }
                    Ok(())
                }
            };
        }
        let api: Api<ConfigMap> = self.cluster.own();
        for _ in 0..TRIES {
            let map = self.cluster.find("read the known host keys", async || api.get(names::KNOWN_HOSTS_MAP).await).await?;
            let Some(map) = map else {
                return Err(Cause::refused(format!(
                    "ConfigMap {}/{} does not exist",
                    self.cluster.namespace,
                    names::KNOWN_HOSTS_MAP
                ))
                .next("k8s-upgrade manifests --image REF | kubectl apply -f -"));
            };
            let there = map.data.as_ref().and_then(|data| data.get(node)).map_or("", String::as_str);
            if known_hosts::has(there, key) {
                self.remember(node, there);
                return Ok(());
            }
            if !there.trim().is_empty() {
                let next = command!(
                    "kubectl -n {} get configmap {} -o yaml      # compare it with the node's own",
                    self.cluster.namespace,
                    names::KNOWN_HOSTS_MAP
                );
                return Err(another().next(next));
            }
            let body = json!({ "metadata": { "resourceVersion": map.metadata.resource_version }, "data": { node: key } });
            let permit = Permit { class: ChangeClass::Prepare, step: "learn a host key".into() };
            let keep = self.cluster.call("keep a host key", async || {
                api.patch(names::KNOWN_HOSTS_MAP, &PatchParams::default(), &Patch::Merge(&body)).await
            });
            match permit.scope(keep).await {
                Ok(_) => {
                    self.remember(node, key);
                    learned.push(node.to_owned());
                    if learned.len() <= TOLD {
                        self.session.note(node, "host key learned; from now on it must stay the same");
                    }
                    return Ok(());
                }
                // Somebody has written meanwhile: what they wrote is looked at.
                Err(cause) if cause.class == Class::Contended => {}
                Err(cause) => return Err(cause),
            }
        }
        Err(Cause::contended(format!("the host key of {node} could not be kept: others write the same ConfigMap all the time")))
    }

    /// Tells in one line whose host keys were learned, or accepted, beyond those that were told each; once, at the end of a command.
    pub async fn tell_learned(&self) {
        let learned = std::mem::take(&mut *self.learned.lock().await);
        if let [_, ..] = learned.get(TOLD..).unwrap_or_default() {
            let more = learned.len() - TOLD;
            let named = first_few(&learned[TOLD..], TOLD);
            if self.session.dry_run {
                let told = format!(
                    "host keys of {more} more nodes are not known and were accepted unseen: {named}; a dry run keeps none"
                );
                self.session.warn("", told);
            } else {
                let told = format!("host keys learned of {more} more nodes: {named}; from now on they must stay the same");
                self.session.note("", told);
            }
        }
    }

    /// What this process knows of its host key.
    fn remembered(&self, node: &str) -> Option<String> {
        locked(self.known_hosts.get()?).get(node).filter(|keys| !keys.trim().is_empty()).cloned()
    }

    /// For this process, in which the key stays the same from now on.
    fn remember(&self, node: &str, key: &str) {
        if let Some(known) = self.known_hosts.get() {
            locked(known).insert(node.to_owned(), key.to_owned());
        }
    }
}
