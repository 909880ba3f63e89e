//! How much room words need: nearly, for no fonts are at hand.

/// Lines of one reason.
const LINES: usize = 3;

/// About as wide as a text is; letters of other scripts are wider, and no font is.
pub fn wide(text: &str, size: f64) -> f64 {
    let letter = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' => 0.3,
        ' ' | 'f' | 'r' | 't' | '(' | ')' | '-' | '/' => 0.42,
        'm' | 'w' | 'M' | 'W' => 0.95,
        c if c.is_ascii_lowercase() || c.is_ascii_digit() => 0.62,
        c if c.is_ascii() => 0.7,
        _ => 1.0,
    };
    text.chars().map(letter).sum::<f64>() * size
}

/// As much of it as has room.
pub fn fit(text: &str, size: f64, room: f64) -> String {
    if wide(text, size) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if wide(&kept, size) + size > room {
            kept.pop();
            return if kept.is_empty() { kept } else { kept + "…" };
        }
    }
    kept
}

/// In lines that have room, at words where there are any.
pub fn lines(text: &str, size: f64, room: f64) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last().map_or("", String::as_str);
        let more = if last.is_empty() { word.to_owned() } else { format!("{last} {word}") };
        if wide(&more, size) <= room || last.is_empty() {
            lines.pop();
            lines.push(more);
        } else {
            lines.push(word.to_owned());
        }
    }
    let more = lines.len() > LINES;
    lines.truncate(LINES);
    lines.iter_mut().for_each(|line| *line = fit(line, size, room));
    if let (true, Some(last)) = (more, lines.last_mut()) {
        *last = fit(&format!("{last} …"), size, room);
    }
    lines
}
