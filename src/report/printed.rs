//! What goes out: nothing is printed that has not become this, and nothing becomes this unsaid by the sanitiser.

use std::fmt;

use super::data::{Document, Versioned};
use crate::failure::{Cause, Failure};
use crate::words;

/// Text as it may be printed: lines that are our own, fields in them that obey nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    text: String,
    kind: Kind,
}

/// What a stream may make of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// People read it: in the words and signs that they can use.
    #[default]
    Text,
    /// A program reads it, or a file is made of it: as it is.
    Data,
    /// A document of ours, as JSON: in the notation that is wanted.
    Document,
}

impl Printed {
    /// Each as one line, whatever is in it.
    pub fn lines(lines: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self::own(lines.into_iter().map(|line| words::line(line.as_ref()) + "\n").collect())
    }

    /// A question, which is answered on its own line.
    pub fn question(text: &str) -> Self {
        Self::own(words::line(text))
    }

    /// Its three parts, as people read them.
    pub fn failure(failure: &Failure) -> Self {
        Self::page(format!("{failure}\n"))
    }

    /// Words for a shell to offer, each with what it is for: a line each, with a tab between.
    pub fn offered(words: impl IntoIterator<Item = (String, Option<String>)>) -> Self {
        let line = |(word, help): (String, Option<String>)| match help {
            Some(help) => format!("{}\t{}\n", words::line(&word), words::line(&help)),
            None => words::line(&word) + "\n",
        };
        Printed { text: words.into_iter().map(line).collect(), kind: Kind::Data }
    }

    /// With its version, on one line, for a log.
    pub fn json(data: &impl Document) -> Result<Self, Cause> {
        written(serde_json::to_string(&Versioned::of(data)))
    }

    /// The same for people who look at it, too.
    pub fn pretty(data: &impl Document) -> Result<Self, Cause> {
        written(serde_json::to_string_pretty(&Versioned::of(data)))
    }

    /// What was put together from sane lines; what is left in it that a terminal obeys was forgotten, and is taken out here.
    pub(crate) fn page(text: String) -> Self {
        Self::own(words::block(&text))
    }

    /// The same for what is kept as a file.
    pub(crate) fn document(text: String) -> Self {
        Printed { kind: Kind::Data, ..Self::page(text) }
    }

    /// The same with colours of our own between sane texts.
    pub(super) fn painted(parts: &[(Option<&str>, &str)]) -> Self {
        let paint = |(code, text): &(Option<&str>, &str)| match code {
            Some(code) => format!("\u{1b}[{code}m{}\u{1b}[0m", words::block(text)),
            None => words::block(text),
        };
        Self::own(parts.iter().map(paint).collect())
    }

    /// Our own from beginning to end: help, and codes that steer a terminal. Never with a word of others in it.
    pub(crate) fn own(text: String) -> Self {
        Printed { text, kind: Kind::Text }
    }

    /// As it goes out where nothing else is wished.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// A document in YAML; the line before it tells several apart.
    pub(super) fn yaml(&self) -> std::io::Result<String> {
        let value: serde_json::Value = serde_json::from_str(&self.text)?;
        let yaml = serde_saphyr::to_string(&value).map_err(std::io::Error::other)?;
        // What YAML does not write as a number of the sign, a terminal would obey.
        Ok(format!("---\n{}", words::block(&yaml)))
    }
}

impl fmt::Display for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn written(json: serde_json::Result<String>) -> Result<Printed, Cause> {
    let json = json.map_err(|error| Cause::bug(format!("the answer as JSON: {error}")))?;
    Ok(Printed { text: words::json(&json) + "\n", kind: Kind::Document })
}
