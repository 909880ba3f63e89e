//! Nodes that join on the way, and others that write authorized_keys, the Secret or Vault: the former key stays until nothing speaks
//! against its end.

use super::*;

const JOINED: &str = "k8s-node9";

/// A worker that accepts these lines.
fn joins(state: &mut State, lines: &str) {
    if state.hosts.powered(JOINED) {
        return;
    }
    let mut node = (**state.store.get(&Key::node("k8s-node1")).unwrap()).clone();
    node["metadata"] = json!({ "name": JOINED, "labels": { "kubernetes.io/hostname": JOINED } });
    node["spec"] = json!({});
    node["status"]["addresses"] = json!([{ "type": "InternalIP", "address": "10.0.20.199" }]);
    node["status"]["nodeInfo"]["machineID"] = json!(hosts::machine_id(JOINED));
    let now = state.now();
    state.hosts.add(JOINED, "10.0.20.199", "1.34.2", "1.7.28", false, lines);
    state.store.create(now, Kind::Node, node).unwrap();
}

fn former() -> Public {
    ssh_key().unwrap().public
}

/// No node but these has lost the former key.
fn former_stays(state: &State, but: &[&str], when: &str) {
    for node in NODES {
        let there = keys_of(state, node).contains(&*former().base64);
        assert_eq!(there, !but.contains(&node), "{when}: {node}\n{}", tail(state, 60));
    }
    silent(state, when);
}

/// What somebody does once, at the first call that fits, before it.
fn once(at: &'static str, mut act: impl FnMut(&mut State) + Send + 'static) -> Option<Box<dyn Hook>> {
    let (mut stored, mut acted) = (false, false);
    Some(Box::new(meddler(move |state, call, after| {
        if !after && stored && call.what.contains(at) && !std::mem::replace(&mut acted, true) {
            act(state);
        }
        stored |= after && stores(state, call);
        Fate::Go
    })))
}

/// The Secret has its former key again, by one who tells the API server that it is his field.
fn brought_back(by: &'static str) -> impl FnMut(&mut State) + Send {
    move |state| {
        let key = Key::new(Kind::Secret, NAMESPACE, "k8s-upgrade-creds");
        let former = BASE64_STANDARD.encode(ssh_key().unwrap().private);
        state.store.update(&key, |secret| {
            secret["data"]["ssh_key"] = json!(former);
            secret["metadata"]["managedFields"] = json!([
                { "manager": "kubectl", "operation": "Update", "fieldsV1": { "f:type": {} }, "time": "2026-11-25T00:00:00Z" },
                { "manager": by, "operation": "Apply", "fieldsV1": { "f:data": { "f:ssh_key": {} } }, "time": "2026-11-22T12:00:00Z" },
            ]);
        });
    }
}

/// The former key is all that it knows: it is brought the new one before the former one is gone for good.
#[test]
fn a_node_that_joins_on_the_way_gets_the_key() {
    // While the nodes are tried, and while the former line is removed.
    let moments = ["look-at-keys on k8s-master", "remove-keys on k8s-node4"];
    for (store, at) in [Store::Secret, Store::Vault].into_iter().flat_map(|store| moments.map(|at| (store, at))) {
        let hook = once(at, |state| joins(state, &former().line()));
        let (end, code, said) = run(world(store), hook, store, "rotate-key --yes");
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("k8s-node9  joined meanwhile: the new key is brought there, too"), "{said}");
        assert!(said.contains("k8s-node9  key added, 1 removed, 1 keys now"), "{said}");
        rotated(&end, store, "joined");
        assert_eq!(keys_of(&end, JOINED), format!("{}\n", held(&end).line()));
    }
}

