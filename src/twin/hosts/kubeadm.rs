//! `kubeadm upgrade apply|node`, phase by phase with the lab's times, and what it does to the cluster.

use std::time::Duration;

use serde_json::json;

use super::super::state::{Access, Outage, later};
use super::super::store::{Key, Kind};
use super::super::{State, control};
use super::configuration::{configure, configured, image, registry};
use super::machine::{File, MIB, Machine};
use super::packages::{Stop, failed, need_space, outside};
use super::past;
use super::release::{Bundle, COMPONENTS, images};
use super::work::{Next, Phase, Stage, Staged, log, say, soon};
use super::written;
use crate::plan::model::version::{UpgradeKind, Version};
use crate::words::Flag;

/// etcd's data, of which every run leaves a copy behind, and what the script wants free besides.
const ETCD_DATA: u64 = 124;
const SPARE: u64 = 200;
/// A worker's whole run.
const WORKER: Duration = Duration::from_millis(900);
/// A manifest that is equal already.
const SKIPPED: Duration = Duration::from_secs(1);
const PULL: Duration = Duration::from_secs(4);
/// `timeouts.upgradeManifests`, until kubeadm gives up on a static pod.
const PATIENCE: Duration = Duration::from_secs(300);
/// What a client sees of a component's restart where other control planes serve.
const GAP: Duration = Duration::from_secs(1);
/// After the kubelet's restart onto a new minor: when the API drops, for how long, and when every static pod is Ready again.
const DROP_AFTER: Duration = Duration::from_millis(1200);
const DROP: Duration = Duration::from_secs(3);
const STATIC_PODS_READY: Duration = Duration::from_secs(25);

/// Seconds of the phases on a control plane.
struct Pace {
    preflight: u64,
    /// etcd, API server, controller-manager, scheduler.
    components: [u64; 4],
    /// How long etcd is slow in its step, and the API server away in its own.
    slow: u64,
    away: u64,
    finish: u64,
}

impl Pace {
    /// apply: 178 s minor, 114 s patch; node: 158 s and 122 s.
    const fn of(hop: UpgradeKind, apply: bool) -> Pace {
        match (hop, apply) {
            (UpgradeKind::Minor, true) => Pace { preflight: 8, components: [70, 52, 16, 16], slow: 60, away: 42, finish: 8 },
            (UpgradeKind::Patch, true) => Pace { preflight: 6, components: [30, 36, 14, 14], slow: 24, away: 29, finish: 6 },
            (UpgradeKind::Minor, false) => Pace { preflight: 8, components: [62, 44, 14, 14], slow: 40, away: 39, finish: 8 },
            (UpgradeKind::Patch, false) => Pace { preflight: 6, components: [36, 38, 14, 14], slow: 24, away: 29, finish: 6 },
        }
    }
}

/// upload-config and the addons.
const CONFIG: Duration = Duration::from_secs(4);

/// One run of it.
pub struct Upgrade<'a> {
    pub node: &'a str,
    pub target: &'a str,
    pub apply: bool,
    pub flags: &'a [Flag],
}

/// kubeadm's package is at the target, or the script ends here.
pub fn is_at(machine: &Machine, target: &str, else_what: &str) -> Result<(), Stop> {
    let now = machine.release("kubeadm");
    if now == target { Ok(()) } else { Err(failed(format!("kubeadm on this node is v{now}, not v{target}: {else_what}"))) }
}

