//! The SSH user's authorized_keys: look, add a key, take keys out. Other keys, their order, the file's owner and mode survive.

use std::time::Duration;

use super::{KEYS, Operation, garbled, results, token};
use crate::failure::Cause;
use crate::words::{HostPath, KeyBase64, KeyType, Login};

/// Looks, and changes nothing.
#[derive(Clone, Debug)]
pub struct LookAtKeys {
    pub user: Login,
    pub of: Vec<KeyBase64>,
}

/// What of the login's authorized_keys concerns a rotation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysThere {
    /// Lines with a key.
    pub keys: u32,
    /// Those marked `k8s-upgrade-key`.
    pub marked: u32,
    /// Which of those asked for are there.
    pub has: Vec<KeyBase64>,
    /// Which of those are on a line that is marked `k8s-upgrade-key`.
    pub ours: Vec<KeyBase64>,
    /// Which of those asked for are in another file that sshd reads, and in which.
    pub elsewhere: Vec<(KeyBase64, HostPath)>,
    /// sshd does not read the file that is edited, but these, as its configuration has them: text.
    pub unread: Option<String>,
    /// The program that sshd asks for keys, too.
    pub asks: Option<HostPath>,
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
        std::iter::once(self.user.to_string()).chain(self.of.iter().map(ToString::to_string)).collect()
    }
    fn parse(&self, stdout: &str) -> Result<KeysThere, Cause> {
        let mut there = KeysThere::default();
        for (key, rest) in results(stdout) {
            let number = || rest.parse().map_err(|_| garbled(Self::NAME, rest));
            match key {
                "keys" => there.keys = number()?,
                "marked" => there.marked = number()?,
                "has" => there.has.push(token(Self::NAME, rest)?),
                "ours" => there.ours.push(token(Self::NAME, rest)?),
                "elsewhere" => {
                    let (key, file) = rest.split_once(' ').ok_or_else(|| garbled(Self::NAME, rest))?;
                    there.elsewhere.push((token(Self::NAME, key)?, token(Self::NAME, file)?));
                }
                "unread" => there.unread = Some(rest.to_owned()),
                "asks" => there.asks = Some(token(Self::NAME, rest)?),
                _ => return Err(garbled(Self::NAME, format_args!("{key} {rest}"))),
            }
        }
        Ok(there)
    }
}

/// Adds a key's line, marked ours, unless it is there.
#[derive(Clone, Debug)]
pub struct AddKey {
    pub user: Login,
    pub kind: KeyType,
    pub key: KeyBase64,
    /// Keys that it will replace: options of their lines hold for it, too.
    pub replaces: Vec<KeyBase64>,
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
        let new = [self.user.to_string(), self.kind.to_string(), self.key.to_string()];
        new.into_iter().chain(self.replaces.iter().map(ToString::to_string)).collect()
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
    pub user: Login,
    /// The key that must stay; where it is missing, nothing is removed. None: no such condition.
    pub keep: Option<KeyBase64>,
    /// Every line marked ours but that of `keep` goes, too: what a rotation that was cut has left.
    pub strays: bool,
    pub gone: Vec<KeyBase64>,
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
        let keep = self.keep.as_ref().map_or_else(String::new, ToString::to_string);
        let what = [self.user.to_string(), keep, strays.to_owned()];
        what.into_iter().chain(self.gone.iter().map(ToString::to_string)).collect()
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
