//! What can go wrong, by class, and the one table from class to exit code.
//!
//! A step returns a [`Cause`]: what failed. Whoever ran the step knows the node and the command that goes on, and turns it into a
//! [`Failure`] with its three parts: what failed where, what state that leaves, what to type next.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::words::{shown, texts};

/// How a run can end other than well. The class decides the exit code, and with it what a Job's podFailurePolicy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A defect of this program.
    Bug,
    /// The command line or the configuration is wrong.
    Usage,
    /// Not now: time may change it.
    Hold,
    /// A person must change something first.
    Refused,
    /// The same, and it is known that there is nothing to change yet: somebody else has to release something first.
    Pinned,
    /// A step failed; it can be run again.
    Step,
    /// Somebody else holds the run or the node.
    Contended,
    /// An endpoint could not be reached.
    Unreachable,
    /// Stopped by a signal (its number) at a safe point.
    Stopped(u8),
    /// Stopped by a person's halt at a safe point: what was begun waits for that person.
    Halted,
}

impl Class {
    /// The exit code. It is a contract with the Jobs' podFailurePolicy ([`AT_ONCE`]) and with scripts.
    pub fn code(self) -> u8 {
        match self {
            Class::Bug => 1,
            Class::Usage => 2,
            Class::Hold => 3,
            Class::Refused | Class::Pinned => 4,
            Class::Step => 5,
            Class::Contended => 6,
            Class::Unreachable => 7,
            Class::Stopped(signal) => 128 + signal,
            // As Ctrl-C: a person's word, which no retry overrides.
            Class::Halted => 130,
        }
    }

    /// As JSON and summaries name it.
    pub fn word(self) -> &'static str {
        match self {
            Class::Bug => "bug",
            Class::Usage => "usage",
            Class::Hold => "hold",
            Class::Refused => "refused",
            Class::Pinned => "pinned",
            Class::Step => "failed",
            Class::Contended => "contended",
            Class::Unreachable => "unreachable",
            Class::Stopped(_) => "stopped",
            Class::Halted => "halted",
        }
    }
}

/// What follows the end of a pod of ours, before any person has looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The Job tries again (it counts against backoffLimit), and the watch after it.
    Counted,
    /// The Job fails at once. The watch takes the step up, which asks its gate again.
    Gate,
    /// The Job fails at once. A person must change something first.
    Person,
}

/// The exit codes that no retry of the same pod can mend: with them a Job fails at once. A panic is 101, an abort 134. All others count: a
/// step that failed, a peer that was away, SIGTERM (143), a pod that ran out of memory (137).
pub const AT_ONCE: [(u8, Retry); 7] = [
    (1, Retry::Person),
    (2, Retry::Person),
    (3, Retry::Gate),
    (4, Retry::Person),
    (101, Retry::Person),
    (130, Retry::Person),
    (134, Retry::Person),
];

impl Retry {
    /// What follows this exit code of a container.
    pub fn after(code: i32) -> Retry {
        AT_ONCE.iter().find(|(known, _)| i32::from(*known) == code).map_or(Retry::Counted, |(_, retry)| *retry)
    }
}

/// A command for a person to type next, perhaps with a comment behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    #[serde(default)]
    pub purpose: Purpose,
    pub command: String,
}

/// What an advised command is for, to whoever has a better one of that kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To look where things stand.
    Look,
    /// To go on with what failed.
    GoOn,
    /// To mend something, or to find out more.
    #[default]
    #[serde(other)]
    Mend,
}

impl Advice {
    /// The command that shows where things stand.
    pub fn status() -> Self {
        Self::look("k8s-upgrade status")
    }
    /// A command that only looks.
    pub fn look(command: impl Into<String>) -> Self {
        Advice { purpose: Purpose::Look, command: command.into() }
    }
    /// The command that goes on after most failures.
    pub fn resume() -> Self {
        Self::go_on("k8s-upgrade resume")
    }
    /// Another command that goes on with what failed.
    pub fn go_on(command: impl Into<String>) -> Self {
        Advice { purpose: Purpose::GoOn, command: command.into() }
    }
}

impl<T: Into<String>> From<T> for Advice {
    fn from(command: T) -> Self {
        Advice { purpose: Purpose::Mend, command: command.into() }
    }
}

impl PartialEq<&str> for Advice {
    fn eq(&self, command: &&str) -> bool {
        self.command == *command
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.command)
    }
}

/// Why a step failed, without where: the step runner adds that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Cause {
    pub class: Class,
    /// A lowercase fragment: `kubeadm upgrade node failed (exit 1)`.
    pub what: String,
    /// The same without what it happened to, where [`Cause::during`] said so: by this, failures that have one reason are known.
    pub why: Option<String>,
    /// The few lines of somebody's output that matter.
    pub detail: Vec<String>,
    /// The command to type first, where the cause knows better than the step runner.
    pub next: Vec<Advice>,
}

