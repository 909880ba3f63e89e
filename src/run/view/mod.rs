//! What people look at.

pub mod health;
pub mod input;
pub mod live;
