//! The machines of the suite that need no cluster, and a test of each of its behaviours on each of them. A real node is
//! `tests/live/worker.rs`'s.

mod bash;
mod memory;

use super::suite;

macro_rules! on_bash {
    ($($room:ident: $($name:ident),+;)+) => {
        mod on_bash { $(mod $room { $(#[test] fn $name() { super::super::suite::$room::$name(&mut super::super::bash::machine()); })+ })+ }
    };
}
macro_rules! on_the_twin {
    ($($room:ident: $($name:ident),+;)+) => {
        mod on_the_twin { $(mod $room { $(#[test] fn $name() { super::super::suite::$room::$name(&mut super::super::memory::machine()); })+ })+ }
    };
}
suite::behaviours!(on_bash);
suite::behaviours!(on_the_twin);
