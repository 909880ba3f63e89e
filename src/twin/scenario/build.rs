//! A scenario becomes a world: objects, machines, services, and this program installed as `manifests` prints it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::state::State;
use super::super::store::Kind as Object;
use super::super::web::{self, Injected, Service, Wanted};
use super::super::{control, hosts};
use super::objects::SYSTEM;
use super::{Autoscaler, Budget, Node, Scenario, Workload, WorkloadKind, objects};
use crate::failure::Cause;
use crate::names;
use crate::plan::manifests::install;
use crate::plan::manifests::installation::{Credentials, Install};
use crate::plan::model::facts::COMPONENTS;
use crate::plan::model::hooks::{Hook, Hooks};
use crate::plan::model::policy::{Gauges, Runner, Snapshot, Surge, Unstick};
use crate::plan::trust::keys::Pair;

/// The key in the Secret, which every machine accepts.
pub fn ssh_key() -> Result<Pair, Cause> {
    Pair::from_seed(b"a rehearsal, where all is known.")
}

/// How old everything is.
const AGE: Duration = Duration::from_secs(90 * 24 * 3600);
/// Readiness that changed that long ago is of no account.
const QUIET: Duration = Duration::from_secs(30 * 24 * 3600);
/// Where the backup CronJob and the services are unless the settings say otherwise.
const BACKUP: (&str, &str) = ("default", "backup-etcd");

impl Scenario {
    /// The world that it describes, with the program installed as `image`. The error: it describes none.
    pub fn state(&self, image: &str) -> Result<State, Cause> {
        let mut faults = self.faults().into_iter().map(|fault| fault.what);
        if let Some(first) = faults.next() {
            return Err(Cause::usage(first).detail(faults));
        }
        let (state, born) = (State::new(self.start, self.seed), earlier(self.start, AGE));
        let mut world = World { scenario: self, state, key: ssh_key()?, born };
        world.namespaces()?;
        world.kubeadm_config()?;
        self.nodes.iter().try_for_each(|node| world.node(node))?;
        self.workloads.iter().try_for_each(|workload| world.workload(workload))?;
        self.budgets.iter().try_for_each(|budget| world.budget(budget))?;
        self.autoscalers.iter().try_for_each(|scaler| world.autoscaler(scaler))?;
        world.backup()?;
        world.hooks()?;
        world.installation(image)?;
        for node in &self.nodes {
            world.state.hosts.change(&node.name, |machine| machine.images.insert(image.to_owned()));
        }
        world.services();
        let mut state = world.state;
        control::begin(&mut state);
        web::begin(&mut state);
        Ok(state)
    }

    /// The settings as the program's file holds them; empty for the defaults.
    pub fn config(&self) -> Result<String, Cause> {
        if self.settings.is_empty() {
            return Ok(String::new());
        }
        serde_saphyr::to_string(&self.settings).map_err(|error| Cause::bug(format!("settings as YAML: {error}")))
    }

    fn text_setting(&self, key: &str) -> Option<&str> {
        self.settings.get(key).and_then(Value::as_str)
    }

    /// A setting with a type of its own; `usual` where nothing is said.
    fn setting<T: DeserializeOwned>(&self, key: &str, usual: T) -> Result<T, Cause> {
        let Some(setting) = self.settings.get(key) else { return Ok(usual) };
        serde_json::from_value(setting.clone()).map_err(|error| Cause::usage(format!("{key} of the scenario: {error}")))
    }

    /// The CronJobs of the hooks.
    pub fn hooks(&self) -> Hooks<'_> {
        let path = |hook: Hook| self.text_setting(hook.setting()).and_then(|setting| setting.split_once('/'));
        Hooks { before: path(Hook::Before), after: path(Hook::After) }
    }

    /// Namespace and name of the CronJob that backs etcd up; None where the program does.
    pub fn backup(&self) -> Option<(&str, &str)> {
        let named = || self.text_setting("backup-cronjob").and_then(|setting| setting.split_once('/')).unwrap_or(BACKUP);
        (self.text_setting("snapshot") != Some(Snapshot::ETCDCTL)).then(named)
    }
}

struct World<'a> {
    scenario: &'a Scenario,
    state: State,
    /// The installation's.
    key: Pair,
    /// When all of it was created.
    born: Timestamp,
}

