//! What people look at.

pub mod adopt;
pub mod ahead;
pub mod check;
pub mod health;
pub mod input;
pub mod installed;
pub mod live;
