//! What all documents have in common.

use serde::Serialize;

/// Something that is printed as JSON, by itself: there is a schema of it. It is a struct, for its version becomes a field of it.
pub trait Document: Serialize {
    /// The schema is `docs/schema/NAME.json`.
    const NAME: &'static str;
    /// Raised when a field goes or changes its meaning. A new field raises nothing: who reads has to pass over what they do not know.
    const VERSION: u32 = 1;
}

/// A document as it is printed: its version comes first, so that who reads can look at that before anything else.
#[derive(Serialize)]
pub struct Versioned<'a, D> {
    version: u32,
    #[serde(flatten)]
    document: &'a D,
}

impl<'a, D: Document> Versioned<'a, D> {
    /// With the version of its kind.
    pub fn of(document: &'a D) -> Self {
        Versioned { version: D::VERSION, document }
    }
}
