//! What a control plane's own servers say of their health. A node may be Ready all along while its API server or its etcd is not.

use std::time::Duration;

use super::{API_SERVER, ETCD, Operation, RUNTIME, garbled, results, token};
use crate::failure::Cause;
use crate::plan::model::member::{Disk, Member};
use crate::words::MemberId;

/// Asks them, and changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct AskServers;

/// What one of them said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Well,
    /// In its own words, or curl's.
    Ill(String),
    /// There is no way to ask it on this node; and why.
    Unasked(String),
    /// This node is to have none; by what that is seen.
    Absent(String),
}

/// Of one control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Servers {
    /// Its `/readyz`.
    pub api: Said,
    /// Its member's `/health`: no alarm, a leader, and a read that goes through.
    pub etcd: Said,
    /// What the member counts of itself. None: it does not say all of it.
    pub member: Option<Member>,
}

impl Operation for AskServers {
    const NAME: &'static str = "servers";
    const MUTATES: bool = false;
    const DEADLINE: Duration = Duration::from_secs(30);
    type Output = Servers;

    fn script(&self) -> &'static str {
        include_str!("servers.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[ETCD, API_SERVER]
    }
    fn args(&self) -> Vec<String> {
        Vec::new()
    }
    fn parse(&self, stdout: &str) -> Result<Servers, Cause> {
        let (mut api, mut etcd, mut counts) = (None, None, Counts::default());
        for (key, rest) in results(stdout) {
            match key {
                "member" => {
                    counts.id = Some(token(Self::NAME, rest)?);
                    continue;
                }
                "counts" => {
                    counts.read(rest).ok_or_else(|| garbled(Self::NAME, format_args!("{key} {rest}")))?;
                    continue;
                }
                _ => {}
            }
            let (word, text) = rest.split_once(' ').unwrap_or((rest, ""));
            let said = match word {
                "well" if text.is_empty() => Said::Well,
                "ill" => Said::Ill(if text.trim().is_empty() { "no answer" } else { text.trim() }.to_owned()),
                "unasked" => Said::Unasked(text.to_owned()),
                "absent" => Said::Absent(text.to_owned()),
                _ => return Err(garbled(Self::NAME, format_args!("{key} {rest}"))),
            };
            let said = match said {
                Said::Ill(text) if key == "api" => Said::Ill(failing(text)),
                said => said,
            };
            let known = match key {
                "api" => &mut api,
                "etcd" => &mut etcd,
                _ => return Err(garbled(Self::NAME, key)),
            };
            if known.replace(said).is_some() {
                return Err(garbled(Self::NAME, format_args!("{key} twice")));
            }
        }
        match (api, etcd) {
            (Some(api), Some(etcd)) => Ok(Servers { api, etcd, member: counts.member() }),
            _ => Err(garbled(Self::NAME, "not both of API server and etcd")),
        }
    }
}

/// Of the many checks that an API server's `/readyz` lists (`[+]ping ok [-]etcd failed: reason withheld …`), those that fail; any other answer as
/// it is.
fn failing(text: String) -> String {
    let failed = text.split("[-]").skip(1).filter_map(|check| Some(check.split_once(" failed")?.0));
    let failed: Vec<&str> = failed.collect();
    if failed.is_empty() { text } else { format!("its /readyz fails: {}", failed.join(", ")) }
}

/// A member's metrics as far as they have come in.
#[derive(Default)]
struct Counts {
    id: Option<MemberId>,
    size: Option<u64>,
    in_use: Option<u64>,
    /// Negative: there is no limit.
    quota: Option<f64>,
    leads: Option<bool>,
    learner: Option<bool>,
    disk: Disk,
    /// Those of `disk` that have come in.
    seen: u8,
}

/// What a counter or a size may be at most: more than any disk holds, and a number that u64 and f64 have both.
const MOST: f64 = 1e15;

/// What etcd takes where its flag --quota-backend-bytes says nothing.
const QUOTA: u64 = 2 << 30;

impl Counts {
    /// One line; None: it is not what etcd prints. A name comes once, so what comes again is believed last.
    fn read(&mut self, line: &str) -> Option<()> {
        let (name, number) = line.split_once(' ')?;
        let number: f64 = number.parse().ok().filter(|number: &f64| number.abs() <= MOST)?;
        let natural = (number >= 0.0).then_some(number as u64);
        let time = Duration::try_from_secs_f64(number);
        match name {
            "mvcc_db_total_size_in_bytes" => self.size = Some(natural?),
            "mvcc_db_total_size_in_use_in_bytes" => self.in_use = Some(natural?),
            "server_quota_backend_bytes" => self.quota = Some(number),
            "server_is_leader" => self.leads = Some(number > 0.0),
            "server_is_learner" => self.learner = Some(number > 0.0),
            "disk_wal_fsync_duration_seconds_sum" => (self.disk.fsync.time, self.seen) = (time.ok()?, self.seen | 1),
            "disk_wal_fsync_duration_seconds_count" => (self.disk.fsync.count, self.seen) = (natural?, self.seen | 2),
            "disk_backend_commit_duration_seconds_sum" => (self.disk.commit.time, self.seen) = (time.ok()?, self.seen | 4),
            "disk_backend_commit_duration_seconds_count" => (self.disk.commit.count, self.seen) = (natural?, self.seen | 8),
            _ => return None,
        }
        Some(())
    }

    fn member(self) -> Option<Member> {
        let quota = self.quota?;
        Some(Member {
            id: self.id?,
            leads: self.leads?,
            learner: self.learner?,
            size: self.size?,
            in_use: self.in_use?,
            quota: (quota >= 0.0).then_some(if quota > 0.0 { quota as u64 } else { QUOTA }),
            disk: Some(self.disk).filter(|_| self.seen == 15)?,
        })
    }
}

/// Has another member of etcd lead where this node's does, so that no election is forced by its restart.
///
/// # Errors
/// Refused: its container cannot be entered. Hold: etcd has no leader. Unreachable: it does not answer. Else etcdctl's own word.
#[derive(Clone, Debug)]
pub struct MoveLeader {
    /// Who is to lead.
    pub to: MemberId,
}

impl Operation for MoveLeader {
    const NAME: &'static str = "move-leader";
    const MUTATES: bool = true;
    const DEADLINE: Duration = Duration::from_secs(120);
    /// False: this node's member did not lead.
    type Output = bool;

    fn script(&self) -> &'static str {
        include_str!("move-leader.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[RUNTIME, ETCD]
    }
    fn args(&self) -> Vec<String> {
        vec![self.to.to_string()]
    }
    fn parse(&self, stdout: &str) -> Result<bool, Cause> {
        match results(stdout).last() {
            Some(("moved", "")) => Ok(true),
            Some(("elsewhere", "")) => Ok(false),
            line => Err(garbled(Self::NAME, format_args!("{line:?}"))),
        }
    }
}
