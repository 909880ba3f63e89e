//! Looks at what is and puts it in the terms of [`crate::plan::model::facts`]. Reads only.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Node as KubeNode};
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use tokio::time::Instant;

use super::job::{by_owner, component, job_fact};
use crate::failure::Cause;
use crate::names::{self, Mark};
use crate::plan::model::facts::{Facts, Node, Taint};
use crate::plan::model::halt::Halt;
use crate::plan::model::hooks::Turn;
use crate::plan::model::marks::{self, RunMarks};
use crate::plan::model::paused::Pause;
use crate::plan::model::version::Version;
use crate::plan::model::waves::LateJoiners;
use crate::run::cluster::objects::{Objects, of_chain, of_control_plane};
use crate::run::cluster::{Cluster, Lean};
use crate::run::session::{Probe, Session, Wait, Waited, locked};
use crate::settings::Settings;
use crate::words::{RunId, command};

/// So long a Job whose pods have all ended is waited for: the Job controller needs a moment to call it failed, or to try again.
const VERDICT: Duration = Duration::from_secs(15);

/// Sees what the cluster says of itself and of the run. It changes nothing.
pub struct Observer {
    settings: Arc<Settings>,
    pub(super) session: Arc<Session>,
    pub(super) cluster: Arc<Cluster>,
    latest: Mutex<Latest>,
    /// Names of nodes that were seen.
    nodes: Mutex<BTreeSet<String>>,
}

/// What the namespace said last.
#[derive(Default)]
struct Latest {
    halt: Option<Halt>,
    at: Option<Instant>,
    /// The halt was told.
    told: bool,
    /// The run in flight, as it was first seen.
    run: Option<String>,
}

impl Observer {
    /// Has seen nothing yet.
    pub fn new(settings: Arc<Settings>, session: Arc<Session>, cluster: Arc<Cluster>) -> Self {
        Observer { settings, session, cluster, latest: Mutex::default(), nodes: Mutex::default() }
    }

    /// Remembers what the namespace said just now, and tells a halt once.
    fn saw(&self, halt: Option<&Halt>, run: Option<&str>) {
        let mut latest = locked(&self.latest);
        let tell = halt.is_some() && !latest.told;
        let run = latest.run.take().or_else(|| run.map(str::to_owned));
        *latest = Latest { halt: halt.cloned(), at: Some(Instant::now()), told: halt.is_some(), run };
        drop(latest);
        if let Some(halt) = halt.filter(|_| tell) {
            self.session.warn("", halt.to_string());
        }
    }

    /// The halt that stood there last, and how long ago it was looked at; None: never.
    pub fn latest_halt(&self) -> (Option<Halt>, Option<Duration>) {
        let latest = locked(&self.latest);
        (latest.halt.clone(), latest.at.map(|at| at.elapsed()))
    }

    /// The halt is this from now on, for we have written it.
    pub fn halt_is(&self, halt: Option<&Halt>) {
        let mut latest = locked(&self.latest);
        *latest = Latest { halt: halt.cloned(), at: Some(Instant::now()), told: true, run: latest.run.take() };
    }

    /// The run in flight, as this process first saw it.
    pub fn first_run(&self) -> Option<String> {
        locked(&self.latest).run.clone()
    }

    /// Whether this process has seen a node of that name.
    pub fn has_seen_node(&self, name: &str) -> bool {
        locked(&self.nodes).contains(name)
    }

