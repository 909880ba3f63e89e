//! A page of text for people: what stands in it. How wide it is, the stream on which it is put says.

use std::borrow::Cow;

use super::Wording;
use super::fold::{columns, cut, folded, indent, words};
use super::table::{self, Table};
use crate::words as sane;

/// Columns in which prose is read with ease, however wide the screen is; names and commands may need more.
const MEASURE: usize = 100;

/// What the second line of an entry is indented by.
const ENTRY: usize = 4;

/// What stands before a command of a script.
const TYPED: &str = "  ";

/// Blocks of text, one below the other. Whatever comes in is made fit to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page(Vec<Block>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Block {
    Line(Line),
    Table(Table),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Line {
    /// What stands before the text: a label, the time and the place.
    head: String,
    /// Where its second line begins.
    hang: usize,
    text: String,
    /// A command at its end, to be copied whole.
    command: Option<String>,
    breaks: Breaks,
}

/// Where a line ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Breaks {
    /// At the measure, on paper, too.
    #[default]
    Prose,
    /// At the edge of the screen alone: who reads it elsewhere reads it line by line.
    Record,
    /// It is cut off at the measure: its end is told elsewhere.
    Cut,
}

impl Page {
    /// Without anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.0.push(Block::Line(Line::default()));
    }

    /// `label  text`; lines after the first are indented alike.
    pub fn labelled(&mut self, label: &str, text: &str) {
        self.prose(&format!("  {label:8}"), text);
    }

    /// The text behind `head`; lines after the first begin where it does.
    pub fn prose(&mut self, head: &str, text: &str) {
        let hang = if head.ends_with(": ") { 10 } else { columns(head) };
        self.line(head, hang, text, Breaks::Prose);
    }

    /// The same in one line, unless the screen is narrower.
    pub fn record(&mut self, head: &str, text: &str) {
        self.line(head, columns(head), text, Breaks::Record);
    }

    /// The same for one of many, of which each begins at the edge.
    pub fn entry(&mut self, text: &str) {
        let inner = text.trim_start();
        let indent = &text[..text.len() - inner.len()];
        self.line(indent, indent.len() + ENTRY, inner, Breaks::Record);
    }

    /// A line of somebody's output: its beginning.
    pub fn output(&mut self, head: &str, text: &str) {
        self.line(head, columns(head), text, Breaks::Cut);
    }

    /// A command, which is never broken, after a word on what it is for.
    pub fn command(&mut self, head: &str, command: &str) {
        self.advice(head, "", command);
    }

    /// What a person is to do: what is indented is typed, and the rest says what for.
    pub fn script(&mut self, lines: impl IntoIterator<Item = impl AsRef<str>>) {
        for line in lines {
            match line.as_ref().strip_prefix(TYPED) {
                Some(command) => self.command(TYPED, command),
                None => self.record("", line.as_ref()),
            }
        }
    }

    /// The same; who reads it elsewhere reads all in one line.
    pub fn advice(&mut self, head: &str, text: &str, command: &str) {
        let command = Some(sane::block(command));
        let (head, text) = (sane::block(head), sane::block(text));
        self.0.push(Block::Line(Line { hang: columns(&head), head, text, command, breaks: Breaks::Record }));
    }

    /// Commands under one label.
    pub fn listed(&mut self, label: &str, commands: impl IntoIterator<Item = impl AsRef<str>>) {
        for (index, command) in commands.into_iter().enumerate() {
            self.command(&format!("  {:8}", if index == 0 { label } else { "" }), command.as_ref());
        }
    }

    /// Titles, and rows below them.
    pub fn table(&mut self, (titles, rows): &Table) {
        let rows = rows.iter().map(|row| row.iter().map(|cell| sane::block(cell)).collect()).collect();
        self.0.push(Block::Table((titles.clone(), rows)));
    }

    /// With a sign of ours before the head of its first line, perhaps in colour, and `before` that.
    pub fn behind(mut self, before: &str, sign: &str, colour: Option<&str>) -> Self {
        if let Some(Block::Line(line)) = self.0.first_mut() {
            let (before, sign) = (sane::block(before), sane::block(sign));
            line.hang += columns(&before) + columns(&sign);
            let sign = colour.map_or(sign.clone(), |code| format!("\u{1b}[{code}m{sign}\u{1b}[0m"));
            line.head = format!("{before}{sign}{}", line.head);
        }
        self
    }

    fn line(&mut self, head: &str, hang: usize, text: &str, breaks: Breaks) {
        let (head, text) = (sane::block(head), sane::block(text));
        self.0.push(Block::Line(Line { head, hang, text, command: None, breaks }));
    }

    /// On a screen of so many columns; None: on paper.
    pub fn lines(&self, screen: Option<usize>, wording: &Wording) -> Vec<String> {
        let edge = screen.unwrap_or(usize::MAX);
        let one = |block: &Block| match block {
            Block::Line(line) => line.set(edge, wording),
            Block::Table(table) => table::set(table, edge, wording),
        };
        // What was set has signs of its own.
        self.0.iter().flat_map(one).map(|line| wording.put(&line).into_owned()).collect()
    }
}

impl Line {
    fn set(&self, edge: usize, wording: &Wording) -> Vec<String> {
        let [head, text] = [&self.head, &self.text].map(|text| wording.put(text));
        let command = self.command.as_ref().map(|command| wording.put(command));
        let width = match self.breaks {
            Breaks::Record => edge,
            Breaks::Prose | Breaks::Cut => edge.min(MEASURE),
        };
        // What stands before the text gives way, too, where it is a long name.
        let whole = head;
        let (head, text): (Cow<'_, str>, Cow<'_, str>) = match columns(&whole) > width {
            true => ("".into(), format!("{} {text}", whole.trim_end()).into()),
            false => (whole.clone(), text),
        };
        let hang = indent(&whole, self.hang, width);
        let behind = |command| folded(&head, hang, words(&text).filter(|_| !text.is_empty()).chain([command]), width);
        match &command {
            _ if self.breaks == Breaks::Cut => vec![cut(&format!("{head}{text}"), width).trim_end().to_owned()],
            None => folded(&head, hang, words(&text), width),
            Some(command) => match command.split_once("  # ") {
                // Each line of a comment is one, for whoever pastes it along.
                Some((typed, comment)) if columns(&head) + columns(&text) + columns(command) > width => {
                    let before = " ".repeat(hang) + "# ";
                    let comment = folded("", 0, words(comment), width.saturating_sub(columns(&before)));
                    let comment = comment.into_iter().map(|line| format!("{before}{line}"));
                    behind(typed.trim_end()).into_iter().chain(comment).collect()
                }
                _ => behind(command),
            },
        }
    }
}
