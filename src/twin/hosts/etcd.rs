//! The etcd of a control plane's machine, and the snapshots that are taken of it there.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::super::State;
use super::super::control::{Backup, SNAPSHOT_BYTES};
use super::machine::{File, Machine};
use super::packages::{Stop, failed, refused};
use super::put_file;
use super::session::Session;
use crate::plan::model::version::Version;

/// How long etcdctl and etcdutl take for one, in milliseconds.
const TAKEN: u64 = 3_200;
/// Beside the database, in MiB.
const SPARE: u64 = 256;
/// etcd's first release that brings etcdutl.
const ETCDUTL: Version = Version::new(3, 5, 0);

/// What a script is to take.
pub struct Wanted<'a> {
    pub folder: &'a str,
    pub name: &'a str,
    /// Whose they are, by their names.
    pub of: &'a str,
    pub keep: usize,
    /// After so many seconds etcdctl is ended.
    pub limit: u64,
}

/// The folder of its data.
pub fn look(machine: &Machine) -> Result<String, Stop> {
    let flag = |component: &str, name: &str| {
        let flags = machine.commands.get(component).into_iter().flatten();
        flags.filter_map(|flag| flag.strip_prefix(name)).next_back().map(str::to_owned)
    };
    let Some(release) = machine.manifests.get("etcd") else {
        return Err(refused(
            match flag("kube-apiserver", "--etcd-servers=").filter(|_| machine.manifests.contains_key("kube-apiserver")) {
                Some(servers) => format!(
                    "etcd is external ({servers}): whoever runs it there takes its snapshots, and it can be restored nowhere else"
                ),
                None => "no etcd of kubeadm's is on this node: /etc/kubernetes/manifests/etcd.yaml is not there".to_owned(),
            },
        ));
    };
    let data = flag("etcd", "--data-dir=").unwrap_or_default();
    let (free, wanted) = (machine.free >> 20, (SNAPSHOT_BYTES >> 20) + SPARE);
    if free < wanted {
        return Err(refused(format!("the disk is full: {data} has {free} MiB free, an etcd snapshot needs {wanted} MiB")));
    }
    let release = release.split_once('-').map_or(release.as_str(), |(release, _)| release).parse::<Version>();
    if release.is_ok_and(|release| release < ETCDUTL) {
        let what =
            "etcdutl does not run in etcd's container, whose image has it from etcd 3.5 on: executable file not found in $PATH";
        return Err(refused(what));
    }
    Ok(data)
}

/// As snapshot-kind.sh sets it.
pub fn kind(machine: &Machine, file: &File) -> &'static str {
    match (&file.text, machine.faults.torn_snapshots) {
        (Some(_), _) => "other",
        (None, true) => "torn",
        (None, false) => "whole",
    }
}

pub fn take(state: &mut State, node: &str, machine: &Machine, wanted: &Wanted<'_>, session: &mut Session) -> Result<(), Stop> {
    let Wanted { folder, name, limit, .. } = *wanted;
    let path = format!("{folder}/{name}");
    let there = machine.files.get(&path).filter(|file| kind(machine, file) == "whole");
    let bytes = match there {
        Some(file) => file.bytes,
        None => {
            make(state, node, machine, &path, limit, session)?;
            SNAPSHOT_BYTES
        }
    };
    for old in outnumbered(machine, wanted) {
        session.line(format_args!("# deleting the snapshot {old}: {} are kept", wanted.keep));
        state.hosts.change(node, |machine| {
            let freed = machine.files.remove(&format!("{folder}/{old}")).map_or(0, |file| file.bytes);
            machine.free += freed;
        });
    }
    session.line(format_args!("snapshot {bytes} {path}"));
    Ok(())
}

fn make(state: &mut State, node: &str, machine: &Machine, path: &str, limit: u64, session: &mut Session) -> Result<(), Stop> {
    look(machine)?;
    session.line(format_args!("# taking a snapshot of etcd, {} MiB", SNAPSHOT_BYTES >> 20));
    session.millis = TAKEN;
    match state.control.backup {
        Backup::Fine => {}
        Backup::Fails => return Err(failed("etcdctl has saved no snapshot: Error: etcdserver: no leader")),
        Backup::Small => return Err(failed("etcdutl finds the snapshot unsound: Error: invalid database")),
        Backup::Stuck => {
            session.millis = limit * 1000;
            return Err(failed("etcdctl has saved no snapshot: "));
        }
    }
    if machine.faults.torn_snapshots {
        return Err(failed("the snapshot does not end with the hash of what it holds"));
    }
    put_file(state, node, path, SNAPSHOT_BYTES);
    let hash = Sha256::digest(path).iter().take(4).fold(0_u32, |hash, byte| hash << 8 | u32::from(*byte));
    session.line(format_args!("made {} {hash}", state.store.version()));
    Ok(())
}

