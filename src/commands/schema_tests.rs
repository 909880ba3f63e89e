//! Each document that is printed as JSON has a schema in `docs/schema`, written from its type; what is printed fulfils it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, CommandFactory, Parser};
use jiff::Timestamp;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::document;
use crate::cli::Cli;
use crate::failure::{Cause, Failure};
use crate::plan::decide::gates::{Found, Gate, Occasion};
use crate::plan::model::facts::Phase;
use crate::plan::model::progress::Awaited;
use crate::plan::model::version::UpgradeKind;
use crate::plan::view::paused::Pauses;
use crate::plan::view::plan::Plan;
use crate::plan::view::screen::{Screen, Stale};
use crate::plan::view::story::Story;
use crate::report::data::{
    Account, Adoption, Check, Detection, Document, DrainForecast, Event as EventLine, Health, Hosts, LiveStatus, LocalChanges,
    RotationForecast, RotationResult, Status,
};
use crate::report::{Event, Printed, Style, sink};
use crate::twin::rehearsal::Rehearsed;
use crate::twin::scenario::schema_tests::contradictions;

/// All of them, each with its schema.
fn documents() -> [(&'static str, Value); 16] {
    [
        schema::<Account<'_>>("What a command of k8s-upgrade that acts prints with -o json"),
        schema::<LocalChanges<'_>>("k8s-upgrade acknowledge -o json"),
        schema::<Adoption<'_>>("k8s-upgrade adopt -o json"),
        schema::<Check<'_>>("k8s-upgrade check -o json"),
        schema::<Detection<'_>>("k8s-upgrade detect -o json"),
        schema::<DrainForecast<'_>>("k8s-upgrade drain NODE --dry-run -o json"),
        schema::<EventLine<'_>>("A line of k8s-upgrade --log-format json"),
        schema::<Plan>("k8s-upgrade plan -o json"),
        schema::<Story>("k8s-upgrade report -o json"),
        schema::<Rehearsed>("k8s-upgrade rehearse -o json"),
        schema::<RotationResult<'_>>("k8s-upgrade rotate-key -o json"),
        schema::<RotationForecast<'_>>("k8s-upgrade rotate-key --dry-run -o json"),
        schema::<Status<'_>>("k8s-upgrade status -o json"),
        schema::<Health<'_>>("k8s-upgrade status --health -o json"),
        schema::<Hosts<'_>>("k8s-upgrade status --hosts -o json"),
        schema::<LiveStatus<'_>>("A line of k8s-upgrade status --watch -o json"),
    ]
}

/// What its type says, with the version that all get as they are printed.
fn schema<D: Document + JsonSchema>(title: &str) -> (&'static str, Value) {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut of_type = settings.into_generator().into_root_schema_for::<D>().to_value();
    let description =
        "Of this kind of document. It is raised when a field goes or changes its meaning; a new field raises nothing.";
    let version = json!({ "description": description, "type": "integer", "const": D::VERSION });
    let mut fields = Map::from_iter([("version".to_owned(), version)]);
    fields.extend(of_type["properties"].as_object().unwrap().clone());
    (of_type["title"], of_type["properties"]) = (title.into(), fields.into());
    of_type["required"].as_array_mut().unwrap().insert(0, "version".into());
    or_missing(&mut of_type);
    of_type["$defs"].as_object_mut().into_iter().flatten().for_each(|(_, inner)| or_missing(inner));
    // Whoever reads the file is first to see what it is about.
    let head = ["$schema", "title", "description"].map(|key| (key.to_owned(), of_type[key].clone()));
    let mut schema = Map::from_iter(head);
    schema.extend(of_type.as_object().unwrap().clone().into_iter().filter(|(_, value)| !value.is_null()));
    (D::NAME, schema.into())
}

/// A field that may be missing is never null: what would be null is left out.
fn or_missing(schema: &mut Value) {
    let required = schema["required"].clone();
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten();
    for (_, field) in fields.filter(|(name, _)| !required.as_array().unwrap().contains(&json!(name))) {
        if let Some(types) = field["type"].as_array().cloned() {
            let [one] = types.into_iter().filter(|one| one != "null").collect::<Vec<_>>().try_into().unwrap();
            field["type"] = one;
        } else if let Some(forms) = field.as_object_mut().unwrap().remove("anyOf") {
            let reference = forms.as_array().unwrap().iter().find_map(|form| form.get("$ref")).unwrap().clone();
            field["$ref"] = reference;
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema")
}

fn path(name: &str) -> PathBuf {
    folder().join(name).with_extension("json")
}

fn text(schema: &Value) -> String {
    serde_json::to_string_pretty(schema).unwrap() + "\n"
}

#[test]
#[ignore = "it writes docs/schema anew"]
fn written_anew() {
    for (name, schema) in documents() {
        std::fs::write(path(name), text(&schema)).unwrap();
    }
}

#[test]
fn the_files_are_what_the_types_say() {
    let advice =
        "write it anew with `cargo test --lib schema -- --ignored`; where a field has gone or changed its meaning, raise VERSION";
    for (name, schema) in documents() {
        let there = std::fs::read_to_string(path(name)).unwrap_or_default();
        assert!(there == text(&schema), "{} is not what the type says: {advice}", path(name).display());
    }
    let files = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    let files: BTreeSet<PathBuf> = files.collect();
    assert_eq!(files, documents().iter().map(|(name, _)| path(name)).collect(), "a file of no document");
}

#[test]
fn every_field_is_described() {
    let mut fields = 0;
    for (name, schema) in documents() {
        let inner = schema["$defs"].as_object().into_iter().flatten().map(|(of, schema)| (of.as_str(), schema));
        for (of, schema) in inner.chain([(name, &schema)]) {
            for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
                let described = schema["description"].as_str().is_some_and(|text| text.len() > 8 && text.ends_with('.'));
                assert!(described, "{name}: {of}: {field}: {schema}");
                fields += 1;
            }
        }
    }
    assert!(fields > 150, "{fields}");
}

/// What a required argument is given, by its name.
fn sample(arg: &Arg) -> &'static str {
    match arg.get_id().as_str() {
        "target" | "release" => "1.36.3",
        "node" | "names" => "k8s-node4",
        "phase" => "worker",
        "run" => "5f3a21bc",
        "id" => "3f9a2c81",
        "file" | "folder" => "it",
        "shell" => "bash",
        "words" => "status",
        other => panic!("a value of {other} is wanted here"),
    }
}

/// Each command with what it must have; alone, with each of its switches, and with its argument.
fn lines(command: &clap::Command) -> Vec<Vec<String>> {
    let words = |arg: &Arg| match arg.get_long() {
        Some(long) => vec![format!("--{long}"), sample(arg).to_owned()],
        None => vec![sample(arg).to_owned()],
    };
    let mut least = vec!["k8s-upgrade".to_owned(), command.get_name().to_owned()];
    let of_its_own = || command.get_arguments().filter(|arg| !arg.is_global_set() && arg.get_id() != "help");
    least.extend(of_its_own().filter(|arg| arg.is_required_set()).flat_map(words));
    let switches = of_its_own().filter(|arg| matches!(arg.get_action(), ArgAction::SetTrue));
    let mut more: Vec<Vec<String>> = switches.map(|arg| vec![format!("--{}", arg.get_long().unwrap())]).collect();
    more.extend(of_its_own().filter(|arg| arg.is_positional() && !arg.is_required_set()).map(words));
    std::iter::once(least.clone()).chain(more.into_iter().map(|more| [least.clone(), more].concat())).collect()
}

/// It has a form of its data that is JSON; then it has one that is YAML, too.
fn offers_json(command: &clap::Command) -> bool {
    let output = command.get_arguments().find(|arg| arg.get_long() == Some("output"));
    let has = |form: &str| output.is_some_and(|arg| arg.get_possible_values().iter().any(|value| value.get_name() == form));
    assert_eq!(has("json"), has("yaml"), "{}", command.get_name());
    has("json")
}

#[test]
fn each_command_with_json_has_a_document_and_each_document_is_printed() {
    let mut cli = Cli::command();
    cli.build();
    let mut printed = BTreeSet::from([EventLine::NAME]);
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
        for line in lines(command) {
            let cli = match Cli::try_parse_from(&line) {
                Ok(cli) => cli,
                // A switch that needs another one is met with that.
                Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => continue,
                Err(error) => panic!("{line:?}: {error}"),
            };
            let document = document(&cli.command);
            assert_eq!(document.is_some(), offers_json(command), "{line:?}: -o json and src/commands/document.rs");
            printed.extend(document);
        }
    }
    assert_eq!(printed, documents().iter().map(|(name, _)| *name).collect());
}

