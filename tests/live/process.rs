//! Commands with a deadline. Their output goes through files: a daemon that a command starts may keep a pipe open for ever.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub what: String,
    /// None: a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Ended {
    /// What it printed, if it succeeded; else the test ends with all that it said.
    pub fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{} failed:\n{}\n{}", self.what, self.stdout.trim_end(), self.stderr.trim_end());
        self.stdout
    }
}

/// Runs a command to its end; one that does not end by `limit` is killed, and the test with it.
pub fn run(command: &mut Command, stdin: &str, limit: Duration) -> Ended {
    let what = format!("{command:?}");
    let scratch = || tempfile::tempfile().expect("a temporary file");
    let (mut input, out, err) = (scratch(), scratch(), scratch());
    input.write_all(stdin.as_bytes()).and_then(|()| input.seek(SeekFrom::Start(0)).map(drop)).expect("stdin is written");
    let clone = |file: &File| Stdio::from(file.try_clone().expect("a second handle"));
    let begun = Instant::now();
    let mut child = command
        .stdin(Stdio::from(input))
        .stdout(clone(&out))
        .stderr(clone(&err))
        .spawn()
        .unwrap_or_else(|error| panic!("{what} does not start: {error}"));
    let code = loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            break status.code();
        }
        if begun.elapsed() > limit {
            child.kill().and_then(|()| child.wait().map(drop)).expect("it can be killed");
            panic!("{what} did not end within {limit:?}; it said:\n{}\n{}", text(out), text(err));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    Ended { what, code, stdout: text(out), stderr: text(err), took: begun.elapsed() }
}

fn text(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).expect("the output can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a failure told to a person lacks of its three parts.
pub fn missing_parts(text: &str) -> Vec<&'static str> {
    let what = text.lines().any(|line| line.starts_with('✗') || line.starts_with('‖'));
    let parts = [
        ("what failed", what),
        ("what state that leaves", text.contains("\n  State: ")),
        ("what to type next", text.contains("\n  Next: ")),
    ];
    parts.into_iter().filter(|(_, there)| !there).map(|(part, _)| part).collect()
}
