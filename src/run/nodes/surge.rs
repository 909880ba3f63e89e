//! A Deployment's only pod is replaced elsewhere before it goes: its Deployment is restarted, as `kubectl rollout restart` does it, and takes
//! the former pod away once the new one is available. Whether a pod is one of these is decided in `plan::decide::surge`.
//!
//! Nothing is written down about it: a rollout that is on its way is waited for, whoever began it, so a drain may be taken up by another.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use crate::failure::{Cause, Class};
use crate::guard::{self, Guard};
use crate::names::{self, Mark};
use crate::plan::decide::budgets::Budgets;
use crate::plan::decide::drain::{self, Fate};
use crate::plan::decide::gates::full_name;
use crate::plan::decide::surge::{self, Instead, Seen};
use crate::plan::model::policy::Surge;
use crate::report::span;
use crate::run::cluster::{Cluster, cause};
use crate::run::session::Session;
use crate::settings::Settings;

/// Between two looks at how far rollouts are.
const EVERY: Duration = Duration::from_secs(2);
/// One restart may take this long to be answered.
const ANSWERED: Duration = Duration::from_secs(30);
/// What the API server refuses right after an outage it will allow again; after this the refusal is meant.
const FORBIDDEN: Duration = Duration::from_secs(90);

/// What is done for a pod that is its Deployment's only one.
pub(super) struct Judged<'a> {
    deployment: &'a Deployment,
    /// `Err`: why it is evicted like any other.
    pub instead: Result<Instead, String>,
}

fn wanted(settings: &Settings) -> bool {
    settings.drain_surge != Surge::Never || !guard::on(Guard::SurgeAllowed)
}

/// Those that [`judge`] chooses from; none where the settings do not ask for it.
pub(super) async fn deployments(cluster: &Cluster, settings: &Settings) -> Result<Vec<Deployment>, Cause> {
    if wanted(settings) { super::gates::deployments(cluster).await } else { Ok(Vec::new()) }
}

/// The gate, the forecast and the drain ask this alike. None: it is no Deployment's only pod.
pub(super) async fn judge<'a>(
    cluster: &Cluster,
    settings: &Settings,
    pod: &Pod,
    budgets: &[PodDisruptionBudget],
    deployments: &'a [Deployment],
) -> Result<Option<Judged<'a>>, Cause> {
    let Some(set) = surge::set_of(pod, deployments) else { return Ok(None) };
    let namespace = pod.namespace().unwrap_or_default();
    let sets: Api<ReplicaSet> = cluster.within(&namespace);
    let Some(set) = cluster.find("read a pod's ReplicaSet", async || sets.get(set).await).await? else { return Ok(None) };
    let Some(deployment) = surge::deployment_of(&set, deployments) else { return Ok(None) };
    let (api, mut claims): (Api<PersistentVolumeClaim>, _) = (cluster.within(&namespace), Vec::new());
    for name in surge::claims_of(pod) {
        claims.extend(cluster.find("read a pod's PersistentVolumeClaim", async || api.get(name).await).await?);
    }
    let opt_out = Mark::Unstick.key(&settings.annotation_prefix);
    let seen = Seen { pod, set: &set, deployment, claims: &claims, budgets, opt_out: &opt_out };
    Ok(Some(Judged { deployment, instead: surge::surge(seen) }))
}

/// Those of one drain.
pub(super) struct Surges<'a> {
    session: &'a Session,
    cluster: &'a Cluster,
    settings: &'a Settings,
    node: &'a str,
    stoppable: bool,
    begun: Instant,
    /// So long new pods are waited for. The other half of the drain's time is left for evictions.
    deadline: Duration,
    /// When they are looked at again.
    next: Instant,
    /// Pods that are evicted like any other, by UID.
    others: HashSet<String>,
    /// Pods whose Deployment this drain has restarted, by UID: that does not help a second time.
    restarted: HashSet<String>,
    /// What the others wait for.
    waits: HashMap<String, String>,
    told: bool,
}

impl<'a> Surges<'a> {
    pub fn new(
        session: &'a Session,
        cluster: &'a Cluster,
        settings: &'a Settings,
        node: &'a str,
        drain: Duration,
        stoppable: bool,
    ) -> Self {
        let (begun, deadline) = (Instant::now(), guard::bound(Guard::SurgeDeadline, drain / 2));
        let (others, restarted, waits) = (HashSet::new(), HashSet::new(), HashMap::new());
        Surges {
            session,
            cluster,
            settings,
            node,
            stoppable,
            begun,
            deadline,
            next: begun,
            others,
            restarted,
            waits,
            told: false,
        }
    }

    /// It is evicted like any other.
    pub fn lets_go(&self, pod: &Pod) -> bool {
        !wanted(self.settings) || pod.uid().is_some_and(|uid| self.others.contains(&uid)) || !guard::on(Guard::SurgeWaits)
    }

    /// Why it is not evicted now.
    pub fn waits_for(&self, pod: &Pod) -> Option<&str> {
        self.waits.get(&pod.uid()?).map(String::as_str)
    }

