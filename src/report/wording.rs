//! Texts of ours as whoever reads a stream can use them: commands by the name that is typed there, signs that the screen has. Data stay as
//! they are: a program reads them, whatever the screen is.

use std::borrow::Cow;
use std::sync::Arc;

use crate::names;

/// How texts are put on a stream. Without any wish they stay as they are.
#[derive(Clone, Debug, Default)]
pub struct Wording {
    pub name: Option<Called>,
    /// The screen shows ASCII alone.
    pub ascii: bool,
}

/// The program under another name than its own.
#[derive(Clone, Debug)]
pub struct Called {
    /// As it is typed: `kubectl upgrade`.
    pub name: Arc<str>,
    /// Its subcommands, by which a command of ours is told from whatever else has our name: a namespace, an image, a file.
    pub commands: Arc<[String]>,
}

impl Wording {
    /// The text, so put.
    pub fn put<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let text = match &self.name {
            Some(called) => called.put(text),
            None => Cow::Borrowed(text),
        };
        if self.ascii && !text.is_ascii() { Cow::Owned(text.chars().map(Spelled::of).collect()) } else { text }
    }
}

impl Called {
    fn put<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let own = format!("{} ", names::PROGRAM);
        let mut put = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(&own) {
            let (before, after) = (&rest[..at], &rest[at + own.len()..]);
            put.push_str(before);
            put.push_str(if self.is_command(before, after) { &self.name } else { names::PROGRAM });
            put.push(' ');
            rest = after;
        }
        if put.is_empty() {
            return Cow::Borrowed(text);
        }
        put.push_str(rest);
        Cow::Owned(put)
    }

    /// Whether our name between these begins a command of ours: one of its commands or a global option follows, and no other word of a
    /// command has it as its value.
    fn is_command(&self, before: &str, after: &str) -> bool {
        let part_of_word = before.ends_with(|c: char| c.is_alphanumeric() || "-_./:@=".contains(c));
        let value = ["-n ", "--namespace ", "namespace "].iter().any(|option| before.ends_with(option));
        let word = after.split(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap_or_default();
        let known = word.starts_with("--") || self.commands.iter().any(|command| command == word);
        known && !part_of_word && !value
    }
}

/// A character in ASCII.
enum Spelled {
    As(char),
    By(&'static str),
}

impl Spelled {
    /// Every sign of our own has its like; of others' characters nothing is known but that there was one.
    fn of(sign: char) -> Spelled {
        match sign {
            sign if sign.is_ascii() => Spelled::As(sign),
            '…' => Spelled::By("..."),
            '→' => Spelled::By("->"),
            '‖' => Spelled::By("||"),
            '✓' => Spelled::As('+'),
            '✗' | '×' => Spelled::As('x'),
            '·' | '─' => Spelled::As('-'),
            '■' => Spelled::As('#'),
            '━' => Spelled::As('='),
            '╸' => Spelled::As('>'),
            _ => Spelled::As('?'),
        }
    }
}

impl FromIterator<Spelled> for String {
    fn from_iter<I: IntoIterator<Item = Spelled>>(signs: I) -> String {
        signs.into_iter().fold(String::new(), |mut text, sign| {
            match sign {
                Spelled::As(sign) => text.push(sign),
                Spelled::By(signs) => text.push_str(signs),
            }
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin() -> Wording {
        let commands = ["status", "skip-phase", "image"].map(str::to_owned).into();
        Wording { name: Some(Called { name: "kubectl upgrade".into(), commands }), ascii: false }
    }

    #[test]
    fn a_command_of_ours_has_the_name_that_is_typed_and_nothing_else_has() {
        for (own, put) in [
            ("Next:  k8s-upgrade status", "Next:  kubectl upgrade status"),
            (
                "`k8s-upgrade skip-phase worker` or\nk8s-upgrade image -",
                "`kubectl upgrade skip-phase worker` or\nkubectl upgrade image -",
            ),
            ("k8s-upgrade --set a=b status", "kubectl upgrade --set a=b status"),
            ("kubectl -n k8s-upgrade status", "kubectl -n k8s-upgrade status"),
            ("docker.io/library/k8s-upgrade status", "docker.io/library/k8s-upgrade status"),
            ("k8s-upgrade statuses, k8s-upgrade  status", "k8s-upgrade statuses, k8s-upgrade  status"),
            ("k8s-upgrade.tar", "k8s-upgrade.tar"),
        ] {
            assert_eq!(plugin().put(own), put);
            assert_eq!(plugin().put(put), put, "put once");
            assert_eq!(Wording::default().put(own), own);
        }
    }

    #[test]
    fn what_a_screen_does_not_have_is_spelled_in_ascii() {
        let ascii = Wording { ascii: true, ..Wording::default() };
        assert_eq!(ascii.put("✓ 1.34.2 → 1.34.7 (×2) … Zürich ⏸️"), "+ 1.34.2 -> 1.34.7 (x2) ... Z?rich ??");
        assert_eq!(Wording::default().put("✓ Zürich"), "✓ Zürich");
    }
}
