//! Text set in lines of a width: folded at words, never within one. Widths are columns, as a terminal counts them.

use unicode_width::UnicodeWidthChar;

/// Columns of a text; colours of ours take none.
pub fn columns(text: &str) -> usize {
    let mut chars = text.chars();
    let mut columns = 0;
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().find(|c| c.is_ascii_alphabetic());
        } else {
            columns += c.width().unwrap_or(0);
        }
    }
    columns
}

/// The text and spaces behind it, as many columns in all.
pub fn padded(text: &str, wide: usize) -> String {
    format!("{text}{}", " ".repeat(wide.saturating_sub(columns(text))))
}

/// The first columns of a text.
pub fn cut(text: &str, wide: usize) -> &str {
    let mut room = wide;
    let end = text.char_indices().find(|(_, c)| {
        let left = room.checked_sub(c.width().unwrap_or(0));
        room = left.unwrap_or(0);
        left.is_none()
    });
    &text[..end.map_or(text.len(), |(at, _)| at)]
}

/// Words, which are never broken. A command between backticks is one, so that it can be copied; so is a duration or another number with its unit:
/// half of it would be read as the whole.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    // An odd one closes nothing.
    let pairs = text.matches('`').count() / 2 * 2;
    let (mut ticks, mut read) = (0, 0);
    text.split(move |c: char| {
        let before = &text[..read];
        read += c.len_utf8();
        ticks += usize::from(c == '`');
        c == ' ' && (ticks >= pairs || ticks % 2 == 0) && !is_one_quantity(before, &text[read..])
    })
}

/// What a number is followed by that says nothing without it.
const UNITS: [&str; 18] = [
    "ms", "s", "m", "h", "d", "second", "seconds", "minute", "minutes", "hour", "hours", "day", "days", "weeks", "bytes", "KiB",
    "MiB", "GiB",
];

/// `1m 03s`, `10 minutes`: whether the last word of the one and the first of the other are of one quantity.
fn is_one_quantity(before: &str, after: &str) -> bool {
    let is_sign = |c: char| !c.is_alphanumeric();
    let first = before.rsplit(' ').next().unwrap_or_default().trim_start_matches(is_sign);
    let second = after.split(' ').next().unwrap_or_default().trim_end_matches(is_sign);
    match (unit_of(first), unit_of(second)) {
        (Some(""), None) => UNITS.contains(&second),
        (Some("d" | "h" | "m"), Some("h" | "m" | "s")) => true,
        _ => false,
    }
}

/// What stands behind the digits that a word begins with; None where it begins with none.
fn unit_of(word: &str) -> Option<&str> {
    let unit = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    (unit.len() < word.len()).then_some(unit)
}

/// Where the second line begins: after `hang` columns, but on a narrow screen what is said needs the room more. Then it is where the second
/// part of the head begins, or nearer still; never at the edge, where lines of our own begin.
pub fn indent(head: &str, hang: usize, width: usize) -> usize {
    let first = head.len() - head.trim_start().len();
    let second = head[first..].find("  ").map(|gap| {
        let gap = first + gap;
        columns(&head[..gap]) + head[gap..].len() - head[gap..].trim_start().len()
    });
    [Some(hang), second].into_iter().flatten().find(|hang| *hang <= width / 2).unwrap_or((width / 8).max(1))
}

