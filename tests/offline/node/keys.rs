//! The SSH user's authorized_keys: what is added and removed, and that all else survives.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use k8s_upgrade::failure::{Cause, Class};
use k8s_upgrade::node::{AddKey, KeysThere, LookAtKeys, Operation, RemoveKeys};

use super::bench::{Node, word};

const FILE: &str = "home/wizard/.ssh/authorized_keys";
/// Comments, options with blanks, a key that names ours in a comment line, and no end of the last line.
const BEFORE: &str = "# the keys of AAAAold k8s-upgrade-key\n\nssh-rsa AAAAalice alice@laptop\nfrom=\"10.0.0.0/8, 192.168.1.1\",no-pty  ssh-ed25519 \
                      AAAAold wizard@infra k8s-upgrade-key\n  ecdsa-sha2-nistp256 AAAAbob";

fn node() -> Node {
    let node = Node::new();
    node.state("passwd", "wizard:x:1234:1235::/home/wizard:/bin/bash\n");
    node.root(FILE, BEFORE);
    let file = node.root_path(FILE);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    if std::fs::metadata(&file).unwrap().uid() == 0 {
        std::os::unix::fs::chown(&file, Some(1234), Some(1235)).unwrap();
    }
    node
}

fn owner_and_mode(node: &Node) -> (u32, u32, u32) {
    let meta = std::fs::metadata(node.root_path(FILE)).unwrap();
    (meta.uid(), meta.gid(), meta.mode() & 0o777)
}

fn add(key: &str) -> AddKey {
    let replaces = vec![word("AAAAgone"), word("AAAAold")];
    AddKey { user: word("wizard"), kind: word("ssh-ed25519"), key: word(key), replaces }
}

fn remove(keep: Option<&str>, strays: bool, gone: &[&str]) -> RemoveKeys {
    let gone = gone.iter().map(|key| word(key)).collect();
    RemoveKeys { user: word("wizard"), keep: keep.map(word), strays, gone }
}

fn run<O: Operation>(node: &Node, op: &O) -> Result<O::Output, Cause> {
    node.run(op)
}

/// The last line gets its end, and nothing else changes. The options of the key that goes hold for the one that comes.
#[test]
fn a_key_is_added_once_and_the_rest_survives() {
    let node = node();
    let before = owner_and_mode(&node);
    for (added, _) in [(true, 1), (false, 2)] {
        assert_eq!(run(&node, &add("AAAAnew")).unwrap(), (added, 4));
        let line = "from=\"10.0.0.0/8, 192.168.1.1\",no-pty  ssh-ed25519 AAAAnew k8s-upgrade-key\n";
        assert_eq!(node.read_root(FILE), format!("{BEFORE}\n{line}"));
        assert_eq!(owner_and_mode(&node), before);
    }
    let there = run(&node, &LookAtKeys { user: word("wizard"), of: vec![word("AAAAold"), word("AAAA"), word("AAAAnew")] });
    let both = vec![word("AAAAold"), word("AAAAnew")];
    let wanted = KeysThere { keys: 4, marked: 2, has: both.clone(), ours: both, ..KeysThere::default() };
    assert_eq!(there.unwrap(), wanted);
}

/// A file that was edited on another system: what a line is, is the same.
#[test]
fn options_of_a_line_that_ends_as_on_windows_are_not_lost() {
    let node = node();
    node.root(FILE, "from=\"10.0.0.0/8\" ssh-ed25519 AAAAold\r\n");
    run(&node, &add("AAAAnew")).unwrap();
    let wanted = "from=\"10.0.0.0/8\" ssh-ed25519 AAAAold\r\nfrom=\"10.0.0.0/8\" ssh-ed25519 AAAAnew k8s-upgrade-key\n";
    assert_eq!(node.read_root(FILE), wanted);
}

