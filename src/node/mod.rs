//! What runs on a node: each operation is a type, its arguments, one shell file and the parser of its result.
//!
//! The command over SSH is always [`COMMAND`]; the script comes on its standard input ([`stdin`]) and ends with a line that carries
//! its status, so that a cut session is never taken for an answer ([`read`]). Long work does not run in the session: [`Begin`]
//! starts it as a transient systemd unit and [`Follow`] reads how it goes.
//!
//! Scripts print results as `key value…` lines and progress for people as lines that [`progress`] knows. They end with a status
//! that says the class of a failure ([`cause_of`]), and with a line `! what` on stderr. They refuse to be clever: each looks whether it is needed,
//! does it, and looks again, so that any of them can be killed anywhere and started again.

mod certificates;
mod deprecated;
mod files;
mod identify;
mod images;
mod inspect;
mod keys;
mod packages;
mod past;
mod patches;
mod repository;
mod servers;
mod snapshot;
mod trial;
mod work;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use certificates::CheckCertificates;
pub use deprecated::{AskDeprecated, Deprecated};
pub use files::{SnapshotHash, SnapshotInfo, SnapshotKind, WriteCard};
pub use identify::{Identify, Identity, Machine};
pub use images::ImagesThere;
pub use inspect::{Free, Inspect, NodeState, Package, Runtime, Source, Stranger};
pub use keys::{AddKey, KeysThere, LookAtKeys, RemoveKeys};
pub use packages::{Available, ImageSource, Images, KubeadmPlan, PlanText, Prefetch, Prefetched};
pub use past::{Copy, LookBack, Manifest, Past, Snapshot};
pub use patches::{PatchFile, ReadPatches};
pub use repository::{Refresh, RefreshAll, Refreshed, Repository, SigningKey};
pub use servers::{AskServers, MoveLeader, Said, Servers};
pub use snapshot::{EtcdHere, LookAtEtcd, Made, TakeSnapshot, Taken};
pub use trial::{Cgroup, RefusedFlag, SetAt, Trial, Tried};
pub use work::{Begin, Begun, Follow, Followed, Step, Target, Work, WorkState};

use crate::failure::{Cause, Class};
use crate::words;
use crate::world::HostOutput;

/// What SSH runs; constant, so that nothing of an operation is ever in an argument list.
pub const COMMAND: &str = "sudo -n bash -s";

/// One thing to do or to learn on a node.
pub trait Operation {
    /// For messages and logs.
    const NAME: &'static str;
    /// Whether it needs a permit.
    const MUTATES: bool;
    /// How long a session with it may last.
    const DEADLINE: Duration;
    /// How many bytes it may print in that session.
    const OUTPUT: usize = 1 << 20;
    /// What its answer is read as.
    type Output;

    /// Its body, which sees [`Operation::args`] as `$1`, `$2`, ….
    fn script(&self) -> &'static str;
    /// Definitions that the body needs besides the prelude.
    fn libraries(&self) -> &'static [&'static str] {
        &[]
    }
    /// The arguments of its script, each a word of its own; they are quoted where the script is put together.
    fn args(&self) -> Vec<String>;
    /// Reads what the body printed, given that it ended well.
    fn parse(&self, stdout: &str) -> Result<Self::Output, Cause>;
}

const PRELUDE: &str = include_str!("prelude.sh");
/// The package manager's own functions.
const MANAGER: &str = crate::packages::IN_USE.functions;
/// Those for a new repository.
const REPOSITORY: &str = crate::packages::IN_USE.repository;
/// What is done with any package manager's functions.
const PACKAGES: &str = crate::packages::COMMON;
const WORK: &str = include_str!("work.sh");
/// Whose keys are in force.
const KEYRING: &str = include_str!("keyring.sh");
/// The key of another repository.
const FETCH_KEY: &str = include_str!("fetch-key.sh");
/// What kubeadm objects to.
const OBJECTIONS: &str = include_str!("objections.sh");
const RUNTIME: &str = include_str!("runtime.sh");
const KEYS: &str = include_str!("keys.sh");
/// Where kubeadm's etcd and API server are on a node, and the way to them.
const ETCD: &str = include_str!("etcd.sh");
const API_SERVER: &str = include_str!("apiserver.sh");
/// Whether a file is an etcd snapshot.
const SNAPSHOT_KIND: &str = include_str!("snapshot-kind.sh");

/// The whole script of an operation, as it goes to the standard input of [`COMMAND`].
pub fn stdin<O: Operation>(op: &O) -> String {
    script(op, "")
}