/// A schema that knows no field but those that it names: what is read may have more, what is printed may not.
fn closed(mut schema: Value) -> Value {
    let defs = schema["$defs"].as_object_mut().into_iter().flatten().map(|(_, schema)| schema);
    defs.filter(|schema| schema["properties"].is_object()).for_each(|schema| schema["additionalProperties"] = false.into());
    schema["additionalProperties"] = false.into();
    schema
}

/// Asserts that this is the document, and has its version first.
fn fulfils(name: &str, printed: &str, whence: &str) {
    let value: Value = serde_json::from_str(printed).unwrap_or_else(|error| panic!("{whence}: {error}: {printed}"));
    let (_, schema) = documents().into_iter().find(|(document, _)| *document == name).unwrap();
    let (schema, mut found) = (closed(schema), Vec::new());
    contradictions(&schema, &schema, &value, "", &mut found);
    assert_eq!(found, Vec::<String>::new(), "{whence} is no {name}");
    assert_eq!(value.as_object().unwrap().keys().next().map(String::as_str), Some("version"), "{whence}");
}

/// The golden files hold what the whole program printed; numbers that differ from run to run are masked in them.
#[test]
fn golden_documents_fulfil_their_schemas() {
    let folders = ["tests/sim/snapshots", "tests/offline/snapshots"];
    let folders = folders.map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|file| file.unwrap().path());
    let mut seen = BTreeSet::from([EventLine::NAME, LiveStatus::NAME]);
    for path in files.filter(|path| path.extension().is_some_and(|ending| ending == "snap")) {
        let text = std::fs::read_to_string(&path).unwrap();
        for told in text.split("\n$ ").skip(1) {
            let Some((typed, said)) = told.split_once("    # ").filter(|(typed, _)| typed.contains(" -o json")) else { continue };
            let Some(begins) = said.find("\n{\n") else { continue };
            let ends = begins + said[begins..].find("\n}").unwrap() + 2;
            let cli = Cli::try_parse_from(typed.split(' ')).unwrap_or_else(|error| panic!("{typed}: {error}"));
            let name = document(&cli.command).unwrap();
            let masked = said[begins..ends].replace(": <n>", ": 0").replace(": <time>", ": 0");
            fulfils(name, &masked, &format!("{}: {typed}", path.display()));
            seen.insert(name);
        }
    }
    assert_eq!(seen, documents().iter().map(|(name, _)| *name).collect(), "a document of which there is no golden file");
}

