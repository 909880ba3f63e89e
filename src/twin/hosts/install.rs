//! The units that install packages: kubeadm's, the kubelet's with its restart, containerd's.

use std::time::Duration;

use super::super::{State, control};
use super::machine::{Dpkg, File, KubeletUnit, Machine, Package};
use super::packages::{
    self, KUBERNETES, LOCK_WAIT, Stop, audit, failed, locked, locked_for, offered, outside, refused, revision, room_to_install,
    unreachable,
};
use super::past::former;
use super::work::{Next, Stage, Staged, log, say, soon};
use super::{kubeadm, power};
use crate::node::Step;
use crate::plan::model::parse;

/// dpkg's pace, a package.
const UNPACKS: Duration = Duration::from_millis(600);
const CONFIGURES: Duration = Duration::from_millis(500);
/// Between the last that was unpacked and the first that is configured.
const BETWEEN: Duration = Duration::from_millis(300);
const DOWNLOAD: Duration = Duration::from_secs(2);
const REPAIR: Duration = Duration::from_secs(3);
const KUBELET_RESTART: Duration = Duration::from_millis(800);
const CONTAINERD_RESTART: Duration = Duration::from_millis(500);
/// Active in two looks, a second apart.
const STEADY: Duration = Duration::from_secs(2);

pub fn stage(state: &mut State, node: &str, step: &Step, target: &str, stage: &Stage) -> Staged {
    let now = state.now();
    let Some(machine) = state.hosts.machine(node).cloned() else { return Ok(Next::End) };
    match stage {
        Stage::Begin => {
            match step {
                Step::KubeletPackages => kubeadm::is_at(&machine, target, "the kubelet must not pass it")?,
                Step::Rollback { .. } if !machine.files.contains_key(&former(target)) && machine.lacks("kubelet", target) => {
                    return Err(refused(format!(
                        "there is no copy of the kubelet's configuration of before: put one at {}/config.yaml",
                        former(target)
                    )));
                }
                _ => {}
            }
            soon(Stage::Locks { since: now })
        }
        Stage::Locks { since } => {
            let (left, limit) = (locked_for(state, &machine), Duration::from_secs(LOCK_WAIT));
            let waited = Duration::try_from(now.duration_since(*since)).unwrap_or_default();
            match left.is_zero() {
                true => soon(Stage::Repair),
                false if waited >= limit => Err(locked("waiting for the package manager")),
                false => Ok(Next::After(left.min(limit.saturating_sub(waited)), Stage::Locks { since: *since })),
            }
        }
        Stage::Repair => {
            if audit(&machine).is_empty() {
                return soon(Stage::Choose);
            }
            say(state, node, "an earlier installation was cut: repairing");
            state.hosts.change(node, |machine| {
                let cut = |dpkg| matches!(dpkg, Dpkg::Unpacked | Dpkg::HalfConfigured);
                machine.packages.values_mut().filter(|package| cut(package.dpkg)).for_each(|p| p.dpkg = Dpkg::Installed);
            });
            Ok(Next::After(REPAIR, Stage::Mend))
        }
        Stage::Mend => {
            let wanted = mend(state, &machine, step, target)?;
            soon(if wanted.is_empty() { Stage::Choose } else { Stage::Install { wanted, done: 0 } })
        }
        Stage::Choose => {
            put_holds_back(state, node, step);
            let wanted = choose(state, &machine, step, target)?;
            soon(if wanted.is_empty() { Stage::Installed } else { Stage::Install { wanted, done: 0 } })
        }
        Stage::Install { wanted, done } => install(state, node, &machine, wanted, *done),
        Stage::Installed => installed(state, node, &machine, step, target),
        Stage::Restarted => {
            restarted(state, node, step);
            Ok(Next::After(STEADY, Stage::Done))
        }
        Stage::Kubeadm(_) | Stage::Done => Ok(Next::End),
    }
}

