//! The objects that we have the cluster make, and what its API server lets us do with them.

pub mod dashboard;
pub mod hooks;
pub mod install;
pub mod installation;
pub mod jobs;
pub mod manifest;
pub mod policies;
pub mod removal;
pub mod rights;
