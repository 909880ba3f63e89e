//! Schemas of what has no type of its own: the words of classes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::failure::Class;
use crate::plan::model::version::UpgradeKind;

/// [`UpgradeKind::word`] of each.
pub fn kinds() -> [&'static str; 2] {
    [UpgradeKind::Patch, UpgradeKind::Minor].map(UpgradeKind::word)
}

/// Each class once. The match is there for whoever adds one: it does not compile until that stands in the list, too.
fn classes() -> [Class; 10] {
    let all = [
        Class::Bug,
        Class::Usage,
        Class::Hold,
        Class::Refused,
        Class::Pinned,
        Class::Step,
        Class::Contended,
        Class::Unreachable,
        Class::Stopped(2),
        Class::Halted,
    ];
    all.map(|class| match class {
        Class::Bug
        | Class::Usage
        | Class::Hold
        | Class::Refused
        | Class::Pinned
        | Class::Step
        | Class::Contended
        | Class::Unreachable
        | Class::Stopped(_)
        | Class::Halted => class,
    })
}

/// [`Class::word`].
pub struct ClassWord;

impl JsonSchema for ClassWord {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Class".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": classes().map(Class::word) })
    }
}

/// The same, and the words of ends that are no failure.
pub struct OutcomeWord;

impl JsonSchema for OutcomeWord {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Outcome".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = super::account::ENDED_WELL.into_iter().chain(classes().map(Class::word)).collect();
        json_schema!({ "type": "string", "enum": words })
    }
}
