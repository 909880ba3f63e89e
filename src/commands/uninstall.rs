//! `uninstall`: what an installation consists of, how it goes, and what it leaves.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Preconditions};
use kube::core::{ApiResource, GroupVersionKind};

use super::{Asker, by_hand};
use crate::failure::{Advice, Cause, Failure, Outcome};
use crate::names::{self, Mark};
use crate::packages::IN_USE;
use crate::plan::manifests::removal::{Piece, Place, pieces};
use crate::plan::model::facts::{Facts, JobState, Node};
use crate::plan::model::policy::{Gauges, Snapshot};
use crate::plan::trust::keys;
use crate::run::Services;
use crate::run::cluster::job::job_state;
use crate::run::guards::no_job_at_work;
use crate::run::session::{Change, RECORD};
use crate::settings::Settings;
use crate::words::{Address, command, word};

const PLACE: &str = "uninstall";
/// The kind that goes last, with all that lies in it.
const NAMESPACE: &str = "Namespace";

/// An object of the installation, as it was found.
struct Found {
    resource: ApiResource,
    kind: String,
    namespace: Option<String>,
    name: String,
    uid: Option<String>,
}

impl Found {
    /// `Role default/k8s-upgrade-job`.
    fn told(&self) -> String {
        let name = self.namespace.as_ref().map_or(self.name.clone(), |namespace| format!("{namespace}/{}", self.name));
        format!("{} {name}", self.kind)
    }
}

/// Shows what there is of an installation, and once a person agrees removes it; then what it leaves, each with a command.
pub async fn uninstall(services: &Services, asker: &mut Asker, dry_run: bool) -> Result<Outcome, Failure> {
    let session = &services.session;
    // To look at it, nothing need be at rest.
    let facts = match dry_run {
        true => observed(services).await,
        false => at_rest(services).await,
    };
    let facts = facts.map_err(Failure::nothing_begun)?;
    let found = look(services).await.map_err(Failure::nothing_begun)?;
    if found.is_empty() {
        session.found(PLACE, format!("nothing of an installation is in the namespace {}", services.cluster.namespace));
        leaves(services, &facts);
        return Ok(Outcome::Nothing);
    }
    strangers(services).await.map_err(Failure::nothing_begun)?;
    for line in typed(&found) {
        session.found(PLACE, line);
    }
    if dry_run {
        leaves(services, &facts);
        session.next(PLACE, "all of the former is done by", "k8s-upgrade uninstall");
        return Ok(Outcome::Nothing);
    }
    let what = "All of this is deleted, in this order, and with the namespace all that is in it: journals, too.";
    asker.confirm(services, what).await?;
    // The Lease that says who is at work needs a namespace to lie in.
    match found.iter().any(|object| object.kind == NAMESPACE) {
        true => by_hand(services, remove(services)).await?,
        false => remove(services).await?,
    };
    // The namespace, once the Lease in it is given back.
    let last = look(services).await.map_err(half)?;
    for object in &last {
        delete(services, object).await.map_err(half)?;
    }
    session.did(PLACE, "the installation is deleted; its namespace is gone once the API server has emptied it");
    leaves(services, &facts);
    Ok(Outcome::Done)
}

fn half(cause: Cause) -> Failure {
    Failure {
        cause,
        place: PLACE.to_owned(),
        state: "A part of the installation is deleted; nothing of it acts any more.".to_owned(),
        next: vec![Advice::go_on("k8s-upgrade uninstall      # deletes what is left")],
    }
}

/// Everything but the namespace, by a look of its own: the question may have stood for hours.
async fn remove(services: &Services) -> Result<Outcome, Failure> {
    at_rest(services).await.map_err(Failure::nothing_begun)?;
    let found = look(services).await.map_err(Failure::nothing_begun)?;
    let acts = |object: &&Found| object.kind == "CronJob";
    for cronjob in found.iter().filter(acts) {
        delete(services, cronjob).await.map_err(half)?;
    }
    // What a CronJob began in between is seen now, and from here on nothing begins.
    at_rest(services).await.map_err(half)?;
    for object in found.iter().filter(|object| !acts(object) && object.kind != NAMESPACE) {
        delete(services, object).await.map_err(half)?;
    }
    Ok(Outcome::Done)
}

/// What is, installed or not; of the record of a run all that this build reads.
async fn observed(services: &Services) -> Result<Facts, Cause> {
    let facts = services.observer.observe_uninstalled().await?;
    facts.marks.whole(&services.cluster.namespace)?;
    Ok(facts)
}

