//! The machines of the suite that need no cluster, and a test of each of its behaviours on each of them. A real node is
//! `tests/live/worker.rs`'s.

mod bash;
mod memory;

use crate::support::suite;

macro_rules! on_bash {
    ($($room:ident: $($name:ident),+;)+) => {
        mod on_bash { $(mod $room { $(#[test] fn $name() { crate::support::suite::$room::$name(&mut super::super::bash::machine()); })+ })+ }
    };
}
macro_rules! on_the_twin {
    ($($room:ident: $($name:ident),+;)+) => {
        mod on_the_twin { $(mod $room { $(#[test] fn $name() { crate::support::suite::$room::$name(&mut super::super::memory::machine()); })+ })+ }
    };
}
suite::behaviours!(on_bash);
suite::behaviours!(on_the_twin);

/// An operation or a step that is new has no behaviour yet.
#[test]
fn the_suite_performs_all_that_the_program_has() {
    macro_rules! on_one {
        ($($room:ident: $($name:ident),+;)+) => { $($(suite::$room::$name(&mut memory::machine());)+)+ };
    }
    suite::behaviours!(on_one);
    assert_eq!(suite::unperformed(), [""; 0]);
}
