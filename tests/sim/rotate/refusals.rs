//! What may go wrong on the way.

use super::*;

#[test]
pub fn while_a_run_is_in_flight_it_is_refused() {
    let mut state = world(Store::Vault);
    let latch = |state: &mut State, on: bool| {
        let key = Key::new(Kind::Namespace, "", NAMESPACE);
        let marks = if on { json!({ "viktorbarzin.me/k8s-upgrade-in-flight": "true" }) } else { json!({}) };
        state.store.update(&key, |namespace| namespace["metadata"]["annotations"] = marks);
    };
    latch(&mut state, true);
    let (end, code, said) = run(state, None, Store::Vault, "rotate-key --yes");
    assert_eq!(code, Some(6), "{said}");
    insta::assert_snapshot!(said, @r#"
    ✗ contended: a run is in flight: its Jobs have read the key that stands now
      State: Nothing was begun.
      Next:  k8s-upgrade status
    "#);
    untouched(&end, "in flight");
    // It begins once the new key is stored: both keys stay, for its Jobs have read the former one.
    let begins = meddler(move |state, call, after| {
        if after && stores(state, call) {
            latch(state, true);
        }
        Fate::Go
    });
    let (mut end, code, said) = run(world(Store::Vault), Some(Box::new(begins)), Store::Vault, "rotate-key --yes");
    assert_eq!(code, Some(6), "{said}");
    insta::assert_snapshot!(failure(&said), @r#"
    ✗ contended: a run is in flight: its Jobs have read the key that stands now
      State: The Secret holds the new key, which has opened every node; some accept the former one, too.
      Next:  k8s-upgrade status
             k8s-upgrade rotate-key          # goes on
    "#);
    let old = ssh_key().unwrap().public;
    assert!(NODES.iter().all(|node| [&old, &held(&end)].iter().all(|key| keys_of(&end, node).contains(&*key.base64))));
    latch(&mut end, false);
    let (end, code, said) = run(end, None, Store::Vault, "rotate-key --yes");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("a rotation was cut after"), "{said}");
    rotated(&end, Store::Vault, "after the run");
}

#[test]
fn while_a_person_upgrades_a_node_it_is_refused() {
    live(world(Store::Secret), None, async |driver| {
        let upgrade = ["k8s-upgrade", "upgrade-node", "k8s-master", "--target", "1.34.7", "--yes"];
        driver.operate("bob", &upgrade, BTreeMap::new());
        driver.until(later(driver.twin.now(), Duration::from_secs(30)), |_| false).await;
        let (code, said) = types(driver, Store::Secret, "rotate-key --yes").await;
        assert!(code == Some(6) && said.contains("driven by operator"), "{code:?} {said}");
        assert!(!driver.ended.contains_key("bob"), "{said}");
        driver.twin.look(|state| untouched(state, "bob is at work"));
    });
}

/// Probing finds it before a node is touched; if storing itself is refused, the new key is taken off again.
#[test]
fn what_cannot_be_stored_is_taken_off_again() {
    let mut state = world(Store::Vault);
    state.web.vault.read_only = true;
    let (end, code, said) = run(state, None, Store::Vault, "rotate-key --yes");
    assert_eq!(code, Some(4), "{said}");
    assert!(!said.contains("add the new key"), "{said}");
    insta::assert_snapshot!(failure(&said), @r#"
    ✗ refused: writing secret/k8s-upgrade in Vault at https://vault.rehearsal:8200: Vault answers 403 Forbidden
        1 error occurred:
        * permission denied
        the token may do read on secret/data/k8s-upgrade: its policy lacks patch
        rotate-key needs: path "secret/data/k8s-upgrade" { capabilities = ["read", "patch", "create", "update"] }
      State: Nothing was begun.
      Next:  vault policy write POLICY FILE      # a policy of this token: vault token lookup
    "#);
    untouched(&end, "read only");
    let mut state = world(Store::Vault);
    state.web.vault.refuses = 1;
    let (end, code, said) = run(state, None, Store::Vault, "rotate-key --yes");
    assert_eq!(code, Some(4), "{said}");
    insta::assert_snapshot!(failure(&said), @r#"
    ✗ refused: writing secret/k8s-upgrade in Vault at https://vault.rehearsal:8200: Vault answers 403 Forbidden
        1 error occurred:
        * permission denied
        the token's policy allows patch on secret/data/k8s-upgrade: something else forbids it, such as a quota or a policy of Sentinel's
      State: The former key is as it was, on the nodes and where it is stored.
      Next:  vault token lookup
             k8s-upgrade rotate-key          # after mending it: starts over
    "#);
    untouched(&end, "refused");
    // Somebody else writes in between.
    for store in [Store::Secret, Store::Vault] {
        let mut written = false;
        let other = meddler(move |state, call, after| {
            let writes = call.what.contains("/v1/secret/data/") || call.what.contains("/secrets/k8s-upgrade-creds");
            if !after && call.changes && writes && !std::mem::replace(&mut written, true) {
                let key = Key::new(Kind::Secret, NAMESPACE, "k8s-upgrade-creds");
                state.store.update(&key, |secret| secret["metadata"]["labels"] = json!({ "by": "bob" }));
                let data = state.web.vault.versions.last().cloned().unwrap_or_default();
                Arc::make_mut(&mut state.web.vault.versions).push(data);
            }
            Fate::Go
        });
        let (end, code, said) = run(world(store), Some(Box::new(other)), store, "rotate-key --yes");
        assert_eq!(code, Some(6), "{store:?}: {said}");
        untouched(&end, "contended");
    }
}

/// Version 1 would take the write that only asks for one, and has nothing to guard the one that stores.
#[test]
fn a_vault_of_kv_version_1_is_refused_before_anything_is_written() {
    for kept in [json!(null), json!({ "ssh_key": "of somebody" })] {
        let mut state = world(Store::Vault);
        state.web.vault.version_1 = Some(kept.clone());
        for line in ["rotate-key --yes", "rotate-key --dry-run"] {
            let (end, code, said) = run(state.clone(), None, Store::Vault, line);
            assert_eq!((code, &end.web.vault.version_1), (Some(4), &Some(kept.clone())), "{said}");
            untouched(&end, line);
            insta::allow_duplicates! {
            insta::assert_snapshot!(failure(&said), @r#"
            ✗ refused: the mount secret of Vault at https://vault.rehearsal:8200 is KV version 1, and not KV version 2
                without versions nobody can tell whether somebody else has written meanwhile, so nothing is written there
              State: Nothing was begun.
              Next:  vault secrets list -detailed      # Options of such a mount: map[version:2]
                     k8s-upgrade --set vault-mount=MOUNT rotate-key
            "#);
            }
        }
    }
}

/// One answer that is lost is asked for again; a request that somebody repeats is no other's; if all are lost both keys stay.
#[test]
fn an_answer_that_is_lost_is_no_refusal() {
    for store in [Store::Secret, Store::Vault] {
        for fate in [Fate::Break, Fate::Twice(Duration::from_secs(1))] {
            let mut lost = false;
            let once = meddler(
                move |state, call, after| {
                    if after && stores(state, call) && !std::mem::replace(&mut lost, true) { fate } else { Fate::Go }
                },
            );
            let locked_out = once.locked_out.clone();
            let (end, code, said) = run(world(store), Some(Box::new(once)), store, "rotate-key --yes");
            assert_eq!(code, Some(0), "{store:?} {fate:?}: {said}");
            rotated(&end, store, "once");
            assert!(locked_out.lock().unwrap().is_empty());
        }
    }
    let mut writes = 0;
    let away = meddler(move |_, call, after| {
        let vault = call.what.contains("/v1/secret/data/");
        writes += usize::from(vault && call.changes && after);
        // The first is the probe.
        if vault && after && writes > 1 { Fate::Break } else { Fate::Go }
    });
    let locked_out = away.locked_out.clone();
    let (end, code, said) = run(world(Store::Vault), Some(Box::new(away)), Store::Vault, "rotate-key --yes");
    assert_eq!(code, Some(7), "{said}");
    insta::assert_snapshot!(failure(&said), @r#"
    ✗ cannot reach https://vault.rehearsal:8200: connection closed before the answer came
      State: It is not known whether the new key was stored: every node accepts both keys, whichever is.
      Next:  k8s-upgrade rotate-key          # looks at what was stored, and finishes it or starts over
    "#);
    assert!(locked_out.lock().unwrap().is_empty() && NODES.iter().all(|node| keys_of(&end, node).lines().count() == 5));
    let (end, code, said) = run(end, None, Store::Vault, "rotate-key --yes");
    assert_eq!(code, Some(0), "{said}");
    rotated(&end, Store::Vault, "after all were lost");
}

/// A key that does not open a node is stored nowhere; where it cannot be taken off either, the next rotation does it.
#[test]
fn a_key_that_opens_nothing_is_not_stored() {
    let broken = meddler(|state, call, after| {
        if after && call.what == "add-key on k8s-node2" {
            state.hosts.change("k8s-node2", |machine| machine.faults.key_refused = true);
        }
        Fate::Go
    });
    let (mut end, code, said) = run(world(Store::Vault), Some(Box::new(broken)), Store::Vault, "rotate-key --yes");
    assert_eq!(code, Some(4), "{said}");
    insta::assert_snapshot!(failure(&said), @r#"
    ✗ refused: k8s-node2: logging in with the new key: look-at-keys: k8s-node2 (10.0.20.102) refused the key of wizard: Username/PublicKey combination invalid
        the key's public half must stand in ~wizard/.ssh/authorized_keys of k8s-node2
        k8s-node2: the new key may still stand there, whose private half is gone for good; the next rotation removes it (identify: k8s-node2 (10.0.20.102) refused the key of wizard: Username/PublicKey combination invalid)
      State: The former key is as it was, on the nodes and where it is stored.
      Next:  ssh wizard@10.0.20.102 true
             k8s-upgrade rotate-key          # after mending it: starts over
    "#);
    assert_eq!(end.web.vault.versions.len(), 1);
    let lines = |node| keys_of(&end, node).lines().count();
    assert_eq!(NODES.map(lines), [4, 4, 5, 4, 4], "with a comment");
    end.hosts.change("k8s-node2", |machine| machine.faults.key_refused = false);
    let (end, code, said) = run(end, None, Store::Vault, "rotate-key --yes");
    assert_eq!(code, Some(0), "{said}");
    rotated(&end, Store::Vault, "after all");
}

#[test]
pub fn a_secret_that_never_follows_holds() {
    let mut state = world(Store::Vault);
    state.control.external_secrets_stuck = true;
    let (mut end, code, said) = run(state, None, Store::Vault, "rotate-key --yes");
    assert_eq!(code, Some(3), "{said}");
    insta::assert_snapshot!(failure(&said), @r#"
    ‖ hold: waited 20m 00s for the Secret to hold the new private key: the Secret k8s-upgrade/k8s-upgrade-creds holds SHA256:1
      State: The new key was stored and has opened every node; this command has removed the former one nowhere.
      Next:  kubectl -n k8s-upgrade describe externalsecret k8s-upgrade-creds
             k8s-upgrade rotate-key          # goes on
    "#);
    assert_eq!(held(&end), ssh_key().unwrap().public);
    assert!(NODES.iter().all(|node| keys_of(&end, node).contains(&*held(&end).base64)));
    end.control.external_secrets_stuck = false;
    let (_, code, said) = run(end.clone(), None, Store::Vault, "rotate-key --only k8s-node1 --yes");
    assert!(code == Some(4) && said.contains("a rotation has not ended"), "{said}");
    let (end, code, said) = run(end, None, Store::Vault, "rotate-key --yes");
    assert_eq!(code, Some(0), "{said}");
    rotated(&end, Store::Vault, "once it follows");
}

/// Away from the beginning: nothing is begun. Gone after storing: the others are finished, and it is brought later.
#[test]
fn a_node_that_is_away_gets_the_key_later() {
    let away = |state: &mut State, node: &str, seconds: u64| {
        let until = later(state.now(), Duration::from_secs(seconds));
        state.hosts.change(node, |machine| machine.faults.away_until = Some(until));
    };
    let mut state = world(Store::Secret);
    away(&mut state, "k8s-node3", 3600);
    let (end, code, said) = run(state, None, Store::Secret, "rotate-key --yes");
    assert_eq!(code, Some(7), "{said}");
    insta::assert_snapshot!(failure(&said), @r#"
    ✗ k8s-node3: identify: cannot connect to k8s-node3 (10.0.20.103): Connection refused
        a node that stays away: --set exclude-nodes=NODE; once it is back: rotate-key --only NODE --set ssh-key-file=FILE, with a key of yours that opens it
        another key that opens a node: --set ssh-key-file=FILE
      State: Nothing was begun.
      Next:  ssh wizard@10.0.20.103 true
    "#);
    untouched(&end, "away");
    // A person does without it, and knows another way in.
    let (mut end, code, said) = run(end, None, Store::Secret, "rotate-key --yes --set exclude-nodes=k8s-node3");
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("k8s-node3  warning: excluded: it keeps the former key, which the cluster holds no more after this"),
        "{said}"
    );
    end.hosts.change("k8s-node3", |machine| machine.faults.away_until = None);
    let (mut end, code, said) = run(end, None, Store::Secret, "rotate-key --only k8s-node3 --yes");
    assert_eq!(code, Some(4), "no key that the cluster holds opens it: {said}");
    let own = ann().public;
    end.hosts.change("k8s-node3", |machine| machine.authorized_keys += &format!("{} {} ann\n", own.kind, own.base64));
    let line = "rotate-key --only k8s-node3 --yes --set ssh-key-file=/home/ann/.ssh/own";
    let (mut end, code, said) = run(end, None, Store::Secret, line);
    assert_eq!(code, Some(0), "{said}");
    insta::assert_snapshot!(told(&said), @r#"
    k8s-node3  host key learned; from now on it must stay the same
    k8s-node3 gets SHA256:1, the key that the cluster holds, and loses SHA256:2 and every other line marked k8s-upgrade-key
    k8s-node3  add the new key … (at most 2m 00s)
    k8s-node3  add the new key: done
    k8s-node3  remove the former key … (at most 2m 00s)
    k8s-node3  remove the former key: done
    k8s-node3  key added, 1 removed, 4 keys now
    "#);
    end.hosts.change("k8s-node3", |machine| {
        machine.authorized_keys =
            machine.authorized_keys.lines().filter(|line| !line.ends_with(" ann")).map(|line| format!("{line}\n")).collect();
    });
    rotated(&end, Store::Secret, "brought later");

    let goes = meddler(move |state, call, after| {
        if after && stores(state, call) {
            away(state, "k8s-node4", 900);
        }
        Fate::Go
    });
    let (mut end, code, said) = run(world(Store::Secret), Some(Box::new(goes)), Store::Secret, "rotate-key --yes");
    assert_eq!(code, Some(7), "{said}");
    insta::assert_snapshot!(failure(&said), @r#"
    ✗ k8s-node4: look-at-keys: cannot connect to k8s-node4 (10.0.20.104): Connection refused
      State: The Secret holds the new key, which has opened every node; some accept the former one, too.
      Next:  k8s-upgrade rotate-key --only k8s-node4      # once it answers
    "#);
    end.hosts.change("k8s-node4", |machine| machine.faults.away_until = None);
    let (end, code, said) = run(end, None, Store::Secret, "rotate-key --only k8s-node4 --yes");
    assert_eq!(code, Some(0), "{said}");
    rotated(&end, Store::Secret, "gone and back");
}

/// A line that is not in the file that is edited would stay for ever.
#[test]
fn a_key_in_another_file_is_refused_before_anything_is_changed() {
    let old = ssh_key().unwrap().public;
    let mut state = world(Store::Secret);
    state.hosts.change("k8s-node2", |machine| {
        machine.authorized_keys = machine.authorized_keys.replace(&format!("{}\n", old.line()), "");
        machine.authorized_keys2 = format!("{}\n", old.line());
    });
    let (end, code, said) = run(state, None, Store::Secret, "rotate-key --yes");
    assert_eq!((code, held(&end)), (Some(4), old.clone()), "{said}");
    insta::assert_snapshot!(failure(&said), @r#"
    ✗ refused: k8s-node2: the key SHA256:1 stands in /home/wizard/.ssh/authorized_keys2, where it would stay: ~/.ssh/authorized_keys alone is edited
      State: Nothing was begun.
      Next:  ssh wizard@10.0.20.102      # move its line from there into ~/.ssh/authorized_keys
    "#);
    for node in NODES {
        assert_eq!(keys_of(&end, node).contains(&*old.base64), node != "k8s-node2");
        assert_eq!(keys_of(&end, node).matches("k8s-upgrade-key").count(), usize::from(node != "k8s-node2"), "{node}");
    }
}

/// Whoever logs in with the key that goes is told so before the question.
#[test]
fn that_the_operators_own_key_goes_is_said_before_the_question() {
    let own = ann().public;
    let old = ssh_key().unwrap().public;
    let line = "rotate-key --dry-run --set ssh-key-file=/home/ann/.ssh/own";
    let says = "; ssh-key-file names /home/ann/.ssh/own, whose key is one of those: then take that setting away, and the Secret's key is used";
    // A key of the person's own, of no line; the cluster's; one that is marked as ours are.
    let bare = world(Store::Secret);
    let (mut shared, mut marked) = (bare.clone(), bare.clone());
    let key = Key::new(Kind::Secret, NAMESPACE, "k8s-upgrade-creds");
    shared.store.update(&key, |secret| secret["data"]["ssh_key"] = json!(BASE64_STANDARD.encode(ann().private)));
    for node in NODES {
        shared.hosts.change(node, |machine| {
            machine.authorized_keys = machine.authorized_keys.replace(&*old.base64, &own.base64);
        });
    }
    marked.hosts.change("k8s-node3", |machine| machine.authorized_keys += &format!("{}\n", own.line()));
    for (state, told) in [(bare, false), (shared, true), (marked, true)] {
        let (_, code, said) = run(state, None, Store::Secret, line);
        assert_eq!((code, said.contains(says)), (Some(0), told), "{said}");
    }
}

/// Whoever has filled the Secret from Vault may have cut the line's end off the key: it is the same key.
#[test]
fn a_node_is_brought_the_key_whatever_ends_its_last_line() {
    let (mut end, code, said) = run(world(Store::Vault), None, Store::Vault, "rotate-key --yes");
    assert_eq!(code, Some(0), "{said}");
    let bare = BASE64_STANDARD.encode(secret(&end, "ssh_key").trim());
    let key = Key::new(Kind::Secret, NAMESPACE, "k8s-upgrade-creds");
    end.store.update(&key, |secret| secret["data"]["ssh_key"] = json!(bare));
    let (_, code, said) = run(end, None, Store::Vault, "rotate-key --only k8s-node1 --yes");
    assert!(code == Some(0) && said.ends_with("k8s-node1  no key added, 0 removed, 3 keys now"), "{code:?} {said}");
}

#[test]
fn what_it_needs_is_said() {
    let world = world(Store::Vault);
    for (store, line, code, says) in [
        // External Secrets would write over what is written into its Secret.
        (
            Store::Secret,
            "rotate-key --yes",
            4,
            "is kept by ExternalSecret k8s-upgrade-creds: what is written into it does not last",
        ),
        (Store::Vault, "rotate-key --yes --set vault-token-file=/none", 2, "cannot read the Vault token in /none"),
        (
            Store::Vault,
            "rotate-key --yes --set vault-mount=other",
            4,
            "the token may do nothing on other/data/k8s-upgrade: its policy lacks read",
        ),
        (Store::Vault, "rotate-key --only nobody --yes", 2, "nobody is no node of this cluster"),
        (Store::Vault, "rotate-key", 2, "pass --yes"),
    ] {
        let (end, ended, said) = run(world.clone(), None, store, line);
        assert!(ended == Some(code) && said.contains(says), "{line}: {ended:?} {said}");
        untouched(&end, line);
    }
}

/// Where there is no such secret yet it is made, under the version 0.
#[test]
fn vault_without_the_secret_gets_one() {
    let mut state = world(Store::Vault);
    state.web.vault.versions = Arc::default();
    let (end, code, said) = run(state, None, Store::Vault, "rotate-key --yes --set sync-deadline=1m");
    // The Secret follows, without a webhook: that was never there, and need not be.
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(end.web.vault.versions.len(), 1);
    assert_ne!(held(&end), ssh_key().unwrap().public);
    assert!(NODES.iter().all(|node| keys_of(&end, node).contains(&*held(&end).base64)));
}