#[test]
fn events_fulfil_their_schema() {
    let place = || "k8s-node4".to_owned();
    let (took, deadline, left) = (Duration::from_millis(1500), Duration::from_secs(60), Duration::from_secs(9));
    let failure = Failure::nothing_begun(Cause::hold("1 alert is firing").detail(["DiskFull"]).next("k8s-upgrade status"));
    let text = || "it".to_owned();
    let target = "1.34.7".parse().unwrap();
    let events = [
        Event::PhaseStarted { place: place(), phase: Phase::Worker, done: 1, total: 7 },
        Event::PhaseDone { place: place(), phase: Phase::Worker, took },
        Event::StepStarted { place: place(), step: text(), deadline },
        Event::StepDone { place: place(), step: text(), took },
        Event::StepSkipped { place: place(), step: text(), why: text() },
        Event::Waiting { place: place(), on: Awaited::new("the node to be Ready", ""), left },
        Event::Gate { place: place(), occasion: Occasion::Preflight, gate: Gate::Quiet, found: Found::Hold, why: text() },
        Event::Draining { place: place(), left: 1, total: 9, held: vec![text()], deadline },
        Event::Output { place: place(), line: text() },
        Event::Note { place: place(), text: text() },
        Event::Found { place: place(), text: text() },
        Event::Did { place: place(), text: text() },
        Event::Next { place: place(), what_for: text(), command: text() },
        Event::Warning { place: place(), text: text() },
        Event::RunBegun { run: text(), from: None, target, kind: UpgradeKind::Patch, nodes: vec![place()] },
        Event::Snapshot { path: text() },
        Event::OutOfService { place: place() },
        Event::InService { place: place() },
        Event::RunDone { text: text(), whole: true },
        Event::Failed { failure },
    ];
    let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
    let mut sink = sink(Style::Json, 0, kept.clone().into());
    events.iter().for_each(|event| sink.event(Timestamp::UNIX_EPOCH, event));
    let lines = String::from_utf8(kept.lock().unwrap().clone()).unwrap();
    lines.lines().for_each(|line| fulfils(EventLine::NAME, line, "an event"));
    let kinds: BTreeSet<String> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].to_string()).collect();
    assert_eq!((lines.lines().count(), kinds.len()), (events.len(), events.len()));
    insta::assert_snapshot!(lines.lines().last().unwrap(), @r#"{"version":1,"time":"1970-01-01T00:00:00Z","place":"","event":"failed","text":"‖ hold: 1 alert is firing\n    DiskFull\n  State: Nothing was begun.\n  Next:  k8s-upgrade status","failure":{"class":"hold","exitCode":3,"place":"","what":"1 alert is firing","detail":["DiskFull"],"state":"Nothing was begun.","next":["k8s-upgrade status"]}}"#);
}

