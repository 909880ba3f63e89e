//! apt and dpkg: what the node's lists offer, and what stands in the way of an installation.

use std::cmp::Reverse;
use std::time::Duration;

use jiff::Timestamp;

use super::super::{State, web};
use super::machine::{Dpkg, MIB, Machine, is};
use super::session::Session;
use crate::plan::model::parse;
use crate::plan::model::version::Version;

/// kubeadm wants these held.
pub const KUBERNETES: [&str; 3] = ["kubeadm", "kubelet", "kubectl"];
/// How long apt waits for somebody else's lock, in seconds; `lock_wait` of the scripts.
pub const LOCK_WAIT: u64 = 300;
/// What the scripts want free before they download or install, in MiB.
const ROOM: u64 = 300;

/// How a script ends when it cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    pub status: u8,
    pub what: String,
}

pub fn failed(what: impl Into<String>) -> Stop {
    Stop { status: 1, what: what.into() }
}
pub fn hold(what: impl Into<String>) -> Stop {
    Stop { status: 10, what: what.into() }
}
pub fn refused(what: impl Into<String>) -> Stop {
    Stop { status: 11, what: what.into() }
}
pub fn unreachable(what: impl Into<String>) -> Stop {
    Stop { status: 12, what: what.into() }
}
pub fn contended(what: impl Into<String>) -> Stop {
    Stop { status: 13, what: what.into() }
}

/// Every version of a package that apt on this node knows of, newest first.
pub fn available(state: &State, machine: &Machine, package: &str) -> Vec<String> {
    match package {
        package if package == machine.runtime() => containerds(state, machine),
        package if KUBERNETES.contains(&package) => machine.lists.clone(),
        _ => Vec::new(),
    }
}

fn containerds(state: &State, machine: &Machine) -> Vec<String> {
    let own = machine.packages.get(machine.runtime()).map(|package| package.version.clone());
    if machine.containerd_unread {
        return own.into_iter().collect();
    }
    let alike = |(package, distribution, _): &&(&str, String, String)| {
        *package == machine.runtime() && *distribution == machine.distribution
    };
    let of_distribution = state.hosts.containerds.iter().filter(alike).map(|(.., revision)| revision.clone());
    let mut found: Vec<String> = of_distribution.chain(machine.containerd_offers.iter().cloned()).collect();
    found.sort_by_key(|revision| Reverse((parse::upstream(revision), revision.clone())));
    found.dedup();
    found
}

/// The exact revision that the lists offer.
pub fn offered(state: &State, machine: &Machine, package: &str, version: &str) -> Option<String> {
    available(state, machine, package).into_iter().find(|exact| is(exact, version))
}

pub fn revision(state: &State, machine: &Machine, package: &str, version: &str) -> Result<String, Stop> {
    offered(state, machine, package, version)
        .ok_or_else(|| refused(format!("the repository of this node does not offer {package} {version}")))
}

pub fn need_space(machine: &Machine, path: &str, mib: u64) -> Result<(), Stop> {
    let free = machine.free / MIB;
    if free >= mib {
        return Ok(());
    }
    Err(refused(format!("the disk is full: {path} has {free} MiB free, {mib} MiB are needed")))
}

pub fn room_to_download(machine: &Machine) -> Result<(), Stop> {
    need_space(machine, "/var/cache/apt", ROOM)
}

pub fn room_to_install(machine: &Machine) -> Result<(), Stop> {
    room_to_download(machine)?;
    need_space(machine, "/usr", ROOM)
}

/// How long somebody else will still hold the package manager's locks.
pub fn locked_for(state: &State, machine: &Machine) -> Duration {
    let until = machine.faults.apt_locked_until.unwrap_or(state.now());
    Duration::try_from(until.duration_since(state.now())).unwrap_or_default()
}

/// What a session waits for the locks, if it gets them.
pub fn wait_for_locks(state: &State, machine: &Machine, what: &str) -> Result<Duration, Stop> {
    let wait = locked_for(state, machine);
    if wait <= Duration::from_secs(LOCK_WAIT) { Ok(wait) } else { Err(locked(what)) }
}

pub fn locked(what: &str) -> Stop {
    hold(format!("{what}: another package manager has held the lock for {LOCK_WAIT} s"))
}

/// The way out of this node is open.
pub fn outside(state: &State, machine: &Machine) -> Result<(), String> {
    match machine.faults.outside_away_until {
        Some(until) if state.now() < until => Err("Could not resolve 'pkgs.k8s.io'".to_owned()),
        _ => Ok(()),
    }
}

