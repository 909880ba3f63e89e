//! The lab has one holder at a time: a second run waits or refuses, and so does a command that would change the lab under a run.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A place where a lab could be, with nothing in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn lab(&self, args: &[&str]) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/lab"));
        command.args(args).env("LAB_STATE", self.0.path().join("lab")).env_remove("LAB_HOLD");
        command
    }

    /// A holder that ends when its standard input does, and its id.
    fn held(&self, what: &str) -> (Child, String) {
        let mut holder = self.lab(&["hold", "--wait", "0", what, "sh", "-c", "echo $LAB_HOLD; exec cat"]);
        let mut child = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut id = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut id).unwrap();
        assert!(!id.trim().is_empty(), "{what} did not get it");
        (child, id.trim().to_owned())
    }

    fn left(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn let_go((mut holder, _): (Child, String)) {
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
}

#[test]
fn a_second_run_refuses_and_names_the_first() {
    let place = Place::new();
    let first = place.held("the first run");
    let second = place.lab(&["hold", "--wait", "0", "the second run", "true"]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = said(&second);
    assert!(said.contains("error: the lab is held by the first run (process ") && said.contains("lab: next: "), "{said}");
    let_go(first);
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn a_second_run_waits_and_says_for_whom() {
    let place = Place::new();
    let first = place.held("the first run");
    let mut second = place.lab(&["hold", "--wait", "30", "the second run", "true"]);
    let mut waiting = second.stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(waiting.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("waiting for the lab") && line.contains("held by the first run (process "), "{line}");
    let begun = Instant::now();
    let_go(first);
    assert!(waiting.wait().unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(10), "it was noticed after {:?}", begun.elapsed());
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn the_end_of_a_command_is_the_end_of_its_hold_and_its_status() {
    let place = Place::new();
    assert_eq!(place.lab(&["hold", "a run", "sh", "-c", "exit 7"]).output().unwrap().status.code(), Some(7));
    assert_eq!(place.left(), Vec::<String>::new());
}

/// What it started may still be using the lab.
#[test]
fn a_killed_holder_has_it_as_long_as_what_it_started() {
    let place = Place::new();
    let (mut holder, _) = place.held("a run that dies");
    let end_of_child = holder.stdin.take();
    holder.kill().unwrap();
    holder.wait().unwrap();
    let at_once = place.lab(&["hold", "--wait", "0", "another", "true"]).output().unwrap();
    assert!(said(&at_once).contains("held by a run that dies"), "{}", said(&at_once));
    drop(end_of_child);
    let soon = place.lab(&["hold", "--wait", "20", "another", "true"]).output().unwrap();
    assert_eq!(soon.status.code(), Some(0), "{}", said(&soon));
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn whoever_was_started_by_the_holder_holds_it_too() {
    let place = Place::new();
    let first = place.held("a run");
    let inner = place.lab(&["hold", "--wait", "0", "its part", "true"]).env("LAB_HOLD", &first.1).output().unwrap();
    assert_eq!(inner.status.code(), Some(0), "{}", said(&inner));
    assert_eq!(place.left(), ["lab.held"], "the part's end was taken for the run's");
    let guessed = place.lab(&["hold", "--wait", "0", "another", "true"]).env("LAB_HOLD", "1-2").output().unwrap();
    assert_eq!(guessed.status.code(), Some(1));
    let_go(first);
}

/// `down` of a lab that is not there changes nothing; yet under a run it refuses, but to the run itself. As root, like the lab.
#[test]
fn down_by_hand_refuses_under_a_run() {
    let root = String::from_utf8(Command::new("id").arg("-u").output().unwrap().stdout).unwrap().trim() == "0";
    let place = Place::new();
    let first = place.held("a run");
    let by_hand = place.lab(&["down"]).output().unwrap();
    assert_eq!(by_hand.status.code(), Some(1));
    let wanted = if root { "error: the lab is held by a run (process " } else { "the lab needs root" };
    assert!(said(&by_hand).contains(wanted), "{}", said(&by_hand));
    let own = place.lab(&["down"]).env("LAB_HOLD", &first.1).output().unwrap();
    assert_eq!(own.status.code(), Some(if root { 0 } else { 1 }), "{}", said(&own));
    let_go(first);
    assert_eq!(place.left(), Vec::<String>::new());
}
