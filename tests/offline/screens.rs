//! What people read fits the screen on which they read it: every command, on narrow and on wide ones, in a cluster whose names are long.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;

use clap::CommandFactory;
use k8s_upgrade::cli::Cli;
use k8s_upgrade::report::Out;
use k8s_upgrade::twin::{Hook, Scenario, Twin, Who};
use k8s_upgrade::{Invocation, run, signals};
use unicode_width::UnicodeWidthStr;

use crate::support::program::Buffer;

const WIDTHS: [usize; 4] = [60, 80, 100, 160];
/// As long as a label may be, and as a name.
const LABEL: &str = "k8s-node3-of-the-third-rack-in-the-second-row-of-the-cellar-1of";
const NAME: &str = "k8s-node2.a-label-of-some-length.another-label-of-some-length.a-third-label-of-some-length.a-fourth-label-of-some-length.a-fifth-label-of-some-length.a-sixth-label-of-some-length.a-seventh-label-of-some-length.an-eighth-label-of-some-length.example.com";

/// Command lines, and the code that each ends with.
const LINES: [(&str, u8); 39] = [
    ("acknowledge", 0),
    ("adopt", 0),
    ("approve --yes 1.34.7", 4),
    ("check", 4),
    ("clear-state --yes", 0),
    ("completions fish", 0),
    ("detect --dry-run", 0),
    ("drain LABEL --dry-run", 0),
    ("drain k8s-node1 --dry-run", 0),
    ("drain nowhere --yes", 2),
    ("halt", 0),
    ("pause k8s-node4", 0),
    ("unpause k8s-node4", 0),
    ("halt --yes --reason what-is-said", 0),
    ("image -", 2),
    ("man", 2),
    ("manifests", 2),
    ("plan --target 1.34.7", 0),
    ("plan --target 1.33.9", 4),
    ("postflight --target 1.34.7", 3),
    ("preflight --target 1.34.7 --dry-run", 0),
    ("rehearse", 0),
    ("rehearse --inject pdb-deadlock@k8s-node4", 3),
    ("rehearse --inject earthquake@master", 2),
    ("report", 0),
    ("resume", 0),
    ("rollback k8s-node1 --dry-run", 0),
    (SCRIPT, 0),
    ("rotate-key --dry-run", 0),
    ("skip-phase worker", 2),
    ("start --target 1.34.7 --dry-run", 0),
    ("start", 2),
    ("status", 0),
    ("status --health", 4),
    ("status --hosts", 2),
    ("uninstall --dry-run", 0),
    ("upgrade-node LABEL --target 1.34.7", 2),
    ("status --set soak=banana", 2),
    ("nonsense --with words", 2),
];

/// The runbook's cluster, two nodes of which have long names.
fn scenario() -> Scenario {
    let text = Scenario::runbook().yaml().unwrap().replace("k8s-node3", LABEL).replace("k8s-node2", NAME);
    Scenario::read("it", &text).unwrap()
}

/// What it prints on a screen of so many columns; None: to a pipe.
fn screen(line: &str, columns: Option<usize>) -> (ExitCode, String) {
    typed(line, columns, None)
}

/// The same, with somebody who sees what it asks of the world.
pub fn typed(line: &str, columns: Option<usize>, hook: Option<Box<dyn Hook>>) -> (ExitCode, String) {
    // Without optimization a rehearsal needs a deeper stack than tests have.
    std::thread::scope(|scope| {
        let deep = std::thread::Builder::new().stack_size(64 << 20);
        deep.spawn_scoped(scope, || on_this_stack(line, columns, hook)).unwrap().join().unwrap()
    })
}

fn on_this_stack(line: &str, columns: Option<usize>, hook: Option<Box<dyn Hook>>) -> (ExitCode, String) {
    let said = Buffer::default();
    // A rehearsal stops time itself.
    let paused = !line.starts_with("rehearse");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(paused).build().unwrap();
    let out = || Out::new(said.clone()).on(Arc::new(move || columns));
    let line = line.replace("LABEL", LABEL);
    let code = runtime.block_on(async {
        let twin = Twin::new(scenario().state("docker.io/library/k8s-upgrade:sim").unwrap(), hook);
        let world = twin.world(&Who::Operator("ann".to_owned()), BTreeMap::new());
        let invocation = Invocation {
            argv: ["k8s-upgrade"].into_iter().chain(line.split(' ')).map(Into::into).collect(),
            env: [("TERM", "dumb")].map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            stdin: Box::new(std::io::empty()),
            stdout: out(),
            stderr: out(),
            interactive: false,
            stderr_is_terminal: false,
            stop: signals::none(),
            tee: None,
            panics: None,
        };
        run(invocation, &world).await
    });
    (code, said.text())
}

fn commands() -> impl Iterator<Item = String> {
    let mut cli = Cli::command();
    cli.build();
    let names: Vec<String> =
        cli.get_subcommands().filter(|command| !command.is_hide_set()).map(|c| c.get_name().to_owned()).collect();
    names.into_iter()
}

/// Words with how often each is there; what begins a comment is none.
fn words(text: &str) -> BTreeMap<&str, usize> {
    let mut words = BTreeMap::new();
    text.split_whitespace().filter(|word| *word != "#").for_each(|word| *words.entry(word).or_default() += 1);
    words
}

/// A line that prints a script for a person's hands.
const SCRIPT: &str = "rollback k8s-master";

