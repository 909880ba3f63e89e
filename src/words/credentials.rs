//! What a service may want of whoever asks it. An error says what is wrong, and never what was given.

/// Bytes of a token or a password: a token that names all groups of its bearer has a few thousand.
const LONGEST: usize = 16 << 10;

/// A bearer token, without the white space around it.
///
/// # Errors
/// What is wanted.
pub fn bearer_token(text: &str) -> Result<&str, String> {
    let token = text.trim();
    if token.is_empty() || token.len() > LONGEST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("one token in one line without blanks is wanted, {} KiB at most", LONGEST >> 10));
    }
    Ok(token)
}

/// Name and password of basic authentication, without the line's end that a file has.
///
/// # Errors
/// What is wanted.
pub fn user_and_password<'a>(user: &'a str, password: &'a str) -> Result<(&'a str, &'a str), String> {
    let (user, password) = (user.trim(), password.trim_end_matches(['\r', '\n']));
    let fits = |text: &str| !text.is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control);
    if !fits(user) || user.contains(':') {
        return Err("a name in one line without colons is wanted".to_owned());
    }
    if !fits(password) {
        return Err(format!("a password in one line is wanted, {} KiB at most", LONGEST >> 10));
    }
    Ok((user, password))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_no_credential_is_refused_and_not_repeated() {
        let long = "x".repeat(LONGEST + 1);
        for text in ["", "\n", "hunter2 x", "hunter2\nhunter2", "hunter2\u{1b}", "hunter2ä", &long] {
            assert!(!bearer_token(text).unwrap_err().contains("hunter2"));
        }
        for (user, password) in [("", "hunter2"), ("a:b", "hunter2"), ("ann", ""), ("ann", "hunter2\nx"), ("ann", &long)] {
            assert!(!user_and_password(user, password).unwrap_err().contains("hunter2"));
        }
        assert_eq!(bearer_token(" hunter2\n"), Ok("hunter2"));
        assert_eq!(user_and_password("ann\n", "pass word ä:\r\n"), Ok(("ann", "pass word ä:")));
    }
}
