//! A page of text for people: labels and lines, folded at its width.

/// Columns of a screen; names of nodes and Jobs may need more.
pub const WIDTH: usize = 100;

/// Lines of a screen, folded at its width.
pub struct Page {
    pub text: String,
    pub width: usize,
}

impl Page {
    pub fn push_str(&mut self, text: &str) {
        self.text.push_str(text);
    }
    pub fn push(&mut self, sign: char) {
        self.text.push(sign);
    }
}

/// Writes `label  text`, folded at words; lines after the first are indented alike.
pub fn labelled(out: &mut Page, label: &str, text: &str) {
    folded(&mut out.text, &format!("  {label:8}"), text, out.width);
}

/// Adds `label` and the text, folded at words so that no line is wider than `width` characters.
pub fn folded(out: &mut String, label: &str, text: &str, width: usize) {
    let mut line = label.to_owned();
    let indent = if label.ends_with(": ") { 10 } else { label.chars().count() };
    let mut empty = true;
    for word in text.split(' ') {
        if !empty && line.chars().count() + 1 + word.chars().count() > width {
            out.push_str(line.trim_end());
            out.push('\n');
            (line, empty) = (" ".repeat(indent), true);
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

/// Lines under one label, each as it is.
pub fn listed(out: &mut Page, label: &str, lines: impl IntoIterator<Item = impl AsRef<str>>) {
    for (index, line) in lines.into_iter().enumerate() {
        out.push_str(&format!("  {:8}{}\n", if index == 0 { label } else { "" }, line.as_ref()));
    }
}