impl Cause {
    /// Without detail and advice; most callers take one of the constructors below.
    pub fn new(class: Class, what: impl Into<String>) -> Self {
        Cause { class, what: what.into(), why: None, detail: Vec::new(), next: Vec::new() }
    }
    /// See [`Class::Bug`].
    pub fn bug(what: impl Into<String>) -> Self {
        Self::new(Class::Bug, what)
    }
    /// See [`Class::Usage`].
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Class::Usage, what)
    }
    /// See [`Class::Hold`].
    pub fn hold(what: impl Into<String>) -> Self {
        Self::new(Class::Hold, what)
    }
    /// See [`Class::Refused`].
    pub fn refused(what: impl Into<String>) -> Self {
        Self::new(Class::Refused, what)
    }
    /// See [`Class::Pinned`].
    pub fn pinned(what: impl Into<String>) -> Self {
        Self::new(Class::Pinned, what)
    }
    /// See [`Class::Step`].
    pub fn step(what: impl Into<String>) -> Self {
        Self::new(Class::Step, what)
    }
    /// See [`Class::Contended`].
    pub fn contended(what: impl Into<String>) -> Self {
        Self::new(Class::Contended, what)
    }
    /// See [`Class::Unreachable`].
    pub fn unreachable(what: impl Into<String>) -> Self {
        Self::new(Class::Unreachable, what)
    }
    /// Adds somebody's output; a text of several lines becomes several.
    pub fn detail(mut self, lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        for line in lines {
            let line: String = line.into();
            self.detail.extend(line.lines().map(str::to_owned));
        }
        self
    }
    /// Adds what to type, after what was advised before.
    pub fn next(mut self, advice: impl Into<Advice>) -> Self {
        self.next.push(advice.into());
        self
    }
    /// Says where or during what it happened: `context: what`.
    pub fn during(mut self, context: impl fmt::Display) -> Self {
        let what = format!("{context}: {}", self.what);
        let bare = std::mem::replace(&mut self.what, what);
        self.why.get_or_insert(bare);
        self
    }
}

texts!(none: Class, Purpose);
texts!(Advice { purpose, command });
texts!(Cause { class, what, why, detail, next });
texts!(Failure { cause, place, state, next });

/// Of the names that are known, the one that was meant most likely.
pub fn nearest<'a>(known: impl Iterator<Item = &'a str>, given: &str) -> Option<&'a str> {
    known.max_by(|a, b| strsim::jaro_winkler(a, given).total_cmp(&strsim::jaro_winkler(b, given)))
}

impl Class {
    /// Which of several failures decides: a bug outweighs all, what only time can mend outweighs nothing.
    pub fn gravity(self) -> u8 {
        match self {
            Class::Hold => 0,
            Class::Contended => 1,
            Class::Unreachable => 2,
            Class::Step => 3,
            // What a person can mend now is worth their time only once nothing is pinned.
            Class::Refused => 4,
            Class::Pinned => 5,
            Class::Usage => 6,
            Class::Stopped(_) | Class::Halted => 7,
            Class::Bug => 8,
        }
    }
}

impl Cause {
    /// Several causes, each with its place, as one: the gravest decides the class, and no reason is lost.
    pub fn together(what: &str, failed: Vec<(String, Cause)>) -> Option<Cause> {
        let class = failed.iter().map(|(_, cause)| cause.class).max_by_key(|class| class.gravity())?;
        if let [(place, cause)] = failed.as_slice() {
            return Some(cause.clone().during(place));
        }
        let mut together = Cause::new(class, format!("{} {what}", failed.len()));
        for (place, cause) in failed {
            together.detail.push(format!("{place}: {} ({})", cause.what, cause.class.word()));
            together.detail.extend(cause.detail.into_iter().map(|line| format!("  {line}")));
            together.next.extend(cause.next.into_iter().filter(|next| !together.next.contains(next)).collect::<Vec<_>>());
        }
        Some(together)
    }
}

/// A cause with its place, the state it leaves and what to type next: everything a person needs at 3 a.m.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub cause: Cause,
    /// Node or phase; empty where the command as a whole failed.
    pub place: String,
    pub state: String,
    pub next: Vec<Advice>,
}

impl Failure {
    /// Of a command as a whole: nothing was begun.
    pub fn nothing_begun(cause: Cause) -> Self {
        let next = if cause.next.is_empty() { vec![Advice::status()] } else { Vec::new() };
        let next = if matches!(cause.class, Class::Usage | Class::Stopped(_) | Class::Halted) { Vec::new() } else { next };
        Failure { cause, place: String::new(), state: "Nothing was begun.".to_owned(), next }
    }

