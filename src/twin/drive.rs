//! Runs the programs of a twin: starts what its kubelets want started, sends signals, drops what was killed, and lets time pass.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::{AbortHandle, Abortable, Aborted, LocalBoxFuture};
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::watch;

use super::state::ProgramPhase;
use super::{State, Twin, Who, control};
use crate::report::{Out, Sink};
use crate::signals::Asked;
use crate::world::{Env, World};

/// What a process is started with.
pub struct Start {
    pub argv: Vec<String>,
    pub env: Env,
    pub stdout: Out,
    pub stderr: Out,
    pub stop: watch::Receiver<Asked>,
    /// Sees the process's events, too.
    pub tee: Option<Box<dyn Sink>>,
}

/// The program itself, as whoever owns the entry hands it in.
pub trait Process {
    /// Runs to its end; gives the exit code.
    fn run(&self, start: Start, world: World) -> LocalBoxFuture<'_, u8>;
}

/// Makes the sink that sees the events of one process.
pub type Tee<'a> = Box<dyn Fn(&Who) -> Box<dyn Sink> + 'a>;

type Running<'a> = FuturesUnordered<LocalBoxFuture<'a, (String, Result<u8, Aborted>)>>;

struct Handle {
    stop: watch::Sender<Asked>,
    kill: AbortHandle,
}

pub struct Driver<'a> {
    pub twin: Twin,
    process: &'a dyn Process,
    tee: Option<Tee<'a>>,
    running: Running<'a>,
    handles: BTreeMap<String, Handle>,
    /// Exit codes of operators' commands, by their names.
    pub ended: BTreeMap<String, u8>,
}

impl<'a> Driver<'a> {
    pub fn new(twin: Twin, process: &'a dyn Process, tee: Option<Tee<'a>>) -> Self {
        Driver { twin, process, tee, running: FuturesUnordered::new(), handles: BTreeMap::new(), ended: BTreeMap::new() }
    }

    /// Starts a person's command outside the cluster. Its output is kept among the logs under `operator/NAME`, its exit code in
    /// [`Driver::ended`].
    pub fn operate(&mut self, name: &str, argv: &[&str], env: Env) {
        self.operate_with(name, argv, env, BTreeMap::new());
    }

    /// The same on a machine that has these files.
    pub fn operate_with(&mut self, name: &str, argv: &[&str], env: Env, files: BTreeMap<PathBuf, Arc<[u8]>>) {
        let who = Who::Operator(name.to_owned());
        let argv = argv.iter().map(|arg| (*arg).to_owned()).collect();
        self.twin.edit(|state| state.killed.remove(name));
        self.launch(format!("operator/{name}"), who, argv, env, files);
    }

    /// Ctrl-C for that command of an operator; a second one if one came before.
    pub fn interrupt(&self, name: &str) {
        if let Some(handle) = self.handles.get(&format!("operator/{name}")) {
            handle.stop.send_modify(|asked| *asked = Asked { stop: Some(2), now: asked.stop });
        }
    }

    /// Kills a person's process, as the power of their machine does.
    pub fn kill(&mut self, name: &str) {
        if let Some(handle) = self.handles.remove(&format!("operator/{name}")) {
            handle.kill.abort();
        }
    }

    /// Lets time pass until `done`, at most until `limit`; true if it was done.
    pub async fn until(&mut self, limit: Timestamp, mut done: impl FnMut(&State) -> bool) -> bool {
        let mut changes = self.twin.changes();
        loop {
            self.tend();
            if self.twin.look(&mut done) {
                return true;
            }
            if self.twin.now() >= limit {
                return false;
            }
            let next = self.twin.look(|state| state.next_timer()).unwrap_or(limit).min(limit);
            let pause = self.twin.sleep_until(next);
            tokio::select! {
                biased;
                Some((id, ended)) = self.running.next(), if !self.running.is_empty() => {
                    if let Ok(code) = ended {
                        self.end(&id, code);
                    }
                }
                Ok(()) = changes.changed() => {}
                () = pause => self.twin.edit(|_| ()),
            }
        }
    }

