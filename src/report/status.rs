//! The screen of `status`, for people.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::hosts::printed;
use super::table::Table;
use super::{Page, Printed, span};
use crate::plan::decide::gates;
use crate::plan::model::answer::Answer;
use crate::plan::model::lease::{Driver, Lease};
use crate::plan::model::progress::{Doing, Waiting};
use crate::plan::rescue::hosts::{End, Unit};
use crate::plan::view::screen::{Failed, Left, Row, Screen, Stale, Work};
use crate::words::shown;

fn by_hand(driver: &Driver, now: Timestamp) -> String {
    let by = &driver.by;
    if let Some(ahead) = driver.ahead(now) {
        let (ahead, left) = (span(ahead), span(driver.left(now)));
        return format!(
            "driven by {by}, if that process lives: the clock of its machine is {ahead} fast; `k8s-upgrade resume` knows after {left}"
        );
    }
    let is = if driver.lives(now) { "driven by" } else { "died, as it seems:" };
    format!("{is} {by}; last seen {} ago", ago(now, driver.renewed))
}

fn ago(now: Timestamp, at: Timestamp) -> String {
    span(std::time::Duration::from_secs(now.duration_since(at).unsigned_abs().as_secs()))
}

/// `38m 10s ago (12:00:00 UTC)`; of another day with its date.
fn when(now: Timestamp, at: Timestamp) -> String {
    let day = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
    let form = if day(now) == day(at) { "%H:%M:%S UTC" } else { "%Y-%m-%d %H:%M UTC" };
    format!("{} ago ({})", ago(now, at), at.strftime(form))
}

fn left(now: Timestamp, until: Timestamp) -> String {
    if until > now { format!("{} left", ago(now, until)) } else { format!("its time was over {} ago", ago(now, until)) }
}

/// So many nodes have a line each, unless all are asked for.
const MANY: usize = 40;

/// The screen as text; with `all`, each node has its line however many there are.
pub fn text(screen: &Screen, now: Timestamp, all: bool) -> Printed {
    if all || screen.rows.len() <= MANY {
        return Printed::page(page(screen, &[], now));
    }
    let rows = shortened(&screen.rows, MANY);
    Printed::page(page(&Screen { rows, ..screen.clone() }, &[], now))
}

/// At most so many rows, and one that counts the rest: those that wait, serve or are done go first, from the end.
pub(super) fn shortened(rows: &[Row], at_most: usize) -> Vec<Row> {
    let quiet = |row: &Row| ["done", "waiting", "serving"].contains(&row.state.as_str());
    let mut rows = rows.to_vec();
    let mut gone = BTreeMap::<String, usize>::new();
    while rows.len() > at_most
        && let Some(at) = rows.iter().rposition(quiet)
    {
        *gone.entry(rows.remove(at).state).or_default() += 1;
    }
    if !gone.is_empty() {
        let state = gone.iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ");
        let node = format!("… {} more", gone.values().sum::<usize>());
        rows.push(Row { node, role: String::new(), version: String::new(), state, since: None, is_over: false, until: None });
    }
    rows
}

