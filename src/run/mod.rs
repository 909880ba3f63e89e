//! Performs what was planned. Each change to cluster, host or web goes through [`session::Session::change`]; only the program's own records (Leases,
//! journals, progress) take a permit themselves.
//!
//! | room | what it is for | may use |
//! |---|---|---|
//! | [`session`] | the ground: what this process is and was told, what it tells, its waits, and the one door to a change | nothing |
//! | [`parallel`] | several at a time | nothing |
//! | [`cluster`] | the API server: calls and lists, the facts, the record of the run, journals | session |
//! | [`guards`] | what keeps two from working at once, and all from working against a person's word: Leases, the halt; what is at work, on record | session, cluster |
//! | [`outside`] | Prometheus, the Pushgateway, secrets, and those who are to be told | session, cluster |
//! | [`ssh`] | the way to nodes: sessions to machines that were proved to be the node, and long work on them | session, parallel, cluster, outside |
//! | [`services`] | all of these as one struct, which commands and the chain hand down | session, cluster, guards, outside, ssh |
//! | [`image`] | this program as a container image | nothing |
//! | [`nodes`] | what is done to a node: cordon, drain, upgrade, rollback, and the gates around it | session, parallel, cluster, guards, outside, ssh, services |
//! | [`chain`] | the phases of a run, and the Jobs that perform them | session, cluster, guards, outside, ssh, services, nodes |
//! | [`keys`] | the rotation of the SSH key | session, cluster, guards, outside, ssh, services |
//! | [`view`] | what people look at | session, parallel, cluster, guards, outside, ssh, services, image, nodes, chain |
//!
//! A service owns its state, and has in hand only those that it needs. What needs few services takes these few; what needs many takes
//! [`Services`].

pub mod chain;
pub mod cluster;
pub mod guards;
pub mod image;
pub mod keys;
pub mod nodes;
pub mod outside;
pub mod parallel;
pub mod services;
pub mod session;
pub mod ssh;
pub mod view;

pub use services::{Parts, Services};
