//! Performs what was planned.

pub mod image;
