//! The way to nodes: sessions to machines that were proved to be the node, and long work on them.

mod hosts;
mod proof;
mod units;
mod without_api;
mod work;

pub use hosts::{Place, Ssh};
