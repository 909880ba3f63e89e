//! Texts near a grammar: valid samples, cut, doubled, mixed, and with pieces in them that have broken parsers before.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What a text is broken with: ends and separators of every grammar here, what a terminal or a shell obeys, numbers at and past the
/// edges of their types, characters of several bytes.
#[rustfmt::skip] // a line each would be a hundred
const PIECES: &[&str] = &[
    "", " ", "  ", "\t", "\n", "\r\n", "\n\n", "\r", "\0", "\u{1b}[31m", "\u{1b}]0;x\u{7}", "\u{7f}", "\u{85}", "\u{2028}",
    "\u{202e}", "\u{feff}", "\u{fffd}", "ä", "日本", "𝟙", "٣", "e\u{301}", "'", "\"", "\\", "`id`", "$(id)", "a[$(id)]", "-o",
    "--", "*", "?", "!", "#", "# ", "| ", "@", "%", "%41", "&a", "*a", "<<: *a", "!!binary ", "---\n", "...", ":", ": ", "- ",
    "-", "_", "+", "~", ",", ";", "=", ".", "..", "/", "//", "(", ")", "[", "]", "{", "}", "[[[[[[[[", "{{{{", "null", "true",
    "False", "NaN", "inf", "-inf", "1e999", "-1", "-0", "0", "00", "007", "1", "0x10", "1_000", "255", "256", "65535", "65536",
    "2147483648", "4294967295", "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551615",
    "18446744073709551616", "99999999999999999999999999", "0.1", "1.2.3", "v1.36.3", "1.36.3-1.1", "9999-12-31T23:59:59Z",
    "-009999-01-02T01:59:59Z", "2026-02-30T00:00:00Z", "5124095576030431h", "ffffffff", "ssh-ed25519", "http://", "https://a@b",
];

/// One thing done to a text; places are those of characters.
#[derive(Clone, Debug)]
enum Edit {
    Insert(Index, &'static str),
    Replace(Index, usize, &'static str),
    Delete(Index, usize),
    Double(Index, usize, usize),
    Cut(Index),
    /// The rest is that of another sample.
    Join(Index, Index, Index),
    Any(Index, String),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<Index>;
    let length = 1_usize..12;
    prop_oneof![
        4 => (place(), select(PIECES)).prop_map(|(at, piece)| Edit::Insert(at, piece)),
        4 => (place(), length.clone(), select(PIECES)).prop_map(|(at, length, piece)| Edit::Replace(at, length, piece)),
        2 => (place(), length.clone()).prop_map(|(at, length)| Edit::Delete(at, length)),
        1 => (place(), length, prop_oneof![9 => 1_usize..4, 1 => 100_usize..400]).prop_map(|(at, length, times)| Edit::Double(at, length, times)),
        1 => place().prop_map(Edit::Cut),
        1 => (place(), place(), place()).prop_map(|(at, sample, from)| Edit::Join(at, sample, from)),
        1 => (place(), vec(any::<char>(), 1..6)).prop_map(|(at, chars)| Edit::Any(at, chars.into_iter().collect())),
    ]
}

fn apply(text: &mut Vec<char>, edit: &Edit, samples: &[Vec<char>]) {
    let length = text.len();
    let place = |at: &Index| at.index(length + 1);
    let end = |from: usize, many: usize| (from + many).min(length);
    match edit {
        Edit::Insert(at, piece) => drop(text.splice(place(at)..place(at), piece.chars())),
        Edit::Any(at, piece) => drop(text.splice(place(at)..place(at), piece.chars())),
        Edit::Replace(at, many, piece) => drop(text.splice(place(at)..end(place(at), *many), piece.chars())),
        Edit::Delete(at, many) => drop(text.drain(place(at)..end(place(at), *many))),
        Edit::Double(at, many, times) => {
            let piece = text[place(at)..end(place(at), *many)].repeat(*times);
            drop(text.splice(place(at)..place(at), piece));
        }
        Edit::Cut(at) => text.truncate(place(at)),
        Edit::Join(at, sample, from) => {
            let sample = &samples[sample.index(samples.len())];
            text.truncate(place(at));
            text.extend(&sample[from.index(sample.len() + 1)..]);
        }
    }
}

/// A sample as it is, or edited up to five times.
pub fn mutated(samples: &[&str]) -> impl Strategy<Value = String> + use<> {
    let samples: Vec<Vec<char>> = samples.iter().map(|sample| sample.chars().collect()).collect();
    (any::<Index>(), vec(edit(), 0..6)).prop_map(move |(first, edits)| {
        let mut text = samples[first.index(samples.len())].clone();
        for edit in &edits {
            apply(&mut text, edit, &samples);
        }
        text.into_iter().collect()
    })
}