    /// Without advice that would lead in a circle: to look where things stand by the command that could not. `repeats`: whether a command is the
    /// one that has just failed. To go on with that one, once something is mended, is no circle.
    pub fn not_in_a_circle(mut self, repeats: impl Fn(&str) -> bool) -> Self {
        let told = self.advice().count();
        let leads_on = |advice: &Advice| advice.purpose != Purpose::Look || !repeats(&advice.command);
        self.cause.next.retain(leads_on);
        self.next.retain(leads_on);
        if told > 0 && self.advice().next().is_none() {
            let instead = [
                "k8s-upgrade check    # what is missing or wrong",
                "kubectl get --raw=/readyz?verbose    # what the API server says of itself",
            ];
            self.next.extend(instead.into_iter().filter(|command| !repeats(command)).take(1).map(Advice::look));
        }
        self
    }

    /// Decides the exit code.
    pub fn class(&self) -> Class {
        self.cause.class
    }

    /// All that is advised, the cause's own first.
    pub fn advice(&self) -> impl Iterator<Item = &Advice> {
        self.cause.next.iter().chain(&self.next)
    }

    /// Its first line: how it ended, where, and what failed.
    pub fn headline(&self) -> String {
        let (sign, what) = self.signed();
        format!("{sign} {what}")
    }

    /// The same as the sign and the rest.
    pub fn signed(&self) -> (&'static str, String) {
        let sign = match self.cause.class {
            Class::Hold => "‖ hold:",
            Class::Refused => "✗ refused:",
            Class::Pinned => "✗ pinned:",
            Class::Stopped(_) | Class::Halted => "■ stopped:",
            Class::Contended => "✗ contended:",
            _ => "✗",
        };
        let place = if self.place.is_empty() { String::new() } else { format!("{}: ", self.place) };
        (sign, format!("{place}{}", self.cause.what))
    }

    /// The lines below the first, each with what stands before it.
    pub fn below(&self) -> impl Iterator<Item = (Below, String)> {
        let Failure { cause, state, next, .. } = self;
        let more = cause.detail.len().checked_sub(DETAIL).filter(|more| *more > 0).map(|more| format!("… ({more} more lines)"));
        let detail = cause.detail.iter().take(DETAIL).cloned().chain(more).map(|line| (Below::Text("    "), line));
        let state = Some((Below::Text("  State: "), state.clone())).filter(|(_, state)| !state.is_empty());
        let next = cause.next.iter().chain(next).map(|advice| advice.command.clone()).enumerate();
        let next = next.map(|(at, command)| (Below::Next(if at == 0 { "  Next:  " } else { "         " }), command));
        detail.chain(state).chain(next)
    }
}

/// What stands before a line of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below {
    /// And a text behind it.
    Text(&'static str),
    /// And a command.
    Next(&'static str),
}

/// So many lines of somebody's output are shown; JSON has them all.
const DETAIL: usize = 200;

/// Whatever is in it: only the three parts make lines.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = shown(self);
        f.write_str(&shown.headline())?;
        for (Below::Text(head) | Below::Next(head), line) in shown.below() {
            write!(f, "\n{head}{line}")?;
        }
        Ok(())
    }
}

/// How a command ended well. A hold or refusal is a [`Failure`]: it has a reason and a next command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// There was nothing to do.
    Nothing,
    /// A detection, or a preflight under `--chain`, holds: told, nothing latched, the watch tries again.
    Deferred,
}

/// What the process returns.
pub fn exit_code(result: &Result<Outcome, Failure>) -> u8 {
    match result {
        Ok(_) => 0,
        Err(failure) => failure.class().code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_ends_a_job_as_its_meaning_wants() {
        for (class, wanted) in [
            (Class::Bug, Retry::Person),
            (Class::Usage, Retry::Person),
            (Class::Hold, Retry::Gate),
            (Class::Refused, Retry::Person),
            (Class::Pinned, Retry::Person),
            (Class::Step, Retry::Counted),
            (Class::Contended, Retry::Counted),
            (Class::Unreachable, Retry::Counted),
            // Somebody pressed Ctrl-C; and the kubelet ended the pod.
            (Class::Stopped(2), Retry::Person),
            (Class::Halted, Retry::Person),
            (Class::Stopped(15), Retry::Counted),
        ] {
            assert_eq!(Retry::after(class.code().into()), wanted, "{class:?}");
        }
        for code in [137, 139, 255, 0] {
            assert_eq!(Retry::after(code), Retry::Counted, "{code}");
        }
    }
}