/// The oldest of those that the program has named for this node, beside the newest and the wanted one.
fn outnumbered(machine: &Machine, Wanted { folder, name, of, keep, .. }: &Wanted<'_>) -> Vec<String> {
    let is_own = |file: &str| {
        let parts = file.strip_prefix("k8s-upgrade-").and_then(|file| file.strip_suffix(".db")?.split_once('-'));
        let Some((release, (run, node))) = parts.and_then(|(release, rest)| Some((release, rest.split_once('-')?))) else {
            return false;
        };
        let is_run = run.len() == 8 && run.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        release.parse::<Version>().is_ok() && is_run && node == *of
    };
    let mut own: Vec<(Timestamp, &str)> = machine
        .files
        .iter()
        .filter_map(|(path, file)| Some((file.at, path.strip_prefix(folder)?.strip_prefix('/')?)))
        .filter(|(_, file)| file != name && is_own(file))
        .collect();
    own.sort_unstable_by(|a, b| b.cmp(a));
    own.into_iter().skip(keep.saturating_sub(1)).map(|(_, file)| file.to_owned()).collect()
}

/// Of the disk of each member, in a second: writes, and how long each takes, also where something is wrong with it.
const WRITES: u64 = 10;
const TAKES: Duration = Duration::from_millis(2);
const TAKES_SLOW: Duration = Duration::from_millis(400);

/// A member that is up.
fn serves(machine: &Machine) -> bool {
    machine.up() && machine.manifests.contains_key("etcd")
}

/// Whose member leads: nobody's where none is up.
pub fn leader(state: &State) -> Option<&str> {
    let chosen = state.hosts.leader.as_deref().filter(|node| state.hosts.machine(node).is_some_and(serves));
    chosen.or_else(|| state.hosts.all().find(|(_, machine)| serves(machine)).map(|(node, _)| node))
}

/// As etcd names a member.
fn id(node: &str) -> String {
    Sha256::digest(format!("member {node}")).iter().take(8).fold("a".to_owned(), |id, byte| format!("{id}{byte:02x}"))[..16]
        .to_owned()
}

/// A member is restarted: if it led others, one of those is elected.
pub fn restarted(state: &mut State, node: &str) {
    if leader(state) != Some(node) {
        return;
    }
    let next = state.hosts.all().find(|(other, machine)| *other != node && serves(machine)).map(|(other, _)| other.to_owned());
    if next.is_some() {
        state.tell(format_args!("etcd elects another leader than {node}, which is restarted"));
        state.hosts.leader = next;
        state.hosts.elections += 1;
    }
}

/// As `move-leader.sh`.
pub fn move_leader(state: &mut State, node: &str, machine: &Machine, to: &str, session: &mut Session) -> Result<(), Stop> {
    look(machine)?;
    if leader(state) != Some(node) {
        session.line("elsewhere");
        return Ok(());
    }
    let heir = state.hosts.all().find(|(other, machine)| id(other) == to && serves(machine)).map(|(other, _)| other.to_owned());
    let Some(heir) = heir.filter(|_| !machine.faults.leads_on) else {
        return Err(failed("etcdctl has moved no leadership: Error: etcdserver: leadership transfer failed"));
    };
    state.tell(format_args!("the leadership of etcd moves from {node} to {heir}"));
    state.hosts.leader = Some(heir);
    session.line("moved");
    Ok(())
}

/// What its metrics say of a member, as `servers.sh` prints it.
pub fn counts(state: &State, node: &str, machine: &Machine) -> Vec<String> {
    let [size, in_use, quota] = machine.etcd;
    let writes = |since: i64| u64::try_from(state.now().as_second() - since).unwrap_or(0) * WRITES;
    let slow = machine.faults.etcd_slow.map_or(0, |since| writes(since.as_second()));
    let (count, time) = (writes(0), TAKES.as_secs_f64() * writes(0) as f64 + TAKES_SLOW.as_secs_f64() * slow as f64);
    let leads = u8::from(leader(state) == Some(node));
    vec![
        format!("member {}", id(node)),
        format!("counts mvcc_db_total_size_in_bytes {size}"),
        format!("counts mvcc_db_total_size_in_use_in_bytes {in_use}"),
        format!("counts server_quota_backend_bytes {quota}"),
        format!("counts server_is_leader {leads}"),
        "counts server_is_learner 0".to_owned(),
        format!("counts disk_wal_fsync_duration_seconds_sum {time}"),
        format!("counts disk_wal_fsync_duration_seconds_count {count}"),
        format!("counts disk_backend_commit_duration_seconds_sum {time}"),
        format!("counts disk_backend_commit_duration_seconds_count {count}"),
    ]
}
