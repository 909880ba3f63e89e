//! Every command in README and in the manual is one: this program's own are read by its command line, and run where they need no cluster;
//! lines for a shell are what a shell takes; and what is no command is known as such. A new one of any kind fails until it is.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use clap::CommandFactory;
use clap::error::ErrorKind;
use k8s_upgrade::cli::Cli;
use k8s_upgrade::plan::decide::gates::Gate;
use k8s_upgrade::settings::Settings;
use k8s_upgrade::world::Env;
use regex::Regex;

use crate::documents::{self, Document};
use crate::support::program::{Ran, program, program_in};

const OWN: &str = "k8s-upgrade";

/// Programs of others, and what may stand behind each; empty: anything.
const OTHERS: [(&str, &[&str]); 13] = [
    ("kubectl", &["apply", "create", "describe", "get", "edit", "label", "logs", "port-forward", "rollout", "upgrade", "-n"]),
    ("sudo", &["ctr", "kubeadm"]),
    ("kubeadm", &["upgrade", "certs"]),
    ("systemctl", &["cat"]),
    ("ctr", &["-n"]),
    ("cargo", &["build", "run"]),
    ("vault", &["login"]),
    ("ssh", &[]),
    ("man", &[]),
    ("mkdir", &["-p"]),
    ("cp", &[]),
    ("ceph", &["osd"]),
    ("grep", &[]),
];

/// Commands of this program that need a cluster: they are read, and not run.
const OF_A_CLUSTER: [&str; 22] = [
    "acknowledge",
    "adopt",
    "approve",
    "check",
    "clear-state",
    "detect",
    "drain",
    "halt",
    "pause",
    "plan",
    "postflight",
    "preflight",
    "report",
    "resume",
    "rollback",
    "rotate-key",
    "skip-phase",
    "start",
    "status",
    "uninstall",
    "unpause",
    "upgrade-node",
];
/// Those that need none: they are run.
const ANYWHERE: [&str; 5] = ["completions", "image", "man", "manifests", "rehearse"];

/// Words with a blank between them that look like none of these.
const NO_COMMANDS: [&str; 13] = [
    "Backup done: …",
    "DAYS FROM-TO ZONE",
    "HEADER: TENANT",
    "THANOS-TENANT: team-a",
    "\"THANOS-TENANT: team-a\"",
    "LOGIN ALL=(ALL) NOPASSWD: ALL",
    "Upgrade Gates",
    "black-friday: 2026-11-27..2026-11-30 Europe/Berlin",
    "failCgroupV1: false",
    "1h 30m",
    "PREFIX/k8s-upgrade-unstick: never",
    "NAME: URL",
    "teams: URL",
];

/// A machine with what a command may name.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
        assert!(made.success());
        std::fs::write(folder.path().join("config.yaml"), "webhooks: {teams: {body: '{\"text\": \"{text}\"}'}}\n").unwrap();
        std::fs::write(folder.path().join("secret"), "https://hooks.example/1").unwrap();
        // A binary for another machine: its header is all that is asked of it.
        let mut header = [0; 64];
        header[..6].copy_from_slice(b"\x7fELF\x02\x01");
        header[18] = 183;
        std::fs::write(folder.path().join("for-arm64"), header).unwrap();
        Machine(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// The words of a command with values for what is to be filled in.
    fn filled(&self, words: &[String]) -> Vec<String> {
        let mut filled: Vec<String> = Vec::new();
        for word in words {
            let before = filled.last().map_or("", String::as_str);
            let value = match word.trim_matches(['[', ']']) {
                "NODE" => "k8s-node1".to_owned(),
                "POOL" => "gpu".to_owned(),
                "PHASE" => "worker".to_owned(),
                "X.Y.Z" => "1.36.3".to_owned(),
                "IMAGE" | "REF" | "docker.io/library/k8s-upgrade:TAG" => "docker.io/library/k8s-upgrade:0123456789ab".to_owned(),
                "RUN" | "ID" => "0a1b2c3d".to_owned(),
                "STORE" => "store".to_owned(),
                "TEXT" => "a reason".to_owned(),
                "SHELL" => "bash".to_owned(),
                "KEY=VALUE" => "soak=5m".to_owned(),
                "NAME=FILE" | "teams=FILE" => format!("teams={}", self.path("secret")),
                "USER=FILE" => format!("ann={}", self.path("secret")),
                "FILE" if before == "--ssh-key" => self.path("key"),
                "FILE" if before == "--config" => self.path("config.yaml"),
                "FILE" if before == "--slack-webhook" => self.path("secret"),
                "FILE" | "FOLDER" => self.path(&format!("new-{}", filled.len())),
                other if other.starts_with('~') && before == "--ssh-key" => self.path("key"),
                other if before == "--config" => self.path(other),
                _ if before == "--add-binary" => self.path("for-arm64"),
                other
                    if other.starts_with(['~', '.'])
                        || other.ends_with(".tar")
                        || (other.ends_with(".yaml") && before != ">") =>
                {
                    self.path(&other.replace(['/', '~'], "-"))
                }
                other => other.to_owned(),
            };
            filled.push(value);
        }
        filled
    }
}