/// The same for one machine alone: anywhere else, and after a boot, the script does nothing ([`is_elsewhere`]). It is checked in the session
/// that acts, so that nothing can change between the two.
pub fn stdin_on<O: Operation>(op: &O, machine: &Machine) -> String {
    script(op, &machine.check())
}

fn script<O: Operation>(op: &O, check: &str) -> String {
    let name = O::NAME;
    let end = format!("printf '\\n@k8s-upgrade end {name} %d\\n' \"$status\"\nexit 0\n");
    let begin = format!("printf '@k8s-upgrade begin {name}\\n'\n");
    assemble(&op.args(), op.libraries(), &begin, &format!("{check}{}", op.script()), &end)
}

/// One block, which bash parses whole before it runs any of it. The body runs in a subshell of its own: a failing command ends it
/// there (the subshell stands in no condition, where `set -e` would be off), and `end` still sees its status. Nothing in the body
/// can read the script by accident: its standard input is empty.
fn assemble(args: &[String], libraries: &[&str], begin: &str, body: &str, end: &str) -> String {
    let args = args.iter().map(|arg| words::quoted(arg)).collect::<Vec<_>>().join(" ");
    let libraries = libraries.concat();
    format!(
        "# shellcheck disable=SC2016,SC2034,SC2317 # arguments are data; no script uses every definition\n{{\nset -- {args}\n{PRELUDE}{libraries}{begin}(\nset -euo pipefail\n{body}) </dev/null\nstatus=$?\n{end}}}\n"
    )
}

/// What a line of a running script tells a person; results and sentinels tell nothing.
pub fn progress(line: &str) -> Option<&str> {
    line.strip_prefix("# ").or_else(|| line.strip_prefix("| "))
}

/// No script of ours waits longer for anything (seconds).
const LONGEST_WAIT: u64 = 24 * 3600;

/// A wait among these lines: for how long at most, and for what.
pub fn waits(progress: &str) -> Option<(Duration, &str)> {
    // In the log of long work it is a script's own line still.
    let own = progress.strip_prefix("# ").unwrap_or(progress);
    let (seconds, what) = own.strip_prefix("waits ")?.split_once(" s for ")?;
    let seconds = seconds.parse().ok().filter(|seconds| *seconds <= LONGEST_WAIT)?;
    Some((Duration::from_secs(seconds), what))
}

/// What the operation gave.
///
/// # Errors
/// No status line: the session was cut (class step), or what answered is not our script (refused: [`is_foreign`]), or sudo. A status other than 0: the class that
/// [`cause_of`] gives it. Whatever the parser says.
pub fn read<O: Operation>(op: &O, output: &HostOutput) -> Result<O::Output, Cause> {
    match status::<O>(output) {
        None => Err(no_status::<O>(output)),
        Some((body, 0)) => op.parse(body),
        Some((body, code)) => {
            let lines: Vec<&str> = body.lines().filter_map(progress).chain(output.stderr.lines()).collect();
            Err(cause_of(O::NAME, code, &lines))
        }
    }
}

/// How a script ends that [`stdin_on`] made for another machine, or another boot.
const ELSEWHERE: u8 = 14;

/// The script found itself on another machine than the one it was made for, or after a boot, and did nothing.
pub fn is_elsewhere<O: Operation>(output: &HostOutput) -> bool {
    status::<O>(output).is_some_and(|(_, code)| code == ELSEWHERE)
}

/// What the body printed, and its status.
fn status<O: Operation>(output: &HostOutput) -> Option<(&str, u8)> {
    let begin = format!("@k8s-upgrade begin {}\n", O::NAME);
    let end = format!("\n@k8s-upgrade end {} ", O::NAME);
    let (body, status) = output.stdout.split_once(&begin).and_then(|(_, rest)| rest.rsplit_once(&end))?;
    Some((body, status.trim().parse().ok()?))
}

/// Nothing of ours began there, or something spoke after its end: the login shell is none, a command of the node's own is forced upon the
/// key, or another user is wanted. sudo, which refuses, says so itself.
pub fn is_foreign<O: Operation>(output: &HostOutput) -> bool {
    status::<O>(output).is_none()
        && !sudo_refuses(&output.stderr)
        && (!has_begun::<O>(output) || own_words::<O>(output).is_some())
}

fn has_begun<O: Operation>(output: &HostOutput) -> bool {
    output.stdout.contains(&format!("@k8s-upgrade begin {}\n", O::NAME))
}

