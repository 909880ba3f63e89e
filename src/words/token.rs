//! Tokens: words whose every character is known to be harmless, in a shell, in a URL, in an annotation, on a screen.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A word that is not of the kind that was wanted. Its text may be anything: whoever shows this error sanitises it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} is no {kind}: {wanted}")]
pub struct NotAToken {
    /// What was wanted: `run id`.
    pub kind: &'static str,
    /// How one looks: `8 hexadecimal digits, for example 5f3a21bc`.
    pub wanted: &'static str,
    /// The beginning of what came instead.
    pub shown: String,
}

/// How much of a word that is none is repeated.
const SHOWN: usize = 60;

fn refused(kind: &'static str, wanted: &'static str, text: &str) -> NotAToken {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    NotAToken { kind, wanted, shown }
}

macro_rules! tokens {
    ($($(#[$doc:meta])* $name:ident, $kind:literal, $wanted:literal, $is:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NotAToken;
            fn from_str(text: &str) -> Result<Self, NotAToken> {
                let is: fn(&str) -> bool = $is;
                if is(text) { Ok($name(text.to_owned())) } else { Err(refused($kind, $wanted, text)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAToken;
            fn try_from(text: String) -> Result<Self, NotAToken> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(token: $name) -> String {
                token.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

tokens! {
    /// The id of a run, made by this program: it stands in annotations, Job names, arguments, and in the status of work on a node.
    RunId, "run id", "8 hexadecimal digits are wanted, for example 5f3a21bc", |text| text.len() == 8 && is_hex(text);
    /// The name of a Node, as the API server demands it: labels of lower-case letters, digits and hyphens between dots, 253 bytes at most.
    NodeName, "node name", "lower-case letters, digits, hyphens and dots are wanted, 253 at most, for example k8s-node4", is_subdomain;
    /// The version of a Debian package with its revision: `1.35.4-1.1`, `2.1.4-1~debian.12~bookworm`, `1:2.3`.
    Revision, "package version", "a digit, then letters, digits and . + : ~ - are wanted, 128 at most, for example 1.36.3-1.1", is_revision;
    /// Of one boot of a machine: a new one comes with each.
    BootId, "boot id", "a UUID is wanted", is_uuid;
    /// Of an installed machine, as systemd keeps it: clones may share one.
    MachineId, "machine id", "32 hexadecimal digits are wanted", |text| text.len() == 32 && is_hex(text);
    /// A minor version, as package repositories name it: `1.36`.
    Minor, "minor version", "two numbers are wanted, for example 1.36", is_minor;
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_subdomain(text: &str) -> bool {
    let label = |label: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(inner)
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn is_revision(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b".+:~-".contains(&b);
    text.len() <= 128 && text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(inner)
}

fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == lengths.len() && parts.iter().zip(lengths).all(|(part, length)| part.len() == length && is_hex(part))
}

fn is_minor(text: &str) -> bool {
    let number = |part: &str| {
        let digits = !part.is_empty() && part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit());
        digits && (part == "0" || !part.starts_with('0'))
    };
    text.split_once('.').is_some_and(|(major, minor)| number(major) && number(minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_strict() {
        fn accepts<T: FromStr + ToString>(good: &[&str], bad: &[&str]) {
            for text in good {
                assert_eq!(text.parse::<T>().ok().map(|token| token.to_string()).as_deref(), Some(*text));
            }
            let never = ["", " ", "a[$(id)]", "$(id)", "`id`", "a\tb", "a\nb", "a\r", "'", "-o", "ä", "*"];
            for text in bad.iter().chain(&never) {
                assert!(text.parse::<T>().is_err(), "{text:?}");
            }
            assert!("1".repeat(100_000).parse::<T>().is_err());
        }
        accepts::<RunId>(&["5f3a21bc", "00000000"], &["5f3a21b", "5F3A21BC", "5f3a21bcd", "5f3a21bc\n", "r1"]);
        accepts::<NodeName>(
            &["a", "k8s-node4", "n1.example.org", "0"],
            &["A", "-a", "a-", "a..b", ".a", "a_b", &"a".repeat(254)],
        );
        accepts::<Revision>(
            &["1.35.4-1.1", "1:2.3+b1", "2.1.4-1~debian.12~bookworm"],
            &["v1", "1.2 3", "1.2/3", &"1".repeat(129)],
        );
        accepts::<BootId>(
            &["0b9c6d1e-4f2a-4c3b-9d8e-7f6a5b4c3d2e"],
            &["0b9c6d1e4f2a4c3b9d8e7f6a5b4c3d2e", "0b9c6d1e-4f2a-4c3b-9d8e"],
        );
        accepts::<MachineId>(&["0b9c6d1e4f2a4c3b9d8e7f6a5b4c3d2e"], &["0b9c6d1e-4f2a-4c3b-9d8e-7f6a5b4c3d2e"]);
        accepts::<Minor>(&["1.36", "1.9"], &["1", "1.36.3", "v1.36", "1.036", "1.99999"]);
    }

    #[test]
    fn a_word_that_is_none_is_shown_in_part() {
        let error = "x".repeat(100_000).parse::<RunId>().map(drop).map_err(|error| error.to_string());
        let wanted = format!("\"{}…\" is no run id: 8 hexadecimal digits are wanted, for example 5f3a21bc", "x".repeat(SHOWN));
        assert_eq!(error, Err(wanted));
    }
}