    /// Out of objects that were listed or mirrored.
    ///
    /// # Errors
    /// Refused: the program is not installed here.
    pub fn facts(&self, objects: &Objects) -> Result<Facts, Cause> {
        let prefix = &self.settings.annotation_prefix;
        let pods = by_owner(&objects.pods);
        let of = |job: &Job| pods.get(job.metadata.uid.as_deref().unwrap_or_default()).map_or(&[][..], Vec::as_slice);
        let mut facts = Facts {
            nodes: objects.nodes.iter().map(|node| self.node_fact(node)).collect(),
            marks: self.marks_of(objects.namespace.as_deref())?,
            jobs: objects.jobs.iter().map(|job| job_fact(job, of(job), prefix)).collect(),
        };
        for node in &mut facts.nodes {
            node.paused = facts.marks.paused_pools.of(node.paused.take(), node.pool.as_deref());
        }
        for pod in &objects.control_plane {
            if let (Some(component), Some(on)) = (component(pod), pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()))
                && let Some(node) = facts.nodes.iter_mut().find(|node| node.name == on)
            {
                node.components.push(component);
            }
        }
        facts.nodes.iter_mut().for_each(|node| node.components.sort_by(|a, b| a.name.cmp(&b.name)));
        if self.settings.late_joiners == LateJoiners::Report {
            facts.leave_late();
        }
        Ok(facts)
    }

    /// One node as it is now; None if it was deleted. Its control-plane pods are not looked at. Fails where something of it cannot be
    /// read, unless it is excluded.
    pub async fn node_now(&self, name: &str) -> Result<Option<Node>, Cause> {
        let api: Api<KubeNode> = self.cluster.all();
        let Some(node) = self.cluster.find("read the node", async || api.get(name).await).await? else { return Ok(None) };
        let node = self.node_fact(&node);
        match node.odd.first().filter(|_| !node.excluded) {
            Some(odd) => Err(odd.clone().during(name)),
            None => Ok(Some(node)),
        }
    }

    fn node_fact(&self, node: &KubeNode) -> Node {
        let name = node.name_any();
        locked(&self.nodes).insert(name.clone());
        let (spec, status) = (node.spec.as_ref(), node.status.as_ref());
        let mut odd = Vec::new();
        let info = status.and_then(|status| status.node_info.clone()).unwrap_or_default();
        let kubelet = match info.kubelet_version.parse::<Version>() {
            Ok(version) => Some(version),
            Err(_) if info.kubelet_version.is_empty() => {
                odd.push(Cause::hold("has not reported its version yet"));
                None
            }
            Err(_) => {
                let unreadable = format!("version not readable: {:?}", info.kubelet_version);
                odd.push(Cause::refused(unreadable).next(command!(
                    "kubectl get node {} -o wide    # a node that is not to be upgraded: name it in the setting exclude-nodes",
                    name
                )));
                None
            }
        };
        let taints = spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
        let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
        let mark = |mark: Mark| marks::mark(node.annotations(), &self.settings.annotation_prefix, mark);
        let remedy = |key: &str| {
            command!("kubectl annotate node {} {}-    # removes it: then the node counts as not changed by us", name, key)
        };
        let changed_at = self.time(mark(Mark::ChangedAt), Mark::ChangedAt, remedy, &mut odd);
        let hooked = mark(Mark::Hooked).and_then(|text| {
            let turn = text.parse::<Turn>();
            turn.map_err(|why| {
                let key = Mark::Hooked.key(&self.settings.annotation_prefix);
                let remedy = command!("kubectl annotate node {} {}-    # removes it: then no hook is owed", name, key);
                odd.push(Cause::refused(format!("annotation {key}: {why}")).next(remedy));
            })
            .ok()
        });
        let control_plane = node.labels().contains_key(names::LABEL_CONTROL_PLANE);
        Node {
            hostname: node.labels().get(names::LABEL_HOSTNAME).cloned().unwrap_or_else(|| name.clone()),
            zone: node.labels().get(names::LABEL_ZONE).cloned().unwrap_or_default(),
            pool: if control_plane { None } else { self.settings.pool_of(node.labels()).map(ToString::to_string) },
            paused: node.labels().contains_key(&names::label_pause(&self.settings.annotation_prefix)).then_some(Pause::Label),
            address: status
                .and_then(|status| status.addresses.as_deref())
                .unwrap_or_default()
                .iter()
                .find(|address| address.type_ == "InternalIP")
                .map(|address| address.address.clone()),
            machine_id: info.machine_id,
            boot_id: info.boot_id,
            control_plane,
            kubelet,
            // Nodes stopped reporting kube-proxy's version; then there is none to judge.
            kube_proxy: Version::from_str(&info.kube_proxy_version).ok(),
            container_runtime: info.container_runtime_version,
            ready: ready.is_some_and(|condition| condition.status == "True"),
            not_ready: ready.filter(|condition| condition.status != "True").and_then(|condition| condition.message.clone()),
            ready_since: ready.and_then(|condition| condition.last_transition_time.as_ref()).map(|time| time.0),
            pressures: conditions
                .iter()
                .filter(|condition| condition.type_.ends_with("Pressure") && condition.status == "True")
                .map(|condition| condition.type_.clone())
                .collect(),
            unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
            cordoned_since: taints
                .iter()
                .find(|taint| taint.key == names::TAINT_CORDON)
                .and_then(|taint| taint.time_added.as_ref())
                .map(|time| time.0),
            taints: taints
                .iter()
                .map(|taint| Taint { key: taint.key.clone(), value: taint.value.clone(), effect: taint.effect.clone() })
                .collect(),
            components: Vec::new(),
            joined: node.metadata.creation_timestamp.as_ref().map(|time| time.0),
            excluded: self.settings.exclude_nodes.iter().any(|excluded| *excluded == *name),
            cordoned_by: mark(Mark::CordonedBy),
            former_versions: mark(Mark::FormerVersions),
            hooked,
            changed_at,
            odd,
            name,
        }
    }

    /// A time that we wrote; one that cannot be read is not "never". `remedy`: what to type then, by the annotation's name.
    fn time(
        &self,
        text: Option<String>,
        mark: Mark,
        remedy: impl FnOnce(&str) -> String,
        odd: &mut Vec<Cause>,
    ) -> Option<Timestamp> {
        let text = text?;
        let time = text.parse().ok();
        if time.is_none() {
            let key = mark.key(&self.settings.annotation_prefix);
            let remedy = remedy(&key);
            odd.push(Cause::refused(format!("annotation {key} is {text:?}, which is no time")).next(remedy));
        }
        time
    }

    /// None: the program is not installed here.
    async fn own_namespace(&self) -> Result<Option<Namespace>, Cause> {
        let api: Api<Namespace> = self.cluster.all();
        self.cluster.find("read the namespace", async || api.get(&self.cluster.namespace).await).await
    }

    /// The run's marks, for a decision: refused where they are not this program's.
    pub async fn marks(&self) -> Result<RunMarks, Cause> {
        let marks = self.marks_as_they_are().await?;
        marks.whole(&self.cluster.namespace)?;
        Ok(marks)
    }

    /// For views, and for whoever ends or stops a run: what is garbled is told apart, and refuses nothing.
    pub async fn marks_as_they_are(&self) -> Result<RunMarks, Cause> {
        self.marks_of(self.own_namespace().await?.as_ref())
    }

    /// Whether a run is halted now, whatever was seen before.
    pub async fn is_halted(&self) -> Result<bool, Cause> {
        Ok(self.marks_as_they_are().await?.halted.is_some_and(|halt| halt.run))
    }

    /// The marks that stand on the namespace.
    ///
    /// # Errors
    /// Refused: there is no such namespace.
    pub fn marks_of(&self, namespace: Option<&Namespace>) -> Result<RunMarks, Cause> {
        let namespace = namespace.ok_or_else(|| {
            Cause::refused(format!(
                "namespace {} does not exist: the program is not installed in this cluster",
                self.cluster.namespace
            ))
            .next("k8s-upgrade manifests --help")
        })?;
        let marks = RunMarks::read(namespace.annotations(), &self.settings.annotation_prefix);
        self.saw(marks.halted.as_ref(), marks.run_id.as_ref().filter(|_| marks.in_flight).map(RunId::as_str));
        Ok(marks)
    }

    /// Everything that decisions are made of, as it is now.
    ///
    /// # Errors
    /// Refused: the run's annotations are not this program's, or something of a node cannot be read. Nothing is taken for granted.
    pub async fn observe(&self) -> Result<Facts, Cause> {
        let facts = self.observe_as_it_is().await?;
        facts.readable(&self.cluster.namespace)?;
        Ok(facts)
    }

    /// The same, whatever stands there: for views, and for who stops a run or gives it up. One odd object is one odd object.
    pub async fn observe_as_it_is(&self) -> Result<Facts, Cause> {
        self.observe_where(true).await
    }

    /// The same where nothing need be installed yet: without our namespace there is no run.
    pub async fn observe_uninstalled(&self) -> Result<Facts, Cause> {
        self.observe_where(false).await
    }

    /// Everything but the chain's Jobs and pods, of which a run of many nodes has many: for what is asked again and again, and depends on none.
    pub async fn observe_nodes(&self) -> Result<Facts, Cause> {
        let facts = self.facts(&self.objects(true, false).await?)?;
        facts.readable(&self.cluster.namespace)?;
        Ok(facts)
    }

    async fn observe_where(&self, installed: bool) -> Result<Facts, Cause> {
        self.facts(&self.objects(installed, true).await?)
    }

    async fn objects(&self, installed: bool, with_jobs: bool) -> Result<Objects, Cause> {
        let lean = |Lean(node): Lean<KubeNode>| Some(Arc::new(node));
        let nodes = self.cluster.pick("list nodes", self.cluster.all(), ListParams::default(), lean).await?;
        let namespace = self.own_namespace().await?;
        let namespace = if installed { namespace } else { Some(namespace.unwrap_or_default()) };
        let api = self.cluster.own();
        let jobs = match with_jobs {
            true => self.cluster.list_all("list the chain's Jobs", api, of_chain()).await?,
            false => Vec::new(),
        };
        let api = self.cluster.own();
        let pods = match jobs.is_empty() {
            true => Vec::new(),
            false => self.cluster.list_all("list the chain's pods", api, of_chain()).await?,
        };
        let api = self.cluster.within("kube-system");
        let control_plane = self.cluster.list_all("list control-plane pods", api, of_control_plane()).await?;
        Ok(Objects {
            nodes,
            namespace: namespace.map(Arc::new),
            jobs: shared(jobs),
            pods: shared(pods),
            control_plane: shared(control_plane),
        })
    }

    /// What is, once no Job of the chain is between the end of its pod and what becomes of it: until then it only seems to be at work.
    pub async fn observe_settled(&self) -> Result<Facts, Cause> {
        let on = "the cluster to say what becomes of a Job whose pod has ended";
        let wait = Wait { place: "", on, deadline: VERDICT, every: Duration::from_secs(1), stoppable: true };
        self.observe_until(wait, |facts| {
            let between = facts.jobs.iter().find(|job| job.is_between())?;
            Some(format!("Job {} has no verdict yet", between.name))
        })
        .await
    }

    /// Facts that lack nothing, or once the wait is over those of then: `lacks` says what is still missing from them.
    pub async fn observe_until(&self, wait: Wait<'_>, lacks: impl Fn(&Facts) -> Option<String>) -> Result<Facts, Cause> {
        let waited = self.session.wait_or_not(wait, async || {
            let facts = self.observe().await?;
            Ok(lacks(&facts).map_or_else(|| Probe::Ready(facts), Probe::Not))
        });
        match waited.await? {
            Waited::Ready(facts) => Ok(facts),
            Waited::Late(_) => self.observe().await,
        }
    }
}

fn shared<K>(objects: Vec<K>) -> Vec<Arc<K>> {
    objects.into_iter().map(Arc::new).collect()
}