/// The first words that the node said in the place of our script, or after its end.
fn own_words<O: Operation>(output: &HostOutput) -> Option<&str> {
    let end = format!("\n@k8s-upgrade end {} ", O::NAME);
    let said = if has_begun::<O>(output) {
        [output.stdout.rsplit_once(&end)?.1.split_once('\n')?.1, ""]
    } else {
        [output.stdout.as_str(), output.stderr.as_str()]
    };
    let mut lines = said.into_iter().flat_map(str::lines).map(str::trim);
    // Not the node's, either: what sudo minds and runs nevertheless, and bash at a script whose end was cut off on its way.
    let noise = ["setrlimit", "unexpected end of file", "unexpected EOF"];
    lines.find(|line| !line.is_empty() && !noise.iter().any(|sign| line.contains(sign)))
}

fn sudo_refuses(stderr: &str) -> bool {
    let signs = ["sudo: ", "is not in the sudoers file", "may not run sudo", "sudo: not found", "sudo: command not found"];
    stderr.lines().any(|line| signs.iter().any(|sign| line.contains(sign)) && !line.contains("setrlimit"))
}

fn no_status<O: Operation>(output: &HostOutput) -> Cause {
    let (name, stderr) = (O::NAME, output.stderr.as_str());
    if sudo_refuses(stderr) {
        return Cause::refused("sudo on the node does not let this user run commands as root without a password")
            .detail(last_lines(&stderr.lines().collect::<Vec<_>>()))
            .next("on the node, as root: visudo -f /etc/sudoers.d/k8s-upgrade    # USER ALL=(ALL) NOPASSWD: ALL");
    }
    if let Some(words) = own_words::<O>(output) {
        let words: String = words::line(words).chars().take(SHOWN).collect();
        let what = if has_begun::<O>(output) { "speaks after the end of" } else { "runs nothing of ours, but answers" };
        return Cause::refused(format!("the node {what} {name} with words of its own: {words}"))
            .detail(last_lines(&stderr.lines().collect::<Vec<_>>()));
    }
    if !has_begun::<O>(output) {
        return Cause::step(format!("the node ended the session without a word before {name} began"));
    }
    Cause::step(format!("the session ended before {name} did: whatever it started may still run"))
        .detail(last_lines(&stderr.lines().collect::<Vec<_>>()))
}

/// How many lines of somebody's output a message repeats.
const DETAIL_LINES: usize = 8;

fn last_lines(lines: &[&str]) -> Vec<String> {
    let meaningful: Vec<&str> = lines.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty()).collect();
    meaningful[meaningful.len().saturating_sub(DETAIL_LINES)..].iter().map(|line| (*line).to_owned()).collect()
}

/// The cause behind a status: 10 hold, 11 refused, 12 unreachable, 13 contended, else a failed step. The script's own word
/// (its last `! …` line) says what; the lines around it are the detail.
fn cause_of(name: &str, code: u8, lines: &[&str]) -> Cause {
    let class = match code {
        10 => Class::Hold,
        11 => Class::Refused,
        12 => Class::Unreachable,
        13 => Class::Contended,
        _ => Class::Step,
    };
    let word = lines.iter().rev().find_map(|line| line.strip_prefix("! "));
    let what = word.map_or_else(|| format!("{name} failed (exit {code})"), str::to_owned);
    let others: Vec<&str> = lines.iter().copied().filter(|line| !line.starts_with("! ")).collect();
    Cause::new(class, what).detail(last_lines(&others))
}

/// The results in a script's output: each line's first word and the rest.
fn results(stdout: &str) -> impl Iterator<Item = (&str, &str)> {
    stdout
        .lines()
        .filter(|line| !line.is_empty() && progress(line).is_none())
        .map(|line| line.split_once(' ').unwrap_or((line, "")))
}

/// So much of an answer that cannot be read is repeated (characters).
const SHOWN: usize = 200;

/// A result that is not what the script was written to print: something else on the node answers, or its system is not one that we know. That is
/// no defect of this program, and no new try makes it better: a person has to look at that node.
fn garbled(name: &str, line: impl fmt::Display) -> Cause {
    let line = words::line(&line.to_string());
    let shown: String = line.chars().take(SHOWN).collect();
    let cut = if shown.len() < line.len() { "…" } else { "" };
    Cause::refused(format!("the node's answer to {name} cannot be read: {shown}{cut}"))
}

/// A word of an answer, which must be of that kind.
fn token<T: FromStr<Err: fmt::Display>>(name: &str, word: &str) -> Result<T, Cause> {
    word.parse().map_err(|error: T::Err| garbled(name, error))
}
