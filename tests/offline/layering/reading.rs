//! Reading Rust: files as tokens, so that comments and strings never count, and the paths in them, so that a grouped
//! `use crate::{a, b::c}` counts in full.

/// A path as it is used somewhere.
pub struct Use {
    pub line: usize,
    /// From the crate's root where it is `rooted`, else as it is written.
    pub path: Vec<String>,
    pub rooted: bool,
    /// The name that a `use` gives it in this file; None: it is used without one.
    pub known_as: Option<String>,
}

/// The module that a file (relative to src) is, from the crate's root: `gates_tests.rs` is `gates::tests`; main.rs and lib.rs stand above all.
pub fn module(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod").replace("_tests", "/tests");
    if ["main", "lib"].contains(&path.as_str()) { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// Every path in a file, groups spelled out, and single words too where they stand as `word::`, `word!`, `async` or `await`.
pub fn uses(file: &str, tokens: &[Token]) -> Vec<Use> {
    let mut here = module(file);
    // Of each brace that is open, whether it is that of a `mod name {`.
    let mut braces: Vec<bool> = Vec::new();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let word = |ahead: usize| tokens.get(at + ahead).map_or("", |(_, token)| token.as_str());
        let before = |back: usize| at.checked_sub(back).map_or("", |at| tokens[at].1.as_str());
        match word(0) {
            "{" => {
                braces.push(before(2) == "mod");
                if before(2) == "mod" {
                    here.push(before(1).to_owned());
                }
            }
            "}" => {
                let of_module = braces.pop() == Some(true);
                here.truncate(here.len() - usize::from(of_module));
            }
            _ if !is_word(word(0)) => {}
            _ if word(1) == "::" || word(1) == "!" || ["async", "await"].contains(&word(0)) => {
                let (line, of_use) = (tokens[at].0, before(1) == "use");
                // `pub(in crate::a)` says who may use this.
                let of_visibility = before(1) == "in" && before(2) == "(";
                let mut paths = Vec::new();
                at = spell_out(tokens, at, Vec::new(), &mut paths);
                if !of_visibility {
                    found
                        .extend(paths.into_iter().filter_map(|(path, name)| resolve(line, path, name.filter(|_| of_use), &here)));
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Where a path leads that is used in the module `here`; None: to the crate's root itself.
fn resolve(line: usize, path: Vec<String>, known_as: Option<String>, here: &[String]) -> Option<Use> {
    let supers = path.iter().take_while(|word| *word == "super").count();
    let (above, skipped): (&[String], usize) = match path[0].as_str() {
        "crate" => (&[], 1),
        "super" => (&here[..here.len().saturating_sub(supers)], supers),
        "self" => (here, 1),
        _ => return Some(Use { line, path, rooted: false, known_as }),
    };
    let path = [above, &path[skipped..]].concat();
    (!path.is_empty()).then_some(Use { line, path, rooted: true, known_as })
}

/// Reads a path with its groups from `at`, adds each of its branches with the name that it gets to `paths`, and returns where it ends.
fn spell_out(tokens: &[Token], mut at: usize, mut path: Vec<String>, paths: &mut Vec<(Vec<String>, Option<String>)>) -> usize {
    let word = |at: usize| tokens.get(at).map_or("", |(_, token)| token.as_str());
    loop {
        match word(at) {
            "{" => {
                at += 1;
                while !["}", ""].contains(&word(at)) {
                    let next = spell_out(tokens, at, path.clone(), paths);
                    at = if next == at { at + 1 } else { next };
                }
                return at + 1;
            }
            "self" if !path.is_empty() => at += 1,
            name if is_word(name) || name == "*" => {
                path.push(name.to_owned());
                at += 1;
            }
            _ => return at,
        }
        // `Vec::<T>::new`: the path goes no further for us.
        if word(at) != "::" || !(is_word(word(at + 1)) || ["{", "*"].contains(&word(at + 1))) {
            let other = (word(at) == "as" && is_word(word(at + 1)) && word(at + 2) != "::").then(|| word(at + 1).to_owned());
            at += if other.is_some() { 2 } else { usize::from(word(at) == "::") };
            let name = other.or_else(|| path.last().cloned());
            paths.push((path, name));
            return at;
        }
        at += 1;
    }
}

/// What is left of a file without its items under `#[cfg(test)]`.
pub fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let starts = |at: usize| {
        let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
        mark.iter().enumerate().all(|(i, wanted)| tokens.get(at + i).is_some_and(|(_, token)| token == wanted))
    };
    let (mut left, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if !starts(at) {
            left.push(tokens[at].clone());
            at += 1;
            continue;
        }
        // To the item's `;`, or to the end of its braces.
        let mut depth = 0;
        while let Some((_, token)) = tokens.get(at) {
            at += 1;
            match token.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 && [";", "}"].contains(&token.as_str()) {
                break;
            }
        }
    }
    left
}

/// With its line.
pub type Token = (usize, String);

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Words, `::`, and single characters, each with its line; comments, strings and character literals are left out.
pub fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let is = |at: usize, wanted: &str| wanted.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let (mut found, mut line, mut at) = (Vec::new(), 1, 0);
    while at < chars.len() {
        let begun = at;
        match chars[at] {
            '/' if is(at, "//") => at = end(&chars, at, |i| is(i, "\n")),
            '/' if is(at, "/*") => {
                let mut depth = 0;
                loop {
                    depth += i32::from(is(at, "/*")) - i32::from(is(at, "*/"));
                    at += if is(at, "/*") || is(at, "*/") { 2 } else { 1 };
                    if depth == 0 || at >= chars.len() {
                        break;
                    }
                }
            }
            '"' => at = end_of_string(&chars, at + 1),
            '\'' if is(at + 1, "\\") => at = end(&chars, at + 3, |i| is(i, "'")) + 1,
            '\'' if is(at + 2, "'") => at += 3,
            c if c.is_alphanumeric() || c == '_' => {
                at = end(&chars, at, |i| !(chars[i].is_alphanumeric() || chars[i] == '_'));
                let word: String = chars[begun..at].iter().collect();
                let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
                if ["r", "br", "cr"].contains(&word.as_str()) && is(at + hashes, "\"") {
                    let close = format!("\"{}", "#".repeat(hashes));
                    at = end(&chars, at + hashes + 1, |i| is(i, &close)) + close.len();
                } else {
                    found.push((line, word));
                }
            }
            ':' if is(at, "::") => {
                found.push((line, "::".to_owned()));
                at += 2;
            }
            c => {
                if !c.is_whitespace() {
                    found.push((line, c.to_string()));
                }
                at += 1;
            }
        }
        line += chars[begun..at.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    found
}

fn end(chars: &[char], from: usize, stops: impl Fn(usize) -> bool) -> usize {
    (from..chars.len()).find(|at| stops(*at)).unwrap_or(chars.len())
}

fn end_of_string(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}