impl Upgrade<'_> {
    pub fn stage(&self, state: &mut State, stage: &Stage) -> Staged {
        let Some(machine) = state.hosts.machine(self.node).cloned() else { return Ok(Next::End) };
        match stage {
            Stage::Begin => self.begin(state, &machine),
            Stage::Kubeadm(phase) => self.phase(state, &machine, phase),
            _ => Ok(Next::End),
        }
    }

    fn begin(&self, state: &mut State, machine: &Machine) -> Staged {
        is_at(machine, self.target, "its package comes first")?;
        if machine.control_plane {
            need_space(machine, "/etc/kubernetes/tmp", ETCD_DATA + SPARE)?;
        }
        let verb = if self.apply { format!("apply v{} -y", self.target) } else { "node".to_owned() };
        say(state, self.node, format!("kubeadm upgrade {verb} {}", self.flags.join(" ")).trim_end());
        let (all, at) = (machine.finished(self.target), state.now());
        state.hosts.change(self.node, |machine| {
            let runs = machine.runs.entry(self.target.to_owned()).or_default();
            runs.began += 1;
            runs.again += u32::from(runs.ended_well > 0);
            runs.after_all += u32::from(all);
            let release = machine.release("kubelet").to_owned();
            if release != self.target {
                machine.files.entry(past::former(&release)).or_insert(File { bytes: 0, at, text: None });
            }
            past::forget_copies(machine);
        });
        soon(Stage::Kubeadm(Phase::Preflight))
    }

    /// What kubeadm says before it gives up, and how the script ends then.
    fn fails(&self, state: &mut State, line: &str) -> Stop {
        log(state, self.node, line);
        log(state, self.node, "To see the stack trace of this error execute with --v=5 or higher");
        failed(format!("kubeadm upgrade {} failed (exit 1)", if self.apply { "apply" } else { "node" }))
    }

    fn skips(&self, phase: &str) -> bool {
        let lists = self.flags.iter().map(|flag| flag.strip_prefix("--skip-phases=").unwrap_or(flag));
        lists
            .flat_map(|list| list.split(','))
            .any(|skipped| skipped == phase || skipped == "addon" && phase.starts_with("addon/"))
    }

    /// Where this run goes: `node` asks the cluster.
    fn goal(&self, state: &State) -> Option<Version> {
        if self.apply {
            self.target.parse().ok()
        } else {
            configured(state, "kubernetesVersion").and_then(|text| text.parse().ok())
        }
    }

    fn phase(&self, state: &mut State, machine: &Machine, phase: &Phase) -> Staged {
        let Some(to) = self.goal(state) else {
            return Err(self.fails(state, "error: the ConfigMap kube-system/kubeadm-config has no kubernetesVersion"));
        };
        let hop = machine.kubelet.parse().map_or(UpgradeKind::Patch, |from| UpgradeKind::between(from, to));
        let pace = Pace::of(hop, self.apply);
        let next = |span, phase| Ok(Next::After(span, Stage::Kubeadm(phase)));
        match phase {
            Phase::Preflight => {
                self.preflight(state, machine, to)?;
                if !machine.control_plane {
                    return next(WORKER, Phase::Finish);
                }
                next(Duration::from_secs(pace.preflight), Phase::Pull)
            }
            Phase::Pull => {
                let registry = registry(state);
                let wanted = images(to, true, &registry);
                let missing: Vec<String> = wanted.into_iter().filter(|image| !machine.images.contains(image)).collect();
                if let (Some(image), Err(why)) = (missing.first(), outside(state, machine)) {
                    let line = format!("[ERROR ImagePull]: failed to pull image {image}: {why}");
                    return Err(self.fails(state, &line));
                }
                let pulls = PULL * u32::try_from(missing.len()).unwrap_or(0);
                state.hosts.change(self.node, |machine| machine.images.extend(missing));
                next(pulls, Phase::Component(0))
            }
            Phase::Component(index) => self.component(state, machine, *index, to, &pace),
            Phase::Stuck => {
                let line = format!(
                    "error: error execution phase control-plane: static Pod hash for component kube-apiserver on Node {} did not \
                     change after 5m0s: context deadline exceeded",
                    self.node
                );
                Err(self.fails(state, &line))
            }
            Phase::Config | Phase::Addons if state.access() != Access::Up => {
                let wait = Duration::try_from(state.serves_again().duration_since(state.now())).unwrap_or_default();
                if wait > PATIENCE {
                    return Err(self.fails(state, "error: error execution phase upload-config: the API server cannot be reached"));
                }
                next(wait, phase.clone())
            }
            Phase::Config => {
                if self.apply {
                    log(state, self.node, "[upload-config] Storing the configuration used in ConfigMap \"kubeadm-config\"");
                    configure(state, to);
                }
                next(CONFIG, Phase::Addons)
            }
            Phase::Addons => {
                self.addons(state, to);
                next(CONFIG + Duration::from_secs(pace.finish), Phase::Finish)
            }
            Phase::Finish => {
                written::write_kubelet_config(state, self.node, self.flags);
                let line = if self.apply {
                    format!("[upgrade] SUCCESS! A control plane node of your cluster was upgraded to \"v{to}\".")
                } else {
                    "[upgrade] The configuration for this node was successfully upgraded!".to_owned()
                };
                log(state, self.node, &line);
                state.hosts.change(self.node, |machine| {
                    machine.runs.entry(self.target.to_owned()).or_default().ended_well += 1;
                    if crate::plan::decide::certificates::renews(self.flags) {
                        super::certificates::renew(machine);
                    }
                    if machine.control_plane {
                        machine.leftovers = ETCD_DATA * MIB;
                    }
                });
                Ok(Next::End)
            }
        }
    }

    fn preflight(&self, state: &mut State, machine: &Machine, to: Version) -> Result<(), Stop> {
        log(
            state,
            self.node,
            "[upgrade/config] Reading configuration from the \"kubeadm-config\" ConfigMap in namespace \"kube-system\"...",
        );
        if state.access() != Access::Up {
            let line = "error: couldn't fetch the kubeadm-config ConfigMap: Get \"https://kubernetes:6443/api/v1/namespaces/kube-system/\
                        configmaps/kubeadm-config\": dial tcp: connect: connection refused";
            return Err(self.fails(state, line));
        }
        let fault = machine.faults.kubeadm_fails > 0;
        if fault && !machine.control_plane {
            spend(state, self.node);
            return Err(self.fails(state, "error: error execution phase preflight: [preflight] Some fatal errors occurred"));
        }
        // What kubeadm itself refuses; it does not refuse a downgrade.
        let minors = |version: Version| to.minors_above(version).unwrap_or(i64::MAX);
        let apiserver = oldest(state, "kube-apiserver");
        if self.apply && apiserver.is_some_and(|version| minors(version) > 1) {
            let line = format!(
                "[upgrade/version] FATAL: the --version argument is invalid: v{to} is more than one minor above the cluster"
            );
            return Err(self.fails(state, &line));
        }
        let kubelets = state.hosts.all().filter_map(|(_, machine)| machine.kubelet.parse().ok());
        if self.apply && kubelets.min().is_some_and(|version| minors(version) > 3) {
            let line = "[upgrade/version] FATAL: there are kubelets in this cluster that are too old for this version";
            return Err(self.fails(state, line));
        }
        Ok(())
    }

    fn component(&self, state: &mut State, machine: &Machine, index: usize, to: Version, pace: &Pace) -> Staged {
        let next = |span, phase| Ok(Next::After(span, Stage::Kubeadm(phase)));
        let (Some(component), Some(seconds)) = (COMPONENTS.get(index).copied(), pace.components.get(index)) else {
            return next(Duration::ZERO, Phase::Config);
        };
        let wanted = if component == "etcd" { Bundle::of(to).etcd.to_owned() } else { to.to_string() };
        // etcd's certificates are renewed once a release, even where its image stays.
        let renewed = component != "etcd" || machine.renewed.as_deref() == Some(&to.to_string());
        let command = written::command(state, self.node, component, self.flags);
        let same = machine.manifests.get(component) == Some(&wanted) && machine.commands.get(component) == Some(&command);
        if same && renewed {
            let line = format!("[upgrade/staticpods] Current and new manifests of {component} are equal, skipping upgrade");
            log(state, self.node, &line);
            return next(SKIPPED, Phase::Component(index + 1));
        }
        if component == "kube-apiserver" && machine.faults.kubeadm_fails > 0 {
            spend(state, self.node);
            return next(PATIENCE, Phase::Stuck);
        }
        log(state, self.node, &format!("[upgrade/staticpods] Preparing for \"{component}\" upgrade"));
        let ready = match component {
            "etcd" => {
                super::etcd::restarted(state, self.node);
                slow_etcd(state, self.node, Duration::from_secs(pace.slow));
                Duration::from_secs(pace.slow)
            }
            "kube-apiserver" => {
                restart_api(state, self.node, Duration::from_secs(2), Duration::from_secs(pace.away));
                Duration::from_secs(pace.away + 4)
            }
            _ => Duration::from_secs(10),
        };
        let (registry, at) = (registry(state), state.now());
        let replaced = machine.manifests.get(component).map(|version| image(&registry, component, version)).unwrap_or_default();
        let image = image(&registry, component, &wanted);
        let begun = machine.unit.as_ref().map_or(at, |unit| unit.begun);
        state.hosts.change(self.node, |machine| {
            past::keep_copy(machine, component, &replaced, begun, at);
            if component == "etcd" {
                machine.renewed = Some(to.to_string());
            }
            machine.manifests.insert(component.to_owned(), wanted);
            machine.commands.insert(component.to_owned(), command);
        });
        state.tell(format_args!("kubeadm on {} replaces {component}: {image}", self.node));
        control::static_pod_replaced(state, self.node, component, &image, ready);
        next(Duration::from_secs(*seconds), Phase::Component(index + 1))
    }

    /// Only once every API server is there: on the last control plane.
    fn addons(&self, state: &mut State, to: Version) {
        let there = |machine: &Machine| machine.manifests.get("kube-apiserver").is_none_or(|version| *version == to.to_string());
        if !state.hosts.all().all(|(_, machine)| there(machine)) {
            log(
                state,
                self.node,
                "[upgrade/addon] Skipping upgrade of addons because control plane instances are not upgraded yet",
            );
            return;
        }
        let registry = registry(state);
        for (phase, kind, name, tag) in [
            ("addon/coredns", Kind::Deployment, "coredns", format!("{registry}/coredns/coredns:{}", Bundle::of(to).coredns)),
            ("addon/kube-proxy", Kind::DaemonSet, "kube-proxy", format!("{registry}/kube-proxy:v{to}")),
        ] {
            if !self.skips(phase) {
                state.store.update(&Key::new(kind, "kube-system", name), |object| {
                    object["spec"]["template"]["spec"]["containers"][0]["image"] = json!(tag);
                    if let Some(managers) = object["metadata"]["managedFields"].as_array_mut() {
                        managers.retain(|entry| entry["manager"] == "kubeadm");
                    }
                });
            }
        }
    }
}

