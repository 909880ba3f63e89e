//! Tables of a page: in columns for a terminal, and as Markdown for a wiki or an issue.

use std::fmt::Write;

use super::Wording;
use super::fold::{columns, folded, padded, shortened, words};

/// Titles, and rows of as many cells.
pub type Table = (Vec<&'static str>, Vec<Vec<String>>);

/// What stands before the first column, and between any two.
const GAP: &str = "  ";
/// A word of so many columns has room, while others can give way.
const WORD: usize = 20;
/// A column is made no narrower than this: what stands in it would say nothing.
const LEAST: usize = 10;

/// The rows in lines of at most `edge` columns. What is too wide is folded within its column; a name that is too long there is shortened in its
/// middle, and stands above its row where it would not be known any more.
pub fn set((titles, rows): &Table, edge: usize, wording: &Wording) -> Vec<String> {
    let titled = std::iter::once(titles.iter().map(|title| (*title).to_owned()).collect()).chain(rows.iter().cloned());
    let mut rows: Vec<Vec<String>> =
        titled.map(|row: Vec<String>| row.iter().map(|cell| wording.put(cell).into_owned()).collect()).collect();
    let wide = widths(&rows, titles.len(), edge);
    let above = shorten(&mut rows, &wide, &wording.put("…"));
    let mut lines = Vec::new();
    for (row, above) in rows.iter().zip(above) {
        lines.extend(above.map(|name| format!("{GAP}{name}")));
        let cells: Vec<Vec<String>> = row.iter().zip(&wide).map(|(cell, wide)| folded("", 0, words(cell), *wide)).collect();
        for at in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let cells = cells.iter().zip(&wide).map(|(cell, wide)| padded(cell.get(at).map_or("", String::as_str), *wide));
            lines.push(format!("{GAP}{}", cells.collect::<Vec<_>>().join(GAP)).trim_end().to_owned());
        }
    }
    lines
}

/// The widest gives way first, down to its longest word; then names are shortened.
fn widths(rows: &[Vec<String>], count: usize, edge: usize) -> Vec<usize> {
    let most = |of: fn(&str) -> usize| -> Vec<usize> {
        (0..count).map(|at| rows.iter().map(|row| of(&row[at])).max().unwrap_or(0)).collect()
    };
    let mut wide = most(columns);
    let word = most(|cell| words(cell).map(columns).max().unwrap_or(0));
    let long = |word: &usize| if *word > WORD { LEAST } else { *word };
    // A quantity is no name, which could be shortened.
    let quantity = most(|cell| words(cell).filter(|word| word.contains(' ')).map(columns).max().unwrap_or(0).min(WORD));
    for least in [word.iter().map(long).collect(), quantity.into_iter().map(|word| word.max(LEAST)).collect::<Vec<_>>()] {
        let gives = |at: &usize, wide: &[usize]| wide[*at] > least[*at];
        while wide.iter().map(|wide| wide + GAP.len()).sum::<usize>() > edge
            && let Some(widest) = (0..count).filter(|at| gives(at, &wide)).max_by_key(|at| wide[*at])
        {
            wide[widest] -= 1;
        }
    }
    wide
}

/// Shortens what is one word, and too long for its column. Of each row the name that cannot be.
fn shorten(rows: &mut [Vec<String>], wide: &[usize], sign: &str) -> Vec<Option<String>> {
    let mut above = vec![None; rows.len()];
    for (at, wide) in wide.iter().enumerate() {
        let long = |cell: &str| columns(cell) > *wide && !cell.contains(' ');
        let Some(short) = shortened(&rows.iter().map(|row| row[at].as_str()).collect::<Vec<_>>(), *wide, sign) else {
            for (row, above) in rows.iter_mut().zip(&mut above).filter(|(row, _)| long(&row[at])) {
                *above = Some(std::mem::take(&mut row[at]));
            }
            continue;
        };
        for (row, short) in rows.iter_mut().zip(short).filter(|(row, _)| long(&row[at])) {
            row[at] = short;
        }
    }
    above
}

/// What Markdown would take for its own, and the mention of somebody whom a wiki would call.
pub fn plain(text: &str) -> String {
    let text = text.trim_start();
    let mut plain = String::new();
    let mut before = ' ';
    for c in text.chars() {
        let begins = plain.is_empty() && "#+-=".contains(c);
        if begins || "\\|`*_<>[]&~$".contains(c) {
            plain.push('\\');
        }
        plain.push(c);
        if c == '@' && !before.is_alphanumeric() {
            plain.push_str("<!-- -->");
        }
        before = c;
    }
    plain
}

/// In backticks: there is no way to escape one.
pub fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'"))
}

/// A heading of the second order and the table under it; nothing where it has no rows.
pub fn table(out: &mut String, heading: &str, (titles, rows): &Table) {
    if rows.is_empty() {
        return;
    }
    let titles: Vec<String> = titles.iter().map(|title| title.to_lowercase()).collect();
    let _ = writeln!(out, "\n## {heading}\n\n| {} |\n|{}", titles.join(" | "), "---|".repeat(titles.len()));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| plain(cell)).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
}
