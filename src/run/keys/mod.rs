//! The rotation of the SSH key.

pub mod keystore;
pub mod retire;
pub mod rotate;
pub mod survey;
pub mod turn;