/// What is half installed and has to be installed anew: the step's own packages at the target, any other as dpkg has it on record.
fn mend(state: &State, machine: &Machine, step: &Step, target: &str) -> Result<Vec<(String, String)>, Stop> {
    let own: &[&str] = match step {
        Step::ContainerdPackage => return Ok(Vec::new()),
        Step::KubeadmPackage if machine.packages.get("kubeadm").is_none_or(|package| !package.at(target)) => &["kubeadm"],
        _ => &KUBERNETES,
    };
    let half = KUBERNETES.into_iter().filter_map(|name| Some((name, machine.packages.get(name)?)));
    half.filter(|(_, package)| package.dpkg == Dpkg::HalfInstalled)
        .map(|(name, package)| {
            if own.contains(&name) {
                return Ok((name.to_owned(), revision(state, machine, name, target)?));
            }
            let gone = || {
                let now = format!("{} {}", package.letters(), package.version);
                refused(format!("{name} is half installed ({now}) and the repository no longer offers that version"))
            };
            Ok((name.to_owned(), offered(state, machine, name, &package.version).ok_or_else(gone)?))
        })
        .collect()
}

/// `hold_kubernetes` of the scripts. containerd's hold is noted, and comes back at the end.
fn put_holds_back(state: &mut State, node: &str, step: &Step) {
    let at = state.now();
    state.hosts.change(node, |machine| match step {
        Step::ContainerdPackage => {
            if machine.packages.get(machine.runtime()).is_some_and(|package| package.held) {
                machine.files.insert(noted(machine.runtime()), File { bytes: 0, at, text: Some("".into()) });
            }
        }
        _ => {
            let kubernetes = machine.packages.iter_mut().filter(|(name, _)| KUBERNETES.contains(&name.as_str()));
            kubernetes.for_each(|(_, package)| package.held = true);
        }
    });
}

impl Machine {
    fn lacks(&self, name: &str, target: &str) -> bool {
        self.packages.get(name).is_some_and(|package| !package.at(target))
    }
}

fn noted(package: &str) -> String {
    format!("/var/lib/k8s-upgrade/held-{package}")
}

fn choose(state: &mut State, machine: &Machine, step: &Step, target: &str) -> Result<Vec<(String, String)>, Stop> {
    if let Step::Rollback { packages } = step {
        let exact = packages.iter().filter_map(|package| package.split_once('='));
        let other = exact.filter(|(name, version)| machine.packages.get(*name).is_some_and(|now| now.version != *version));
        return other
            .map(|(name, version)| match offered(state, machine, name, version) {
                Some(version) => Ok((name.to_owned(), version)),
                None => Err(refused(format!("installing {name}={version}: Version '{version}' for '{name}' was not found"))),
            })
            .collect();
    }
    let names: &[&str] = match step {
        Step::ContainerdPackage => &[machine.runtime()],
        Step::KubeletPackages => &["kubelet", "kubectl"],
        _ => &["kubeadm"],
    };
    let mut machine = machine.clone();
    // What the lists do not have, all of them are read anew for.
    if *step == Step::ContainerdPackage
        && machine.containerd_unread
        && offered(state, &machine, machine.runtime(), target).is_none()
    {
        machine.containerd_unread = false;
    }
    let lacking = names.iter().filter(|name| machine.lacks(name, target));
    lacking.map(|name| Ok(((*name).to_owned(), revision(state, &machine, name, target)?))).collect()
}

