//! Calls to the API server: a deadline on each, one retry table, errors as sentences.
//!
//! An upgrade takes the API server away twice; on its return a real one answered 403, then 500, then 200. The twin does the same, and
//! the crash matrices of `tests/sim/proof.rs` live through it; that the lab's gives 403 right after an outage and at no other time,
//! `no_unexpected_refusal` in `tests/live/audit.rs` asserts. So in the middle of a run these are waited for; a person's first call is
//! told at once.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Request, Response};
use kube::Error;
use kube::client::Body;
use tokio::time::Instant;

use super::ctx::{Ctx, locked};
use crate::failure::{Cause, Class};
use crate::permit::NoPermit;
use crate::plan::screen::Awaited;
use crate::report::Event;
use crate::world::{KubeConnection, TooMuch};

/// One call may take this long; a stuck connection is dropped and tried again.
const CALL: Duration = Duration::from_secs(30);
/// A person waits this long for an API server that does not answer.
const IMPATIENT: Duration = Duration::from_secs(15);
/// How long 401 and 403 may follow an outage.
const FORBIDDEN_AFTER_OUTAGE: Duration = Duration::from_secs(90);

/// What to do about an error.
enum Retry {
    /// The server is away or busy.
    Outage,
    /// Refused; right after an outage this passes.
    Forbidden,
    No,
}

fn retry(error: &Error) -> Retry {
    match error {
        Error::Api(status) => match status.code {
            401 | 403 => Retry::Forbidden,
            429 | 500 | 502 | 503 | 504 => Retry::Outage,
            _ => Retry::No,
        },
        Error::HyperError(_) | Error::ReadEvents(_) => Retry::Outage,
        // What was refused here would be refused again.
        Error::Service(inner) if within::<Unconnected>(inner.as_ref()).is_some() => Retry::No,
        Error::Service(inner) if within::<TooMuch>(inner.as_ref()).is_some() => Retry::No,
        Error::Service(inner) if within::<NoPermit>(inner.as_ref()).is_none() => Retry::Outage,
        _ => Retry::No,
    }
}

/// Why no API server can be asked at all.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unconnected(String);

/// In the place of a connection, for what can do without: whatever is asked fails at once, and says why.
pub fn unconnected(why: &str) -> KubeConnection {
    let fails = {
        let why = why.to_owned();
        move |_: Request<Body>| std::future::ready(Err::<Response<Body>, _>(Unconnected(why.clone())))
    };
    KubeConnection { client: kube::Client::new(tower::service_fn(fails), "default"), in_cluster: false, place: why.to_owned() }
}

/// An error of ours that others have wrapped.
fn within<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

/// The innermost error says what happened ("connection refused"), the outer ones only where.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}

/// An API error as a cause, without a second try.
pub fn cause(what: &str, error: &Error) -> Cause {
    match error {
        Error::Api(status) => {
            let text = format!("{what}: {}", status.message);
            match status.code {
                401 | 403 => Cause::refused(text),
                409 => Cause::contended(text),
                429 | 500..=599 => Cause::unreachable(format!("{text} (HTTP {})", status.code)),
                _ => Cause::step(format!("{text} (HTTP {})", status.code)),
            }
        }
        Error::Service(inner) => match (within::<NoPermit>(inner.as_ref()), within::<TooMuch>(inner.as_ref())) {
            (Some(no_permit), _) => Cause::bug(no_permit.to_string()),
            (_, Some(too_much)) => Cause::unreachable(format!("{what}: {too_much}")),
            _ => Cause::unreachable(format!("{what}: the API server cannot be reached: {}", root(inner.as_ref()))),
        },
        other => Cause::unreachable(format!("{what}: {}", root(other))),
    }
}

impl Ctx {
    /// A Job of the chain, and whoever has begun to change something, waits for an API server that is away.
    fn patient(&self) -> bool {
        self.chain || self.has_changed()
    }

    /// This process has changed something, or has at least begun to.
    pub fn has_changed(&self) -> bool {
        self.changing.load(Ordering::Relaxed)
    }

    /// How long it is waited for.
    pub(super) fn patience(&self) -> Duration {
        if self.patient() { self.settings.api_patience } else { IMPATIENT }
    }

    fn after_outage(&self) -> bool {
        self.patient() || locked(&self.last_outage).is_some_and(|seen| seen.elapsed() < FORBIDDEN_AFTER_OUTAGE)
    }

    /// Makes a call until it succeeds, fails for good, or patience ends. `what` reads like "list nodes".
    pub async fn api<T>(&self, what: &str, call: impl AsyncFnMut() -> kube::Result<T>) -> Result<T, Cause> {
        self.api_within(what, self.patience(), call).await
    }

    /// The same with a patience of its own; none means one try.
    pub(super) async fn api_within<T>(
        &self,
        what: &str,
        patience: Duration,
        mut call: impl AsyncFnMut() -> kube::Result<T>,
    ) -> Result<T, Cause> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(500);
        // How long the call had lasted when the server first refused it.
        let mut forbidden: Option<Duration> = None;
        loop {
            let failed = match tokio::time::timeout(CALL, call()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => {
                    let bound = match retry(&error) {
                        Retry::Outage => patience,
                        // Counted from the end of the outage, which may have been longer than this.
                        Retry::Forbidden if self.after_outage() => {
                            let answers = *forbidden.get_or_insert_with(|| begun.elapsed());
                            answers + FORBIDDEN_AFTER_OUTAGE.min(patience)
                        }
                        Retry::Forbidden | Retry::No => Duration::ZERO,
                    };
                    if matches!(retry(&error), Retry::Outage) {
                        forbidden = None;
                        *locked(&self.last_outage) = Some(Instant::now());
                    }
                    (cause(what, &error), bound)
                }
                Err(_) => {
                    *locked(&self.last_outage) = Some(Instant::now());
                    (Cause::unreachable(format!("{what}: the API server did not answer within {}s", CALL.as_secs())), patience)
                }
            };
            let (cause, bound) = failed;
            let left = bound.saturating_sub(begun.elapsed());
            if left.is_zero() {
                // Which one it is tells a wrong kubeconfig from an outage.
                let place = (cause.class == Class::Unreachable).then(|| format!("API server: {}", self.api_server));
                return Err(cause.detail(place));
            }
            if begun.elapsed() > Duration::from_secs(2) {
                self.emit(&Event::Waiting { place: String::new(), on: Awaited::new("the API server", &cause.what), left });
            }
            self.sleep(pause.min(left), false).await;
            pause = (pause * 2).min(Duration::from_secs(3));
        }
    }

    /// As [`Ctx::api`], for an object that need not exist.
    pub async fn api_opt<T>(&self, what: &str, mut call: impl AsyncFnMut() -> kube::Result<T>) -> Result<Option<T>, Cause> {
        self.api(what, async || match call().await {
            Ok(value) => Ok(Some(value)),
            Err(Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }
}