#[test]
fn exactly_the_old_line_goes() {
    let node = node();
    let before = owner_and_mode(&node);
    run(&node, &add("AAAAnew")).unwrap();
    for removed in [1, 0] {
        assert_eq!(run(&node, &remove(Some("AAAAnew"), false, &["AAAAold"])).unwrap(), (removed, 3));
    }
    let wanted = "# the keys of AAAAold k8s-upgrade-key\n\nssh-rsa AAAAalice alice@laptop\n  ecdsa-sha2-nistp256 AAAAbob\n\
                  from=\"10.0.0.0/8, 192.168.1.1\",no-pty  ssh-ed25519 AAAAnew k8s-upgrade-key\n";
    assert_eq!(node.read_root(FILE), wanted);
    assert_eq!(owner_and_mode(&node), before);
}

#[test]
fn strays_go_and_what_is_to_stay_stays() {
    let node = node();
    run(&node, &add("AAAAstray")).unwrap();
    run(&node, &add("AAAAnew")).unwrap();
    // Even if it is named among those that go.
    assert_eq!(run(&node, &remove(Some("AAAAnew"), true, &["AAAAnew"])).unwrap(), (2, 3));
    let left = run(&node, &LookAtKeys { user: word("wizard"), of: vec![word("AAAAnew"), word("AAAAold")] }).unwrap();
    let new = vec![word("AAAAnew")];
    assert_eq!(left, KeysThere { keys: 3, marked: 1, has: new.clone(), ours: new, ..KeysThere::default() });
}

/// The files that count are sshd's to say; those that it reads by default count where it says nothing.
#[test]
fn a_key_in_another_file_that_counts_is_found() {
    let of = || LookAtKeys { user: word("wizard"), of: ["AAAAold", "AAAAbob", "AAAAelse"].map(word).into() };
    let look = |node: &Node| {
        let there = run(node, &of()).unwrap();
        assert_eq!(there.has, ["AAAAold", "AAAAbob"]);
        assert_eq!(there.ours, ["AAAAold"]);
        let elsewhere = there.elsewhere.iter().map(|(key, file)| format!("{key} in {file}")).collect::<Vec<_>>();
        (elsewhere.join(", "), there.unread.unwrap_or_default(), there.asks.map_or_else(String::new, String::from))
    };
    let told = |elsewhere: &str, unread: &str, asks: &str| (elsewhere.to_owned(), unread.to_owned(), asks.to_owned());
    let node = node();
    node.root("home/wizard/.ssh/authorized_keys2", "ssh-ed25519 AAAAelse me\nssh-rsa AAAAold\n");
    node.root("etc/ssh/keys/wizard", "ssh-ed25519 AAAAbob\n");
    let home = "/home/wizard/.ssh/authorized_keys2";
    assert_eq!(look(&node), told(&format!("AAAAold in {home}, AAAAelse in {home}"), "", ""));
    for (file, wanted) in [
        (".ssh/authorized_keys", told("", "", "")),
        ("%h/.ssh/authorized_keys /etc/ssh/keys/%u", told("AAAAbob in /etc/ssh/keys/wizard", "", "")),
        ("/etc/ssh/keys/%u", told("AAAAbob in /etc/ssh/keys/wizard", "/etc/ssh/keys/%u", "")),
        (".ssh/authorized%%2", told("", ".ssh/authorized%%2", "")),
        ("none", told("", "none", "")),
    ] {
        node.state("sshd", &format!("port 22\nauthorizedkeyscommand none\nauthorizedkeysfile {file}\n"));
        assert_eq!(look(&node), wanted, "{file}");
    }
    node.state("sshd", "authorizedkeyscommand /usr/bin/sss_ssh_authorizedkeys\nauthorizedkeysfile .ssh/authorized_keys\n");
    assert_eq!(look(&node), told("", "", "/usr/bin/sss_ssh_authorizedkeys"));
    // A link to the file that is edited is that file.
    symlink("../../../home/wizard/.ssh/authorized_keys", node.root_path("etc/ssh/keys/link")).unwrap();
    node.state("sshd", "authorizedkeysfile /etc/ssh/keys/link\n");
    assert_eq!(look(&node), told("", "", ""));
}

