//! Looks for what a shell pipeline has left that ran under our names. Reads only; of the Secret nothing goes further than what its keys are called.

use k8s_openapi::api::batch::v1::{CronJob, Job as KubeJob};
use k8s_openapi::api::core::v1::{ConfigMap, Container, Namespace, Node as KubeNode, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Resource, ResourceExt};

use crate::failure::Cause;
use crate::names::{self, Mark};
use crate::plan::decide::rules;
use crate::plan::model::answer::Answer;
use crate::plan::model::facts::JobState;
use crate::plan::trust::keys::Public;
use crate::plan::view::adopt::{Detection, Job, Key, Maker, Node, Object, Script, Seen, Store};
use crate::run::cluster::Cluster;
use crate::run::cluster::job::{is_suspended, job_state, own_container};
use crate::run::services::Services;

/// In the key of each annotation of ours, behind whatever prefix.
const OWN: &str = "/k8s-upgrade-";
/// Kubernetes objects that Terraform writes are managed by these.
const TERRAFORM: [&str; 2] = ["terraform", "hashicorp"];

/// Everything that may be the pipeline's.
pub async fn look(services: &Services) -> Result<Seen, Cause> {
    let Services { cluster, settings, .. } = services;
    let (namespace, detection) = (own_namespace(cluster).await?, detection(cluster).await?);
    if let Some(namespace) = &namespace {
        // A halt is told, whoever's it is.
        services.observer.marks_of(Some(namespace))?;
    }
    let (maps, scripts) = config_maps(cluster).await?;
    let made = |namespace: &Namespace| Object { namespace: None, ..object("Namespace", namespace) };
    let mut objects: Vec<Object> = namespace.iter().map(made).collect();
    objects.extend(maps);
    objects.extend(accounts(cluster).await?);
    objects.extend(bindings(cluster).await?);
    let scripts = detection.iter().flat_map(script_of).chain(scripts).collect();
    Ok(Seen {
        namespace: cluster.namespace.clone(),
        prefix: settings.annotation_prefix.to_string(),
        annotations: namespace.map(|namespace| namespace.annotations().clone()).unwrap_or_default(),
        detection: detection.as_ref().map(detects),
        objects,
        key: key(cluster).await?,
        store: store(cluster).await?,
        jobs: jobs(cluster).await?,
        gauges: match services.monitoring.pushes_gauges() {
            true => Some(services.monitoring.gauges_there().await),
            false => None,
        },
        rules: match services.monitoring.asks_alerts() {
            true => Some(former_rules(services).await),
            false => None,
        },
        nodes: nodes(cluster, &settings.annotation_prefix).await?,
        scripts,
    })
}

fn maker(metadata: &ObjectMeta) -> Maker {
    let labelled = metadata.labels.iter().flatten().any(|(key, value)| key == names::LABEL_NAME && value == names::PROGRAM);
    let managers = metadata.managed_fields.iter().flatten().filter_map(|field| field.manager.as_deref());
    let is_terraform = |manager: &str| TERRAFORM.iter().any(|name| manager.to_ascii_lowercase().contains(name));
    Maker { ours: labelled, terraform: managers.into_iter().any(is_terraform) }
}

fn object<K: Resource>(kind: &'static str, object: &K) -> Object {
    let metadata = object.meta();
    Object { maker: maker(metadata), kind, namespace: metadata.namespace.clone(), name: object.name_any(), role: None }
}

async fn own_namespace(cluster: &Cluster) -> Result<Option<Namespace>, Cause> {
    let api: Api<Namespace> = cluster.all();
    cluster.find("read the namespace", async || api.get(&cluster.namespace).await).await
}

async fn detection(cluster: &Cluster) -> Result<Option<CronJob>, Cause> {
    let api: Api<CronJob> = cluster.own();
    cluster.find("read the detection CronJob", async || api.get(names::DETECT_CRONJOB).await).await
}

fn containers(cronjob: &CronJob) -> &[Container] {
    let job = cronjob.spec.as_ref().and_then(|spec| spec.job_template.spec.as_ref());
    job.and_then(|job| job.template.spec.as_ref()).map_or(&[], |pod| &pod.containers)
}