/// The screen as a page; what is old on it stands first.
pub(super) fn page(screen: &Screen, stale: &[Stale], now: Timestamp) -> Page {
    let screen = &shown(screen);
    let mut out = Page::new();
    out.record("k8s-upgrade  ", &head(screen, now));
    for Stale { what, since, why } in stale.iter().map(shown) {
        let until = since.strftime("%H:%M:%S UTC");
        let text = format!("{} as of {until}, {} ago: {why}", what.join(", "), ago(now, since));
        out.labelled("STALE", &text);
    }
    if let Some(halted) = &screen.halted {
        out.labelled("HALTED", halted);
    }
    screen.paused.lines().iter().for_each(|paused| out.labelled("paused", paused));
    screen.off.iter().for_each(|off| out.labelled("off", off));
    screen.skipped.iter().for_each(|skip| out.labelled("SKIPPED", skip));
    if let Some(release) = screen.asks {
        out.labelled("asks", &format!("{release} is there, and waits for a person's approval"));
    }
    if let Some(approved) = &screen.approved {
        out.labelled("approved", &format!(" {approved}"));
    }
    if let Some(rests) = &screen.rests {
        out.labelled("rests", rests);
    }
    if let Some(stopped) = &screen.stopped {
        out.labelled("STOPPED", stopped);
    }
    out.gap();
    out.table(&table(&screen.rows, now));
    out.gap();
    screen.work.iter().for_each(|work| at_work(&mut out, work, now));
    for Lease { node, holder, renewed, until } in &screen.leases {
        let held = if *until > now { "held" } else { "left behind" };
        out.labelled("lease", &format!("{node}: {held} by {holder}, renewed {} ago", ago(now, *renewed)));
    }
    screen.units.iter().for_each(|(node, unit)| on_node(&mut out, node, unit));
    if let Some(driver) = &screen.driver {
        out.labelled("by hand", &by_hand(driver, now));
        match &driver.progress {
            Some(Ok(progress)) => doing(&mut out, if driver.lives(now) { "now" } else { "last" }, "", &progress.doing, now),
            Some(Err(why)) => out.labelled("", &format!("what it does is not known: its progress record {why}")),
            None => {}
        }
    }
    for (what, since) in &screen.blocks {
        let since = since.map_or(String::new(), |since| format!(", for {} now", ago(now, since)));
        out.labelled("HELD BY", &format!("{what}{since}"));
    }
    for gate in &screen.gates {
        let gates::Row { id, question, explanation, .. } = gate.row();
        out.labelled("gate", &format!("{id}: {question} ({explanation})"));
    }
    if let Some(failed) = &screen.failure {
        failure(&mut out, failed, now);
    }
    if let Some((image, installed)) = screen.run.as_ref().and_then(|run| run.image.as_ref().zip(run.installed.as_ref())) {
        out.labelled("image", &format!("{image} to the end of the run; installed is {installed}"));
    }
    if let Some(path) = &screen.backup {
        out.labelled("backup", path);
    }
    if let Some(Left { nodes, until }) = screen.run.as_ref().and_then(|run| run.left) {
        let nodes = if nodes == 1 { "the last node".to_owned() } else { format!("{nodes} nodes") };
        let clock = until.strftime("%H:%M:%S UTC");
        out.labelled("ahead", &format!("{nodes}, about {} ({clock}), an estimate", left(now, until)));
    }
    if let Some(then) = &screen.then {
        out.labelled("then", then);
    }
    out.listed("type", &screen.commands);
    let (safe, why) = &screen.safe;
    out.gap();
    out.labelled("safe to walk away: ", &format!("{}, {why}", if *safe { "yes" } else { "NO" }));
    out
}

fn head(screen: &Screen, now: Timestamp) -> String {
    let running = screen.running.map_or("an unknown version".to_owned(), |version| version.to_string());
    let Some(run) = &screen.run else {
        return format!("no run in flight   the cluster runs {running}   cluster: {}", screen.cluster);
    };
    let from = screen.running.filter(|from| Some(*from) != run.target).map_or(String::new(), |from| format!("{from} "));
    let target = run.target.map_or("an unknown target".to_owned(), |target| target.to_string());
    let minor = screen.running.zip(run.target).map(|(from, to)| if from.minor == to.minor { " (patch)" } else { " (minor)" });
    let kind = minor.filter(|_| !from.is_empty()).unwrap_or_default();
    let started = run.started.map_or(String::new(), |started| format!("   started {}", when(now, started)));
    format!("run {from}→ {target}{kind}   {}{started}   cluster: {}", run.position, screen.cluster)
}

