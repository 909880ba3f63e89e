//! Tables of a page: in columns for a terminal, and as Markdown for a wiki or an issue.

use std::fmt::Write;

/// Titles, and rows of as many cells.
pub type Table = (Vec<&'static str>, Vec<Vec<String>>);

/// Columns as wide as what stands in them; the last one is not padded.
pub fn columns(out: &mut String, (titles, rows): &Table) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([titles[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let titles: Vec<String> = titles.iter().map(|title| (*title).to_owned()).collect();
    for row in std::iter::once(&titles).chain(rows) {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(out, "  {}", cells.join("  ").trim_end());
    }
    out.push('\n');
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
