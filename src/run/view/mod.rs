//! What people look at.

pub mod health;
pub mod live;
pub mod look;