    /// Until that command of an operator has ended; its exit code, or None at `limit`.
    pub async fn until_ended(&mut self, name: &str, limit: Timestamp) -> Option<u8> {
        loop {
            if let Some(code) = self.ended.get(name) {
                return Some(*code);
            }
            if self.twin.now() >= limit {
                return None;
            }
            let handles = self.handles.len();
            let id = format!("operator/{name}");
            if !self.handles.contains_key(&id) || handles == 0 {
                return None;
            }
            // One second at a time: an end is no change of the state.
            let step = super::state::later(self.twin.now(), std::time::Duration::from_secs(1)).min(limit);
            self.until(step, |_| false).await;
        }
    }

    fn end(&mut self, id: &str, code: u8) {
        self.handles.remove(id);
        match id.strip_prefix("operator/") {
            Some(name) => {
                self.twin.edit(|state| state.tell(format_args!("operator {name} ends with {code}")));
                self.ended.insert(name.to_owned(), code);
            }
            None => self.twin.edit(|state| control::program_ended(state, id, code)),
        }
    }

    /// Starts, signals and drops what the state says.
    fn tend(&mut self) {
        let wanted: Vec<_> = self.twin.look(|state| {
            let wanted = state.programs.iter().filter(|(_, program)| program.phase == ProgramPhase::Wanted);
            wanted.map(|(uid, program)| (uid.clone(), program.clone())).collect()
        });
        for (uid, program) in wanted {
            let who = Who::Pod { name: program.pod.name.clone(), uid: uid.clone(), account: program.account.clone() };
            self.twin.edit(|state| {
                if let Some(program) = state.programs.get_mut(&uid) {
                    program.phase = ProgramPhase::Running;
                }
            });
            self.launch(uid, who, program.argv, program.env, program.files);
        }
        let (stopped, gone): (Vec<String>, Vec<String>) = self.twin.look(|state| {
            let stops = |id: &&String| state.programs.get(*id).is_some_and(|program| program.stop);
            let lives = |id: &str| state.programs.get(id).is_some_and(|program| program.phase != ProgramPhase::Killed);
            let gone = |id: &&String| match id.strip_prefix("operator/") {
                Some(name) => state.killed.contains(name),
                None => !lives(id),
            };
            (self.handles.keys().filter(stops).cloned().collect(), self.handles.keys().filter(gone).cloned().collect())
        });
        for id in stopped {
            if let Some(handle) = self.handles.get(&id) {
                handle.stop.send_if_modified(|asked| {
                    let first = asked.stop.is_none();
                    asked.stop = Some(15);
                    first
                });
            }
        }
        for id in gone {
            if let Some(handle) = self.handles.remove(&id) {
                handle.kill.abort();
            }
        }
    }

    fn launch(&mut self, id: String, who: Who, argv: Vec<String>, env: Env, files: BTreeMap<PathBuf, Arc<[u8]>>) {
        let world = self.twin.world(&who, files);
        let out = || Out::new(Log { twin: self.twin.clone(), id: id.clone(), rest: Vec::new() });
        let (stop, asked) = watch::channel(Asked::default());
        let start = Start { argv, env, stdout: out(), stderr: out(), stop: asked, tee: self.tee.as_ref().map(|tee| tee(&who)) };
        self.twin.edit(|state| state.tell(format_args!("{who} starts: {}", start.argv.join(" "))));
        let (kill, registration) = AbortHandle::new_pair();
        let process = self.process;
        let name = id.clone();
        let work = async move { (name, Abortable::new(process.run(start, world), registration).await) };
        self.running.push(Box::pin(work));
        self.handles.insert(id, Handle { stop, kill });
    }
}

/// A process's output, kept line by line.
struct Log {
    twin: Twin,
    id: String,
    rest: Vec<u8>,
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            self.twin.edit(|state| state.log(&self.id, &text));
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