impl World<'_> {
    /// Creates an object as it is, status included.
    fn create(&mut self, kind: Object, object: Value) -> Result<Value, Cause> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        // A CronJob that was there before would have missed its times.
        let born = if kind == Object::CronJob { self.state.now() } else { self.born };
        let created = self.state.store.create(born, kind, object);
        let twice = |_| Cause::usage(format!("the scenario has {} {name} twice", kind.names().kind));
        created.map(|object| (*object).clone()).map_err(twice)
    }

    fn namespaces(&mut self) -> Result<(), Cause> {
        let Scenario { workloads, budgets, autoscalers, .. } = self.scenario;
        let mut names: BTreeSet<&str> = BTreeSet::from(["default", SYSTEM, "monitoring"]);
        names.extend(self.scenario.backup().map(|(namespace, _)| namespace));
        names.extend(self.scenario.hooks().there().map(|(_, (namespace, _))| namespace));
        let freezes = self.scenario.text_setting("freeze-configmap").and_then(|setting| setting.split_once('/'));
        names.extend(freezes.map(|(namespace, _)| namespace));
        names.extend(workloads.iter().map(|workload| workload.namespace.as_str()));
        names.extend(budgets.iter().map(|budget| budget.namespace.as_str()));
        names.extend(autoscalers.iter().map(|scaler| scaler.namespace.as_str()));
        // The installation brings its own.
        names.remove(names::NAMESPACE);
        for name in names {
            self.create(Object::Namespace, json!({ "metadata": { "name": name }, "status": { "phase": "Active" } }))?;
        }
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Result<(), Cause> {
        let created = self.create(Object::Node, objects::node(node, earlier(self.scenario.start, QUIET)))?;
        let version = node.version.to_string();
        self.state.hosts.add(&node.name, &node.address, &version, &node.containerd, node.control_plane, &self.key.public.line());
        self.state.hosts.containerd_of(&node.name, node.containerd_package.as_deref(), &node.containerd_offers);
        self.state.hosts.change(&node.name, |machine| {
            (machine.cgroup_v1, machine.kubelet_flags) = (node.cgroup_v1, node.kubelet_flags.clone());
            machine.api_started = earlier(self.scenario.start, QUIET);
        });
        if node.control_plane {
            let uid = created["metadata"]["uid"].clone();
            self.static_pods(node, &uid)?;
        }
        Ok(())
    }

    fn static_pods(&mut self, node: &Node, uid: &Value) -> Result<(), Cause> {
        let components = node.components();
        let manifests = self.state.hosts.change(&node.name, |machine| {
            for component in COMPONENTS {
                machine.manifests.insert(component.to_owned(), components.to_string());
            }
            machine.manifests.clone()
        });
        hosts::write_commands(&mut self.state, &node.name);
        let commands = self.state.hosts.machine(&node.name).map(|machine| machine.commands.clone()).unwrap_or_default();
        for (component, version) in manifests.unwrap_or_default() {
            let tag = if COMPONENTS.contains(&component.as_str()) { format!("v{version}") } else { version };
            let image = format!("registry.k8s.io/{component}:{tag}");
            let command = commands.get(&component).map(Vec::as_slice).unwrap_or_default();
            self.create(Object::Pod, objects::static_pod(&node.name, uid, &component, &image, command))?;
        }
        Ok(())
    }

    fn kubeadm_config(&mut self) -> Result<(), Cause> {
        let masters: Vec<&Node> = self.scenario.nodes.iter().filter(|node| node.control_plane).collect();
        let version = masters.iter().map(|node| node.components()).max();
        let version = version.map_or(String::new(), |version| version.to_string());
        let endpoint = match masters.as_slice() {
            [one] => format!("{}:6443", one.address),
            _ => "kubernetes-api:6443".to_owned(),
        };
        self.create(Object::ConfigMap, objects::kubeadm_config(&endpoint, &version))?;
        self.create(Object::ConfigMap, objects::kubelet_config()).map(drop)
    }

    fn workload(&mut self, workload: &Workload) -> Result<(), Cause> {
        let Workload { namespace, name, .. } = workload;
        let (labels, template) = (workload.pod_labels(), objects::template(workload));
        let mut meta = json!({ "name": name, "namespace": namespace, "labels": labels });
        if (namespace.as_str(), name.as_str()) == (SYSTEM, "coredns") {
            meta["managedFields"] = objects::managed_by("kubeadm");
        }
        let spec = json!({ "replicas": workload.replicas, "selector": { "matchLabels": labels }, "template": template });
        let kind = match workload.kind {
            WorkloadKind::Deployment => return self.deployment(workload, &meta, spec),
            WorkloadKind::StatefulSet => Object::StatefulSet,
            WorkloadKind::DaemonSet => Object::DaemonSet,
            WorkloadKind::Pod => {
                let mut pod = template;
                (pod["metadata"]["name"], pod["metadata"]["namespace"]) = (json!(name), json!(namespace));
                if let Some(node) = workload.placed_on.first() {
                    pod["spec"]["nodeName"] = json!(node);
                }
                pod["status"] = json!({ "phase": "Pending" });
                return self.create(Object::Pod, pod).map(drop);
            }
        };
        let mut spec = spec;
        if let Some(spec) = spec.as_object_mut().filter(|_| kind == Object::DaemonSet) {
            spec.shift_remove("replicas");
        }
        let owner = self.create(kind, json!({ "metadata": meta, "spec": spec }))?;
        // A DaemonSet's pods are where they must be.
        if kind == Object::StatefulSet {
            for (index, node) in workload.placed_on.iter().enumerate() {
                self.pod(&owner, &template, &format!("{name}-{index}"), node)?;
            }
        }
        Ok(())
    }

    fn deployment(&mut self, workload: &Workload, meta: &Value, spec: Value) -> Result<(), Cause> {
        // Its controller makes the ReplicaSet and the pods that stand here nowhere yet.
        let deployment = self.create(Object::Deployment, json!({ "metadata": meta, "spec": spec }))?;
        if workload.placed_on.is_empty() {
            return Ok(());
        }
        let Workload { namespace, name, .. } = workload;
        let (hash, mut template, mut labels) = (HASH_VALUE, objects::template(workload), workload.pod_labels());
        labels.insert(HASH.to_owned(), hash.to_owned());
        template["metadata"]["labels"] = json!(labels);
        let set = self.create(
            Object::ReplicaSet,
            json!({
                "metadata": {
                    "name": format!("{name}-{hash}"), "namespace": namespace, "labels": labels,
                    "ownerReferences": [objects::owner_reference(&deployment)],
                },
                "spec": { "replicas": workload.replicas, "selector": { "matchLabels": labels }, "template": template },
            }),
        )?;
        workload.placed_on.iter().try_for_each(|node| self.pod(&set, &template, &format!("{name}-{hash}-"), node))
    }

    /// A pod of an owner, on a node already.
    fn pod(&mut self, owner: &Value, template: &Value, name: &str, node: &str) -> Result<(), Cause> {
        let mut pod = template.clone();
        let field = if name.ends_with('-') { "generateName" } else { "name" };
        pod["metadata"][field] = json!(name);
        pod["metadata"]["namespace"] = owner["metadata"]["namespace"].clone();
        pod["metadata"]["ownerReferences"] = json!([objects::owner_reference(owner)]);
        pod["spec"]["nodeName"] = json!(node);
        pod["status"] = json!({ "phase": "Pending" });
        self.create(Object::Pod, pod).map(drop)
    }

    fn budget(&mut self, budget: &Budget) -> Result<(), Cause> {
        self.create(Object::Budget, objects::budget(budget)).map(drop)
    }

    fn autoscaler(&mut self, scaler: &Autoscaler) -> Result<(), Cause> {
        self.create(Object::Autoscaler, objects::autoscaler(scaler)).map(drop)
    }

    fn backup(&mut self) -> Result<(), Cause> {
        let Some((namespace, name)) = self.scenario.backup() else { return Ok(()) };
        self.create(Object::CronJob, objects::backup(namespace, name)).map(drop)
    }

    fn hooks(&mut self) -> Result<(), Cause> {
        let hooks = self.scenario.hooks().there();
        hooks
            .map(|(hook, (namespace, name))| objects::hook(hook, namespace, name))
            .collect::<Vec<_>>()
            .into_iter()
            .try_for_each(|cronjob| self.create(Object::CronJob, cronjob).map(drop))
    }

    /// What `manifests … | kubectl apply -f -` creates.
    fn installation(&mut self, image: &str) -> Result<(), Cause> {
        let config = self.scenario.config()?;
        let public = format!("{}\n", self.key.public.line());
        let runner = Runner::read(self.scenario.text_setting("runner").unwrap_or_default());
        let names = |key: &str| -> Vec<String> {
            let names = self.scenario.settings.get(key).and_then(Value::as_array);
            names.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let standby = names("runner-standby");
        let forces = self.scenario.text_setting("undrainable") == Some("force-after");
        let forced_in = if forces { names("undrainable-namespaces") } else { Vec::new() };
        let webhooks = self.scenario.settings.get("webhooks").and_then(Value::as_object);
        let webhooks: String =
            webhooks.into_iter().flatten().map(|(name, _)| format!("{name}: {}\n", web::webhook(name))).collect();
        let prometheus = self.wants_of_prometheus();
        let install = Install {
            namespace: names::NAMESPACE,
            image,
            config: &config,
            backup: self.scenario.backup(),
            hooks: self.scenario.hooks(),
            prefix: self.scenario.text_setting("annotation-prefix").unwrap_or(names::ANNOTATION_PREFIX),
            unstick: self.scenario.setting("drain-unstick", Unstick::Structural)?,
            surge: self.scenario.setting("drain-surge", Surge::Never)?,
            events: self.scenario.setting("events", true)?,
            gauges: self.scenario.setting("gauges", Gauges::Pushgateway)?,
            runbook: self.scenario.text_setting("runbook-url"),
            freezes: self.scenario.text_setting("freeze-configmap").and_then(|setting| setting.split_once('/')),
            forced_in: &forced_in,
            runner: &runner,
            standby: &standby,
            credentials: match self.scenario.text_setting("vault-address") {
                Some(_) => Credentials::External { store: "vault", key: names::VAULT_PATH },
                None => Credentials::Secret {
                    ssh_key: self.key.private.as_bytes(),
                    ssh_key_pub: public.as_bytes(),
                    slack_webhook: Some(web::WEBHOOK.as_bytes()),
                    webhooks: &webhooks,
                    prometheus: &prometheus,
                },
            },
            host_keys: std::collections::BTreeMap::new(),
        };
        let kept = [
            (names::SECRET_SSH_KEY, self.key.private.as_str()),
            (names::SECRET_SSH_KEY_PUB, &public),
            (names::SECRET_SLACK, web::WEBHOOK),
        ];
        let kept = kept.into_iter().chain(prometheus.iter().map(|(name, text)| (*name, text.as_str())));
        self.state.web.vault.versions = vec![kept.map(|(name, text)| (name.to_owned(), text.to_owned())).collect()].into();
        for object in install::objects(&install)? {
            let kind = Object::of_object(&object).ok_or_else(|| {
                Cause::bug(format!("a rehearsal does not know the kind {} of the installation", object["kind"]))
            })?;
            self.create(kind, object)?;
        }
        Ok(())
    }

    /// Guards Prometheus, and what the Secret has for it.
    fn wants_of_prometheus(&mut self) -> Vec<(&'static str, String)> {
        let Some(wants) = &self.scenario.prometheus_wants else { return Vec::new() };
        let (wanted, keys) = Wanted::new(&wants.credentials, wants.tenant.clone());
        self.state.web.prometheus.wants = Some(wanted);
        if wants.missing { Vec::new() } else { keys }
    }

    fn services(&mut self) {
        let Scenario { start, target, .. } = *self.scenario;
        let services = &mut self.state.web;
        for (key, service) in [
            ("prometheus", Service::Prometheus),
            ("pushgateway", Service::Pushgateway),
            ("packages-url", Service::Packages),
            ("vault-address", Service::Vault),
        ] {
            if let Some(setting) = self.scenario.text_setting(key) {
                services.listen(service, setting);
            }
        }
        if let Some(setting) = self.scenario.text_setting("packages-url") {
            let setting = setting.trim_end_matches('/');
            // The address ends where the folder begins that is of a minor version.
            let folder = setting.find("{minor}").and_then(|at| setting[..at].rfind('/'));
            if let Some(folder) = folder {
                services.listen(Service::Packages, &setting[..folder]);
                services.packages.layout = Some(setting[folder..].to_owned());
            }
            let pattern = if folder.is_some() { setting.to_owned() } else { format!("{setting}/core:/stable:/v{{minor}}/deb") };
            for node in &self.scenario.nodes {
                self.state.hosts.change(&node.name, |machine| {
                    machine.source_url = machine.source.as_ref().map(|minor| pattern.replace("{minor}", minor));
                });
            }
        }
        let services = &mut self.state.web;
        let running = self.scenario.nodes.iter().flat_map(|node| [node.version, node.components()]);
        for version in running {
            services.packages.release(version, self.born);
        }
        if self.scenario.releases.is_empty() {
            services.packages.release(target, self.born);
        }
        for release in &self.scenario.releases {
            services.packages.release(release.version, release.from.unwrap_or(self.born));
        }
        for alert in &self.scenario.alerts {
            services.prometheus.others.extend(alert.group.clone().map(|group| (group, alert.name.clone())));
            services.prometheus.injected.push(Injected {
                name: alert.name.clone(),
                labels: alert.labels.clone(),
                from: alert.from.unwrap_or(start),
                until: alert.until.unwrap_or(Timestamp::MAX),
            });
        }
    }
}

const HASH: &str = "pod-template-hash";
/// Of every ReplicaSet whose pods are where the scenario puts them.
const HASH_VALUE: &str = "5d9c7b8f64";

fn earlier(time: Timestamp, span: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(span).ok().and_then(|span| time.checked_sub(span).ok()).unwrap_or(Timestamp::MIN)
}
