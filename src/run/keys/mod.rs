//! The rotation of the SSH key.

pub mod keystore;
pub mod remove_former;
pub mod rotate;
pub mod survey;
pub mod turn;
