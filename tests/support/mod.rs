//! What several of the test programs share; each uses its part.

pub mod installed;
pub mod program;
pub mod suite;