/// `head` and the words behind it, in lines of at most `width` columns; lines after the first begin after `hang` columns. A word that is wider
/// than that has a line for itself, and is wider.
pub fn folded<'a>(head: &str, hang: usize, words: impl IntoIterator<Item = &'a str>, width: usize) -> Vec<String> {
    let hang = indent(head, hang, width);
    let mut lines = Vec::new();
    let (mut line, mut wide, mut begun) = (head.to_owned(), columns(head), false);
    for word in words {
        // The gap between two parts of a line is none at its beginning.
        if word.is_empty() && !begun && !lines.is_empty() {
            continue;
        }
        let (gap, more) = (usize::from(begun), columns(word));
        if wide + gap + more > width && (begun || !line.trim().is_empty()) {
            lines.push(line.trim_end().to_owned());
            (line, wide, begun) = (" ".repeat(hang), hang, false);
            if word.is_empty() {
                continue;
            }
        }
        if begun {
            line.push(' ');
            wide += 1;
        }
        line.push_str(word);
        wide += more;
        begun = true;
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// Names in at most so many columns each, with the sign where something was left out of the middle; None where two of them would look alike.
pub fn shortened(names: &[&str], wide: usize, sign: &str) -> Option<Vec<String>> {
    let room = wide.saturating_sub(columns(sign));
    let short = |name: &str, head: usize| {
        if columns(name) <= wide {
            return name.to_owned();
        }
        let (head, tail) = (cut(name, head), room - head);
        let skip = name.chars().count().saturating_sub(tail);
        format!("{head}{sign}{}", name.chars().skip(skip).collect::<String>())
    };
    // Names differ more often at their beginning.
    [room * 2 / 3, room / 3, room, 0].into_iter().find_map(|head| {
        let shortened: Vec<String> = names.iter().map(|name| short(name, head)).collect();
        let alike = |(at, one): (usize, &String)| (0..at).any(|other| shortened[other] == *one && names[other] != names[at]);
        (!shortened.iter().enumerate().any(alike)).then_some(shortened)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(head: &str, text: &str, width: usize) -> String {
        folded(head, columns(head), words(text), width).join("\n")
    }

    #[test]
    fn lines_end_at_words() {
        for (head, text, width, wanted) in [
            ("  now     ", "drains one node", 20, "  now     drains one\n          node"),
            ("", "a command `k8s-upgrade resume --now` is one word", 24, "a command\n`k8s-upgrade resume --now`\nis one word"),
            ("", "an odd ` is none, it is", 12, "an odd ` is\nnone, it is"),
            ("x  ", "http://10.0.0.1:9090/a/b is a word", 12, "x\n   http://10.0.0.1:9090/a/b\n   is a word"),
            ("a long head  ", "and a text behind it", 16, "a long head  and\n  a text behind\n  it"),
            ("told  12:00:00  node  ", "some words", 22, "told  12:00:00  node\n      some words"),
            ("", "two parts  of a line", 9, "two parts\nof a line"),
            ("", "日本語 日本語", 8, "日本語\n日本語"),
            ("\u{1b}[31m✗\u{1b}[0m ", "failed here", 13, "\u{1b}[31m✗\u{1b}[0m failed here"),
            ("", "it took 1m 03s, no more", 10, "it took\n1m 03s, no\nmore"),
            ("", "within (1h 02m 03s)", 10, "within\n(1h 02m 03s)"),
            ("", "it is 10 minutes late", 8, "it is\n10 minutes\nlate"),
            ("", "1m, 03s: two", 7, "1m,\n03s:\ntwo"),
            ("", "3 nodes of 5", 3, "3\nnodes\nof\n5"),
            ("", "", 5, ""),
        ] {
            assert_eq!(set(head, text, width), wanted, "{text} at {width}");
        }
        // However narrow it is, it ends, and says all.
        for width in 0..9 {
            assert_eq!(set("  head  ", "text behind it", width).split_whitespace().count(), 4, "{width}");
        }
    }

    #[test]
    fn names_are_shortened_so_that_each_stays_known() {
        let short = |names: &[&str]| shortened(names, 9, "…").map(|names| names.join(" "));
        assert_eq!(short(&["node1.example.com", "node2"]).as_deref(), Some("node1…com node2"));
        assert_eq!(short(&["rack-node-1.a.com", "rack-node-2.a.com"]).as_deref(), Some("…-1.a.com …-2.a.com"));
        // They differ in what would be left out.
        assert_eq!(short(&["rack-node-1.example.com", "rack-node-2.example.com"]), None);
        assert_eq!(short(&["a.example.node1", "a.example.node2"]).as_deref(), Some("a.exa…de1 a.exa…de2"));
        assert_eq!(
            short(&["rack7-example.com", "rack8-example.com", "rack7-example.org"]).as_deref(),
            Some("rack7…com rack8…com rack7…org")
        );
    }
}
