//! Performs what was planned. Each change to cluster, host or web goes through [`session::Session::change`].

pub mod chain;
pub mod cluster;
pub mod guards;
pub mod image;
pub mod keys;
pub mod nodes;
pub mod outside;
mod services;
pub mod session;
pub mod ssh;
pub mod view;

pub use services::{Parts, Services};
