//! The program by its one entry, in a process that tests share.

use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_upgrade::report::Out;
use k8s_upgrade::world::{Env, World};
use k8s_upgrade::{Invocation, Panics, adapters, run, signals};

/// A stream that keeps what was written.
#[derive(Clone, Default)]
pub struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    /// All of it.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

pub struct Ran {
    code: ExitCode,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn is(&self, code: u8) -> &Self {
        assert_eq!(self.code, ExitCode::from(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
    pub fn says(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "stderr should say {text:?}: {}", self.stderr);
        self
    }
}

/// Runs a command line with an environment of its own.
pub fn program(args: &[&str], env: &[(&str, &str)]) -> Ran {
    program_in(None, args, env)
}

/// The same under another name.
pub fn program_as(name: &str, args: &[&str], env: &[(&str, &str)]) -> Ran {
    called(name, None, args, env)
}

/// The same in a world that is made inside the runtime; else the real one. A command that stops time has no deadline here.
pub fn program_in(world: Option<&dyn Fn() -> World>, args: &[&str], env: &[(&str, &str)]) -> Ran {
    called("k8s-upgrade", world, args, env)
}

fn called(name: &str, world: Option<&dyn Fn() -> World>, args: &[&str], env: &[(&str, &str)]) -> Ran {
    let (stdout, stderr) = (Buffer::default(), Buffer::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let code = runtime.block_on(async {
        let env: Env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let real = adapters::world(&env);
        let invocation = Invocation {
            argv: [name].iter().chain(args).map(Into::into).collect(),
            env,
            stdin: Box::new(std::io::empty()),
            stdout: Out::new(stdout.clone()),
            stderr: Out::new(stderr.clone()),
            interactive: false,
            stderr_is_terminal: false,
            stop: signals::none(),
            tee: None,
            panics: Some(Panics::default()),
        };
        let ended = match world {
            Some(world) => Ok(run(invocation, &world()).await),
            None => tokio::time::timeout(Duration::from_secs(60), run(invocation, &real)).await,
        };
        ended.expect("the command hung")
    });
    Ran { code, stdout: stdout.text(), stderr: stderr.text() }
}
