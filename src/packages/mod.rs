//! The one seam to the package manager of the nodes. All that a package manager has of its own (its commands, what is made of its output, its
//! files, and the words in which a person is told of it) stands in one folder here, as a [`PackageManager`]; everything else says "packages".
//!
//! Whoever adds one writes such a folder beside [`apt`], and changes [`IN_USE`]. `tests/offline/layering/packages.rs` holds the seam: what a
//! script calls each package manager has, and nobody outside of this room names one.

pub mod apt;
mod layout;
mod manager;

pub use layout::same;
pub use manager::PackageManager;

/// The package manager of all nodes: the line that chooses.
pub const IN_USE: &PackageManager = &apt::APT;

/// What scripts do with the functions of any package manager.
pub const COMMON: &str = include_str!("common.sh");
