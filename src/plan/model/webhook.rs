//! What people are told, as a message, and the webhooks that it goes to: what each is sent, as whoever set it up wrote it. No template
//! language: the words in braces are all that is filled in, and in JSON nothing that is filled in ends a string.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::version::Version;
use crate::words::{block, line};

/// What a message is about, by which a webhook chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// A run has begun.
    Started,
    /// A node is at the target.
    NodeDone,
    /// The run is over, whole.
    Done,
    /// The run is over, and not every node is at the target.
    Partial,
    /// A person has skipped a step.
    Skipped,
    /// A worker is not upgraded by this run.
    LeftOut,
    /// A pod was deleted that its budget can never release.
    Forced,
    /// A run did not begin.
    Deferred,
    /// A run waits for its next window.
    Rests,
    /// A run has done the one worker that it was begun for.
    Only,
    /// A release waits for a person's approval, or an approval is over.
    Asks,
    /// A newer release is there that the settings keep detection from.
    PassedOver,
    /// A person has approved a release, or takes that back.
    Approved,
    Failed,
    /// A run holds, or still does: its reminders.
    Held,
    Halted,
    Lifted,
    Cleared,
}

impl NoticeKind {
    /// Every one of them.
    pub const ALL: [NoticeKind; 18] = [
        NoticeKind::Started,
        NoticeKind::NodeDone,
        NoticeKind::Done,
        NoticeKind::Partial,
        NoticeKind::Skipped,
        NoticeKind::LeftOut,
        NoticeKind::Forced,
        NoticeKind::Deferred,
        NoticeKind::Rests,
        NoticeKind::Only,
        NoticeKind::Asks,
        NoticeKind::PassedOver,
        NoticeKind::Approved,
        NoticeKind::Failed,
        NoticeKind::Held,
        NoticeKind::Halted,
        NoticeKind::Lifted,
        NoticeKind::Cleared,
    ];
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoticeKind::Started => "started",
            NoticeKind::NodeDone => "node-done",
            NoticeKind::Done => "done",
            NoticeKind::Partial => "partial",
            NoticeKind::Skipped => "skipped",
            NoticeKind::LeftOut => "left-out",
            NoticeKind::Forced => "forced",
            NoticeKind::Deferred => "deferred",
            NoticeKind::Rests => "rests",
            NoticeKind::Only => "only",
            NoticeKind::Asks => "asks",
            NoticeKind::PassedOver => "passed-over",
            NoticeKind::Approved => "approved",
            NoticeKind::Failed => "failed",
            NoticeKind::Held => "held",
            NoticeKind::Halted => "halted",
            NoticeKind::Lifted => "lifted",
            NoticeKind::Cleared => "cleared",
        })
    }
}

/// Whatever receives messages cuts what is longer itself, in the middle of whatever stands there (characters).
pub const LONGEST: u16 = 12_000;
/// What a reminder says in its first line.
const SHORTEST: u16 = 80;
/// Bytes of a body, before it is filled in.
const BODY: usize = 16 << 10;
const HEADERS: usize = 16;
/// Bytes of a header's value, before it is filled in.
const HEADER: usize = 500;
/// The request has these of its own, or its URL says what they would: it is the secret, and settings are none.
const NOT_OURS: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "host",
    "connection",
    "content-type",
    "content-length",
    "transfer-encoding",
];

/// One message to people who look at no screen.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub at: Timestamp,
    pub kind: NoticeKind,
    pub cluster: String,
    /// A node or a phase.
    pub place: String,
    pub target: Option<Version>,
    /// Several lines.
    pub text: String,
}

impl Message {
    /// At most so many characters, and nothing in them that a terminal obeys to which somebody copies it.
    pub fn text(&self, longest: u16) -> String {
        let mut text = block(&self.text);
        if let Some((end, _)) = text.char_indices().nth(usize::from(longest)) {
            text.truncate(end);
            text.push('…');
        }
        text
    }
}

/// What a body or a header may hold in braces.
const WORDS: [&str; 6] = ["text", "cluster", "kind", "place", "target", "time"];

/// A webhook, but for its URL, which is a secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Webhook {
    body: Body,
    content_type: String,
    headers: BTreeMap<String, String>,
    only: Vec<NoticeKind>,
    longest: u16,
}

#[derive(Clone, Debug, PartialEq)]
enum Body {
    /// Its strings are filled in. It is kept as it was written, too: printed anew, a number could be another one.
    Json(Value, String),
    Text(String),
}

/// As the settings have it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, expecting = "a map with a body, in a file of settings")]
struct Written {
    body: String,
    #[serde(default = "json")]
    content_type: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    only: Vec<NoticeKind>,
    #[serde(default = "longest")]
    longest: u16,
}

fn json() -> String {
    "application/json".to_owned()
}

fn longest() -> u16 {
    LONGEST
}

