//! What people changed by hand, and kubeadm writes over.

use super::*;

/// What kubeadm is told to leave alone stays, on each control plane.
#[test]
fn incident_15_kubeadm_overwrote_a_custom_coredns() {
    let coredns = |state: &State| {
        let key = Key::new(Kind::Deployment, "kube-system", "coredns");
        state.store.get(&key).unwrap()["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    for (flags, stays) in [(json!([]), false), (json!(["--skip-phases=addon/coredns"]), true)] {
        let mut scenario = quick(Scenario::runbook_minor());
        scenario.settings.insert("kubeadm-flags".to_owned(), flags);
        let state = begin(&scenario);
        let before = coredns(&state);
        let end = to_the_end(state, None);
        done(&end, "1.35.4");
        assert_eq!(coredns(&end) == before, stays, "{before} became {}", coredns(&end));
    }
}

/// The ID in the newest words that name one.
fn id(text: &str) -> String {
    let (_, after) = text.rsplit_once("k8s-upgrade acknowledge ").unwrap_or_else(|| panic!("no ID is named:\n{text}"));
    after.chars().take_while(char::is_ascii_alphanumeric).collect()
}

fn said(state: &State, operator: &str) -> String {
    state.logs.get(&format!("operator/{operator}")).map(|log| log.all().join("\n")).unwrap_or_default()
}

fn acknowledged(state: &State) -> Option<&str> {
    mark(namespace(state), "acknowledged")
}

/// The refusals of a chain so far.
fn refusals(state: &State) -> usize {
    slack(state).matches("🛑").count()
}

/// So many have been told, and their Jobs have ended.
async fn refused(driver: &mut Driver<'_>, times: usize) {
    when(driver, "a refusal", |state| refusals(state) == times).await;
    pass(driver, 60).await;
}

/// What the manifest of a node's API server has, and what the kubelet shows of it.
fn has_flag(state: &State, flag: &str) -> [bool; 2] {
    let file = &state.hosts.machine("k8s-master").unwrap().commands["kube-apiserver"];
    let pod = state.store.get(&Key::new(Kind::Pod, "kube-system", "kube-apiserver-k8s-master")).unwrap();
    let shown = pod["spec"]["containers"][0]["command"].as_array().unwrap();
    [file.iter().any(|own| own == flag), shown.iter().any(|own| own == flag)]
}

const AUDIT: &str = "--audit-log-path=/var/log/audit.log";

fn audits(state: &mut State) {
    hosts::edit_manifest(state, "k8s-master", "kube-apiserver", AUDIT);
}

/// Held before anything changes, by detection's chain and a person's dry run alike; an ID stands for what there was when it was
/// named; once all that there is was acknowledged, the next run goes on, loses it, and the one after that would hold anew.
#[test]
fn incident_20_hand_edited_flags_were_lost() {
    let mut state = runbook();
    audits(&mut state);
    let other = "--profiling=false";
    let end = live(state, None, async |driver| {
        refused(driver, 1).await;
        let (text, first) = driver.twin.look(|state| {
            untouched(state);
            (slack(state), id(&slack(state)))
        });
        says(&text, &format!("k8s-master: kube-apiserver {AUDIT}: kubeadm would drop it"));
        says(&text, "edit configmap kubeadm-config");
        let dry = ["k8s-upgrade", "preflight", "--target", NEW, "--dry-run"];
        assert_eq!(types(driver, "dry", &dry).await, Some(4));
        driver.twin.look(|state| says(&said(state, "dry"), &first));
        // One more edit: the ID that was told does not cover it.
        driver.twin.edit(|state| hosts::edit_manifest(state, "k8s-master", "kube-apiserver", other));
        pass(driver, 60).await;
        assert_eq!(types(driver, "old", &["k8s-upgrade", "acknowledge", &first, "--yes"]).await, Some(4));
        let second = driver.twin.look(|state| {
            assert_eq!(acknowledged(state), None);
            id(&said(state, "old"))
        });
        assert_eq!(types(driver, "list", &["k8s-upgrade", "acknowledge", "-o", "json"]).await, Some(0));
        driver.twin.look(|state| {
            says(&said(state, "list"), &second);
            says(&said(state, "list"), other);
            assert_eq!(acknowledged(state), None, "to look records nothing");
        });
        assert_eq!(types(driver, "new", &["k8s-upgrade", "acknowledge", &second, "--yes"]).await, Some(0));
        driver.twin.look(|state| {
            for word in [AUDIT, other, "operator-"] {
                says(acknowledged(state).unwrap_or_default(), word);
            }
        });
        assert_eq!(types(driver, "detect", &["k8s-upgrade", "detect", "--yes"]).await, Some(0));
        over(driver, 3 * HOUR).await;
        driver.twin.look(State::clone)
    });
    done(&end, NEW);
    assert_eq!((refusals(&end), has_flag(&end, AUDIT)), (1, [false, false]), "kubeadm has written its own");
    assert_eq!(acknowledged(&end), None, "it was said of that run");
}

/// The other way on: a flag that kubeadm knows of stays, and holds nothing.
#[test]
fn incident_20_flags_in_kubeadms_configuration_are_kept() {
    let mut state = runbook();
    state.store.update(&Key::new(Kind::ConfigMap, "kube-system", "kubeadm-config"), |map| {
        let text = map["data"]["ClusterConfiguration"].as_str().unwrap();
        let extra = "apiServer:\n  extraArgs:\n  - name: audit-log-path\n    value: /var/log/audit.log\n";
        map["data"]["ClusterConfiguration"] = json!(format!("{extra}{text}"));
    });
    audits(&mut state);
    let end = to_the_end(state, None);
    done(&end, NEW);
    assert_eq!((refusals(&end), has_flag(&end, AUDIT)), (0, [true, true]));
}

/// Found by preflight, and on a node that was tuned after it: there the run stays where it is until somebody has said so.
#[test]
fn incident_30_kubelet_tuning_was_wiped() {
    let tune = |state: &mut State, node: &str, line: &str| {
        state.hosts.change(node, |machine| machine.kubelet_config = format!("{}{line}\n", machine.kubelet_config).into())
    };
    let tuned = |state: &State, node: &str, line: &str| state.hosts.machine(node).unwrap().kubelet_config.contains(line);
    let mut state = runbook();
    tune(&mut state, "k8s-node3", "maxPods: 250");
    let end = live(state, None, async |driver| {
        refused(driver, 1).await;
        let text = driver.twin.look(|state| {
            untouched(state);
            slack(state)
        });
        says(&text, "k8s-node3: kubelet maxPods: 250: kubeadm would drop it");
        says(&text, "edit configmap kubelet-config");
        assert_eq!(types(driver, "first", &["k8s-upgrade", "acknowledge", &id(&text), "--yes"]).await, Some(0));
        assert_eq!(types(driver, "start", &["k8s-upgrade", "start", "--target", NEW, "--yes"]).await, Some(0));
        when(driver, "the first worker", node_is("k8s-node4", NEW)).await;
        driver.twin.edit(|state| tune(state, "k8s-node1", "serializeImagePulls: false"));
        refused(driver, 2).await;
        let text = driver.twin.look(|state| {
            assert!(in_flight(state) && node_is("k8s-node1", OLD)(state) && tuned(state, "k8s-node1", "serializeImagePulls"));
            slack(state)
        });
        says(&text, "k8s-node1: kubelet serializeImagePulls: false: kubeadm would drop it");
        // Neither time nor the watch makes it go on.
        pass(driver, HOUR).await;
        driver.twin.look(|state| assert!(node_is("k8s-node1", OLD)(state) && refusals(state) == 2, "{}", tail(state, 40)));
        assert_eq!(types(driver, "second", &["k8s-upgrade", "acknowledge", &id(&text), "--yes"]).await, Some(0));
        assert_eq!(types(driver, "resume", &["k8s-upgrade", "resume", "--yes"]).await, Some(0));
        over(driver, 3 * HOUR).await;
        driver.twin.look(State::clone)
    });
    done(&end, NEW);
    assert!(!tuned(&end, "k8s-node3", "maxPods") && !tuned(&end, "k8s-node1", "serializeImagePulls"));
}

/// What lies in the folder that kubeadm is told of is written again by it: nobody has to acknowledge that before each run. The same without
/// the flag would be lost, and the refusal says which flag it lacks.
#[test]
fn incident_20_flags_in_kubeadms_patches_are_kept() {
    let patched = |flags: Value| {
        let mut scenario = quick(Scenario::runbook());
        scenario.settings.insert("kubeadm-flags".to_owned(), flags);
        let mut state = begin(&scenario);
        let json = format!("- {{op: add, path: /spec/containers/0/command/-, value: {AUDIT}}}\n");
        hosts::put_text(&mut state, "k8s-master", "/etc/kubernetes/patches/kube-apiserver+json.yaml", &json);
        audits(&mut state);
        hosts::put_text(&mut state, "k8s-node3", "/etc/kubernetes/patches/kubeletconfiguration.yaml", "maxPods: 250\n");
        state.hosts.change("k8s-node3", |machine| {
            machine.kubelet_config = format!("{}maxPods: 250\n", machine.kubelet_config).into();
        });
        state
    };
    let end = to_the_end(patched(json!(["--patches=/etc/kubernetes/patches"])), None);
    done(&end, NEW);
    assert_eq!((refusals(&end), has_flag(&end, AUDIT)), (0, [true, true]));
    assert!(end.hosts.machine("k8s-node3").unwrap().kubelet_config.contains("maxPods: 250"));
    live(patched(json!([])), None, async |driver| {
        refused(driver, 1).await;
        let text = driver.twin.look(slack);
        says(&text, &format!("k8s-master: kube-apiserver {AUDIT}: kubeadm would drop it"));
        says(&text, "set kubeadm-flags: [--patches=/etc/kubernetes/patches] in the settings");
    });
}

/// A policy that keeps kubeadm's own health Job from its end: named before anything changes, with the way on; which kubeadm is then told.
#[test]
fn incident_23_kubeadms_own_preflight_objects() {
    let objects = |flags: Value| {
        let mut scenario = quick(Scenario::runbook());
        scenario.settings.insert("kubeadm-flags".to_owned(), flags);
        let mut state = begin(&scenario);
        state.hosts.change("k8s-master", |machine| machine.faults.kubeadm_objects = Some("CreateJob".to_owned()));
        state
    };
    live(objects(json!([])), None, async |driver| {
        refused(driver, 1).await;
        driver.twin.look(|state| {
            untouched(state);
            says(&slack(state), "kubeadm's own preflight objects: CreateJob");
            says(&slack(state), "--set kubeadm-flags=--ignore-preflight-errors=CreateJob preflight");
        });
    });
    let end = to_the_end(objects(json!(["--ignore-preflight-errors=CreateJob"])), None);
    done(&end, NEW);
}

/// Found by whoever else has set a field of it; not asked where kubeadm is told to leave it alone.
#[test]
fn incident_15_a_custom_coredns_is_found() {
    let coredns = Key::new(Kind::Deployment, "kube-system", "coredns");
    let image = |state: &State| state.store.get(&coredns).unwrap()["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    let own = json!("registry.example/coredns:own");
    let custom = |flags: Value| {
        let mut scenario = quick(Scenario::runbook_minor());
        scenario.settings.insert("kubeadm-flags".to_owned(), flags);
        let mut state = begin(&scenario);
        state.store.update(&coredns, |object| {
            object["spec"]["template"]["spec"]["containers"][0]["image"] = own.clone();
            let fields = json!({ "f:containers": { "k:{\"name\":\"coredns\"}": { "f:image": {} } } });
            let entry = json!({ "manager": "helm", "fieldsV1": { "f:spec": { "f:template": { "f:spec": fields } } } });
            object["metadata"]["managedFields"].as_array_mut().unwrap().push(entry);
        });
        state
    };
    let end = live(custom(json!([])), None, async |driver| {
        refused(driver, 1).await;
        let text = driver.twin.look(slack);
        says(&text, "CoreDNS: template.spec.containers[coredns].image: registry.example/coredns:own, set by helm");
        driver.twin.look(|state| assert!(!in_flight(state) && image(state) == own));
        assert_eq!(types(driver, "yes", &["k8s-upgrade", "acknowledge", &id(&text), "--yes"]).await, Some(0));
        assert_eq!(types(driver, "detect", &["k8s-upgrade", "detect", "--yes"]).await, Some(0));
        over(driver, 3 * HOUR).await;
        driver.twin.look(State::clone)
    });
    done(&end, "1.35.4");
    assert_ne!(image(&end), own);
    let end = to_the_end(custom(json!(["--skip-phases=addon/coredns"])), None);
    done(&end, "1.35.4");
    assert_eq!((refusals(&end), image(&end)), (0, own));
}
