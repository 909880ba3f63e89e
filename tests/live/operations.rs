//! The suite of node operations on a real worker: every behaviour of the one list, none left out.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::lab::Lab;
use super::minor;
use super::worker::Worker;
use crate::support::suite::{self, Machine};

/// 1.36.1 is there to be gone back to, which must not be.
const PUBLISHED: [&str; 3] = ["1.35.4", "1.36.1", "1.36.3"];

type Behaviour = (&'static str, fn(&mut dyn Machine));

macro_rules! on_the_lab {
    ($($room:ident: $($name:ident),+;)+) => {
        const BEHAVIOURS: &[Behaviour] = &[$($((concat!(stringify!($room), "::", stringify!($name)), suite::$room::$name)),+),+];
    };
}
suite::behaviours!(on_the_lab);

/// On the worker that the minor upgrade has brought back to its former release, else on one that never had another.
pub fn run() {
    let (lab, node) = match Lab::left(minor::LEFT) {
        Some(lab) => (lab, "k8s-node4"),
        None => (Lab::fresh(1, "1.35.4", &PUBLISHED), "k8s-node1"),
    };
    lab.tool(&[&["publish"], &PUBLISHED[..]].concat());
    let mut worker = Worker::new(&lab, node);
    let mut failed = Vec::new();
    for (name, behaviour) in BEHAVIOURS {
        lab.phase(&format!("{node}: {name}"));
        worker.put_back();
        if let Err(why) = catch_unwind(AssertUnwindSafe(|| behaviour(&mut worker))) {
            lab.say(format!("    FAILED on {node}: {name}"));
            failed.push(format!("{name} on {node} of the lab: {}", words(why.as_ref())));
        }
    }
    worker.put_back();
    assert_eq!(suite::unperformed(), [""; 0]);
    assert!(failed.is_empty(), "{} of {} behaviours failed:\n{}", failed.len(), BEHAVIOURS.len(), failed.join("\n"));
}

/// Of a panic.
fn words(why: &(dyn Any + Send)) -> &str {
    why.downcast_ref::<String>().map(String::as_str).or_else(|| why.downcast_ref::<&str>().copied()).unwrap_or("(no words)")
}
