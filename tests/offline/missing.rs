//! What a command line lacks is found before anybody is asked.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::{Arg, CommandFactory};
use k8s_upgrade::cli::Cli;
use k8s_upgrade::twin::{Call, Fate, Hook, State};

use super::cli::{nobody, sample};
use super::screens::typed;
use crate::support::program::program;

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

/// Commands, and how each is typed so that it asks a person before it changes something. Without a terminal each lacks `--yes`.
const ASK: [(&str, &[&str]); 12] = [
    ("acknowledge", &["acknowledge 3f9a2c81"]),
    ("approve", &["approve 1.34.7"]),
    ("clear-state", &["clear-state"]),
    ("drain", &["drain k8s-node4", "drain nowhere"]),
    ("halt", &["halt --now"]),
    ("resume", &["resume --local"]),
    ("rotate-key", &["rotate-key", "rotate-key --only k8s-node4"]),
    ("skip-phase", &["skip-phase worker k8s-node4 --force --reason why"]),
    ("start", &["start --target 1.34.7", "start --target 1.34.7 --local", "start --target 1.34.7 --only k8s-node4"]),
    ("uninstall", &["uninstall"]),
    ("upgrade-node", &["upgrade-node k8s-node4", "upgrade-node k8s-node4 --target 1.34.7"]),
    // Of a control plane it prints a plan, and asks nothing: which the node is, the cluster says.
    ("rollback", &[]),
];

/// Those that ask nobody anything. Whoever asks all the same is found by the simulations: the question is then a bug of the program.
const ASK_NOTHING: [&str; 16] = [
    "adopt",
    "check",
    "completions",
    "detect",
    "help",
    "image",
    "man",
    "manifests",
    "pause",
    "plan",
    "postflight",
    "preflight",
    "rehearse",
    "report",
    "status",
    "unpause",
];

#[test]
fn without_a_terminal_a_missing_yes_is_found_before_anybody_is_asked() {
    let mut cli = Cli::command();
    cli.build();
    for command in cli.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name();
        let asks = ASK.iter().any(|(asking, _)| *asking == name);
        assert!(asks != ASK_NOTHING.contains(&name), "{name}: does it ask, or does it not?");
    }
    for line in ASK.iter().flat_map(|(_, lines)| *lines) {
        let (code, asked, said) = asked(line);
        assert_eq!((code, asked), (ExitCode::from(2), 0), "{line}: {said}");
        assert!(said.contains("pass --yes"), "{line}: {said}");
    }
    // One that changes nothing needs no yes, and nor does one whose question depends on what it finds.
    for line in ["drain k8s-node4 --dry-run", "halt", "resume", "rollback k8s-master", "rollback k8s-node4"] {
        assert!(asked(line).1 > 0, "{line}");
    }
}

/// Lines that lack something which no type says is required, or have what goes with nothing else.
const LACKING: [&str; 15] = [
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
    "rehearse --from-cluster --inject kill",
    "rehearse --from-cluster --inject earthquake@master",
    "halt --blocker-alert --set gauges=off",
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

/// Nobody listens: whoever asks ends with 7.
#[test]
fn a_file_that_is_there_already_is_found_before_anybody_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = nobody(&folder);
    for line in ["check --write-config", "adopt --write-config", "rehearse --from-cluster --save"] {
        let typed = |file: &str| {
            let words: Vec<&str> =
                line.split(' ').chain([file, "--kubeconfig", &kubeconfig, "--request-timeout", "0s"]).collect();
            program(&words, &[])
        };
        typed(&kubeconfig).is(2).says("is there already");
        for free in ["-", &format!("{kubeconfig}.new")] {
            typed(free).is(7);
        }
    }
}
