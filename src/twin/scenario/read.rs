//! A scenario's file, read: whatever is wrong with it is told with the line and column, and what to write instead.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, Location, Spanned};

use super::{Scenario, limits};
use crate::failure::{Cause, nearest};

/// Who reads an error may want to know all that can be said.
const ADVICE: &str = "every field is described by `k8s-upgrade rehearse --schema`";

/// Something that a scenario says and that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `nodes/2/name`.
    pub at: String,
    /// What is wrong, and what to write instead.
    pub what: String,
}

/// A file as it was read: [`Scenario`] speaks of its content, this of its lines.
pub struct Source<'a> {
    pub place: &'a str,
    text: &'a str,
}

impl<'a> Source<'a> {
    pub fn new(place: &'a str, text: &'a str) -> Self {
        Source { place, text }
    }

    pub fn scenario(&self) -> Result<Scenario, Cause> {
        // Words are words: in `alerts: off`, among its settings, that is no false.
        let scenario: Scenario = serde_saphyr::from_str_with_options(self.text, serde_saphyr::options! { strict_booleans: true })
            .map_err(|error| self.unreadable(&error))?;
        match self.refusal(&scenario.faults()) {
            Some(cause) => Err(cause),
            None => Ok(scenario),
        }
    }

    /// What these faults of the file come to; none, if there are none.
    pub fn refusal(&self, faults: &[Fault]) -> Option<Cause> {
        let places: Option<Spanned<Shape>> = serde_saphyr::from_str(self.text).ok();
        let place = |fault: &Fault| Some(places.as_ref()?.value.find(&fault.at, places.as_ref()?.referenced));
        let told = |fault: &Fault| format!("{}: {}", self.position(place(fault)), fault.what);
        let (first, others) = faults.split_first()?;
        let line = place(first).and_then(|location| self.line(location));
        Some(Cause::usage(told(first)).detail(line).detail(others.iter().map(told)).detail([ADVICE]))
    }

    fn unreadable(&self, error: &Error) -> Cause {
        let error = error.without_snippet();
        let mut location = error.location();
        if let Error::SerdeMissingField { .. } = error {
            // It stands at the last field that is there.
            let shape = serde_saphyr::from_str::<Spanned<Shape>>(self.text).ok();
            location = shape.zip(location).and_then(|(shape, last)| shape.value.with_key_at(last, shape.referenced)).or(location);
        }
        let what = match error {
            _ if let Some(what) = location.and_then(|location| self.too_many(location)) => what,
            Error::SerdeUnknownField { field, expected, .. } => unknown("field", field, expected),
            Error::SerdeUnknownVariant { variant, expected, .. } => unknown("value", variant, expected),
            Error::SerdeMissingField { field, .. } => format!("the field {field} is missing here"),
            Error::Eof { .. } => {
                "the file ends before it says anything; `k8s-upgrade rehearse --save FILE` writes one".to_owned()
            }
            Error::Budget { .. } => "up to here the file says more than a rehearsal can read: leave something out".to_owned(),
            Error::DuplicateMappingKey { key: Some(key), .. } => format!("{key} is there twice: keep one of the two"),
            Error::Unexpected { expected, .. } => format!("{} is wanted", shape_in_words(expected)),
            // How times are read is not ours.
            Error::Message { msg, .. } if msg.starts_with("failed to parse") => {
                format!("a time is wanted, for example 2026-11-22T12:05:00Z ({msg})")
            }
            Error::Message { msg, .. } => msg.clone(),
            Error::InvalidScalar { ty: "u32" | "u64", .. } => "a whole number is wanted, 0 or more".to_owned(),
            Error::InvalidBooleanStrict { .. } | Error::InvalidScalar { .. } => "true or false is wanted".to_owned(),
            // The parser's own sentence; the place is said already.
            other => {
                let text = other.to_string();
                let line = text.lines().next().unwrap_or_default();
                line.split_once(" at line ").map_or(line, |(what, _)| what).to_owned()
            }
        };
        let known = match error {
            Error::SerdeUnknownField { expected, .. } => Some(format!("known here: {}", expected.join(", "))),
            _ => None,
        };
        let line = location.and_then(|location| self.line(location));
        Cause::usage(format!("{}: {what}", self.position(location))).detail(line).detail(known).detail([ADVICE])
    }