    /// Restarts what is to be restarted, and finds out what is evicted like any other.
    pub async fn look(&mut self, left: &[&Pod], budgets: &Budgets) -> Result<(), Cause> {
        if !wanted(self.settings) || Instant::now() < self.next {
            return Ok(());
        }
        let is_open = |pod: &&Pod| {
            matches!(drain::fate(pod), Fate::Evict { .. }) && pod.uid().is_some_and(|uid| !self.others.contains(&uid))
        };
        let open: Vec<&Pod> = left.iter().copied().filter(is_open).collect();
        let deployments = if open.is_empty() { Vec::new() } else { deployments(self.cluster, self.settings).await? };
        let mut waits = HashMap::new();
        for pod in open {
            self.session.keep(Guard::LeaseBetweenEvictions).await?;
            if self.stoppable {
                self.session.safe_point(Guard::StopBetweenEvictions, Guard::HaltBetweenEvictions).await?;
            }
            let uid = pod.uid().unwrap_or_default();
            match self.instead(pod, budgets.of(pod), &deployments).await? {
                Some(says) => drop(waits.insert(uid, says)),
                None => drop(self.others.insert(uid)),
            }
        }
        (self.waits, self.next) = (waits, Instant::now() + EVERY);
        Ok(())
    }

    /// What this pod waits for; None: it is evicted like any other.
    async fn instead(
        &mut self,
        pod: &Pod,
        budgets: &[PodDisruptionBudget],
        deployments: &[Deployment],
    ) -> Result<Option<String>, Cause> {
        let Some(Judged { deployment, instead }) = judge(self.cluster, self.settings, pod, budgets, deployments).await? else {
            return Ok(None);
        };
        let (name, of) = (full_name(pod), full_name(deployment));
        let last = self.waits_for(pod).unwrap_or("its Deployment was not restarted").to_owned();
        let late = self.begun.elapsed() >= self.deadline;
        let says = match instead {
            Err(why) => {
                self.session.note(self.node, format!("{name} is evicted like any other: {why}"));
                return Ok(None);
            }
            Ok(Instead::Wait(says)) if !late => format!("surge: Deployment {of} is rolled out: {says}"),
            // Somebody takes the annotation back, as GitOps tools do, or the new pod is none of this Deployment's.
            Ok(Instead::Restart)
                if guard::on(Guard::SurgePodStays) && pod.uid().is_some_and(|uid| self.restarted.contains(&uid)) =>
            {
                let text = format!("{name} is evicted like any other: its Deployment was restarted, and it is still here");
                self.session.warn(self.node, text);
                return Ok(None);
            }
            Ok(Instead::Restart) if !late => match self.restart(pod, deployment).await {
                Ok(says) => says,
                Err(cause) if cause.class == Class::Bug => return Err(cause),
                Err(cause) if cause.class == Class::Refused && self.begun.elapsed() >= FORBIDDEN => {
                    self.session.warn(self.node, format!("{name} is evicted like any other: {}", cause.what));
                    return Ok(None);
                }
                Err(cause) => cause.what,
            },
            Ok(_) => {
                let within = span(self.deadline);
                self.session.warn(
                    self.node,
                    format!("{name} is evicted like any other: after {within} there is no new pod in its place ({last})"),
                );
                return Ok(None);
            }
        };
        Ok(Some(says))
    }

    /// What the pod waits for then.
    async fn restart(&mut self, pod: &Pod, deployment: &Deployment) -> Result<String, Cause> {
        let (namespace, of) = (deployment.namespace().unwrap_or_default(), full_name(deployment));
        // A rollout that has ended takes its former pod away before that shows; a watch may not have told us yet.
        let pods: Api<Pod> = self.cluster.within(&namespace);
        let now = self.cluster.find("look at a pod again", async || pods.get(&pod.name_any()).await).await?;
        let stays = now.is_some_and(|now| now.uid() == pod.uid() && now.metadata.deletion_timestamp.is_none());
        if !stays && guard::on(Guard::SurgePodStays) {
            return Ok("surge: it is going already".to_owned());
        }
        let at = deployment.resource_version().filter(|_| guard::on(Guard::SurgeVersion));
        let annotations = json!({ names::RESTARTED_AT: self.session.stamp() });
        let restart = json!({
            "metadata": { "resourceVersion": at },
            "spec": { "template": { "metadata": { "annotations": annotations } } },
        });
        let api: Api<Deployment> = self.cluster.within(&namespace);
        let (params, restart) = (PatchParams::default(), Patch::Merge(&restart));
        let (what, name) = (format!("restart Deployment {of}"), deployment.name_any());
        match tokio::time::timeout(ANSWERED, api.patch(&name, &params, &restart)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(cause(&what, &error)),
            Err(_) => return Err(Cause::unreachable("the API server did not answer in time").during(&what)),
        }
        self.restarted.extend(pod.uid());
        let only = full_name(pod);
        self.session.note(
            self.node,
            format!("Deployment {of} is restarted: {only} is its only pod, and goes once its new one is available"),
        );
        if !std::mem::replace(&mut self.told, true) {
            let key = names::RESTARTED_AT;
            let text = format!(
                "if Argo CD or Flux manages a Deployment that is restarted, it may show the annotation {key} of its pod template as drift; one \
                 that takes it back before the new pod is there has the former one evicted like any other"
            );
            self.session.note(self.node, text);
        }
        Ok(format!("surge: Deployment {of} has just been restarted"))
    }
}
