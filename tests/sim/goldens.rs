//! That there is something to read of every command, in both of its forms: golden files name the line that they answer.

use std::collections::BTreeSet;
use std::path::Path;

use clap::{Arg, ArgAction, Command, CommandFactory};
use k8s_upgrade::cli::Cli;

/// Which forms a golden file shows of what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Text,
    Json,
}
use Form::{Json, Text};

/// What has no golden file of its own, and why.
const BESIDE: [(&str, &[Form], &str); 18] = [
    ("completions", &[Text, Json], "made from the command line; completions/ holds copies that a test compares"),
    ("man", &[Text, Json], "likewise, in man/"),
    ("complete", &[Text, Json], "what a shell asks; offline, completions:: ask it inside shells"),
    ("manifests", &[Json], "YAML is its one form: kubectl reads it"),
    ("image", &[Json], "its data is one word, the image's name; -o is the archive"),
    ("status --watch", &[Text, Json], "screens that follow each other: sim__live__*, and live::a_run_as_data"),
    ("status --all", &[Text, Json], "in a small cluster as without it; waves:: asserts what is said of a large one"),
    ("rehearse --from-cluster", &[Text, Json], "told as any other rehearsal; what is copied is asserted in rehearse::*"),
    ("rehearse --schema", &[Text, Json], "a JSON Schema; it is compared with the types that read scenarios"),
    ("rehearse --fast", &[Text, Json], "at another pace, and nothing else"),
    ("preflight --chain", &[Text, Json], "a Job's command; the log of one is read in sim__status__*"),
    ("upgrade-node --chain", &[Text, Json], "likewise"),
    ("postflight --chain", &[Text, Json], "likewise"),
    ("start --now", &[Text, Json], "as without it in a window; guards::windows asserts what is said outside of one"),
    ("resume --now", &[Text, Json], "likewise"),
    ("preflight --now", &[Text, Json], "likewise"),
    ("upgrade-node --now", &[Text, Json], "likewise"),
    ("help", &[Text, Json], "clap's own; the help texts are compared in man/"),
];

/// Options that are a command of their own within a command.
pub fn switches(command: &Command) -> impl Iterator<Item = String> {
    let own = |arg: &&Arg| matches!(arg.get_action(), ArgAction::SetTrue) && !arg.is_global_set() && !arg.is_hide_set();
    let long = |arg: &Arg| arg.get_long().map(|long| format!("--{long}"));
    command.get_arguments().filter(own).filter_map(long).collect::<Vec<_>>().into_iter()
}

/// Each command alone, and with each of its switches.
fn wanted() -> BTreeSet<String> {
    let cli = Cli::command();
    let of = |command: &Command| {
        let name = command.get_name().to_owned();
        let switched: Vec<String> = switches(command).map(|switch| format!("{name} {switch}")).collect();
        std::iter::once(name).chain(switched)
    };
    cli.get_subcommands().flat_map(of).collect()
}

/// What these files show, as [`wanted`] has it. A document that comes after the words of a command shows both forms.
fn shown(files: &[String]) -> BTreeSet<(String, Form)> {
    let cli = Cli::command();
    let mut shown = BTreeSet::new();
    for text in files.iter().flat_map(|text| text.split("\n$ k8s-upgrade ").skip(1)) {
        let (head, said) = text.split_once('\n').unwrap_or((text, ""));
        let Some((typed, _)) = head.rsplit_once("    # ") else { continue };
        let words: Vec<&str> = typed.split(' ').collect();
        let Some(command) = words.iter().find_map(|word| cli.find_subcommand(word)) else { continue };
        let json = typed.contains("-o json");
        let document = said.lines().any(|line| line == "{");
        let forms = [(Text, !said.trim().is_empty() && (!json || !said.starts_with("{\n"))), (Json, json && document)];
        let switched: Vec<String> = switches(command).filter(|switch| words.contains(&switch.as_str())).collect();
        let name = command.get_name();
        let asked = match switched.as_slice() {
            [] => vec![name.to_owned()],
            switched => switched.iter().map(|switch| format!("{name} {switch}")).collect(),
        };
        for (form, _) in forms.into_iter().filter(|(_, is)| *is) {
            shown.extend(asked.iter().map(|asked| (asked.clone(), form)));
        }
    }
    shown
}

fn files() -> Vec<String> {
    let folders =
        ["tests/sim/snapshots", "tests/offline/snapshots"].map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let files = files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|ext| ext == "snap"));
    files.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn lacking(shown: &BTreeSet<(String, Form)>) -> Vec<(String, Form)> {
    let all = wanted().into_iter().flat_map(|asked| [(asked.clone(), Text), (asked, Json)]);
    let beside = |(asked, form): &(String, Form)| BESIDE.iter().any(|(name, forms, _)| name == asked && forms.contains(form));
    all.filter(|one| !shown.contains(one) && !beside(one)).collect()
}

#[test]
fn every_command_has_golden_files_in_both_forms() {
    let shown = shown(&files());
    let lacking = lacking(&shown);
    assert!(lacking.is_empty(), "no golden file shows {lacking:#?}; it begins with `$ k8s-upgrade LINE    # EXIT CODE`");
    for (name, forms, why) in BESIDE {
        let is = name == "help" || wanted().contains(name);
        assert!(is && forms.iter().all(|form| !shown.contains(&(name.to_owned(), *form))), "{name} has one, or is none: {why}");
    }
}

/// What the guard takes for a golden file, and what it does not.
#[test]
fn a_command_without_its_golden_files_is_found() {
    let told = "\n$ k8s-upgrade halt --now --yes -o json    # 0\nhalt  Job a is deleted\n{\n}\n\
                \n$ k8s-upgrade status -o json    # 0\n{\n}\n\
                \n$ k8s-upgrade detect    # 0\npatch  running\n\
                \n$ k8s-upgrade resume -o json    # 4\nnothing of data\n";
    let shown = shown(&[told.to_owned()]);
    let is = |asked: &str, form| shown.contains(&(asked.to_owned(), form));
    assert!(is("halt --now", Text) && is("halt --now", Json) && !is("halt", Text));
    assert!(is("status", Json) && !is("status", Text) && is("detect", Text) && !is("detect", Json) && !is("resume", Json));
    let lacking = lacking(&shown);
    for one in [("status", Text), ("detect", Json), ("halt", Text), ("resume --if-orphaned", Json), ("rehearse", Text)] {
        assert!(lacking.contains(&(one.0.to_owned(), one.1)), "{one:?}: {lacking:?}");
    }
    assert!(!lacking.iter().any(|(asked, _)| asked == "man" || asked == "halt --now"), "{lacking:?}");
}
