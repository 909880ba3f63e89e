//! Builds the invocation, runs it, returns the exit code.

use std::io::{IsTerminal, stderr, stdin, stdout};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use k8s_upgrade::report::Out;
use k8s_upgrade::{Invocation, Panics, adapters, signals};

/// Of the thread that does all, in bytes. A run's future is one value, some of which each await below it adds to the stack; the main thread has
/// what the caller's limits give it, which need not do. What is not touched takes no memory.
const STACK: usize = 64 << 20;

fn main() -> anyhow::Result<ExitCode> {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(program).context("cannot start a thread")?;
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[expect(clippy::disallowed_methods, reason = "here the environment enters")]
fn program() -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let code = runtime.block_on(async {
        let env = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        let world = adapters::world(&env);
        let invocation = Invocation {
            argv: std::env::args_os().collect(),
            env,
            stdin: Box::new(std::io::BufReader::new(stdin())),
            stdout: Out::new(stdout()).on(Arc::new(|| Some(adapters::size(stdout())?.columns))),
            stderr: Out::new(stderr()).on(Arc::new(|| Some(adapters::size(stderr())?.columns))),
            interactive: stdin().is_terminal() && stderr().is_terminal(),
            stderr_is_terminal: stderr().is_terminal(),
            stop: signals::listen(leave).context("cannot listen for signals")?,
            tee: None,
            panics: Some(Panics::listen()),
        };
        anyhow::Ok(k8s_upgrade::run(invocation, &world).await)
    })?;
    // A thread that still waits for a host must not keep the process: what runs there goes on and is found again.
    runtime.shutdown_background();
    Ok(code)
}

/// The second signal, while something blocks the program.
#[expect(clippy::exit, clippy::disallowed_methods, reason = "whoever should return a code cannot: it is not polled")]
fn leave(signal: u8) {
    // No word: whoever blocks may hold stderr.
    std::process::exit(128 + i32::from(signal));
}
