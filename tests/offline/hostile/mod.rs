//! Peers that answer as badly as they can. Whatever they do: no panic, an end within the deadline, no more read than is taken, and an
//! error that names them.

mod api;
mod clients;
mod kubeconfigs;
mod process;
mod server;
mod ssh;

use std::time::Duration;

/// How long an answer is waited for here.
const DEADLINE: Duration = Duration::from_millis(400);
/// By then each of them must have ended, however busy the machine is.
const END: Duration = Duration::from_secs(20);
/// What sockets take before anybody reads: a peer may have sent so much more than was read.
const SOCKETS: usize = 16 << 20;

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let done = runtime.block_on(work);
    // A thread that a peer holds must not hold the test.
    runtime.shutdown_background();
    done
}

/// The work's end, which must come.
async fn ends<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(END, work).await.unwrap_or_else(|_| panic!("{what} hung"))
}
