//! man/ is written by the binary: the committed files are what it writes now.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory;
use k8s_upgrade::adapters::SystemFiles;
use k8s_upgrade::cli::Cli;
use k8s_upgrade::commands;
use k8s_upgrade::names::METRICS;
use k8s_upgrade::plan::decide::gates::{Gate, Occasion, Row};
use k8s_upgrade::plan::decide::rules;
use k8s_upgrade::plan::manifests::dashboard::dashboard;
use k8s_upgrade::plan::model::policy::Gauges;
use k8s_upgrade::settings::{Settings, Sources};
use regex::Regex;
use serde_json::Value;

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

/// The roff of a page, with its signs as people see them.
fn page(name: &str) -> String {
    committed(&format!("man/{name}")).replace("\\-", "-").replace("\\*(Aq", "'")
}

/// From one `.TP` to the next: a name in bold, and what is told of it.
fn entries(text: &str) -> Vec<(String, String)> {
    let entry = |part: &str| {
        let (name, rest) = part.split_once('\n')?;
        let name = name.strip_prefix(".B ").or_else(|| name.strip_prefix("\\fB")?.split("\\fR").next())?;
        Some((name.to_owned(), rest.split("\n.SH ").next().unwrap().to_owned()))
    };
    text.split("\n.TP\n").skip(1).filter_map(entry).collect()
}

fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("\n.SH {title}\n")).unwrap_or_else(|| panic!("{title} is missing"));
    rest.split("\n.SH ").next().unwrap()
}

/// What the program pushes is told, by name and with whoever looks at it; and nothing else is.
#[test]
fn the_manual_has_every_gauge_and_who_looks_at_it() {
    let page = page("k8s-upgrade-metrics.7");
    let told = entries(section(&page, "GAUGES"));
    let names: Vec<&str> = told.iter().map(|(name, _)| name.split('{').next().unwrap()).collect();
    let sorted = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!((sorted(&names), names.len()), (sorted(METRICS), METRICS.len()));
    let rules = rules::alerts(Gauges::Pushgateway);
    let dashboard: Value = serde_json::from_str(&dashboard(Gauges::Pushgateway).unwrap()).unwrap();
    let text = |value: &Value, at: &str| value.pointer(at).and_then(Value::as_str).unwrap().to_owned();
    for (metric, (_, told)) in names.iter().zip(&told) {
        let asks = |expression: &str| Regex::new(&format!(r"\b{metric}\b")).unwrap().is_match(expression);
        let alerts: Vec<String> =
            rules.iter().filter(|rule| asks(&text(rule, "/expr"))).map(|rule| text(rule, "/alert")).collect();
        let panels = dashboard["panels"].as_array().unwrap().iter();
        let panels: Vec<String> =
            panels.filter(|panel| asks(&text(panel, "/targets/0/expr"))).map(|panel| text(panel, "/title")).collect();
        let looks =
            |what: &str, of: &[String]| if of.is_empty() { String::new() } else { format!("{what}: {}.\n", of.join(", ")) };
        let wanted = format!(".br\n{}{}", looks("Alerts", &alerts), looks("Panels", &panels));
        assert!(told.ends_with(wanted.trim_end()), "{metric} is to end with\n{wanted}");
    }
}

/// Each alert that a run knows of its own is told, and no other.
#[test]
fn the_manual_has_every_alert() {
    let page = page("k8s-upgrade-metrics.7");
    let told: BTreeSet<String> = entries(section(&page, "ALERTS")).into_iter().map(|(name, _)| name).collect();
    let shipped = rules::alerts(Gauges::Pushgateway).iter().map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, shipped);
}

/// What kured is to ignore are alerts of ours.
#[test]
fn kured_is_told_of_alerts_that_there_are() {
    let page = page("k8s-upgrade-metrics.7");
    let filter = page.lines().find_map(|line| line.strip_prefix("--alert-filter-regexp=\\(ha(")?.strip_suffix(")$")).unwrap();
    let rules = rules::alerts(Gauges::Pushgateway);
    for name in filter.split('|') {
        assert!(rules.iter().any(|rule| rule["alert"] == name), "{name}");
    }
}

/// What a person meets is what the program says.
#[test]
fn the_readme_explains_messages_that_there_are() {
    let readme = committed("README.md");
    let section = readme.split_once("\n## Troubleshooting\n").unwrap().1.split_once("\n## ").unwrap().0;
    let messages: Vec<&str> =
        section.lines().filter_map(|line| line.strip_prefix("| *")?.split_once('*')).map(|(message, _)| message).collect();
    assert_eq!(messages.len(), 10);
    let mut sources = String::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                true => folders.push(entry),
                false if entry.extension().is_some_and(|ending| ending == "rs") => {
                    sources += &std::fs::read_to_string(entry).unwrap()
                }
                false => {}
            }
        }
    }
    let unknown: Vec<&&str> = messages.iter().filter(|message| !sources.contains(**message)).collect();
    assert!(unknown.is_empty(), "no file of src says {unknown:?}");
}

/// Files that are there, and headings in them.
#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let link = Regex::new(r"\]\(([^)]+)\)").unwrap();
    let slug = |heading: &str| {
        let kept = heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        kept.replace(' ', "-")
    };
    let mut followed = 0;
    for from in ["README.md", ".github/ARCHITECTURE.md", ".github/CONTRIBUTING.md", ".github/SECURITY.md"] {
        let text = committed(from);
        for found in link.captures_iter(&text).map(|found| found[1].to_owned()).filter(|to| !to.starts_with("http")) {
            let (path, heading) = found.split_once('#').unwrap_or((&found, ""));
            let to = if path.is_empty() { root.join(from) } else { root.join(from).parent().unwrap().join(path) };
            assert!(to.exists(), "{from}: {found} is not there");
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&to).unwrap();
                let there = text
                    .lines()
                    .filter(|line| line.starts_with('#'))
                    .any(|line| slug(line.trim_start_matches('#').trim()) == heading);
                assert!(there, "{from}: {found} is no heading");
            }
            followed += 1;
        }
    }
    assert!(followed >= 15, "only {followed} links are found");
}

/// In a terminal of any width, and without a word of complaint, but for a URL or a path that is longer than a narrow one's line.
#[test]
fn pages_are_read_without_a_warning() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        for width in ["60n", "80n"] {
            let mut groff = Command::new("groff");
            let ran = groff.args(["-k", "-man", "-Tutf8", "-ww", &format!("-rLL={width}")]).arg(&entry).output().unwrap();
            let said = String::from_utf8_lossy(&ran.stderr).into_owned();
            let long = |line: &&str| !(width == "60n" && line.ends_with("can't break line"));
            let said = said.lines().filter(long).collect::<Vec<_>>().join("\n");
            assert!(ran.status.success() && said.is_empty() && !ran.stdout.is_empty(), "{}: {said}", entry.display());
        }
    }
}

/// Its help lists what preflight asks; the page on operations has every gate.
#[test]
fn help_and_manual_name_the_gates() {
    let pages = commands::pages().unwrap();
    let page = |name: &str| String::from_utf8(pages.iter().find(|(page, _)| page == name).unwrap().1.clone()).unwrap();
    let (all, preflight) = (page("k8s-upgrade-operations.7"), page("k8s-upgrade-preflight.1"));
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
