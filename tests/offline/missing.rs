//! What a command line lacks is found before anybody is asked.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::{Arg, CommandFactory};
use k8s_upgrade::cli::Cli;
use k8s_upgrade::twin::{Call, Fate, Hook, State};

use super::cli::sample;
use super::screens::typed;

/// Counts what the world is asked.
struct Counts(Arc<AtomicUsize>);

impl Hook for Counts {
    fn before(&mut self, _: &mut State, _: &Call) -> Fate {
        self.0.fetch_add(1, Ordering::Relaxed);
        Fate::Go
    }
}

fn asked(line: &str) -> (ExitCode, usize, String) {
    let count = Arc::new(AtomicUsize::new(0));
    let (code, said) = typed(line, None, Some(Box::new(Counts(count.clone()))));
    (code, count.load(Ordering::Relaxed), said)
}

/// Lines that lack something which no type says is required, or have what goes with nothing else.
const LACKING: [&str; 12] = [
    "approve",
    "skip-phase master --yes",
    "skip-phase worker --yes",
    "skip-phase worker --force --reason why --yes",
    "skip-phase worker k8s-node4 --force --yes",
    "skip-phase worker k8s-node4 --reason why --yes",
    "skip-phase preflight k8s-node4 --yes",
    "skip-phase postflight k8s-node4 --yes",
    "manifests",
    "status --hosts",
    "rehearse --from-cluster --scenario runbook",
    "rehearse --inject kill",
];

#[test]
fn what_is_missing_is_found_before_anybody_is_asked() {
    let mut cli = Cli::command();
    cli.build();
    let mut lines: Vec<String> = LACKING.map(str::to_owned).into();
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help" && !command.is_hide_set()) {
        let required: Vec<&Arg> = command.get_arguments().filter(|arg| arg.is_required_set() && !arg.is_global_set()).collect();
        let given = |arg: &&Arg| arg.get_long().map_or(sample(arg).to_owned(), |long| format!("--{long} {}", sample(arg)));
        for missing in &required {
            let others = required.iter().filter(|arg| arg.get_id() != missing.get_id()).map(given);
            lines.push(
                [command.get_name().to_owned()]
                    .into_iter()
                    .chain(others)
                    .chain(["--yes".to_owned()])
                    .collect::<Vec<_>>()
                    .join(" "),
            );
        }
    }
    assert!(lines.len() > LACKING.len() + 8, "{lines:#?}");
    for line in lines {
        let (code, asked, said) = asked(&line);
        assert_eq!((code, asked), (ExitCode::from(2), 0), "{line}: {said}");
    }
    // And what lacks nothing asks.
    assert!(asked("status").1 > 0);
}
