//! The one transient unit of a machine: begun, attached to, followed; it outlives sessions and ends at a power cut.

use std::time::Duration;

use jiff::Timestamp;

use super::super::State;
use super::super::state::{Timer, later};
use super::Due;
use super::machine::{End, Machine, Unit};
use super::packages::{Stop, contended};
use crate::node::Step;

/// From systemd-run to the script's first command.
const LAUNCH: Duration = Duration::from_millis(50);

/// Where the unit's script is.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    Begin,
    /// Waits for the package manager's locks.
    Locks {
        since: Timestamp,
    },
    Repair,
    Mend,
    Choose,
    /// dpkg at work on these packages (name, exact version): `done` of its moves are behind it.
    Install {
        wanted: Vec<(String, String)>,
        done: usize,
    },
    Installed,
    /// The service that the packages are for is up again.
    Restarted,
    Kubeadm(Phase),
    Done,
}

/// Where `kubeadm upgrade` is.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    Preflight,
    Pull,
    /// One of [`super::release::COMPONENTS`].
    Component(usize),
    /// It waits for a static pod that does not change.
    Stuck,
    Config,
    Addons,
    Finish,
}

/// What the script does next.
pub enum Next {
    After(Duration, Stage),
    End,
}

/// What the script says of a stage.
pub type Staged = Result<Next, Stop>;

pub fn soon(stage: Stage) -> Staged {
    Ok(Next::After(Duration::from_millis(20), stage))
}

/// The line that a script prints of the last work, `work_state` of work.sh.
pub fn state_line(machine: &Machine) -> String {
    let Some(unit) = &machine.unit else { return "none".to_owned() };
    let mark = format!("{} {} {}", unit.step.name(), unit.target, unit.run);
    match &unit.end {
        None if unit.boot == machine.boot => format!("running {mark}"),
        Some(End::Status(0)) => format!("done {mark}"),
        Some(End::Status(status)) => format!("failed {mark} {status}"),
        Some(End::Killed(how)) if unit.boot == machine.boot => format!("killed {mark} {how}"),
        // A reboot forgets units: the status file has only the beginning.
        None | Some(End::Killed(_)) => format!("interrupted {mark} reboot"),
    }
}

pub fn running(machine: &Machine) -> Option<&Unit> {
    machine.unit.as_ref().filter(|unit| unit.end.is_none() && unit.boot == machine.boot)
}

/// Starts a step or attaches to it; gives what the script prints.
pub fn begin(state: &mut State, node: &str, step: &Step, target: &str, run: &str) -> Result<String, Stop> {
    let Some(machine) = state.hosts.machine(node) else { return Ok(String::new()) };
    if let Some(unit) = running(machine) {
        let (now, its) = (unit.step.name(), &unit.target);
        if (now, its.as_str()) != (step.name(), target) {
            return Err(contended(format!("{now} ({its}, run {}) is still running on this node", unit.run)));
        }
        return Ok(format!("# {now} is running already: attached\nattached\n"));
    }
    let (next, boot) = (later(state.now(), LAUNCH), machine.boot);
    state.hosts.tickets += 1;
    let ticket = state.hosts.tickets;
    let (name, step, target, run) = (step.name(), step.clone(), target.to_owned(), run.to_owned());
    let begun = state.now();
    let unit = Unit { step, target, run, boot, begun, end: None, log: String::new(), ticket, next };
    state.hosts.change(node, |machine| machine.unit = Some(unit));
    state.at(next, Timer::Host(Due::Work { node: node.to_owned(), ticket, stage: Stage::Begin }));
    Ok(format!("# {name} started\nstarted\n"))
}

/// What `follow` has printed at this moment, and until when it waits for more; None once it has ended.
pub fn follow(state: &State, node: &str, from: u64, begun: Timestamp, seconds: u64) -> (String, Option<Timestamp>) {
    let Some(machine) = state.hosts.machine(node) else { return (String::new(), None) };
    let log = machine.unit.as_ref().map_or("", |unit| unit.log.as_str());
    // A shorter log is another one.
    let from = usize::try_from(from).ok().filter(|from| *from <= log.len()).unwrap_or(0);
    let new = log.get(from..).unwrap_or_default();
    let mut printed: String = new.lines().map(|line| format!("| {line}\n")).collect();
    let limit = later(begun, Duration::from_secs(seconds));
    if let Some(unit) = running(machine)
        && state.now() < limit
    {
        // It looks once a second.
        let mut look = later(state.now(), Duration::from_secs(1));
        while look < unit.next {
            look = later(look, Duration::from_secs(1));
        }
        return (printed, Some(look.min(limit)));
    }
    let line = state_line(machine);
    printed.push_str(&format!("offset {}\nwork {line}\n", log.len()));
    if ["failed", "killed", "interrupted"].iter().any(|word| line.starts_with(word)) {
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(60)..];
        printed.extend(last.iter().map(|line| format!("last {line}\n")));
    }
    (printed, None)
}

/// One line of the unit's log.
pub fn log(state: &mut State, node: &str, line: &str) {
    state.hosts.change(node, |machine| {
        if let Some(unit) = &mut machine.unit {
            unit.log.push_str(line);
            unit.log.push('\n');
        }
    });
}

pub fn say(state: &mut State, node: &str, line: &str) {
    log(state, node, &format!("# {line}"));
}

/// The unit ends, whatever its script meant to do.
pub fn finish(state: &mut State, node: &str, end: End) {
    state.hosts.change(node, |machine| {
        if let Some(unit) = &mut machine.unit {
            unit.end = Some(end);
        }
    });
    forget(state, node);
}

/// Its script does not go on.
pub fn forget(state: &mut State, node: &str) {
    state.cancel(|timer| matches!(timer, Timer::Host(Due::Work { node: of, .. }) if of == node));
}
