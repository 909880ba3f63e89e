//! Commands with a deadline. Their output goes through files: a daemon that a command starts may keep a pipe open for ever.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::{Child, Command, Stdio};
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
    Begun::new(command, stdin).end(limit)
}

/// A command at work. It does not outlive this.
pub struct Begun {
    what: String,
    child: Child,
    out: File,
    err: File,
    since: Instant,
}

impl Begun {
    pub fn new(command: &mut Command, stdin: &str) -> Self {
        let what = format!("{command:?}");
        let scratch = || tempfile::tempfile().expect("a temporary file");
        let (mut input, out, err) = (scratch(), scratch(), scratch());
        input.write_all(stdin.as_bytes()).and_then(|()| input.seek(SeekFrom::Start(0)).map(drop)).expect("stdin is written");
        let clone = |file: &File| Stdio::from(file.try_clone().expect("a second handle"));
        command.stdin(Stdio::from(input)).stdout(clone(&out)).stderr(clone(&err));
        let since = Instant::now();
        let child = command.spawn().unwrap_or_else(|error| panic!("{what} does not start: {error}"));
        Begun { what, child, out, err, since }
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        let pid = self.child.id().to_string();
        run(Command::new("kill").args(["-INT", &pid]), "", Duration::from_secs(10)).good();
    }

    pub fn end(mut self, limit: Duration) -> Ended {
        let code = loop {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                break status.code();
            }
            if self.since.elapsed() > limit {
                let (out, err) = (text(&mut self.out), text(&mut self.err));
                panic!("{} did not end within {limit:?}; it said:\n{out}\n{err}", self.what);
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let (stdout, stderr) = (text(&mut self.out), text(&mut self.err));
        Ended { what: self.what.clone(), code, stdout, stderr, took: self.since.elapsed() }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // Of one that has ended there is nothing to kill.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn text(file: &mut File) -> String {
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
