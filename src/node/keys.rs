//! The SSH user's authorized_keys: look, add a key, take keys out. Other keys, their order, the file's owner and mode survive.

use std::time::Duration;

use super::{KEYS, Operation, garbled, results};
use crate::failure::Cause;

/// Looks, and changes nothing.
#[derive(Clone, Debug)]
pub struct LookAtKeys {
    pub user: String,
    /// Base64 of keys.
    pub of: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysThere {
    /// Lines with a key.
    pub keys: u32,
    /// Those marked `k8s-upgrade-key`.
    pub marked: u32,
    /// Which of those asked for are there.
    pub has: Vec<String>,
    /// Which of those are on a line that is marked `k8s-upgrade-key`.
    pub ours: Vec<String>,
    /// Which of those asked for are in another file that sshd reads, and in which.
    pub elsewhere: Vec<(String, String)>,
    /// sshd does not read the file that is edited, but these.
    pub unread: Option<String>,
    /// The program that sshd asks for keys, too.
    pub asks: Option<String>,
}

impl Operation for LookAtKeys {
    const NAME: &'static str = "look-at-keys";
    const MUTATES: bool = false;
    const DEADLINE: Duration = Duration::from_secs(60);
    type Output = KeysThere;

    fn script(&self) -> &'static str {
        include_str!("look-at-keys.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[KEYS]
    }
    fn args(&self) -> Vec<String> {
        std::iter::once(self.user.clone()).chain(self.of.clone()).collect()
    }
    fn parse(&self, stdout: &str) -> Result<KeysThere, Cause> {
        let mut there = KeysThere::default();
        for (key, rest) in results(stdout) {
            let number = || rest.parse().map_err(|_| garbled(Self::NAME, rest));
            match key {
                "keys" => there.keys = number()?,
                "marked" => there.marked = number()?,
                "has" => there.has.push(rest.to_owned()),
                "ours" => there.ours.push(rest.to_owned()),
                "elsewhere" => {
                    let (key, file) = rest.split_once(' ').ok_or_else(|| garbled(Self::NAME, rest))?;
                    there.elsewhere.push((key.to_owned(), file.to_owned()));
                }
                "unread" => there.unread = Some(rest.to_owned()),
                "asks" => there.asks = Some(rest.to_owned()),
                _ => return Err(garbled(Self::NAME, format_args!("{key} {rest}"))),
            }
        }
        Ok(there)
    }
}

/// Adds a key's line, marked ours, unless it is there.
#[derive(Clone, Debug)]
pub struct AddKey {
    pub user: String,
    /// `ssh-ed25519`
    pub kind: String,
    /// Its base64.
    pub key: String,
    /// Keys that it will replace: options of their lines hold for it, too.
    pub replaces: Vec<String>,
}

impl Operation for AddKey {
    const NAME: &'static str = "add-key";
    const MUTATES: bool = true;
    const DEADLINE: Duration = Duration::from_secs(60);
    /// Whether it was added (else it was there), and how many keys there are now.
    type Output = (bool, u32);

    fn script(&self) -> &'static str {
        include_str!("add-key.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[KEYS]
    }
    fn args(&self) -> Vec<String> {
        [self.user.clone(), self.kind.clone(), self.key.clone()].into_iter().chain(self.replaces.clone()).collect()
    }
    fn parse(&self, stdout: &str) -> Result<(bool, u32), Cause> {
        let line = results(stdout).last();
        match line.and_then(|(word, count)| Some((word, count.parse().ok()?))) {
            Some(("added", count)) => Ok((true, count)),
            Some(("present", count)) => Ok((false, count)),
            _ => Err(garbled(Self::NAME, format_args!("{line:?}"))),
        }
    }
}

/// Takes keys out.
#[derive(Clone, Debug)]
pub struct RemoveKeys {
    pub user: String,
    /// Base64 of the key that must stay; where it is missing, nothing is removed. None: no such condition.
    pub keep: Option<String>,
    /// Every line marked ours but that of `keep` goes, too: what a rotation that was cut has left.
    pub strays: bool,
    pub gone: Vec<String>,
}

impl Operation for RemoveKeys {
    const NAME: &'static str = "remove-keys";
    const MUTATES: bool = true;
    const DEADLINE: Duration = Duration::from_secs(60);
    /// How many were removed, and how many are left.
    type Output = (u32, u32);

    fn script(&self) -> &'static str {
        include_str!("remove-keys.sh")
    }
    fn libraries(&self) -> &'static [&'static str] {
        &[KEYS]
    }
    fn args(&self) -> Vec<String> {
        let strays = if self.strays { "yes" } else { "no" };
        [self.user.clone(), self.keep.clone().unwrap_or_default(), strays.to_owned()]
            .into_iter()
            .chain(self.gone.clone())
            .collect()
    }
    fn parse(&self, stdout: &str) -> Result<(u32, u32), Cause> {
        let line = results(stdout).last();
        match line.map(|(word, rest)| (word, rest.split_once(' '))) {
            Some(("removed", Some((removed, left)))) => {
                let number = |text: &str| text.parse().map_err(|_| garbled(Self::NAME, text));
                Ok((number(removed)?, number(left)?))
            }
            _ => Err(garbled(Self::NAME, format_args!("{line:?}"))),
        }
    }
}
