//! `acknowledge` without an ID.

use serde::Serialize;

use super::document::Document;
use crate::plan::decide::losses::Difference;

/// What people changed by hand and kubeadm would write over, as far as nobody has acknowledged it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LocalChanges<'a> {
    /// What names exactly these changes: the argument of acknowledge; null where there are none.
    pub id: Option<&'a str>,
    /// The changes.
    pub changes: Vec<LocalChange<'a>>,
}

/// One of them.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LocalChange<'a> {
    /// The node, or CoreDNS.
    pub place: &'a str,
    /// What differs, in one sentence for people.
    pub what: &'a str,
    /// The same in twelve hexadecimal digits, to compare.
    pub digest: String,
}

impl<'a> LocalChanges<'a> {
    /// `id` is what names all that is `open`.
    pub fn of(id: &'a str, open: &'a [Difference]) -> Self {
        let change = |one: &'a Difference| LocalChange { place: &one.place, what: &one.what, digest: one.digest() };
        LocalChanges { id: (!open.is_empty()).then_some(id), changes: open.iter().map(change).collect() }
    }
}

impl Document for LocalChanges<'_> {
    const NAME: &'static str = "acknowledge";
}
