//! What goes out: nothing is printed that has not become this, and nothing becomes this unsaid by the sanitiser.

use std::fmt;

use super::Out;
use super::data::{Document, Versioned};
use crate::failure::{Cause, Failure};
use crate::words;

/// Text as it may be printed: lines that are our own, fields in them that obey nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Printed(String);

impl Printed {
    /// Each as one line, whatever is in it.
    pub fn lines(lines: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Printed(lines.into_iter().map(|line| words::line(line.as_ref()) + "\n").collect())
    }

    /// A question, which is answered on its own line.
    pub fn question(text: &str) -> Self {
        Printed(words::line(text))
    }

    /// Its three parts, as people read them.
    pub fn failure(failure: &Failure) -> Self {
        Self::page(format!("{failure}\n"))
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
        Printed(words::block(&text))
    }

    /// The same with colours of our own between sane texts.
    pub(super) fn painted(parts: &[(Option<&str>, &str)]) -> Self {
        let paint = |(code, text): &(Option<&str>, &str)| match code {
            Some(code) => format!("\u{1b}[{code}m{}\u{1b}[0m", words::block(text)),
            None => words::block(text),
        };
        Printed(parts.iter().map(paint).collect())
    }

    /// Our own from beginning to end: help, and codes that steer a terminal. Never with a word of others in it.
    pub(crate) fn own(text: String) -> Self {
        Printed(text)
    }

    /// As it goes out.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn written(json: serde_json::Result<String>) -> Result<Printed, Cause> {
    let json = json.map_err(|error| Cause::bug(format!("the answer as JSON: {error}")))?;
    Ok(Printed(words::json(&json) + "\n"))
}

/// Writes at once.
pub fn write(out: &Out, printed: &Printed) -> std::io::Result<()> {
    let mut out = out.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    out.write_all(printed.0.as_bytes()).and_then(|()| out.flush())
}

/// The same on stderr. A write that fails (a closed pipe) must not stop an upgrade: there is nobody left to tell.
pub fn put(out: &Out, printed: &Printed) {
    write(out, printed).ok();
}
