//! The SSH user's authorized_keys, edited as the scripts of [`crate::node`] do.

use super::machine::Machine;
use super::packages::{Stop, refused};
use crate::plan::trust::keys::{MARK, Public};

/// Whether sshd lets that private key in. None: it is no key.
pub fn accepts(machine: &Machine, private: &str) -> Option<bool> {
    let key = Public::of(private)?.base64;
    Some(has(&machine.authorized_keys, &key) || has(&machine.authorized_keys2, &key))
}

/// A line with a key: neither blank nor a comment.
fn is_key(line: &str) -> bool {
    !line.trim().is_empty() && !is_comment(line)
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

fn names(line: &str, base64: &str) -> bool {
    !is_comment(line) && line.split_whitespace().any(|word| word == base64)
}

fn is_marked(line: &str) -> bool {
    !is_comment(line) && line.split_whitespace().last() == Some(MARK)
}

fn has(file: &str, base64: &str) -> bool {
    file.lines().any(|line| names(line, base64))
}

pub fn count(file: &str) -> usize {
    file.lines().filter(|line| is_key(line)).count()
}

pub fn look(machine: &Machine, user: &str, of: &[String]) -> Vec<String> {
    let file = &machine.authorized_keys;
    let marked = || file.lines().filter(|line| is_marked(line));
    let there = of.iter().filter(|key| has(file, key)).map(|key| format!("has {key}"));
    let ours = of.iter().filter(|key| marked().any(|line| names(line, key))).map(|key| format!("ours {key}"));
    let other = of.iter().filter(|key| has(&machine.authorized_keys2, key));
    let elsewhere = other.map(|key| format!("elsewhere {key} /home/{user}/.ssh/authorized_keys2"));
    let counts = [format!("keys {}", count(file)), format!("marked {}", marked().count())];
    counts.into_iter().chain(there).chain(ours).chain(elsewhere).collect()
}

/// The file with the key's line at its end; None: it is there.
pub fn add(file: &str, kind: &str, key: &str, replaces: &[String]) -> Option<String> {
    if has(file, key) {
        return None;
    }
    // The first that stands there decides, also one without any.
    let old = replaces.iter().find_map(|old| Some((old, file.lines().find(|line| names(line, old))?)));
    let options = old.and_then(|(old, line)| {
        let before = line.split(old.as_str()).next()?.trim_start();
        before.trim_end().rfind(char::is_whitespace).map(|end| &before[..=end])
    });
    let end = if file.is_empty() || file.ends_with('\n') { "" } else { "\n" };
    Some(format!("{file}{end}{}{kind} {key} {MARK}\n", options.unwrap_or_default()))
}

/// The file without these keys' lines and, with `strays`, without any that is marked ours; `keep` stays, and must be there.
pub fn remove(file: &str, keep: &str, strays: bool, gone: &[String]) -> Result<String, Stop> {
    if !keep.is_empty() && !has(file, keep) {
        return Err(refused("the key that shall stay does not stand in authorized_keys: nothing was removed"));
    }
    let goes = |line: &str| {
        let out = (strays && is_marked(line)) || gone.iter().any(|key| names(line, key));
        out && (keep.is_empty() || !names(line, keep))
    };
    Ok(file.lines().filter(|line| !goes(line)).map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The file that the scripts' own test edits (`tests/offline/node/keys.rs`), and what they make of it.
    const BEFORE: &str = "# the keys of AAAAold k8s-upgrade-key\n\nssh-rsa AAAAalice alice@laptop\nfrom=\"10.0.0.0/8, 192.168.1.1\",no-pty  ssh-ed25519 \
                          AAAAold wizard@infra k8s-upgrade-key\n  ecdsa-sha2-nistp256 AAAAbob";

    #[test]
    fn keys_come_and_go_as_by_the_scripts() {
        let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let added = add(BEFORE, "ssh-ed25519", "AAAAnew", &text(&["AAAAgone", "AAAAold"])).unwrap();
        let line = "from=\"10.0.0.0/8, 192.168.1.1\",no-pty  ssh-ed25519 AAAAnew k8s-upgrade-key\n";
        assert_eq!(added, format!("{BEFORE}\n{line}"));
        assert_eq!(add(&added, "ssh-ed25519", "AAAAnew", &[]), None);
        let mut machine = Machine::new("10.0.0.1", "1.34.2", "1.7.28", false, "");
        (machine.authorized_keys, machine.authorized_keys2) = (added.clone(), "ssh-rsa AAAAold\n".to_owned());
        let there = look(&machine, "wizard", &text(&["AAAAold", "AAAA", "AAAAnew"]));
        let names = ["has AAAAold", "has AAAAnew", "ours AAAAold", "ours AAAAnew"];
        assert_eq!(there[..2], ["keys 4", "marked 2"]);
        assert_eq!(there[2..6], names);
        assert_eq!(there[6..], ["elsewhere AAAAold /home/wizard/.ssh/authorized_keys2"]);
        let wanted = format!(
            "# the keys of AAAAold k8s-upgrade-key\n\nssh-rsa AAAAalice alice@laptop\n  ecdsa-sha2-nistp256 AAAAbob\n{line}"
        );
        let removed = |keep, strays, gone: &[&str]| remove(&added, keep, strays, &text(gone)).ok();
        assert_eq!(removed("AAAAnew", true, &[]).as_deref(), Some(wanted.as_str()));
        assert_eq!(removed("", false, &["AAAAold", "AAAAnew"]).map(|file| count(&file)), Some(2));
        assert!(removed("AAAAother", true, &["AAAAold"]).is_none(), "nothing goes where the key to keep is missing");
    }
}
