//! What is done to nodes.

pub mod asking;
pub mod cordon;
pub mod drain;
pub mod drainable;
pub mod gates;
pub mod inspect;
pub mod losses;
pub mod prepare;
pub mod rollback;
pub mod trial;
pub mod upgrade;
