//! The SSH user's authorized_keys: what comes, what goes, and that the rest is left alone.

use k8s_upgrade::failure::Class;
use k8s_upgrade::node::{AddKey, KeysThere, LookAtKeys, RemoveKeys};

use super::{Machine, word};

/// Public halves of keys that nobody has.
const FIRST: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAFIRSTFIRSTFIRSTFIRSTFIRSTFIRSTFIRSTFIRSTFI";
const SECOND: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIASECONDSECONDSECONDSECONDSECONDSECONDSECONDSE";

fn look(machine: &mut dyn Machine) -> KeysThere {
    let user = word(machine.user());
    machine.run(&LookAtKeys { user, of: vec![word(FIRST), word(SECOND)] }).unwrap()
}

fn add(machine: &mut dyn Machine, key: &str, replaces: &[&str]) -> (bool, u32) {
    let replaces = replaces.iter().map(|key| word(key)).collect();
    let user = word(machine.user());
    machine.run(&AddKey { user, kind: word("ssh-ed25519"), key: word(key), replaces }).unwrap()
}

fn remove(machine: &dyn Machine, keep: Option<&str>, gone: &[&str]) -> RemoveKeys {
    let gone = gone.iter().map(|key| word(key)).collect();
    RemoveKeys { user: word(machine.user()), keep: keep.map(word), strays: false, gone }
}

pub fn keys_come_and_go_and_the_others_stay(machine: &mut dyn Machine) {
    let before = look(machine);
    assert!(before.keys > 0 && before.has.is_empty(), "{before:?}");
    for added in [true, false] {
        assert_eq!(add(machine, FIRST, &[]), (added, before.keys + 1));
    }
    assert_eq!(add(machine, SECOND, &[FIRST]), (true, before.keys + 2));
    let both = vec![word(FIRST), word(SECOND)];
    let wanted = KeysThere { keys: before.keys + 2, marked: before.marked + 2, has: both.clone(), ours: both, ..before.clone() };
    assert_eq!(look(machine), wanted);
    for removed in [1, 0] {
        let gone = remove(machine, Some(SECOND), &[FIRST]);
        assert_eq!(machine.run(&gone).unwrap(), (removed, before.keys + 1));
    }
    let last = remove(machine, None, &[SECOND]);
    assert_eq!(machine.run(&last).unwrap(), (1, before.keys));
    assert_eq!(look(machine), before);
}

/// Where the new key is not, the former one is the only way in.
pub fn what_is_to_stay_must_be_there(machine: &mut dyn Machine) {
    let before = look(machine);
    add(machine, FIRST, &[]);
    let gone = remove(machine, Some(SECOND), &[FIRST]);
    assert_eq!(machine.run(&gone).unwrap_err().class, Class::Refused);
    assert_eq!(look(machine).has, [FIRST]);
    let gone = remove(machine, None, &[FIRST]);
    machine.run(&gone).unwrap();
    assert_eq!(look(machine), before);
}
