//! When little answers: what hosts say by themselves, and the way back of a node.

pub mod card;
pub mod hosts;
pub mod member;
pub mod restore;
pub mod rollback;