impl TryFrom<Written> for Webhook {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { body, content_type, headers, only, longest } = written;
        if body.trim().is_empty() || body.len() > BODY {
            return Err(format!("body: what is sent is wanted, {BODY} bytes at most, for example {{\"text\": \"{{text}}\"}}"));
        }
        let plain = content_type.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !plain || !content_type.contains('/') || content_type.len() > HEADER {
            return Err("content-type: one such as application/json or text/plain is wanted".to_owned());
        }
        if !(SHORTEST..=LONGEST).contains(&longest) {
            return Err(format!("longest: {longest} does not lie between {SHORTEST} and {LONGEST} characters"));
        }
        if headers.len() > HEADERS {
            return Err(format!("headers: {HEADERS} at most are wanted"));
        }
        for (name, value) in &headers {
            let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if name.is_empty() || name.len() > 100 || !name.bytes().all(token) {
                return Err(format!("headers: {:?} is no name of a header", line(name)));
            }
            if NOT_OURS.contains(&name.to_ascii_lowercase().as_str()) {
                return Err(format!("headers: {name} cannot be set here; what is secret belongs into the URL"));
            }
            if value.len() > HEADER || line(value) != *value {
                return Err(format!("headers: {name}: one line of {HEADER} bytes at most is wanted"));
            }
        }
        for text in std::iter::once(&body).chain(headers.values()) {
            if let Some(unknown) = unknown(text) {
                let known = WORDS.map(|word| format!("{{{word}}}")).join(", ");
                return Err(format!("nothing is known that stands for {{{unknown}}}; known are {known}"));
            }
        }
        let body = if content_type.contains("json") {
            let read = serde_json::from_str(&body);
            Body::Json(read.map_err(|error| format!("body: it is not JSON, as content-type says: {error}"))?, body)
        } else {
            Body::Text(body)
        };
        Ok(Webhook { body, content_type, headers, only, longest })
    }
}

impl From<Webhook> for Written {
    fn from(webhook: Webhook) -> Self {
        let Webhook { body, content_type, headers, only, longest } = webhook;
        let body = match body {
            Body::Json(_, text) | Body::Text(text) => text,
        };
        Written { body, content_type, headers, only, longest }
    }
}

impl Webhook {
    /// Whether it is told of this.
    pub fn wants(&self, kind: NoticeKind) -> bool {
        self.only.is_empty() || self.only.contains(&kind)
    }

    /// What it is told of, for people.
    pub fn told_of(&self) -> String {
        match self.only.as_slice() {
            [] => "everything".to_owned(),
            only => only.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        }
    }

    /// Of the body.
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// Name and value of each header, each value in one line.
    pub fn headers<'a>(&'a self, message: &'a Message) -> impl Iterator<Item = (&'a str, String)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), line(&self.filled(value, message))))
    }

    /// What is sent.
    pub fn body(&self, message: &Message) -> String {
        match &self.body {
            Body::Json(value, _) => {
                let mut value = value.clone();
                each_string(&mut value, &|text| self.filled(text, message));
                value.to_string()
            }
            Body::Text(text) => self.filled(text, message),
        }
    }

    /// In one go: what a message says is never looked through for words in braces.
    fn filled(&self, template: &str, message: &Message) -> String {
        let mut filled = String::new();
        for part in parts(template) {
            match part {
                Part::Plain(text) => filled.push_str(text),
                Part::Word("text") => filled.push_str(&message.text(self.longest)),
                Part::Word("cluster") => filled.push_str(&line(&message.cluster)),
                Part::Word("kind") => filled.push_str(&message.kind.to_string()),
                Part::Word("place") => filled.push_str(&line(&message.place)),
                Part::Word("target") => filled.extend(message.target.map(|target| target.to_string())),
                Part::Word("time") => filled.push_str(&message.at.to_string()),
                Part::Word(_) => {}
            }
        }
        filled
    }
}

/// The URL of each webhook, out of lines `NAME: URL`.
///
/// # Errors
/// Names the line, and nothing of what stands in it: it is a secret.
pub fn urls(text: &str) -> Result<BTreeMap<&str, &str>, String> {
    let mut urls = BTreeMap::new();
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let pair = line.split_once(": ").map(|(name, url)| (name.trim(), url.trim())).filter(|(_, url)| !url.is_empty());
        let (name, url) = pair.ok_or_else(|| format!("line {number} is not NAME: URL"))?;
        if urls.insert(name, url).is_some() {
            return Err(format!("line {number} names a webhook that another line has named"));
        }
    }
    Ok(urls)
}

enum Part<'a> {
    Plain(&'a str),
    /// Behind a brace, letters alone, and a brace.
    Word(&'a str),
}

fn parts(template: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        let word = from[1..].split_once('}').filter(|(word, _)| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-' || byte == b'_')
        });
        match word {
            Some((word, after)) => {
                parts.extend([Part::Plain(before), Part::Word(word)]);
                rest = after;
            }
            None => {
                parts.push(Part::Plain(&rest[..=at]));
                rest = &from[1..];
            }
        }
    }
    parts.push(Part::Plain(rest));
    parts
}

