//! Text of others, made fit to be shown: nothing in it that a terminal obeys, nothing that starts a line of its own.

/// Characters of one line; of a longer one the beginning is shown, and how much more there is.
pub const LONGEST: usize = 2_000;
/// Of these, what a cut line keeps: what says how much is missing fits behind it, so that a line that was cut once is not cut again.
const KEPT: usize = LONGEST - "… (18446744073709551615 more)".len();

/// One line: what a terminal would obey is taken out, line ends and tabs become spaces, and what is too long is cut.
pub fn line(text: &str) -> String {
    let mut line = sane(text, |_| false);
    if line.char_indices().nth(LONGEST).is_some()
        && let Some((end, _)) = line.char_indices().nth(KEPT)
    {
        let more = line[end..].chars().count();
        line.truncate(end);
        line.push_str(&format!("… ({more} more)"));
    }
    line
}

/// JSON as it may be printed: of what a string in it holds, a terminal obeys nothing; a parser reads the same.
pub fn json(text: &str) -> String {
    let mut units = [0; 2];
    let mut sane = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && is_unfit(c) {
            c.encode_utf16(&mut units).iter().for_each(|unit| sane.push_str(&format!("\\u{unit:04x}")));
        } else {
            sane.push(c);
        }
    }
    sane
}

/// Several lines: what a terminal would obey is taken out, line ends stay. For what was put together from lines.
pub fn block(text: &str) -> String {
    sane(text, |c| c == '\n')
}

fn sane(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut sane = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if stays(c) => sane.push(c),
            '\u{1b}' => skip_sequence(&mut chars),
            '\u{9b}' => skip_csi(&mut chars),
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' | '\u{85}' => sane.push(' '),
            c if c.is_control() || is_invisible(c) => sane.push('\u{fffd}'),
            c => sane.push(c),
        }
    }
    sane
}

/// What follows ESC: `[…m` and the like whole, `]…BEL` and its kin whole, anything else one character.
fn skip_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => skip_csi(chars),
        // OSC, DCS, SOS, PM, APC: up to BEL or ESC \.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || c == '\u{9c}' {
                    return;
                }
                if c == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    return;
                }
            }
        }
        _ => {}
    }
}

/// Parameters and intermediates, then one final byte.
fn skip_csi(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while chars.next_if(|c| ('\u{20}'..='\u{3f}').contains(c)).is_some() {}
    chars.next_if(|c| ('\u{40}'..='\u{7e}').contains(c));
}

/// Nothing of the kind is ever printed, but for our own line ends.
fn is_unfit(c: char) -> bool {
    c.is_control() || is_invisible(c) || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Characters that show nothing, and change how their neighbours are shown: direction, joining, tags.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_taken_out() {
        for (given, wanted) in [
            ("plain → ✓ ä 日本", "plain → ✓ ä 日本"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("a\u{1b}]0;title\u{7}b", "ab"),
            ("a\u{1b}]8;;http://x\u{1b}\\b", "ab"),
            ("a\u{1b}[2J\u{1b}[1;1Hb", "ab"),
            ("a\u{9b}31mb", "ab"),
            ("one\ntwo\r\nthree\tfour", "one two  three four"),
            ("a\u{202e}b\u{2066}c", "a\u{fffd}b\u{fffd}c"),
            ("a\u{8}b\u{0}c\u{7f}d\u{90}e", "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e"),
            ("a\u{2028}Next: rm", "a Next: rm"),
            ("cut \u{1b}[", "cut "),
            ("cut \u{1b}]never ends", "cut "),
        ] {
            assert_eq!(line(given), wanted, "{given:?}");
        }
        assert_eq!(block("a\nb\u{1b}[1m\r\nc"), "a\nb \nc");
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        let long = line(&"ä\n".repeat(50_000));
        assert!(long.starts_with("ä ä ") && long.ends_with("… (98031 more)"), "{long}");
        assert_eq!(line(&long), long, "cut once");
        assert_eq!(line(&"x".repeat(LONGEST)).len(), LONGEST);
    }

    #[test]
    fn json_says_the_same_and_shows_nothing_that_is_obeyed() {
        let text = "a\u{1b}[31m\u{9b}2J\u{202e}\u{7f}\u{e0041}\u{2028}\r\n\0 ä";
        let written = json(&serde_json::Value::from(text).to_string());
        assert!(!written.chars().any(is_unfit), "{written:?}");
        assert_eq!(serde_json::from_str::<String>(&written).ok().as_deref(), Some(text));
    }
}
