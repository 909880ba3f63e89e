//! A run as a picture: SVG, a page of HTML around it, and Mermaid for Markdown. Nothing in them is fetched from anywhere, and nothing runs.
//!
//! All words of others come in through [`escaped`], cut to a length by [`clipped`].

mod below;
mod canvas;
mod html;
mod measure;
mod mermaid;
mod pattern;
mod scale;
mod svg;

use std::time::Duration;

use jiff::Timestamp;

use super::span;
use crate::plan::view::timeline::{Kind, Stretch};

pub use html::html;
pub(super) use mermaid::mermaid;
pub use svg::svg;

/// Characters of a name, a reason in the picture, and a line of a table.
const NAME: usize = 63;
const REASON: usize = 300;
const CELL: usize = 600;

/// Colours and patterns, for light and dark; the words beside them say the same.
const STYLE: &str = include_str!("style.css");

/// Fit for the text and for the attributes of XML and HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // XML has no way to say these.
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The beginning of what is longer.
fn clipped(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn lasted(time: Stretch) -> String {
    span(Duration::from_secs(time.lasted().as_secs()))
}

fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

/// As a class of the style has it, and an id.
fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Killed => "killed",
        other => other.word(),
    }
}