#[test]
fn where_the_key_that_stays_is_missing_nothing_is_removed() {
    let node = node();
    let cause = run(&node, &remove(Some("AAAAnew"), true, &["AAAAold"])).unwrap_err();
    assert_eq!((cause.class, node.read_root(FILE).as_str()), (Class::Refused, BEFORE), "{cause}");
    assert!(cause.what.contains("nothing was removed"), "{cause}");
    assert_eq!(run(&node, &remove(None, false, &["AAAAbob"])).unwrap(), (1, 2));
}

#[test]
fn a_user_without_a_file_gets_one_and_one_who_is_not_there_is_refused() {
    let node = node();
    std::fs::remove_dir_all(node.root_path("home/wizard/.ssh")).unwrap();
    // Only root may give a file away.
    if std::fs::metadata(node.root_path("home")).unwrap().uid() == 0 {
        assert_eq!(run(&node, &add("AAAAnew")).unwrap(), (true, 1));
        assert_eq!(node.read_root(FILE), "ssh-ed25519 AAAAnew k8s-upgrade-key\n");
        assert_eq!(owner_and_mode(&node), (1234, 1235, 0o600));
    }
    let nobody = LookAtKeys { user: word("nobody-here"), of: Vec::new() };
    assert_eq!(run(&node, &nobody).unwrap_err().class, Class::Refused);
}

#[test]
fn a_link_stays_one() {
    let node = node();
    std::fs::rename(node.root_path(FILE), node.root_path("home/wizard/keys")).unwrap();
    symlink("../keys", node.root_path(FILE)).unwrap();
    run(&node, &add("AAAAnew")).unwrap();
    assert!(std::fs::symlink_metadata(node.root_path(FILE)).unwrap().is_symlink());
    assert!(node.read_root("home/wizard/keys").ends_with("AAAAnew k8s-upgrade-key\n"));
}

/// A process that is killed before a pipe's end looks to what comes after it as if it were done. Each one that dies ends the script: the file
/// is as it was, or as it was to be, options and all.
#[test]
fn a_reader_or_writer_that_is_killed_leaves_the_file_whole() {
    let (added, removed) = (add("AAAAnew"), remove(Some("AAAAbob"), true, &["AAAAold"]));
    for op in [&added as &dyn Fallible, &removed] {
        let whole = node();
        assert!(!op.fails(&whole));
        let wanted = whole.read_root(FILE);
        for program in ["awk", "cat"] {
            let mut kept = 0;
            for nth in 1.. {
                let node = node();
                let killer = node.root_path(&format!("../bin/{program}"));
                let numbers = node.root_path("../numbers");
                std::fs::create_dir(&numbers).unwrap();
                // Two ends of a pipe start at once: a folder is made by one of them.
                let dies = format!(
                    "n=1; until /bin/mkdir {0}/$n 2>/dev/null; do n=$((n + 1)); done; [ $n != {nth} ] || kill -KILL $$",
                    numbers.display()
                );
                node.root(&format!("../bin/{program}"), &format!("#!/bin/sh\n{dies}\nexec /usr/bin/{program} \"$@\"\n"));
                std::fs::set_permissions(killer, std::fs::Permissions::from_mode(0o755)).unwrap();
                let failed = op.fails(&node);
                if !numbers.join(nth.to_string()).exists() {
                    assert!(!failed, "nobody was killed");
                    break;
                }
                let now = node.read_root(FILE);
                assert!(failed, "{program} {nth} was killed, and that was no failure: {now:?}");
                assert!(now == BEFORE || now == wanted, "{program} {nth} was killed: {now:?}");
                kept += usize::from(now == BEFORE);
            }
            assert!(kept > 2, "{program}: {kept}");
        }
    }
}

trait Fallible {
    fn fails(&self, node: &Node) -> bool;
}

impl<O: Operation> Fallible for O {
    fn fails(&self, node: &Node) -> bool {
        node.run(self).is_err()
    }
}