    /// A number there that is beyond the limit of its key, and beyond what its type takes.
    fn too_many(&self, location: Location) -> Option<String> {
        let places: Spanned<Shape> = serde_saphyr::from_str(self.text).ok()?;
        let (key, value) = places.value.field_at(location)?;
        let from = self.text_of(value)?.chars().skip(usize::try_from(value.column()).ok()?.checked_sub(1)?);
        let digits: String = from.take_while(char::is_ascii_digit).collect();
        limits::beyond(key, digits.parse().ok()?)
    }

    /// `FILE:LINE:COLUMN`, as compilers say it.
    fn position(&self, location: Option<Location>) -> String {
        match location.filter(|location| location.line() > 0) {
            Some(at) => format!("{}:{}:{}", self.place, at.line(), at.column()),
            None => self.place.to_owned(),
        }
    }

    fn line(&self, location: Location) -> Option<String> {
        self.text_of(location).map(|line| format!("{} | {line}", location.line()))
    }

    fn text_of(&self, location: Location) -> Option<&str> {
        self.text.lines().nth(usize::try_from(location.line()).ok()?.checked_sub(1)?)
    }
}

fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    let hint = nearest(known.iter().copied(), given).map_or(String::new(), |nearest| format!("; did you mean {nearest}?"));
    format!("unknown {what} {given}{hint}")
}

fn shape_in_words(expected: &str) -> &str {
    match expected {
        "sequence start" => "a list",
        "mapping start" => "`field: value`, a line each,",
        "string scalar" => "a text",
        other => other,
    }
}

/// Where everything stands.
enum Shape {
    Fields(Vec<(Spanned<String>, Spanned<Shape>)>),
    Items(Vec<Spanned<Shape>>),
    Leaf,
}

impl Shape {
    /// The place of what is at a path, or of the last thing on the way to it that is there.
    fn find(&self, path: &str, here: Location) -> Location {
        let (step, rest) = path.split_once('/').unwrap_or((path, ""));
        let next = match self {
            Shape::Fields(fields) => fields.iter().find(|(name, _)| name.value == step).map(|(_, value)| value),
            Shape::Items(items) => step.parse().ok().and_then(|index: usize| items.get(index)),
            Shape::Leaf => None,
        };
        next.map_or(here, |next| next.value.find(rest, next.referenced))
    }

    /// The name of the field that begins there, or whose value does, and where that value begins.
    fn field_at(&self, place: Location) -> Option<(&str, Location)> {
        match self {
            Shape::Fields(fields) => fields.iter().find_map(|(name, value)| match &value.value {
                Shape::Leaf if [name.referenced, value.referenced].contains(&place) => {
                    Some((name.value.as_str(), value.referenced))
                }
                inner => inner.field_at(place),
            }),
            Shape::Items(items) => items.iter().find_map(|item| item.value.field_at(place)),
            Shape::Leaf => None,
        }
    }

    /// Where those fields begin of which one begins here.
    fn with_key_at(&self, key: Location, here: Location) -> Option<Location> {
        let inner = |of: &Spanned<Shape>| of.value.with_key_at(key, of.referenced);
        match self {
            Shape::Fields(fields) if fields.iter().any(|(name, _)| name.referenced == key) => Some(here),
            Shape::Fields(fields) => fields.iter().find_map(|(_, value)| inner(value)),
            Shape::Items(items) => items.iter().find_map(inner),
            Shape::Leaf => None,
        }
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shapes)
    }
}

struct Shapes;

impl<'de> Visitor<'de> for Shapes {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Shape::Fields(fields))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Shape::Items(items))
    }
    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Leaf)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Leaf)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Leaf)
    }
    fn visit_i128<E>(self, _: i128) -> Result<Shape, E> {
        Ok(Shape::Leaf)
    }
    fn visit_u128<E>(self, _: u128) -> Result<Shape, E> {
        Ok(Shape::Leaf)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Leaf)
    }
    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Leaf)
    }
    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Leaf)
    }
}
