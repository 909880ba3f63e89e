//! Words of a shell's command line.

use std::fmt::Display;

use super::line;

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

/// A command for a person to paste; [`crate::words::command!`] makes it. Each `{}` takes the next word, quoted; behind the `#` of its comment as
/// it is, for there no shell reads it.
pub fn filled(text: &str, words: &[&dyn Display]) -> String {
    let mut command = String::new();
    let mut words = words.iter();
    for (index, piece) in text.split("{}").enumerate() {
        if index > 0
            && let Some(given) = words.next().map(ToString::to_string)
        {
            command.push_str(&if command.contains(" #") { line(&given) } else { word(&given) });
        }
        command.push_str(piece);
    }
    command
}

/// `command!("kubectl -n {} logs job/{}", namespace, job)`: every command that is shown and is not all our own.
macro_rules! command {
    ($text:literal $(, $word:expr)+ $(,)?) => {{
        // As many words as there are places for them, says the compiler.
        let _ = format_args!($text $(, $word)+);
        $crate::words::filled($text, &[$(&$word),+])
    }};
}
pub(crate) use command;

/// `ssh wizard@10.0.0.1 true`, with the port where it is not SSH's own. What is typed there is a command of its own.
pub fn ssh(user: &str, host: &str, port: u16, there: &str) -> String {
    let port = if port == 22 { String::new() } else { format!("-p {port} ") };
    let gap = if there.is_empty() { "" } else { " " };
    format!("ssh {port}{}@{}{gap}{there}", word(user), word(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted_whatever_is_in_it() {
        let evil = "x; $(reboot) 'y'\n# z";
        assert_eq!(
            command!("kubectl -n {} logs job/{}", "default", evil),
            r"kubectl -n default logs job/'x; $(reboot) '\''y'\''
# z'"
        );
        assert_eq!(command!("df -h {}    # on {}", "/a b", evil), "df -h '/a b'    # on x; $(reboot) 'y' # z");
        assert_eq!(command!("a {}", "{}"), "a '{}'");
        assert_eq!(ssh("wizard", "fd00::1", 22, "true"), "ssh wizard@fd00::1 true");
        assert_eq!(ssh("a b", "h", 2222, ""), "ssh -p 2222 'a b'@h");
    }

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