/// One fault less.
fn spend(state: &mut State, node: &str) {
    state.hosts.change(node, |machine| {
        if machine.faults.kubeadm_fails != u32::MAX {
            machine.faults.kubeadm_fails -= 1;
        }
    });
}

/// The oldest version of a component among the control planes.
pub fn oldest(state: &State, component: &str) -> Option<Version> {
    state.hosts.all().filter_map(|(_, machine)| machine.manifests.get(component)?.parse().ok()).min()
}

/// Another API server serves while this one does not.
fn others_serve(state: &State, node: &str) -> bool {
    state.hosts.all().any(|(name, machine)| name != node && machine.control_plane && machine.up())
}

/// etcd has its quorum without this member.
pub fn quorum_without(state: &State, node: &str) -> bool {
    let members = state.hosts.all().filter(|(_, machine)| machine.control_plane);
    let (mut all, mut up) = (0, 0);
    for (name, machine) in members {
        all += 1;
        up += u32::from(name != node && machine.up());
    }
    up * 2 > all
}

/// The API server of a control plane is away for a span that begins after `wait`; where others serve, a client sees a gap.
fn restart_api(state: &mut State, node: &str, wait: Duration, away: Duration) {
    let away = if others_serve(state, node) { GAP } else { away };
    state.take_api_away(later(state.now(), wait), away);
}

/// etcd restarts: the API server answers 500 meanwhile.
fn slow_etcd(state: &mut State, node: &str, span: Duration) {
    let from = later(state.now(), Duration::from_secs(4));
    let span = if quorum_without(state, node) { GAP } else { span };
    state.outages.push(Outage { from, until: later(from, span), how: Access::Status(500) });
    state.outages.sort_by_key(|outage| outage.from);
}

/// A kubelet of a new minor starts all static pods anew.
pub fn static_pods_restart(state: &mut State, node: &str) {
    let Some(machine) = state.hosts.machine(node).filter(|machine| machine.control_plane) else { return };
    let registry = registry(state);
    let pods: Vec<(String, String)> =
        machine.manifests.iter().map(|(name, version)| (name.clone(), image(&registry, name, version))).collect();
    restart_api(state, node, DROP_AFTER, DROP);
    super::etcd::restarted(state, node);
    for (component, image) in pods {
        control::static_pod_replaced(state, node, &component, &image, STATIC_PODS_READY);
    }
}
