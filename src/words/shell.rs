//! Words of a shell's command line.

/// A word in single quotes, whatever is in it.
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The same for a person to paste: without quotes where none are needed.
pub fn word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    // A word that is empty or begins with ~, #, … is not what it looks like; those characters are not plain.
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { quoted(word) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_it_must_be() {
        for (given, wanted) in [
            ("k8s-node4", "k8s-node4"),
            ("wizard@10.0.0.1", "wizard@10.0.0.1"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$(id)", "'$(id)'"),
            ("it's", r"'it'\''s'"),
            ("a\nb", "'a\nb'"),
            ("[::1]", "'[::1]'"),
            ("ä", "'ä'"),
        ] {
            assert_eq!(word(given), wanted, "{given:?}");
        }
    }
}
