//! The etcd of a control plane's machine, and the snapshots that are taken of it there.

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