fn detects(cronjob: &CronJob) -> Detection {
    let spec = cronjob.spec.as_ref();
    let own = own_container(spec.and_then(|spec| spec.job_template.spec.as_ref()));
    // Beside another one ours was merged into an older pipeline's.
    let ours = own.is_some() && containers(cronjob).len() == 1;
    Detection {
        maker: Maker { ours, ..maker(&cronjob.metadata) },
        suspended: is_suspended(cronjob),
        schedule: spec.map(|spec| spec.schedule.clone()).unwrap_or_default(),
    }
}

/// What its containers run and are told.
fn script_of(cronjob: &CronJob) -> Option<Script> {
    let foreign = containers(cronjob).iter().filter(|container| container.name != names::PROGRAM);
    let words = |container: &Container| {
        let typed = container.command.iter().chain(&container.args).flatten().cloned();
        let told = container.env.iter().flatten().filter_map(|env| Some(format!("{}={}", env.name, env.value.as_ref()?)));
        typed.chain(told).collect::<Vec<_>>()
    };
    let text = foreign.flat_map(words).collect::<Vec<_>>().join("\n");
    (!text.is_empty()).then(|| Script { place: format!("CronJob {}", names::DETECT_CRONJOB), text })
}

/// Those of our namespace that are neither a journal nor the cluster's own; and what stands in its scripts.
async fn config_maps(cluster: &Cluster) -> Result<(Vec<Object>, Vec<Script>), Cause> {
    let pick = |map: ConfigMap| {
        let name = map.name_any();
        let journal = map.labels().get(names::LABEL_APP).is_some_and(|app| app == names::APP_JOURNAL);
        if journal || name == "kube-root-ca.crt" {
            return None;
        }
        let found = object("ConfigMap", &map);
        let scripts = match name.as_str() {
            names::FORMER_SCRIPTS | names::FORMER_TEMPLATE => map.data.unwrap_or_default(),
            _ => Default::default(),
        };
        let script = |(file, text)| Script { place: format!("ConfigMap {name}, {file}"), text };
        Some((found, scripts.into_iter().map(script).collect::<Vec<_>>()))
    };
    let found = cluster.pick("list ConfigMaps", cluster.own(), ListParams::default(), pick).await?;
    let (objects, scripts): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    Ok((objects, scripts.into_iter().flatten().collect()))
}

async fn accounts(cluster: &Cluster) -> Result<Vec<Object>, Cause> {
    let ours = |account: &ServiceAccount| account.name_any() == names::SERVICE_ACCOUNT;
    let all: Vec<ServiceAccount> = cluster.list_all("list ServiceAccounts", cluster.own(), ListParams::default()).await?;
    Ok(all.iter().filter(|account| ours(account)).map(|account| object("ServiceAccount", account)).collect())
}

/// All that gives our account a right, in whatever namespace.
async fn bindings(cluster: &Cluster) -> Result<Vec<Object>, Cause> {
    let of_us = |subjects: &Option<Vec<Subject>>| {
        let us = |subject: &Subject| {
            subject.kind == "ServiceAccount"
                && subject.name == names::SERVICE_ACCOUNT
                && subject.namespace.as_ref() == Some(&cluster.namespace)
        };
        subjects.iter().flatten().any(us)
    };
    let role = |role: &RoleRef| Some((role.kind.clone(), role.name.clone()));
    let in_cluster = |binding: ClusterRoleBinding| {
        of_us(&binding.subjects).then(|| Object { role: role(&binding.role_ref), ..object("ClusterRoleBinding", &binding) })
    };
    let in_namespace = |binding: RoleBinding| {
        of_us(&binding.subjects).then(|| Object { role: role(&binding.role_ref), ..object("RoleBinding", &binding) })
    };
    let mut found = cluster.pick("list ClusterRoleBindings", cluster.all(), ListParams::default(), in_cluster).await?;
    found.extend(cluster.pick("list RoleBindings", cluster.all(), ListParams::default(), in_namespace).await?);
    Ok(found)
}

