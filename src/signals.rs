//! Stop is a value: the first signal is a number that everybody can look at, the second ends the wait for a safe point.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// What signals have said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The first signal's number.
    pub stop: Option<u8>,
    /// A second one came: leave now.
    pub now: bool,
}

/// Listens for SIGINT and SIGTERM as long as somebody holds the receiver. Call inside a runtime.
pub fn listen() -> std::io::Result<watch::Receiver<Asked>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (tell, asked) = watch::channel(Asked::default());
    // The only task of its own: it ends with the runtime and touches nothing but this value.
    #[expect(clippy::disallowed_methods, reason = "a listener for the whole process's life; it has no effects outside")]
    tokio::spawn(async move {
        let first = next(&mut interrupt, &mut terminate).await;
        tell.send_replace(Asked { stop: Some(first), now: false });
        next(&mut interrupt, &mut terminate).await;
        tell.send_replace(Asked { stop: Some(first), now: true });
        std::future::pending::<()>().await;
    });
    Ok(asked)
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> u8 {
    tokio::select! {
        biased;
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
    }
}