/// No run is in flight, no Job of ours works, nobody works by hand, and no node is out of service by us.
async fn at_rest(services: &Services) -> Result<Facts, Cause> {
    let facts = observed(services).await?;
    if facts.marks.in_flight {
        let what = "a run is in flight: let it end, or give it up, before the program goes";
        return Err(Cause::refused(what).next(Advice::status()).next("k8s-upgrade clear-state      # gives it up"));
    }
    no_job_at_work(&facts)?;
    services.leases.nobody_by_hand().await?;
    let jobs: Vec<Job> = services.cluster.list_all("list Jobs", services.cluster.own(), ListParams::default()).await?;
    if let Some(job) = jobs.iter().find(|job| job_state(job, None) == JobState::Active) {
        let watch = command!("kubectl -n {} get jobs --watch", services.cluster.namespace);
        return Err(Cause::contended(format!("Job {} is at work", job.name_any())).next(Advice::look(watch)));
    }
    let ours = |node: &&Node| node.is_begun() || node.hooked.is_some();
    match facts.nodes.iter().find(ours) {
        Some(node) => Err(Cause::refused(format!("{} is not as a run leaves it: nobody would bring it back", node.name))
            .next(Advice::status())
            .next("k8s-upgrade clear-state      # takes our cordon back")),
        None => Ok(facts),
    }
}

/// Pods in our namespace that are none of ours would go with it.
async fn strangers(services: &Services) -> Result<(), Cause> {
    let pods: Vec<Pod> = services.cluster.list_all("list pods", services.cluster.own(), ListParams::default()).await?;
    let ours = [names::APP_CHAIN, names::APP_DETECTION, names::APP_WATCH];
    let strange = |pod: &&Pod| !pod.labels().get(names::LABEL_APP).is_some_and(|app| ours.contains(&app.as_str()));
    let strange: Vec<String> = pods.iter().filter(strange).map(ResourceExt::name_any).collect();
    if strange.is_empty() {
        return Ok(());
    }
    let what = format!("pods that are none of ours run in the namespace {}, and would go with it", services.cluster.namespace);
    Err(Cause::refused(what).detail(strange))
}

/// What is there, in the order in which it goes.
async fn look(services: &Services) -> Result<Vec<Found>, Cause> {
    let namespace = &services.cluster.namespace;
    let pieces = pieces(namespace)?;
    let mut kinds: Vec<(&str, &str)> = Vec::new();
    for piece in &pieces {
        if !kinds.contains(&(&piece.version, &piece.kind)) {
            kinds.push((&piece.version, &piece.kind));
        }
    }
    let mut there = Vec::new();
    for (version, kind) in kinds {
        let of_kind = || pieces.iter().filter(|piece| piece.version == version && piece.kind == kind);
        there.extend(of_one_kind(services, version, kind, of_kind().any(|piece| piece.place != Place::Own)).await?);
    }
    let is = |piece: &Piece, found: &Found| {
        let place = Place::of(found.namespace.as_deref(), namespace);
        piece.kind == found.kind && piece.name == found.name && piece.place == place
    };
    let mut found = Vec::new();
    for piece in &pieces {
        found.extend(there.extract_if(.., |object| is(piece, object)));
    }
    Ok(found)
}

/// All objects of a kind that may be of an installation. A kind that the API server does not know has none.
async fn of_one_kind(services: &Services, version: &str, kind: &str, everywhere: bool) -> Result<Vec<Found>, Cause> {
    let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let client = services.cluster.kube.clone();
    let api: Api<DynamicObject> = match everywhere {
        true => Api::all_with(client, &resource),
        false => Api::namespaced_with(client, &services.cluster.namespace, &resource),
    };
    // A Secret that a person has made has no label of ours; what lies elsewhere is known by it, beside its name.
    let ours = match everywhere {
        true => ListParams::default().labels(&format!("{}={}", names::LABEL_NAME, names::PROGRAM)),
        false => ListParams::default(),
    };
    let listed = services.cluster.find(&format!("list {}", resource.plural), async || api.list(&ours).await).await?;
    let found = |object: DynamicObject| Found {
        resource: resource.clone(),
        kind: kind.to_owned(),
        namespace: object.metadata.namespace.clone(),
        name: object.name_any(),
        uid: object.metadata.uid.clone(),
    };
    let listed = listed.into_iter().flat_map(|list| list.items);
    // One that is going already is no news.
    Ok(listed.filter(|object| object.metadata.deletion_timestamp.is_none()).map(found).collect())
}