#[test]
fn a_node_that_joins_and_stays_shut_keeps_the_former_key_everywhere() {
    let hook = once("look-at-keys on k8s-master", |state| joins(state, "ssh-rsa AAAAalice alice@laptop"));
    let (mut end, code, said) = run(world(Store::Secret), hook, Store::Secret, "rotate-key --yes");
    assert_eq!(code, Some(4), "{said}");
    insta::assert_snapshot!(failure(&said), @r#"
    ✗ refused: k8s-node9: identify: k8s-node9 (10.0.20.199) refused the key of wizard: Username/PublicKey combination invalid
        the key's public half must stand in ~wizard/.ssh/authorized_keys of k8s-node9
        another key that opens a node: --set ssh-key-file=FILE
        a node that has joined meanwhile must not be left without a key that the cluster holds
      State: This command has removed the former key nowhere.
      Next:  k8s-upgrade rotate-key --only k8s-node9 --set ssh-key-file=FILE      # FILE: a key that opens it
             k8s-upgrade rotate-key          # then: goes on
    "#);
    former_stays(&end, &[], "joined, and shut");
    // As it says: a key of the person's own, then the rest.
    end.hosts
        .change(JOINED, |machine| machine.authorized_keys += &format!("{} {} ann\n", ann().public.kind, ann().public.base64));
    let line = "rotate-key --yes --only k8s-node9 --set ssh-key-file=/home/ann/.ssh/own";
    let (end, code, said) = run(end, None, Store::Secret, line);
    assert_eq!(code, Some(0), "{said}");
    let (end, code, said) = run(end, None, Store::Secret, "rotate-key --yes");
    assert_eq!(code, Some(0), "{said}");
    rotated(&end, Store::Secret, "in the end");
    assert!(keys_of(&end, JOINED).contains(&*held(&end).base64));
}

/// Ansible and its like: the new line is put back while the former key still opens the node, and nothing is removed.
#[test]
fn a_line_that_somebody_takes_away_is_told_and_put_back() {
    let rewrites = |state: &mut State| {
        state.hosts.change("k8s-node2", |machine| machine.authorized_keys = format!("{ABOVE}{}\n{BELOW}", former().line()));
    };
    for (at, gone) in [("look-at-keys on k8s-master", &[][..]), ("remove-keys on k8s-node2", &["k8s-master", "k8s-node1"])] {
        let (end, code, said) = run(world(Store::Secret), once(at, rewrites), Store::Secret, "rotate-key --yes");
        assert_eq!(code, Some(4), "{said}");
        former_stays(&end, gone, at);
        let new = held(&end);
        assert!(NODES.iter().all(|node| keys_of(&end, node).contains(&*new.base64)), "{said}");
        let shown = failure(&said).replace(&*new.base64, "AAAAnew");
        match gone {
            [] => insta::assert_snapshot!(shown, @r#"
            ✗ refused: k8s-node2: the new key's line is gone from ~/.ssh/authorized_keys: something else writes that file
                it was added once more, and opens the node again
                let what writes it (Ansible, cloud-init, …) write this line, too: ssh-ed25519 AAAAnew k8s-upgrade-key
              State: This command has removed the former key nowhere.
              Next:  k8s-upgrade rotate-key          # after mending it: goes on, or starts over
            "#),
            _ => insta::assert_snapshot!(shown, @r#"
            ✗ refused: k8s-node2: the new key's line is gone from ~/.ssh/authorized_keys: something else writes that file
                it was added once more, and opens the node again
                let what writes it (Ansible, cloud-init, …) write this line, too: ssh-ed25519 AAAAnew k8s-upgrade-key
              State: The Secret holds the new key, which has opened every node; some accept the former one, too.
              Next:  k8s-upgrade rotate-key          # goes on
            "#),
        }
        let (end, code, said) = run(end, None, Store::Secret, "rotate-key --yes");
        assert_eq!(code, Some(0), "{said}");
        rotated(&end, Store::Secret, "in the end");
    }
}

/// Every line of ours is taken away on a node: no key at hand opens it, and the person is told what to write there.
#[test]
fn a_node_that_nothing_opens_any_more_is_told() {
    let hook = once("look-at-keys on k8s-master", |state| {
        state.hosts.change("k8s-node2", |machine| machine.authorized_keys = format!("{ABOVE}{BELOW}"));
    });
    let (end, code, said) = run(world(Store::Secret), hook, Store::Secret, "rotate-key --yes");
    assert_eq!(code, Some(4), "{said}");
    former_stays(&end, &["k8s-node2"], "all lines gone");
    insta::assert_snapshot!(failure(&said).replace(&*held(&end).base64, "AAAAnew"), @r#"
    ✗ refused: k8s-node2: look-at-keys: k8s-node2 (10.0.20.102) refused the key of wizard: Username/PublicKey combination invalid
        the key's public half must stand in ~wizard/.ssh/authorized_keys of k8s-node2
        nor does another key that is at hand open it: identify: k8s-node2 (10.0.20.102) refused the key of wizard: Username/PublicKey combination invalid
      State: This command has removed the former key nowhere.
      Next:  ssh wizard@10.0.20.102 true
             ssh wizard@10.0.20.102      # by another way in; into ~/.ssh/authorized_keys: ssh-ed25519 AAAAnew k8s-upgrade-key
             k8s-upgrade rotate-key          # after mending it: goes on, or starts over
    "#);
}

/// Who brings the former key back into the Secret is named; both keys stay on the nodes.
#[test]
pub fn a_secret_that_somebody_changes_back_keeps_the_former_key() {
    for store in [Store::Secret, Store::Vault] {
        // While the nodes are tried with the new key, after the Secret held it.
        let mut back = brought_back("kustomize-controller");
        let hook = once("look-at-keys on k8s-node4", move |state| {
            back(state);
            // Else it would set that right within seconds.
            state.control.external_secrets_stuck = true;
        });
        let (end, code, said) = run(world(store), hook, store, "rotate-key --yes");
        assert_eq!((code, held(&end)), (Some(4), former()), "{said}");
        former_stays(&end, &[], "changed back");
        insta::allow_duplicates! {
        insta::assert_snapshot!(failure(&said), @r#"
        ✗ refused: the Secret k8s-upgrade/k8s-upgrade-creds holds SHA256:1, written last by kustomize-controller, and the new key no more: something else writes it
            what writes it (Flux, Argo CD, an ExternalSecret, a person) must leave ssh_key alone, or write the new one
          State: This command has removed the former key nowhere.
          Next:  kubectl -n k8s-upgrade get secret k8s-upgrade-creds -o yaml --show-managed-fields
                 k8s-upgrade rotate-key          # after mending it: goes on, or starts over
        "#);
        }
    }
    // At once: the wait says what stands there.
    let hook = once("secrets/k8s-upgrade-creds", brought_back("argocd-controller"));
    let (end, code, said) = run(world(Store::Secret), hook, Store::Secret, "rotate-key --yes --set sync-deadline=1m");
    assert_eq!(code, Some(3), "{said}");
    former_stays(&end, &[], "at once");
    insta::assert_snapshot!(failure(&said), @r#"
    ‖ hold: waited 1m 00s for the Secret to hold the new private key: the Secret k8s-upgrade/k8s-upgrade-creds holds SHA256:1, written last by argocd-controller
      State: The new key was stored and has opened every node; this command has removed the former one nowhere.
      Next:  kubectl -n k8s-upgrade get secret k8s-upgrade-creds -o yaml --show-managed-fields
             k8s-upgrade rotate-key          # goes on
    "#);
    // What is known to bring it back is no place to store a key: seen before anything is changed.
    let (end, code, said) = run(end, None, Store::Secret, "rotate-key --yes");
    assert_eq!(code, Some(4), "{said}");
    former_stays(&end, &[], "known");
    insta::assert_snapshot!(failure(&said), @r#"
    ✗ refused: the Secret k8s-upgrade/k8s-upgrade-creds has its key from Argo CD (argocd-controller): what is written into it does not last
        let Argo CD leave ssh_key and ssh_key_pub alone, or bring a new key by Argo CD
      State: Nothing was begun.
      Next:  kubectl -n k8s-upgrade get secret k8s-upgrade-creds -o yaml --show-managed-fields
             kubectl -n k8s-upgrade patch secret k8s-upgrade-creds --type merge -p '{"metadata":{"managedFields":[{}]}}'      # only once Argo CD leaves them alone: forgets who wrote them
    "#);
}

#[test]
fn a_vault_that_somebody_changes_back_keeps_the_former_key() {
    let hook = once("look-at-keys on k8s-node4", |state| {
        let former = state.web.vault.versions[0].clone();
        Arc::make_mut(&mut state.web.vault.versions).push(former);
    });
    let (end, code, said) = run(world(Store::Vault), hook, Store::Vault, "rotate-key --yes");
    assert_eq!(code, Some(4), "{said}");
    former_stays(&end, &[], "Vault");
    insta::assert_snapshot!(failure(&said), @r#"
    ✗ refused: secret/k8s-upgrade in Vault at https://vault.rehearsal:8200 does not hold the new key any more: something else writes it
        what writes it (Terraform, a person) must leave ssh_key and ssh_key_pub alone: it would bring the former key back
      State: This command has removed the former key nowhere.
      Next:  k8s-upgrade rotate-key          # after mending it: goes on, or starts over
    "#);
}
