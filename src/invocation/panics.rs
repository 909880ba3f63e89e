//! Panics at the edge: a defect of this program ends a command as any failure does, in three parts and with exit code 1.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;

use crate::failure::{Advice, Cause, Failure};

/// What the process' last panic said.
#[derive(Clone, Default)]
pub struct Panics(Arc<Mutex<Option<Said>>>);

#[derive(Default)]
struct Said {
    what: String,
    /// Only where RUST_BACKTRACE asks for it.
    backtrace: Vec<String>,
}

impl Panics {
    /// From here on a panic of this thread prints nothing by itself: whoever catches it tells it. One of another thread ends that thread
    /// alone, and who waits for it says so.
    pub fn listen() -> Self {
        let panics = Panics::default();
        let (kept, own) = (panics.clone(), std::thread::current().id());
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().id() == own {
                *kept.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(said(info));
            }
        }));
        panics
    }

    /// Works to its end; a panic in it is a failure.
    pub(super) async fn caught<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        AssertUnwindSafe(work).catch_unwind().await.map_err(|payload| {
            let said = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            failure(said.unwrap_or_else(|| Said { what: message(payload.as_ref()), ..Said::default() }))
        })
    }
}

fn said(info: &PanicHookInfo<'_>) -> Said {
    let place = info.location().map_or(String::new(), |place| format!(" ({}:{})", place.file(), place.line()));
    let backtrace = Backtrace::capture();
    let backtrace = match backtrace.status() {
        BacktraceStatus::Captured => backtrace.to_string().lines().map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    Said { what: format!("{}{place}", message(info.payload())), backtrace }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("it says nothing of itself").to_owned()
}

fn failure(Said { what, backtrace }: Said) -> Failure {
    let report = concat!(
        "report this text to ",
        env!("CARGO_PKG_REPOSITORY"),
        ", version ",
        env!("CARGO_PKG_VERSION"),
        ", with what the same command says with -vv"
    );
    Failure {
        cause: Cause::bug(format!("this program has a defect: {what}")).detail(backtrace),
        place: String::new(),
        state: "The command was left where it stood: what runs on a node goes on, and the facts show how far it came.".to_owned(),
        next: vec![Advice::look("k8s-upgrade status    # where that leaves the cluster"), report.into()],
    }
}
