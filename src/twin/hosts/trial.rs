//! The target's kubelet and kubeadm, tried on a machine: what they would say of its flags, its kernel and its cluster.

use super::super::State;
use super::super::state::Access;
use super::machine::Machine;
use super::packages::{Stop, has_ended, hold, key_of, need_space, offered_by, refused, repository, strangers, unreachable};
use super::plan;
use super::session::Session;
use crate::plan::model::version::Version;

/// Room for both packages and what is in them, in MiB.
const ROOM: u64 = 400;
/// A session of it, in milliseconds; with kubeadm's dry run, which looks at all of a control plane on the first.
const TRIAL: u64 = 9_000;
const DRY_RUN_OF_APPLY: u64 = 8_000;
const DRY_RUN_OF_NODE: u64 = 1_000;
/// Where the flags of a machine's kubelet are set.
const FLAGS_FILE: &str = "/etc/default/kubelet";
/// Flags that kubelets know no more, from which minor version on.
const GONE: [(&str, u32); 1] = [("--pod-infra-container-image", 35)];

/// What the script is given.
pub struct Asked<'a> {
    pub url: &'a str,
    pub packages: &'a str,
    pub minor: &'a str,
    pub target: &'a str,
    pub first: bool,
    pub keys: &'a [String],
    pub flags: &'a [String],
}

pub fn tried(state: &State, machine: &Machine, asked: &Asked<'_>, session: &mut Session) -> Result<(), Stop> {
    let Asked { minor, target, .. } = asked;
    session.millis = TRIAL;
    need_space(machine, "/var/lib/k8s-upgrade/trial", ROOM)?;
    let (place, offer) = if machine.source.as_deref() == Some(minor) {
        own(state, machine, minor)?
    } else {
        other(state, machine, asked, session)?
    };
    let start = format!("{target}-");
    let exact = offer.iter().find(|exact| exact.starts_with(&start));
    let exact = exact.ok_or_else(|| hold(format!("{place} does not offer kubeadm {target} yet")))?;
    for package in ["kubeadm", "kubelet"] {
        session.line(format_args!("# fetching {package} {exact}"));
    }
    session.line(if machine.cgroup_v1 { "cgroup 1" } else { "cgroup 2" });
    let minor = target.parse().map_or(0, |version: Version| version.minor);
    for flag in &machine.kubelet_flags {
        let name = flag.split('=').next().unwrap_or_default();
        if GONE.iter().any(|(gone, since)| *gone == name && minor >= *since) {
            session.line(format_args!("refuses {name} Error: failed to parse kubelet flag: unknown flag: {name}"));
            session.line(format_args!("set 1 {FLAGS_FILE}"));
        }
    }
    session.millis += if asked.first { DRY_RUN_OF_APPLY } else { DRY_RUN_OF_NODE };
    session.line(format_args!("# dry run of kubeadm {target}"));
    let ignored = |check: &&String| asked.flags.contains(&format!("--ignore-preflight-errors={check}"));
    if let Some(check) = machine.faults.kubeadm_objects.as_ref().filter(|check| !ignored(check)) {
        session.line(format_args!("objects {check}\nnote \t[ERROR {check}]: it did not complete in 15s"));
    } else if (asked.first || state.access() != Access::Up)
        && let Err((stderr, stop)) = plan::plan(state, target)
    {
        let verb = if asked.first { "apply" } else { "node" };
        session.stderr.push_str(&stderr);
        return Err(Stop { what: stop.what.replace("upgrade plan", &format!("upgrade {verb}")), ..stop });
    }
    session.line("tried");
    Ok(())
}

/// Its own repository, read anew.
fn own(state: &State, machine: &Machine, minor: &str) -> Result<(String, Vec<String>), Stop> {
    const WHAT: &str = "refreshing the list of the Kubernetes repository";
    if key_of(state, minor) != machine.keyring || has_ended(machine.keyring_ends, state.now()) {
        return Err(refused(format!("{WHAT}: the repository's signature does not fit the key")));
    }
    let there = repository(state, machine, minor).map_err(|why| unreachable(format!("{WHAT}: {why}")))?;
    let missing = || unreachable(format!("{WHAT}: The repository of v{minor} does not have a Release file."));
    Ok(("its repository".to_owned(), there.ok_or_else(missing)?))
}

/// Another, whose key is proved as the one that is to be put in force.
fn other(state: &State, machine: &Machine, asked: &Asked<'_>, session: &mut Session) -> Result<(String, Vec<String>), Stop> {
    let url = asked.url;
    if let Some(stranger) = strangers(machine, asked.packages).first() {
        return Err(refused(format!("another source of this node offers kubeadm, and would be left beside {url}: {stranger}")));
    }
    let offer = offered_by(state, machine, url, asked.minor, asked.keys, session)?;
    if has_ended(state.web.packages.keys_end, state.now()) {
        let key = key_of(state, asked.minor);
        return Err(refused(format!("the repository's signature does not fit the key: what {url}/Release.key gives is {key}")));
    }
    Ok((format!("the repository {url}"), offer))
}
