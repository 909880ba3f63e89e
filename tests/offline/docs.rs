//! man/ is written by the binary: the committed files are what it writes now.

use std::collections::BTreeSet;
use std::path::Path;

use clap::CommandFactory;
use k8s_upgrade::adapters::SystemFiles;
use k8s_upgrade::cli::Cli;
use k8s_upgrade::commands;
use k8s_upgrade::plan::decide::gates::{Gate, Occasion, Row};
use k8s_upgrade::settings::{Settings, Sources};

const ADVICE: &str = "write them anew: `k8s-upgrade man man`";

fn committed(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}; {ADVICE}", path.display()))
}

#[test]
fn manual_pages_are_what_the_binary_writes() {
    let pages = commands::pages().unwrap();
    for (name, text) in &pages {
        assert!(committed(&format!("man/{name}")).as_bytes() == text, "man/{name} is old; {ADVICE}");
    }
    let root = String::from_utf8(pages[0].1.clone()).unwrap().replace("\\-", "-");
    for named in root.lines().filter_map(|line| line.strip_suffix("(1)")) {
        assert!(pages.iter().any(|(name, _)| *name == format!("{named}.1")), "k8s-upgrade.1 names {named}(1), which is no page");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let there: BTreeSet<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(
        there,
        pages.into_iter().map(|(name, _)| name).collect(),
        "pages of commands that are gone, or not written; {ADVICE}"
    );
}

/// What a stranger copies is taken, and leaves no name in force that only the cluster of the runbook has.
#[test]
fn the_example_of_settings_replaces_all_that_is_one_clusters_own() {
    let (env, file) = (Default::default(), Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.yaml"));
    let sources = Sources { config: Some(&file), set: &[], env: &env, files: &SystemFiles };
    let (example, default) = (Settings::load(&sources).unwrap(), Settings::default());
    let (example, default) = (serde_json::to_value(example).unwrap(), serde_json::to_value(default).unwrap());
    let changed = |key: &&String| example[*key] != default[*key];
    let changed: Vec<&str> = default.as_object().unwrap().keys().filter(changed).map(String::as_str).collect();
    assert_eq!(changed, ["cluster-name", "annotation-prefix", "ssh-user", "prometheus", "pushgateway", "backup-cronjob"]);
}

/// A person looks a key up there, and finds its default.
#[test]
fn the_readme_lists_every_setting_and_no_other() {
    let readme = committed("README.md");
    let section = readme.split_once("\n## Settings\n").unwrap().1.split_once("\n## ").unwrap().0;
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" | "));
    let rows: Vec<(Vec<&str>, &str)> = rows
        .map(|(keys, rest)| (keys.split(", ").map(|key| key.trim_matches('`')).collect(), rest.split(" | ").next().unwrap()))
        .collect();
    let settings = serde_json::to_value(Settings::default()).unwrap();
    let listed: Vec<&str> = rows.iter().flat_map(|(keys, _)| keys.iter().copied()).collect();
    let unique: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(unique, settings.as_object().unwrap().keys().map(String::as_str).collect());
    assert_eq!(listed.len(), unique.len(), "a key stands there twice");
    for (keys, default) in rows {
        let defaults: Vec<&str> = default.split(", ").filter_map(|text| text.strip_prefix('`')?.strip_suffix('`')).collect();
        for (key, told) in keys.iter().zip(&defaults).filter(|_| keys.len() == defaults.len()) {
            let own = settings[*key].as_str().map_or(settings[*key].to_string(), str::to_owned);
            assert!(own == *told || own.is_empty(), "{key} is {own}, and README says {told}");
        }
    }
}

/// What a person reads of gates is what the program asks.
#[test]
fn the_readme_has_the_table_of_gates() {
    let readme = committed("README.md");
    let section = readme.split_once("\n## Gates\n").unwrap().1.split_once("\n## ").unwrap().0;
    let listed: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
    let row = |gate: &Gate| {
        let Row { id, asked, question, explanation, command, purpose } = gate.row();
        let asked: Vec<&str> = asked.iter().map(|occasion| occasion.words()).collect();
        let command = command.replace('|', "\\|");
        format!("| `{id}` | {} | {question} | {explanation} | `{command}`: {purpose} |", asked.join(", "))
    };
    let rows: Vec<String> = Gate::ALL.iter().map(row).collect();
    assert!(listed == rows, "the rows of README's section on gates are to be:\n{}", rows.join("\n"));
}

/// Its help lists what preflight asks; the program's page has every gate.
#[test]
fn help_and_manual_name_the_gates() {
    let pages = commands::pages().unwrap();
    let page = |name: &str| String::from_utf8(pages.iter().find(|(page, _)| page == name).unwrap().1.clone()).unwrap();
    let (all, preflight) = (page("k8s-upgrade.1"), page("k8s-upgrade-preflight.1"));
    for gate in Gate::ALL {
        let Row { id, asked, .. } = gate.row();
        assert!(all.contains(&format!("\\fB{id}\\fR")), "{id}");
        assert_eq!(preflight.contains(&format!("  {id} ")), asked.contains(&Occasion::Preflight), "{id}");
    }
}

/// Whoever asks for the help of a command learns what each word of it is for.
#[test]
fn every_argument_says_what_it_is_for() {
    let mut cli = Cli::command();
    cli.build();
    let (mut silent, mut commands) = (Vec::new(), vec![cli]);
    while let Some(command) = commands.pop() {
        let of_command = command.get_arguments().filter(|argument| argument.get_help().is_none());
        silent.extend(of_command.map(|argument| format!("{} {}", command.get_name(), argument.get_id())));
        commands.extend(command.get_subcommands().filter(|sub| sub.get_name() != "help").cloned());
    }
    assert!(silent.is_empty(), "{silent:#?}");
}