/// dpkg unpacks all, then configures all. What it has come to is in the packages at every moment: a power cut leaves just that.
fn install(state: &mut State, node: &str, machine: &Machine, wanted: &[(String, String)], done: usize) -> Staged {
    let exact = |(name, version): &(String, String)| format!("{name}={version}");
    let next = |span| Ok(Next::After(span, Stage::Install { wanted: wanted.to_vec(), done: done + 1 }));
    let count = wanted.len();
    if done == 0 {
        let all = wanted.iter().map(exact).collect::<Vec<_>>().join(" ");
        room_to_install(machine)?;
        say(state, node, &format!("installing {all}"));
        let newer = |(name, version): &(String, String)| {
            machine.packages.get(name).is_some_and(|package| parse::upstream(&package.version) > parse::upstream(version))
        };
        let back = machine.unit.as_ref().is_some_and(|unit| matches!(unit.step, Step::Rollback { .. }));
        if !back && wanted.iter().any(newer) {
            return Err(refused(format!("installing {all}: this would be a downgrade")));
        }
        let others = |(name, package): (&String, &Package)| {
            package.dpkg == Dpkg::HalfInstalled && !wanted.iter().any(|(wanted, _)| wanted == name)
        };
        if machine.packages.iter().any(others) {
            return Err(failed(format!(
                "installing {all} failed: a package needs to be reinstalled, but no archive for it is found"
            )));
        }
        if wanted.iter().map(exact).all(|exact| machine.archives.contains(&exact)) {
            return next(Duration::from_millis(300));
        }
        fetchable(state, machine).map_err(|why| unreachable(format!("installing {all}: Failed to fetch: {why}")))?;
        state.hosts.change(node, |machine| machine.archives.extend(wanted.iter().map(exact)));
        return next(DOWNLOAD);
    }
    // 1..=count: unpacks one; then a pause; then configures one after the other.
    let (unpacking, configuring) = (done - 1, (done - 1).checked_sub(count + 1));
    state.hosts.change(node, |machine| {
        for (index, (name, version)) in wanted.iter().enumerate() {
            let Some(package) = machine.packages.get_mut(name) else { continue };
            let dpkg = match configuring {
                None if index > unpacking => continue,
                None if index == unpacking => Dpkg::HalfInstalled,
                None => Dpkg::Unpacked,
                Some(at) if index > at => Dpkg::Unpacked,
                Some(at) if index == at => Dpkg::HalfConfigured,
                Some(_) => Dpkg::Installed,
            };
            package.dpkg = dpkg;
            package.held = false;
            if dpkg != Dpkg::HalfInstalled {
                package.version.clone_from(version);
            }
        }
    });
    let told = |verb: &str, index: usize| wanted.get(index).map(|(name, version)| format!("{verb} {name} ({version}) ..."));
    match configuring {
        None => match told("Unpacking", unpacking) {
            Some(line) => {
                log(state, node, &line);
                next(UNPACKS)
            }
            None => next(BETWEEN),
        },
        Some(at) => match told("Setting up", at) {
            Some(line) => {
                log(state, node, &line);
                next(CONFIGURES)
            }
            // Back to the beginning: what is wanted is looked at again.
            None => soon(Stage::Choose),
        },
    }
}

/// The repository that the node points at answers.
fn fetchable(state: &State, machine: &Machine) -> Result<(), String> {
    outside(state, machine)?;
    let Some(minor) = &machine.source else { return Ok(()) };
    packages::repository(state, machine, minor).map(drop)
}

fn installed(state: &mut State, node: &str, machine: &Machine, step: &Step, target: &str) -> Staged {
    match step {
        Step::KubeletPackages | Step::Rollback { .. } => {
            say(state, node, "restarting the kubelet");
            state.hosts.change(node, |machine| machine.kubelet_unit = KubeletUnit::Restarting);
            Ok(Next::After(KUBELET_RESTART, Stage::Restarted))
        }
        Step::ContainerdPackage => {
            state.hosts.change(node, |machine| {
                let noted = machine.files.remove(&noted(machine.runtime())).is_some();
                if let Some(package) = machine.packages.get_mut(machine.runtime()) {
                    package.held |= noted;
                }
            });
            Ok(Next::After(CONTAINERD_RESTART, Stage::Restarted))
        }
        _ => {
            if machine.unit.as_ref().is_some_and(|unit| unit.log.is_empty()) {
                say(state, node, &format!("kubeadm is at {target}"));
            }
            Ok(Next::End)
        }
    }
}

fn restarted(state: &mut State, node: &str, step: &Step) {
    if *step == Step::ContainerdPackage {
        state.hosts.change(node, |machine| machine.containerd = machine.release(machine.runtime()).to_owned());
        control::kubelet_restarted(state, node);
        return;
    }
    if power::start_kubelet(state, node) {
        kubeadm::static_pods_restart(state, node);
    }
}
