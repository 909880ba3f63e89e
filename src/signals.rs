//! Stop is a value: the first signal is a number that everybody can look at, the second ends the wait for a safe point.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How long the program may take to leave at the second signal.
const GRACE: Duration = Duration::from_secs(2);

/// What signals have said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The first signal's number.
    pub stop: Option<u8>,
    /// The second one's: leave now.
    pub now: Option<u8>,
}

/// Listens for SIGINT and SIGTERM on a thread of its own, so that nothing that blocks keeps a signal from being heard. `stuck` is called
/// with the second signal where the process still runs a while after it: something blocks that knows no deadline.
pub fn listen(stuck: impl FnOnce(u8) + Send + 'static) -> std::io::Result<watch::Receiver<Asked>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let (tell, asked) = watch::channel(Asked::default());
    let listen = async move {
        let first = next(&mut interrupt, &mut terminate).await;
        tell.send_replace(Asked { stop: Some(first), now: None });
        let second = next(&mut interrupt, &mut terminate).await;
        tell.send_replace(Asked { stop: Some(first), now: Some(second) });
        tokio::time::sleep(GRACE).await;
        stuck(second);
        std::future::pending::<()>().await;
    };
    // For the whole process's life; it touches nothing but this value.
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(listen))?;
    Ok(asked)
}

/// No signal is ever heard: for whoever runs the program inside another.
pub fn none() -> watch::Receiver<Asked> {
    let (tell, asked) = watch::channel(Asked::default());
    // A sender that goes away would be the end of the listener.
    std::mem::forget(tell);
    asked
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> u8 {
    tokio::select! {
        biased;
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
    }
}
