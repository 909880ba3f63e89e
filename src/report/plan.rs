//! A plan as text for a terminal and as Markdown for a change request.

use std::fmt::Write;
use std::time::Duration;

use super::table::{Table, code, plain, table};
use super::{Page, Printed, span};
use crate::plan::view::plan::{Component, GateNow, NodeAhead, Plan, Rests, Turn, Work};
use crate::words::shown;

fn time(seconds: u64) -> String {
    span(Duration::from_secs(seconds))
}

fn about(seconds: Option<u64>) -> String {
    seconds.map_or("?".to_owned(), time)
}

/// What the times rest on, in words.
fn rests(plan: &Plan) -> String {
    let all = plan.seconds.map_or("how long it takes is not known".to_owned(), |seconds| format!("about {}", time(seconds)));
    let why = match plan.times {
        Rests::EarlierRuns => "as in this cluster's earlier runs",
        Rests::Rehearsal => "as in a rehearsal of a small cluster; no earlier run is on record",
    };
    format!("{all}, {why}; what holds a run is not foreseen")
}

/// `work`: with how much of it each kind of work is, for which a terminal is too narrow.
fn turns(plan: &Plan, work: bool) -> Table {
    let row = |turn: &Turn| {
        let of_that = turn.work.iter().map(|Work { what, seconds }| format!("{what} {}", time(*seconds)));
        let of_that = work.then(|| of_that.collect::<Vec<_>>().join(", "));
        let mut row = vec![
            turn.wave.to_string(),
            turn.node.clone().unwrap_or_else(|| turn.phase.to_owned()),
            turn.runs_on.clone().unwrap_or_else(|| "any that may".to_owned()),
            about(turn.seconds),
            turn.node.as_ref().map_or(String::new(), |_| about(turn.out_of_service_seconds)),
        ];
        row.extend(of_that);
        row
    };
    let mut titles = vec!["", "TURN", "RUNS ON", "TAKES", "OUT OF SERVICE"];
    titles.extend(work.then_some("OF THAT"));
    (titles, plan.turns.iter().map(row).collect())
}

fn gates(plan: &Plan) -> Table {
    let row = |gate: &GateNow| vec![gate.gate.to_owned(), gate.verdict.to_owned(), gate.question.to_owned()];
    (vec!["GATE", "NOW", "QUESTION"], plan.gates.iter().map(row).collect())
}

/// What a node goes through, a line each.
fn lines(node: &NodeAhead) -> Vec<String> {
    let one = |Component { name, from, to }: &Component| format!("{name} {} → {to}", from.as_deref().unwrap_or("?"));
    let all = |what: &str, of: &[Component]| match of {
        [] => None,
        of => Some(format!("{what}: {}", of.iter().map(one).collect::<Vec<_>>().join(", "))),
    };
    let pods = match node.pods {
        None => "pods: which a drain moves could not be asked".to_owned(),
        Some(pods) if node.drain.is_empty() => format!("pods: a drain moves {pods}, and nothing holds any of them"),
        Some(pods) => format!("pods: a drain moves {pods}"),
    };
    let drain = node.drain.iter().map(|line| format!("      {line}"));
    let packages = all("packages", &node.packages).or_else(|| Some("packages: the node could not be asked".to_owned()));
    packages.into_iter().chain(all("static pods", &node.components)).chain([pods]).chain(drain).collect()
}

/// For a terminal.
pub fn text(plan: &Plan) -> Printed {
    let plan = &shown(plan);
    let mut out = Page::new();
    out.record("", &format!("{}: {}", plan.cluster, plan.title()));
    out.prose("", &rests(plan));
    out.gap();
    out.table(&turns(plan, false));
    out.gap();
    for line in plan.paused.lines() {
        out.prose("  paused: ", &line);
    }
    if !plan.paused.is_empty() {
        out.gap();
    }
    for GateNow { gate, verdict, question, .. } in &plan.gates {
        out.prose(&format!("  {gate:15}  {verdict:9}  "), question);
    }
    if !plan.gates.is_empty() {
        out.gap();
    }
    for gate in plan.closed() {
        out.record("  ", &format!("{}: {}", gate.gate, gate.verdict));
        for line in &gate.why {
            out.prose("      ", line);
        }
        for (index, next) in gate.next.iter().enumerate() {
            out.command(if index == 0 { "    Next: " } else { "          " }, next);
        }
    }
    if plan.closed().next().is_some() {
        out.gap();
    }
    for node in &plan.nodes {
        out.record("  ", &node.node);
        for line in lines(node) {
            let inner = line.len() - line.trim_start().len();
            out.prose(&" ".repeat(4 + inner), line.trim_start());
        }
    }
    if !plan.open.is_empty() {
        out.gap();
        out.record("  ", "NOT KNOWN YET");
    }
    for line in &plan.open {
        out.prose("  ", line);
    }
    Printed::page(out)
}

/// For whoever has to approve it.
pub fn markdown(plan: &Plan) -> Printed {
    let plan = &shown(plan);
    let mut out = format!("# {}: {}\n\n{}.\n", plain(&plan.cluster), plain(&plan.title()), plain(&rests(plan)));
    table(&mut out, "Turns", &turns(plan, true));
    if !plan.paused.is_empty() {
        out.push_str("\n## Paused\n\n");
    }
    for line in plan.paused.lines() {
        let _ = writeln!(out, "- {}", plain(&line));
    }
    table(&mut out, "Gates", &gates(plan));
    for gate in plan.closed() {
        let _ = writeln!(out, "\n**{}** ({}):\n", plain(gate.gate), gate.verdict);
        for line in &gate.why {
            let _ = writeln!(out, "- {}", plain(line));
        }
        for next in &gate.next {
            let _ = writeln!(out, "- next: {}", code(next));
        }
    }
    if !plan.nodes.is_empty() {
        out.push_str("\n## Nodes\n");
    }
    for node in &plan.nodes {
        let _ = writeln!(out, "\n### {}\n", plain(&node.node));
        for line in lines(node) {
            let inner = if line.starts_with(' ') { "  " } else { "" };
            let _ = writeln!(out, "{inner}- {}", plain(&line));
        }
    }
    if !plan.open.is_empty() {
        out.push_str("\n## Not known yet\n\n");
    }
    for line in &plan.open {
        let _ = writeln!(out, "- {}", plain(line));
    }
    Printed::document(&out)
}
