//! Where in a run something is: a step, as the chain's Jobs are told it and as a person names it.

use crate::failure::Cause;
use crate::plan::model::facts::{Phase, Step};
use crate::twin::Scenario;

/// The step that a Job of the chain runs; None for any other process.
pub fn of(argv: &[String]) -> Option<Step> {
    if !argv.iter().any(|arg| arg == "--chain") {
        return None;
    }
    match argv.get(1).map(String::as_str)? {
        "preflight" => Some(Step::preflight()),
        "postflight" => Some(Step::postflight()),
        // Which of both it is, the program alone must know.
        "upgrade-node" => Some(Step { phase: Phase::Worker, node: Some(argv.get(2)?.clone()) }),
        _ => None,
    }
}

/// Node or phase.
pub fn place(step: &Step) -> &str {
    step.node.as_deref().unwrap_or(step.phase.word())
}

/// Reads `preflight`, `master`, `worker/NODE`, `postflight` or a node's name; the answer names a place, as [`place`] does.
pub fn read(text: &str, scenario: &Scenario) -> Result<String, Cause> {
    let node = |name: &str, control_plane: Option<bool>| {
        let found = scenario.node(name).filter(|node| control_plane.is_none_or(|wanted| wanted == node.control_plane));
        found.map(|node| node.name.clone())
    };
    let found = match text.split_once('/') {
        Some(("master", name)) => node(name, Some(true)),
        Some(("worker", name)) => node(name, Some(false)),
        Some(_) => None,
        None if text == "preflight" || text == "postflight" => Some(text.to_owned()),
        None if text == "master" => first_control_plane(scenario),
        None => node(text, None),
    };
    found.ok_or_else(|| {
        Cause::usage(format!("{text:?} is no step of this run")).detail([format!("there are: {}", places(scenario).join(", "))])
    })
}

/// The steps of a run, as a person names them.
pub fn places(scenario: &Scenario) -> Vec<String> {
    let workers = scenario.nodes.iter().filter(|node| !node.control_plane).map(|node| format!("worker/{}", node.name));
    let first = ["preflight", "master"].map(str::to_owned).into_iter();
    first.chain(workers).chain(["postflight".to_owned()]).collect()
}

fn first_control_plane(scenario: &Scenario) -> Option<String> {
    let names = scenario.nodes.iter().filter(|node| node.control_plane).map(|node| node.name.as_str());
    names.min_by(|a, b| crate::plan::decide::order::natural(a, b)).map(str::to_owned)
}