/// What the repository of a minor (`1.34`) holds now, newest first; None: there is none.
pub fn repository(state: &State, machine: &Machine, minor: &str) -> Result<Option<Vec<String>>, String> {
    outside(state, machine)?;
    let Some(number) = minor.strip_prefix("1.").and_then(|number| number.parse().ok()) else { return Ok(None) };
    let mut there = web::offered(state, number)?;
    if let Some(there) = &mut there {
        there.retain(|exact| !machine.lacks.is_some_and(|lacks| is(exact, &lacks.to_string())));
        there.sort_by_key(|exact| {
            let (release, revision) = exact.split_once('-').unwrap_or((exact, ""));
            Reverse((release.parse::<Version>().ok(), revision.to_owned()))
        });
    }
    Ok(there)
}

/// The source of a machine, as its minor and where it leads.
pub fn source(machine: &Machine) -> Option<(&str, String)> {
    let minor = machine.source.as_deref()?;
    let upstream = || format!("{}/core:/stable:/v{minor}/deb", web::PACKAGES);
    Some((minor, machine.source_url.clone().unwrap_or_else(upstream)))
}

/// A Kubernetes repository, as the scripts know one: upstream's layout, or as the settings write it.
pub fn is_known(url: &str, minor: &str, packages: &str) -> bool {
    url.contains(&format!("/core:/stable:/v{minor}/")) || packages.replace("{minor}", minor) == url
}

/// Other sources that offer kubeadm.
pub fn strangers(machine: &Machine, packages: &str) -> Vec<String> {
    let own = source(machine).filter(|(minor, url)| !is_known(url, minor, packages)).map(|(_, url)| url);
    own.into_iter().chain(machine.beside.clone()).collect()
}

/// The fingerprint of the key that the repository of a minor (`1.34`) is signed by.
pub fn key_of<'a>(state: &'a State, minor: &str) -> &'a str {
    let number = minor.strip_prefix("1.").and_then(|number| number.parse().ok()).unwrap_or_default();
    state.web.packages.key(number)
}

/// That belief in a key has come to its end.
pub fn has_ended(ends: Option<Timestamp>, now: Timestamp) -> bool {
    ends.is_some_and(|ends| ends <= now)
}

/// What the repository of a minor offers, whose key is one that is believed; the error: how `fetch-key.sh` ends where it is not.
pub fn offered_by(
    state: &State,
    machine: &Machine,
    url: &str,
    minor: &str,
    keys: &[String],
    session: &mut Session,
) -> Result<Vec<String>, Stop> {
    let there = repository(state, machine, minor)
        .map_err(|why| unreachable(format!("the repository cannot be reached: {url}/Release.key ({why})")))?;
    let none = || refused(format!("the repository has no v{minor}: {url}/Release.key answers 404"));
    let offer = there.ok_or_else(none)?;
    let key = key_of(state, minor);
    session.line(format_args!("# the repository's key is {key}"));
    if machine.source.is_some() && key != machine.keyring && !keys.iter().any(|known| known == key) {
        return Err(refused(format!(
            "the repository's key has changed: {url}/Release.key is of {key}, and the one in force on this node of {}. \
             Ask whoever runs the repository; if that is right, have this line in the settings and run it again: \
             package-keys: [{key}]",
            machine.keyring
        )));
    }
    Ok(offer)
}

/// Refreshes the lists of the source that the node points at, or says why the former ones stay.
pub fn refresh(state: &mut State, node: &str, minor: &str) -> Result<(), Stop> {
    const WHAT: &str = "refreshing the list of the Kubernetes repository";
    let Some(machine) = state.hosts.machine(node) else { return Ok(()) };
    let there = repository(state, machine, minor).map_err(|why| unreachable(format!("{WHAT}: {why}")))?;
    let missing = || unreachable(format!("{WHAT}: The repository of v{minor} does not have a Release file."));
    let lists = there.ok_or_else(missing)?;
    state.hosts.change(node, |machine| machine.lists = lists);
    Ok(())
}

/// `dpkg --audit`, line by line; nothing where all is well.
pub fn audit(machine: &Machine) -> Vec<String> {
    let texts = [
        (
            Dpkg::HalfInstalled,
            "The following packages are in a mess due to serious problems during\ninstallation.  They must be reinstalled for \
             them (and any packages\nthat depend on them) to function properly:",
        ),
        (
            Dpkg::Unpacked,
            "The following packages have been unpacked but not yet configured.\nThey must be configured using dpkg --configure \
             or the configure\nmenu option in dselect for them to work:",
        ),
        (
            Dpkg::HalfConfigured,
            "The following packages are only half configured, probably due to problems\nconfiguring them the first time.  The \
             configuration should be retried using\ndpkg --configure <package> or the configure menu option in dselect:",
        ),
    ];
    let mut lines = Vec::new();
    for (dpkg, text) in texts {
        let broken: Vec<&String> = machine.packages.iter().filter(|(_, p)| p.dpkg == dpkg).map(|(name, _)| name).collect();
        if !broken.is_empty() {
            lines.extend(text.lines().map(str::to_owned));
            lines.extend(broken.iter().map(|name| format!(" {name}")));
            lines.push(String::new());
        }
    }
    lines
}
