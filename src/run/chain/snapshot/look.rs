//! A snapshot where it lies on its host: that it is what was said of it, and whole.

use jiff::Timestamp;

use crate::failure::Cause;
use crate::guard::{self, Guard};
use crate::node::{SnapshotHash, SnapshotKind};
use crate::plan::model::facts::Node;
use crate::plan::model::parse;
use crate::plan::model::policy::Unverified;
use crate::run::session::Session;
use crate::run::ssh::Ssh;
use crate::settings::Settings;
use crate::words::{NotAToken, ssh};

/// A snapshot, as whoever made it told of it and as its host has it.
pub struct Saved {
    pub told: parse::Snapshot,
    /// None: it does not lie there, and nobody has seen it.
    pub sha256: Option<String>,
    /// What nobody could look at, where that is so.
    pub unverified: Option<String>,
}

/// What lies at the snapshot's path on the host.
pub enum OnHost {
    Good(Saved),
    /// It is not what was said of it, or no whole snapshot.
    Amiss(String),
    Nothing,
}

/// How far the clocks of a node and of the API server may be apart (seconds).
const CLOCKS: i64 = 300;

/// What nobody could look at is told; the setting says whether that is enough.
pub fn seen(session: &Session, settings: &Settings, host: &Node, saved: Saved) -> Result<Saved, Cause> {
    let Some(unverified) = &saved.unverified else { return Ok(saved) };
    let what = format!("the etcd snapshot is not verified: {unverified}");
    if settings.snapshot_unverified == Unverified::Refuse && guard::on(Guard::SnapshotVerified) {
        return Err(Cause::refused(what).detail(["snapshot-unverified is refuse"]).next(ssh(
            &settings.ssh_user,
            &host.name,
            settings.ssh_port,
            "sudo etcdutl snapshot status FILE",
        )));
    }
    session.warn("preflight", what);
    Ok(saved)
}

/// `made`: when the making of it began.
pub async fn looked_at(ssh: &Ssh, host: &Node, told: &parse::Snapshot, made: Timestamp) -> Result<OnHost, Cause> {
    let odd = |error: NotAToken| Cause::refused(format!("what is said of the snapshot: {error}"));
    let path = told.path.parse().map_err(odd)?;
    let Some(info) = ssh.on_node(host, &SnapshotHash { path }).await? else { return Ok(OnHost::Nothing) };
    let there = format!("the snapshot {} on {}", told.path, host.name);
    if info.bytes != told.bytes && guard::on(Guard::SnapshotSize) {
        return Ok(OnHost::Amiss(format!("{there} has {} bytes, but its backup said {}", info.bytes, told.bytes)));
    }
    if info.modified_seconds < made.as_second() - CLOCKS && guard::on(Guard::SnapshotAge) {
        let at =
            Timestamp::from_second(info.modified_seconds).map_or_else(|_| info.modified_seconds.to_string(), |at| at.to_string());
        return Ok(OnHost::Amiss(format!("{there} is of {at}, older than the backup that should have made it ({made})")));
    }
    let unverified = match info.kind {
        SnapshotKind::Whole => None,
        SnapshotKind::Torn if guard::on(Guard::SnapshotWhole) => {
            return Ok(OnHost::Amiss(format!("{there} is not whole: it does not end with the hash of what it holds")));
        }
        SnapshotKind::Torn | SnapshotKind::Other => {
            Some(format!("nothing tells whether {} holds one (it does not begin as etcd's do)", told.path))
        }
    };
    Ok(OnHost::Good(Saved { told: told.clone(), sha256: Some(info.sha256), unverified }))
}