fn table(rows: &[Row], now: Timestamp) -> Table {
    let row = |row: &Row| {
        let since = row.since.map_or(String::new(), |since| match row.is_over {
            true => format!(" {} ago", ago(now, since)),
            false => format!(", for {}", ago(now, since)),
        });
        let until = row.until.map_or(String::new(), |until| format!(" ({})", left(now, until)));
        vec![row.node.clone(), row.role.clone(), row.version.clone(), format!("{}{since}{until}", row.state)]
    };
    (vec!["NODE", "ROLE", "VERSION", "STATE"], rows.iter().map(row).collect())
}

/// The step, what it waits for, and how far a drain is.
fn doing(out: &mut Page, label: &str, of: &str, doing: &Doing, now: Timestamp) {
    let lasts = |what: &str, since, until| format!("{what}, {} so far, {}", ago(now, since), left(now, until));
    let waits = |wait: &Waiting| lasts(&format!("waits for {}", wait.on), wait.since, wait.until);
    let Doing { step, wait, drain, .. } = doing;
    let does = match (step, wait) {
        (Some(step), _) => lasts(&step.what, step.since, step.until),
        (None, Some(wait)) => waits(wait),
        (None, None) => "at work".to_owned(),
    };
    let pods = drain.as_ref().map_or(String::new(), |drain| format!(" ({} of {} pods left)", drain.left, drain.total));
    out.labelled(label, &format!("{of}{does}{pods}"));
    if let (Some(_), Some(wait)) = (step, wait) {
        out.labelled("", &waits(wait));
    }
}

fn at_work(out: &mut Page, work: &Work, now: Timestamp) {
    doing(out, "now", &format!("{}: ", work.step), &work.doing, now);
    let pod = work.pod.as_ref().map_or("no pod yet".to_owned(), |pod| format!("pod {pod}"));
    let on = work.node.as_ref().map_or(String::new(), |node| format!(" on {node}"));
    let pin = work.pin.as_ref().map_or("pinned to no node".to_owned(), |pin| format!("pinned to {pin}"));
    let deadline = work.deadline.map_or(String::new(), |deadline| format!("; {} in all", left(now, deadline)));
    out.labelled("by", &format!("Job {}, {pod}{on}, {pin}{deadline}", work.job));
    if let Some(told) = &work.doing.failure {
        let what = told.what.join("; ");
        out.labelled("", &format!("its last try failed, and Kubernetes begins another: {what}"));
    }
    if let Some(silent) = &work.silent {
        out.labelled("", &format!("what it does is not known: {silent}"));
    } else if let Doing { step: None, wait: None, last: Some(last), .. } = &work.doing {
        out.labelled("says", last);
    }
}

fn on_node(out: &mut Page, node: &str, unit: &Answer<Unit>) {
    let unit = match unit {
        Answer::Known(unit) => unit,
        Answer::Unknown(why) => return out.labelled("unit", &format!("{node}: what works there is not known: {why}")),
    };
    match &unit.work {
        None => out.labelled("unit", &format!("{node}: nothing is begun there")),
        Some(work) => {
            out.labelled(if work.is_bad() { "UNIT" } else { "unit" }, &format!("{node}: {}", work.summary()));
            // What ended well needs no reading.
            if work.end != End::Done {
                printed(out, unit);
            }
        }
    }
}

fn failure(out: &mut Page, failed: &Failed, now: Timestamp) {
    let (label, how) = match failed.exit {
        Some(3) => ("HELD", "exit 3"),
        Some(4) => ("REFUSED", "exit 4"),
        Some(exit) => ("FAILED", &*format!("exit {exit}")),
        None => ("FAILED", failed.reason.as_str()),
    };
    let ended = failed.ended.map_or(String::new(), |ended| format!(" {}", when(now, ended)));
    out.labelled(label, &format!("Job {}{ended}: {how}", failed.job));
    failed.told.what.iter().for_each(|line| out.labelled("", line));
    // What state it left then is in the data; what state it is now is on the rest of the screen.
}