#[test]
fn a_live_status_fulfils_its_schema() {
    let screen = Screen {
        cluster: "homelab".into(),
        running: "1.34.7".parse().ok(),
        run: None,
        halted: None,
        paused: Pauses { nodes: vec!["k8s-node3".into()], pools: Vec::new() },
        off: Vec::new(),
        skipped: Vec::new(),
        asks: None,
        approved: None,
        rests: None,
        stopped: None,
        rows: Vec::new(),
        work: Vec::new(),
        leases: Vec::new(),
        units: Vec::new(),
        backup: None,
        blocks: Vec::new(),
        gates: Vec::new(),
        failure: None,
        then: None,
        commands: Vec::new(),
        driver: None,
        safe: (true, "nothing is going on.".into()),
    };
    let stale = [Stale { what: vec!["nodes".into()], since: Timestamp::UNIX_EPOCH, why: "the watch was refused".into() }];
    let printed = Printed::json(&LiveStatus::of(&screen, &stale, Timestamp::UNIX_EPOCH)).unwrap();
    fulfils(LiveStatus::NAME, printed.as_str(), "a line of status --watch");
    insta::assert_snapshot!(printed.as_str(), @r#"{"version":1,"now":"1970-01-01T00:00:00Z","cluster":"homelab","running":"1.34.7","run":null,"halted":null,"paused":{"nodes":["k8s-node3"],"pools":[]},"off":[],"skipped":[],"stopped":null,"nodes":[],"work":[],"leases":[],"units":[],"drivenBy":null,"blocks":[],"failure":null,"then":null,"commands":[],"safeToWalkAway":{"safe":true,"why":"nothing is going on."},"stale":[{"what":["nodes"],"since":"1970-01-01T00:00:00Z","why":"the watch was refused"}]}"#);
}