/// What a person would type to delete these, a line for those of one kind in one place.
fn typed(found: &[Found]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (index, object) in found.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| found.get(index));
        let same = before.is_some_and(|before| (&before.kind, &before.namespace) == (&object.kind, &object.namespace));
        match lines.last_mut().filter(|_| same) {
            Some(line) => line.push_str(&format!(" {}", word(&object.name))),
            None => lines.push(match &object.namespace {
                Some(namespace) => command!("kubectl -n {} delete {} {}", namespace, object.resource.plural, object.name),
                None => command!("kubectl delete {} {}", object.resource.plural, object.name),
            }),
        }
    }
    lines
}

/// This very object, and not whatever bears its name by then.
async fn delete(services: &Services, object: &Found) -> Result<(), Cause> {
    let client = services.cluster.kube.clone();
    let api: Api<DynamicObject> = match &object.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &object.resource),
        None => Api::all_with(client, &object.resource),
    };
    let uid = object.uid.clone();
    let params = DeleteParams::background().preconditions(Preconditions { uid, resource_version: None });
    let step = format!("delete {}", object.told());
    let change = Change::disrupt(PLACE, &step, RECORD).silent();
    let deleted = services.cluster.find(&step, async || api.delete(&object.name, &params).await);
    services.session.change(change, deleted).await?;
    services.session.did(PLACE, format!("{} is deleted", object.told()));
    Ok(())
}

/// What stays outside of the cluster's objects, each with what to type about it.
fn leaves(services: &Services, facts: &Facts) {
    for (what, command) in left(&services.settings, facts) {
        services.session.next(PLACE, what, &command);
    }
}

/// What an installation leaves, and the command for it.
fn left(settings: &Settings, facts: &Facts) -> Vec<(&'static str, String)> {
    let hosts = |control_planes: bool| {
        let nodes = facts.nodes.iter().filter(|node| node.control_plane || !control_planes);
        let address = |node: &Node| {
            let given = settings.host_addresses.get(node.name.as_str()).map(ToString::to_string);
            word(&given.or(node.address.clone()).unwrap_or(node.name.clone()))
        };
        nodes.map(address).collect::<Vec<_>>().join(" ")
    };
    let port = if settings.ssh_port == 22 { String::new() } else { format!("-p {} ", settings.ssh_port) };
    let user = word(&settings.ssh_user);
    // What is typed on each of them is a command of its own.
    let on = |hosts: String, typed: &str| format!("for host in {hosts}; do ssh {port}{user}@\"$host\" {typed}; done");
    let key = format!("sed -i /{}/d .ssh/authorized_keys", keys::MARK);
    let releasing = ["sudo ", &(IN_USE.release)("kubeadm kubelet kubectl")].concat();
    let unmarked = |line: String, mark: Mark| format!("{line} {}", word(&format!("{}-", mark.key(&settings.annotation_prefix))));
    let rules = format!("{}={}", names::LABEL_NAME, names::PROGRAM);
    let mut left = vec![
        ("nodes take the key still; a line that has our mark goes with", on(hosts(false), &key)),
        ("restore cards and logs of our work lie on the nodes; they go with", {
            on(hosts(false), &command!("sudo rm -r {}", names::NODE_DIR))
        }),
        ("packages of Kubernetes stay held, as kubeadm wants them; others may upgrade them after", on(hosts(false), &releasing)),
        ("annotations of nodes tell what was upgraded; they go with", {
            Mark::of_a_node().fold("kubectl annotate nodes --all".to_owned(), unmarked)
        }),
        ("rules that Prometheus was given stay; an object of its operator goes with", {
            command!("kubectl delete prometheusrules --all-namespaces -l {}", rules)
        }),
    ];
    if settings.snapshot == Snapshot::Etcdctl {
        let folder = command!("sudo rm -r {}", names::SNAPSHOT_DIR);
        left.push((
            "snapshots of etcd lie on the control planes, with every Secret in them; they go with",
            on(hosts(true), &folder),
        ));
    }
    if settings.gauges == Gauges::Pushgateway {
        let forgotten = |job: &&str| match &settings.pushgateway {
            Address::Url(url) => command!("curl -X DELETE {}", format!("{url}/metrics/job/{job}")),
            Address::Service { namespace, service, port } => {
                let path = format!("/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy/metrics/job/{job}");
                command!("kubectl delete --raw {}", path)
            }
        };
        let all = names::PUSH_JOBS.iter().map(forgotten).collect::<Vec<_>>().join("; ");
        left.push(("the Pushgateway keeps our gauges, and alerts may look at them; they go with", all));
    }
    if settings.vault_address.is_some() {
        let (mount, path) = (&settings.vault_mount, &settings.vault_path);
        left.push(("Vault has the key; it goes with", command!("vault kv metadata delete -mount={} {}", mount, path)));
    }
    left
}