/// What is typed of a script, without what is said about it.
fn typed_in(script: &str) -> Vec<&str> {
    let commands = script.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ") && !line.starts_with("  #"));
    commands.map(|line| line.split("  # ").next().unwrap().trim()).collect()
}

/// It is a word for itself, or a command that is to be copied.
fn may_be_wide(line: &str) -> bool {
    let line = line.trim();
    let command = ["k8s-upgrade ", "kubectl ", "for host in "].iter().any(|program| line.starts_with(program));
    command || !line.contains(' ') || (line.starts_with('`') && line.matches('`').count() == 2)
}

/// Every line fits, and what stands there is what stands on paper: no word was broken, and none is missing but names that a table shortens.
fn amiss(paper: &str, shown: &str, wide: usize, what: &str) -> Vec<String> {
    // Nothing else of a script begins with blanks.
    let typed = |line: &str| what == SCRIPT && typed_in(line) == [line.trim()];
    let long = shown.lines().filter(|line| line.width() > wide && !may_be_wide(line) && !typed(line));
    let mut amiss: Vec<String> = long.map(|line| format!("{what} at {wide}: {} columns: {line}", line.width())).collect();
    let (paper, shown) = (words(paper), words(shown));
    let short =
        |word: &str, of: &str| word.split_once('…').is_some_and(|(head, tail)| of.starts_with(head) && of.ends_with(tail));
    for (word, count) in &shown {
        let is = paper.get(word).copied().unwrap_or(0);
        if is != *count && !paper.keys().any(|name| short(word, name)) && ![LABEL, NAME].contains(word) {
            amiss.push(format!("{what} at {wide}: {word} is there {count} times, of {is}"));
        }
    }
    for (word, count) in &paper {
        let is = shown.get(word).copied().unwrap_or(0);
        if is != *count && (word.width() <= 10 || !shown.keys().any(|name| short(name, word))) {
            amiss.push(format!("{what} at {wide}: {word} is there {is} times, of {count}"));
        }
    }
    amiss
}

#[test]
fn every_command_fits_every_screen() {
    let shown: BTreeSet<&str> = LINES.iter().flat_map(|(line, _)| line.split(' ').next()).collect();
    let missing: Vec<String> = commands().filter(|command| !shown.contains(command.as_str()) && command != "help").collect();
    assert!(missing.is_empty(), "no line shows {missing:?}");
    let mut amiss_anywhere = Vec::new();
    for (line, wanted) in LINES {
        let (code, paper) = screen(line, None);
        if code != ExitCode::from(wanted) {
            amiss_anywhere.push(format!("{line}: {code:?}: {paper}"));
        }
        // What programs read is not for a screen.
        if line.starts_with("completions") {
            continue;
        }
        for wide in WIDTHS {
            amiss_anywhere.extend(amiss(&paper, &screen(line, Some(wide)).1, wide, line));
        }
    }
    assert!(amiss_anywhere.is_empty(), "{}", amiss_anywhere.join("\n"));
}

#[test]
fn a_script_has_whole_commands_on_every_screen() {
    let (_, paper) = screen(SCRIPT, None);
    assert!(typed_in(&paper).len() > 8 && paper.contains("\n  while pgrep"), "{paper}");
    for wide in WIDTHS {
        let (_, shown) = screen(SCRIPT, Some(wide));
        assert_eq!(typed_in(&shown), typed_in(&paper), "at {wide}: {shown}");
    }
}

#[test]
fn every_help_fits_every_screen() {
    let mut amiss_anywhere = Vec::new();
    for command in commands() {
        let line = if command == "help" { "--help".to_owned() } else { format!("{command} --help") };
        let paper = screen(&line, Some(1000)).1;
        for wide in WIDTHS {
            let (code, shown) = screen(&line, Some(wide));
            assert_eq!(code, ExitCode::from(0), "{line}: {shown}");
            amiss_anywhere.extend(amiss(&paper, &shown, wide, &line));
            // An example is one line, up to its comment.
            let examples = |text: &str| -> Vec<String> {
                let examples = text.lines().filter(|line| line.starts_with("  k8s-upgrade ") || line.starts_with("  kubectl "));
                examples.map(|line| line.split(" # ").next().unwrap().trim().to_owned()).collect()
            };
            assert_eq!(examples(&shown), examples(&paper), "{line} at {wide}");
        }
    }
    assert!(amiss_anywhere.is_empty(), "{}", amiss_anywhere.join("\n"));
}

/// A program that reads it gets every name whole.
#[test]
fn a_pipe_gets_whole_names() {
    let (_, paper) = screen("status", None);
    assert!(paper.lines().any(|line| line.starts_with(&format!("  {NAME}  worker "))), "{paper}");
    let (_, shown) = screen("status", Some(80));
    assert!(!shown.contains(NAME) && shown.contains("k8s-node2."), "{shown}");
}

/// As a person has them before their eyes.
fn few(wide: usize) -> String {
    let lines = [
        "status",
        "plan --target 1.34.7",
        "drain k8s-node1 --dry-run",
        "rehearse -q --inject pdb-deadlock@k8s-node4",
        "nonsense --with words",
    ];
    lines.map(|line| format!("{} {wide}: {line}\n{}\n", "=".repeat(wide), screen(line, Some(wide)).1)).concat()
}

#[test]
fn at_60() {
    insta::assert_snapshot!(few(60));
}

#[test]
fn at_80() {
    insta::assert_snapshot!(few(80));
}

#[test]
fn at_100() {
    insta::assert_snapshot!(few(100));
}

#[test]
fn at_160() {
    insta::assert_snapshot!(few(160));
}