async fn key(cluster: &Cluster) -> Result<Option<Key>, Cause> {
    let api: Api<Secret> = cluster.own();
    let secret = cluster.find("read the Secret with the SSH key", async || api.get(names::CREDS_SECRET).await).await?;
    Ok(secret.map(|secret| {
        let data = secret.data.unwrap_or_default();
        let text = |key: &str| String::from_utf8(data.get(key)?.0.clone()).ok().filter(|text| !text.trim().is_empty());
        Key {
            maker: maker(&secret.metadata),
            fingerprint: text(names::SECRET_SSH_KEY).and_then(|key| Public::of(&key)).map(|key| key.fingerprint()),
            public: text(names::SECRET_SSH_KEY_PUB).and_then(|key| Public::parse(&key)).map(|key| key.fingerprint()),
            slack: text(names::SECRET_SLACK).is_some(),
        }
    }))
}

/// None: there is none, or nobody knows the kind.
async fn store(cluster: &Cluster) -> Result<Option<Store>, Cause> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("external-secrets.io", "v1", "ExternalSecret"));
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.kube.clone(), &cluster.namespace, &resource);
    let listed = cluster.find("list ExternalSecrets", async || api.list(&ListParams::default()).await).await?;
    let found = listed.into_iter().flat_map(|list| list.items).find(|external| external.name_any() == names::CREDS_SECRET);
    Ok(found.map(|external| {
        let text = |path: &str| external.data.pointer(path).and_then(serde_json::Value::as_str).map(str::to_owned);
        let key = text("/spec/data/0/remoteRef/key").or_else(|| text("/spec/dataFrom/0/extract/key"));
        Store { maker: maker(&external.metadata), name: text("/spec/secretStoreRef/name"), key }
    }))
}

/// Those with our labels whose pods have no container of ours.
async fn jobs(cluster: &Cluster) -> Result<Vec<Job>, Cause> {
    let pick = |job: KubeJob| {
        let app = job.labels().get(names::LABEL_APP)?.as_str();
        let theirs = [names::APP_CHAIN, names::APP_DETECTION].contains(&app) && own_container(job.spec.as_ref()).is_none();
        theirs.then(|| Job {
            name: job.name_any(),
            chain: app == names::APP_CHAIN,
            active: job_state(&job, None) == JobState::Active,
            owned: !job.owner_references().is_empty(),
        })
    };
    cluster.pick("list Jobs", cluster.own(), ListParams::default(), pick).await
}

/// The rules that are loaded under the pipeline's names, where ours are not loaded.
async fn former_rules(services: &Services) -> Answer<Vec<String>> {
    let loaded = match services.monitoring.rules_loaded().await {
        Answer::Known(loaded) => loaded,
        Answer::Unknown(why) => return Answer::Unknown(why),
    };
    let ours = rules::alerts(services.settings.gauges);
    let is_there = |name: &str| loaded.iter().any(|rule| rule.name == name);
    if ours.iter().filter_map(|rule| rule["alert"].as_str()).all(is_there) {
        return Answer::Known(Vec::new());
    }
    let theirs = loaded.iter().filter(|rule| rule.group == names::ALERT_GROUP).map(|rule| rule.name.clone());
    Answer::Known(theirs.collect())
}

async fn nodes(cluster: &Cluster, prefix: &str) -> Result<Vec<Node>, Cause> {
    let cordoned_by = Mark::CordonedBy.key(prefix);
    let pick = |node: KubeNode| {
        let annotations = node.annotations();
        let unschedulable = node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true));
        let kubelet = node.status.as_ref().and_then(|status| status.node_info.as_ref()).map(|info| info.kubelet_version.as_str());
        Some(Node {
            name: node.name_any(),
            version: kubelet.and_then(|version| version.parse().ok()),
            cordoned: unschedulable && !annotations.contains_key(&cordoned_by),
            annotations: annotations.keys().filter(|key| key.contains(OWN)).cloned().collect(),
        })
    };
    cluster.pick("list nodes", cluster.all(), ListParams::default(), pick).await
}