/// The simple commands of a shell's line: their words, without quotes, comments, and where they read from and write to.
fn simple(line: &str) -> Vec<Vec<String>> {
    let token = Regex::new(
        r#"(?x) (?P<comment> (?:^|\s)\#.*$ ) | (?P<between> && | \|\| | [|;] ) | (?P<redirect> [<>] \s* [^\s;|&]+ )
        | (?P<word> (?: "[^"]*" | '[^']*' | [^\s"'|;<>&] )+ )"#,
    )
    .unwrap();
    let mut commands = vec![Vec::new()];
    for found in token.captures_iter(line) {
        if found.name("between").is_some() {
            commands.push(Vec::new());
        } else if let Some(word) = found.name("word") {
            commands.last_mut().unwrap().push(word.as_str().replace(['"', '\''], ""));
        }
    }
    // Words of the shell's own.
    let shell = ["do", "done", "then", "fi"];
    commands.iter_mut().for_each(|words| {
        while words.first().is_some_and(|word| shell.contains(&word.as_str())) {
            words.remove(0);
        }
    });
    commands.into_iter().filter(|words| !words.is_empty() && words[0] != "for").collect()
}

#[test]
fn a_line_is_taken_apart_as_a_shell_does_it() {
    let read = |line: &str| simple(line).iter().map(|words| words.join("+")).collect::<Vec<_>>();
    assert_eq!(read("a 'b c' > d && e < f | g    # h | i"), ["a+b c", "e", "g"]);
    assert_eq!(read("for n in NODE…; do ssh \"$n\" sudo x - < y; done"), ["ssh+$n+sudo+x+-"]);
    assert!(read("# nothing").is_empty());
}

/// What becomes of the commands of this program, over all documents.
#[derive(Default)]
struct Typed {
    read: BTreeMap<String, BTreeSet<Vec<String>>>,
    faults: Vec<String>,
}

impl Typed {
    /// A command of this program. A part of one, as where `…` stands for what was told before, may lack what it wants, and is not run.
    fn own(&mut self, at: &str, words: &[String], part: bool, machine: &Machine) {
        let part = part || words.iter().any(|word| word == "…");
        let words: Vec<String> = machine.filled(words).into_iter().filter(|word| word != "…").collect();
        if words.len() < 2 {
            return;
        }
        match Cli::command().try_get_matches_from(&words) {
            Ok(matches) => {
                let sub = matches.subcommand_name().unwrap_or_default().to_owned();
                if !part {
                    self.read.entry(sub).or_default().insert(words[1..].to_vec());
                }
            }
            Err(error) if part && error.kind() == ErrorKind::MissingRequiredArgument => {}
            Err(error) => self.faults.push(format!("{at}: {}: {error}", words.join(" "))),
        }
    }

    fn command(&mut self, at: &str, words: &[String], machine: &Machine) {
        let (program, next) = (words[0].as_str(), words.get(1).map_or("", String::as_str));
        if program == OWN {
            return self.own(at, words, false, machine);
        }
        match OTHERS.iter().find(|(known, _)| *known == program) {
            Some((_, verbs)) if verbs.is_empty() || next.is_empty() || verbs.contains(&next) => {}
            _ => self.faults.push(format!("{at}: nobody has said what is done with the command {}", words.join(" "))),
        }
    }

    /// Lines for a shell, or a file: YAML, or one argument.
    fn block(&mut self, at: &str, block: &str, machine: &Machine) {
        let first = block.lines().find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')).unwrap_or_default();
        let program = first.split_whitespace().next().unwrap_or_default();
        if program == OWN || program == "for" || OTHERS.iter().any(|(known, _)| *known == program) {
            let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            std::io::Write::write_all(&mut bash.stdin.take().unwrap(), block.as_bytes()).unwrap();
            let said = bash.wait_with_output().unwrap();
            if !said.status.success() {
                self.faults.push(format!("{at}: {}{block}", String::from_utf8_lossy(&said.stderr)));
            }
            let lines = block.replace("\\\n", " ");
            let commands: Vec<_> = lines.lines().flat_map(simple).collect();
            return commands.iter().for_each(|words| self.command(at, words, machine));
        }
        let yaml = serde_saphyr::from_str::<serde_json::Value>(block).is_ok_and(|value| value.is_object());
        if !yaml && !first.starts_with("--alert-filter-regexp=") {
            self.faults.push(format!("{at}: neither lines for a shell nor a file:\n{block}"));
        }
    }

    fn span(&mut self, at: &str, span: &str, machine: &Machine) {
        let known: Vec<String> = Settings::keys();
        let program = span.split(' ').next().unwrap_or_default();
        let subcommand = Cli::command().find_subcommand(program).is_some();
        let setting = span.split_once(": ").is_some_and(|(key, _)| known.iter().any(|known| known == key));
        let gate = Gate::ALL.iter().any(|gate| gate.row().id == span);
        // A flag with its value, a word alone, a placeholder in a path.
        let part = span.starts_with('-') || !span.contains(' ');
        if program == OWN || OTHERS.iter().any(|(known, _)| *known == program) && !part {
            return simple(span).iter().for_each(|words| self.command(at, words, machine));
        }
        if subcommand && !gate {
            // Named without the program, as in a sentence: a part.
            let words = simple(&format!("{OWN} {span}"));
            return words.iter().filter(|_| span.contains(' ')).for_each(|words| self.own(at, words, true, machine));
        }
        if !setting && !gate && !part && !NO_COMMANDS.contains(&span) {
            self.faults.push(format!("{at}: is this a command? {span:?}"));
        }
    }
}

/// Of a generated page the spans are names of options: only its examples are typed.
fn spans(document: &Document) -> &[String] {
    if document.path.ends_with(".1") { &[] } else { &document.spans }
}

#[test]
fn every_command_in_readme_and_manual_is_one() {
    let machine = Machine::new();
    let mut typed = Typed::default();
    let documents = documents::all();
    assert!(documents.len() > 25, "only {} documents are found", documents.len());
    for document in &documents {
        document.blocks.iter().for_each(|block| typed.block(&document.path, block, &machine));
        spans(document).iter().for_each(|span| typed.span(&document.path, span, &machine));
    }
    assert!(typed.faults.is_empty(), "{}", typed.faults.join("\n"));
    let names: BTreeSet<&str> = typed.read.keys().map(String::as_str).collect();
    let known: BTreeSet<&str> = OF_A_CLUSTER.into_iter().chain(ANYWHERE).collect();
    assert!(names.is_subset(&known), "nobody has said whether these need a cluster: {:?}", names.difference(&known));
    let read: usize = typed.read.values().map(BTreeSet::len).sum();
    assert!(read > 80, "only {read} commands of this program are found: the test looks in the wrong place");

    // What a rehearsal is given by name, it must have kept before.
    let scenario = machine.path("scenario.yaml");
    program(&["rehearse", "--save", &scenario], &[]).is(0);
    let (mut ran, mut lives) = (0, 0);
    for command in ANYWHERE.iter().flat_map(|name| typed.read.get(*name).into_iter().flatten()) {
        let args: Vec<&str> = command.iter().map(String::as_str).collect();
        let has = |flag: &str| args.contains(&flag);
        if has("--from-cluster") {
            continue;
        }
        let ended = if has("rehearse") {
            lives += 1;
            rehearse(&with(&args, &scenario))
        } else {
            program(&args, &[("HOME", machine.0.path().to_str().unwrap())])
        };
        ended.is(0);
        ran += 1;
    }
    assert!(ran >= 15, "only {ran} of {read} commands were run");
    assert!((4..=12).contains(&lives), "{lives} rehearsals: each costs seconds, and none shows nothing");
}

/// It lives through a run: in a world that is made where time may stop, and on a stack that is deep enough without optimization.
fn rehearse(args: &[&str]) -> Ran {
    let lived = || program_in(Some(&|| k8s_upgrade::adapters::world(&Env::new())), args, &[]);
    std::thread::scope(|scope| {
        std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, lived).unwrap().join().unwrap()
    })
}

/// The same with this scenario, where one is named.
fn with<'a>(args: &[&'a str], scenario: &'a str) -> Vec<&'a str> {
    let mut before = "";
    args.iter().map(|arg| if std::mem::replace(&mut before, arg) == "--scenario" { scenario } else { arg }).collect()
}