fn unknown(template: &str) -> Option<&str> {
    parts(template).into_iter().find_map(|part| match part {
        Part::Word(word) if !WORDS.contains(&word) => Some(word),
        _ => None,
    })
}

fn each_string(value: &mut Value, edit: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = edit(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_string(item, edit)),
        Value::Object(fields) => fields.values_mut().for_each(|field| each_string(field, edit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn message(text: &str) -> Message {
        Message {
            at: Timestamp::UNIX_EPOCH,
            kind: NoticeKind::Held,
            cluster: "home\"lab".to_owned(),
            place: "k8s-node3".to_owned(),
            target: "1.36.3".parse().ok(),
            text: text.to_owned(),
        }
    }

    fn webhook(written: Value) -> Result<Webhook, String> {
        serde_json::from_value(written).map_err(|error| error.to_string())
    }

    #[test]
    fn every_kind_is_read_by_its_word() {
        for kind in NoticeKind::ALL {
            assert_eq!(serde_json::from_value::<NoticeKind>(json!(kind.to_string())).unwrap(), kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), json!(kind.to_string()));
            let one = webhook(json!({ "body": "{}", "only": [kind.to_string()] })).unwrap();
            assert_eq!(NoticeKind::ALL.iter().filter(|other| one.wants(**other)).collect::<Vec<_>>(), [&kind]);
        }
        assert!(NoticeKind::ALL.iter().all(|kind| webhook(json!({ "body": "{}" })).unwrap().wants(*kind)));
    }

    #[test]
    fn each_word_is_filled_in_once_and_ends_no_string() {
        let all = "{text}|{cluster}|{kind}|{place}|{target}|{time}|{ text }|{\"a\":1}|{";
        let says = "it said \"{cluster}\",\n\\ and {nothing}\u{1b}[2J";
        let shown =
            "it said \"{cluster}\",\n\\ and {nothing}|home\"lab|held|k8s-node3|1.36.3|1970-01-01T00:00:00Z|{ text }|{\"a\":1}|{";
        let json = webhook(json!({ "body": json!({ "a": [all, 1, { "b": all }] }).to_string() })).unwrap();
        let sent: Value = serde_json::from_str(&json.body(&message(says))).unwrap();
        assert_eq!(sent, json!({ "a": [shown, 1, { "b": shown }] }));
        let plain =
            webhook(json!({ "body": all, "content-type": "text/plain", "headers": { "Title": "{kind}: {text}" } })).unwrap();
        assert_eq!(plain.body(&message(says)), shown);
        let headers: Vec<_> = plain.headers(&message("a\r\nX-Evil: b")).map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(headers, [("Title".to_owned(), "held: a  X-Evil: b".to_owned())]);
    }

    #[test]
    fn a_long_message_is_cut() {
        let short = webhook(json!({ "body": "\"{text}\"", "longest": 100 })).unwrap();
        let sent: String = serde_json::from_str(&short.body(&message(&"ä".repeat(5000)))).unwrap();
        assert_eq!(sent.chars().count(), 101);
    }

    #[test]
    fn urls_are_read_by_their_names_and_no_error_tells_them() {
        let text = "# ours\nteams: https://x.example/SECRET?a: b\n\n  ntfy:  https://ntfy.example/T \n";
        let read = [("ntfy", "https://ntfy.example/T"), ("teams", "https://x.example/SECRET?a: b")];
        assert_eq!(urls(text).unwrap().into_iter().collect::<Vec<_>>(), read);
        assert_eq!(urls("").unwrap().len(), 0);
        for (text, says) in
            [("SECRET", "line 1 is not NAME: URL"), ("a: b\na: SECRET", "line 2 names"), ("a: b\nc:", "line 2 is")]
        {
            let why = urls(text).unwrap_err();
            assert!(why.contains(says) && !why.contains("SECRET"), "{why}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_and_said() {
        for (written, says) in [
            (json!({ "body": "" }), "what is sent is wanted"),
            (json!({ "body": "x".repeat(17_000), "content-type": "text/plain" }), "16384 bytes"),
            (json!({ "body": "{text}" }), "not JSON"),
            (json!({ "body": "\"{node}\"" }), "{node}; known are {text}, {cluster}"),
            (json!({ "body": "{}", "headers": { "X": "{nothing}" } }), "{nothing}"),
            (json!({ "body": "{}", "headers": { "Authorization": "x" } }), "belongs into the URL"),
            (json!({ "body": "{}", "headers": { "A b": "x" } }), "no name of a header"),
            (json!({ "body": "{}", "headers": { "A": "x\ny" } }), "one line"),
            (json!({ "body": "{}", "content-type": "json" }), "content-type"),
            (json!({ "body": "{}", "longest": 1 }), "between 80 and 12000"),
            (json!({ "body": "{}", "only": ["holds"] }), "unknown variant"),
            (json!({ "body": "{}", "url": "https://x" }), "unknown field"),
            (json!({}), "missing field `body`"),
        ] {
            let why = webhook(written.clone()).unwrap_err();
            assert!(why.contains(says), "{written}: {why}");
        }
    }
}
