#![allow(clippy::unwrap_used)]
use super::*;
use crate::failure::Class;

const NAMESPACE: &str = "k8s-upgrade";
const TERRAFORM: Maker = Maker { ours: false, terraform: true };

fn object(kind: &'static str, name: &str) -> Object {
    Object { maker: TERRAFORM, kind, namespace: Some(NAMESPACE.to_owned()), name: name.to_owned(), role: None }
}

fn bound(kind: &'static str, name: &str, role: (&str, &str)) -> Object {
    let namespace = (kind == "RoleBinding").then(|| NAMESPACE.to_owned());
    Object { namespace, role: Some((role.0.to_owned(), role.1.to_owned())), ..object(kind, name) }
}

fn mark(mark: Mark) -> String {
    mark.key(names::ANNOTATION_PREFIX)
}

/// What the runbook describes, at rest.
fn pipeline() -> Seen {
    let script = "# ssh root@nowhere\nssh \"${OPTS[@]}\" \"wizard@$node\" true\n\
                  kubectl -n default create job --from=cronjob/backup-etcd x\n\
                  curl http://prometheus-prometheus-pushgateway.monitoring:9091/metrics/job/k8s-version-upgrade\n\
                  curl -sf 'http://prometheus-server.monitoring.svc.cluster.local:80/api/v1/alerts'";
    Seen {
        namespace: NAMESPACE.to_owned(),
        prefix: names::ANNOTATION_PREFIX.to_owned(),
        detection: Some(Detection { maker: TERRAFORM, suspended: false, schedule: "0 12 * * 0".to_owned() }),
        objects: vec![
            Object { namespace: None, ..object("Namespace", NAMESPACE) },
            object("ConfigMap", names::FORMER_SCRIPTS),
            object("ConfigMap", names::FORMER_TEMPLATE),
            object("ServiceAccount", names::SERVICE_ACCOUNT),
            bound("ClusterRoleBinding", names::SERVICE_ACCOUNT, ("ClusterRole", names::SERVICE_ACCOUNT)),
            bound("RoleBinding", "k8s-upgrade-creds-reader", ("Role", "k8s-upgrade-creds-reader")),
        ],
        key: Some(Key {
            maker: Maker::default(),
            fingerprint: Some("SHA256:abc".to_owned()),
            public: Some("SHA256:abc".to_owned()),
            slack: true,
        }),
        store: Some(Store { maker: TERRAFORM, name: Some("vault-kv".to_owned()), key: Some("k8s-upgrade".to_owned()) }),
        scripts: vec![Script { place: "ConfigMap".to_owned(), text: script.to_owned() }],
        ..Seen::default()
    }
}

fn defaults(key: &str) -> Option<String> {
    let text = match key {
        "annotation-prefix" => names::ANNOTATION_PREFIX,
        "ssh-user" => names::SSH_USER,
        "backup-cronjob" => names::BACKUP_CRONJOB,
        "prometheus" => names::PROMETHEUS,
        "pushgateway" => names::PUSHGATEWAY,
        "vault-path" => names::VAULT_PATH,
        other => panic!("no default of {other}"),
    };
    Some(text.to_owned())
}

fn of(seen: &Seen) -> Adoption {
    adoption(seen, None, defaults).unwrap()
}

/// Fate, and what it is of.
fn fates(adoption: &Adoption) -> Vec<(Fate, String)> {
    adoption.parts.iter().map(|part| (part.fate, part.told())).collect()
}

#[test]
fn the_runbooks_pipeline_is_recognised_whole_and_needs_no_setting() {
    let found = of(&pipeline());
    let wanted = [
        (Fate::Kept, "Secret k8s-upgrade/k8s-upgrade-creds"),
        (Fate::Kept, "ExternalSecret k8s-upgrade/k8s-upgrade-creds"),
        (Fate::Replaced, "Namespace k8s-upgrade"),
        (Fate::Replaced, "ServiceAccount k8s-upgrade/k8s-upgrade-job"),
        (Fate::Replaced, "ClusterRoleBinding k8s-upgrade-job"),
        (Fate::Replaced, "ClusterRole k8s-upgrade-job"),
        (Fate::Deleted, "CronJob k8s-upgrade/k8s-version-check"),
        (Fate::Deleted, "ConfigMap k8s-upgrade/k8s-upgrade-scripts"),
        (Fate::Deleted, "ConfigMap k8s-upgrade/k8s-upgrade-job-template"),
        (Fate::Deleted, "RoleBinding k8s-upgrade/k8s-upgrade-creds-reader"),
        (Fate::Deleted, "Role k8s-upgrade/k8s-upgrade-creds-reader"),
    ];
    assert_eq!(fates(&found), wanted.map(|(fate, told)| (fate, told.to_owned())));
    assert_eq!((&found.chain, found.settings.len()), (&Chain::Idle, 0), "{:?}", found.settings);
    assert_eq!(found.at_rest(&pipeline()), Ok(()));
    let typed: Vec<&str> = found.steps.iter().map(|step| step.command.as_str()).collect();
    insta::assert_snapshot!(typed.join("\n"), @r#"
    kubectl -n k8s-upgrade patch cronjob k8s-version-check --type=merge -p '{"spec":{"suspend":true}}'
    k8s-upgrade adopt --write-config config.yaml
    k8s-upgrade --config config.yaml check
    terraform state list
    terraform state rm ADDRESS
    terraform apply
    k8s-upgrade image --file k8s-upgrade.tar
    k8s-upgrade --config config.yaml manifests --image IMAGE | kubectl apply -f -
    k8s-upgrade status --health
    "#);
}

/// Whoever has just written the settings is not told to write them.
#[test]
fn steps_name_the_file_that_is_written() {
    let steps = adoption(&pipeline(), Some("my settings.yaml"), defaults).unwrap().steps;
    let typed: Vec<&str> = steps.iter().map(|step| step.command.as_str()).filter(|line| line.contains("settings")).collect();
    let install = "k8s-upgrade --config 'my settings.yaml' manifests --image IMAGE | kubectl apply -f -";
    assert_eq!(typed, ["k8s-upgrade --config 'my settings.yaml' check", install]);
}

/// Under a prefix that the settings do not have yet.
#[test]
fn a_chain_is_seen_under_whatever_prefix() {
    let annotations = BTreeMap::from([("example.com/k8s-upgrade-in-flight".to_owned(), "x".to_owned())]);
    let seen = Seen { annotations, ..pipeline() };
    let found = of(&seen);
    let cause = found.at_rest(&seen).unwrap_err();
    assert!(cause.class == Class::Refused && cause.next[1].command.contains(" example.com/k8s-upgrade-in-flight- "), "{cause:?}");
    assert_eq!((found.settings[0].key, &found.settings[0].values[0]), ("annotation-prefix", &"example.com".to_owned()));
}

/// Scripts may speak of another one, and more often.
#[test]
fn no_prefix_of_a_script_hides_a_chain() {
    let mut seen = pipeline();
    seen.annotations.insert(mark(Mark::InFlight), "x".to_owned());
    seen.scripts[0].text = "a.example/k8s-upgrade-target\n".repeat(9);
    assert!(matches!(of(&seen).chain, Chain::Stranded { .. }), "{:?}", of(&seen).chain);
}

/// Who has no Terraform types what it would do.
#[test]
fn what_kubectl_made_is_deleted_by_kubectl() {
    let mut seen = pipeline();
    seen.objects.iter_mut().for_each(|object| object.maker = Maker::default());
    seen.detection.as_mut().unwrap().maker = Maker::default();
    seen.store.as_mut().unwrap().maker = Maker::default();
    let old = |name: &str, owned: bool| Job { name: name.to_owned(), chain: !owned, active: false, owned };
    seen.jobs = vec![old("k8s-upgrade-preflight-1-34-7", false), old("k8s-version-check-29", true)];
    let typed: Vec<String> = of(&seen).steps.into_iter().map(|step| step.command).collect();
    assert!(!typed.iter().any(|line| line.contains("terraform")), "{typed:#?}");
    for line in [
        "kubectl -n k8s-upgrade delete cronjob k8s-version-check",
        "kubectl -n k8s-upgrade delete configmap k8s-upgrade-scripts k8s-upgrade-job-template",
        "kubectl -n k8s-upgrade delete rolebinding k8s-upgrade-creds-reader",
        "kubectl -n k8s-upgrade delete job k8s-upgrade-preflight-1-34-7",
        "k8s-upgrade --config config.yaml manifests --image IMAGE --external-secret vault-kv | kubectl apply -f -",
    ] {
        assert!(typed.iter().any(|typed| typed == line), "{line}: {typed:#?}");
    }
}

#[test]
fn what_is_in_flight_refuses_and_says_what_to_type() {
    let mut at_work = pipeline();
    at_work.annotations.insert(mark(Mark::InFlight), "2026-11-22T12:05:00Z".to_owned());
    at_work.jobs = vec![Job { name: "k8s-upgrade-master-1-34-7".to_owned(), chain: true, active: true, owned: false }];
    let mut stranded = pipeline();
    stranded.annotations.insert(mark(Mark::InFlight), "2026-11-22T12:05:00Z".to_owned());
    stranded.annotations.insert(mark(Mark::SnapshotPath), "nfs://x/etcd.db".to_owned());
    let mut ours = pipeline();
    ours.annotations.insert(mark(Mark::InFlight), "true".to_owned());
    ours.annotations.insert(mark(Mark::RunId), "5f3a21bc".to_owned());
    for (seen, class, says, typed) in [
        (&at_work, Class::Contended, "Job k8s-upgrade-master-1-34-7", "kubectl -n k8s-upgrade get jobs --watch"),
        (
            &stranded,
            Class::Refused,
            "has begun and is not over",
            "kubectl annotate namespace k8s-upgrade viktorbarzin.me/k8s-upgrade-in-flight-",
        ),
        (&ours, Class::Contended, "a run of this program", "k8s-upgrade status"),
    ] {
        let found = of(seen);
        let cause = found.at_rest(seen).unwrap_err();
        assert!(cause.class == class && cause.what.contains(says), "{cause:?}");
        assert!(cause.next.iter().any(|advice| advice.command.starts_with(typed)), "{cause:?}");
        assert!(found.steps.is_empty(), "{:?}", found.steps);
    }
    let cause = of(&stranded).at_rest(&stranded).unwrap_err();
    assert!(cause.detail[0].ends_with("nfs://x/etcd.db"), "{cause:?}");
}

/// A chain whose objects somebody has deleted is in flight all the same.
#[test]
fn a_stranded_chain_is_seen_by_its_marks_alone() {
    let annotations = BTreeMap::from([(mark(Mark::InFlight), "x".to_owned())]);
    let seen = Seen { annotations, objects: Vec::new(), detection: None, ..pipeline() };
    let found = of(&seen);
    assert!(found.found() && matches!(found.chain, Chain::Stranded { .. }), "{found:?}");
}

#[test]
fn without_a_pipeline_there_is_nothing() {
    let namespace = Object { namespace: None, ..object("Namespace", NAMESPACE) };
    for objects in [vec![], vec![namespace.clone()], vec![namespace, object("ConfigMap", "somebodys")]] {
        let seen = Seen { objects, detection: None, ..pipeline() };
        let found = of(&seen);
        assert!(!found.found() && found.steps.is_empty() && found.settings.is_empty(), "{found:?}");
    }
    // Installed, with gauges and rules of its own.
    let mut seen = pipeline();
    let ours = Maker { ours: true, terraform: false };
    seen.objects.iter_mut().for_each(|object| object.maker = ours);
    seen.detection.as_mut().unwrap().maker = ours;
    seen.gauges =
        Some(Answer::Known(vec![Series { name: names::METRIC_IN_FLIGHT.to_owned(), labels: String::new(), value: 1.0 }]));
    assert!(!of(&seen).found());
}

#[test]
fn what_nobody_can_know_is_for_a_person() {
    let mut seen = pipeline();
    seen.objects.push(object("ConfigMap", "k8s-upgrade-killswitch"));
    seen.objects.push(bound("ClusterRoleBinding", "more", ("ClusterRole", "view")));
    seen.nodes = vec![Node { name: "k8s-node4".to_owned(), cordoned: true, ..Node::default() }];
    seen.key.as_mut().unwrap().public = Some("SHA256:other".to_owned());
    seen.gauges = Some(Answer::Unknown("connection refused".to_owned()));
    let found = of(&seen);
    let unclear: Vec<String> = found.parts.iter().filter(|part| part.fate == Fate::Unclear).map(Part::told).collect();
    let wanted = [
        "ConfigMap k8s-upgrade/k8s-upgrade-killswitch",
        "ClusterRole view",
        "Secret k8s-upgrade/k8s-upgrade-creds",
        "gauges k8s_upgrade_*",
        "Node k8s-node4",
    ];
    assert_eq!(unclear, wanted);
    // What does not answer is asked for elsewhere; that a rule is to go, nobody knows then.
    assert!(found.parts.iter().any(|part| part.kind == "gauges" && part.command.as_deref() == Some(ASK)));
    let cordoned = found.parts.iter().find(|part| part.kind == "Node").unwrap();
    assert_eq!(cordoned.command.as_deref(), Some("kubectl uncordon k8s-node4    # if nobody else wants it so"));
}

/// Where ours are not loaded, what is in their group is the pipeline's, and Terraform describes it elsewhere.
#[test]
fn its_alert_rules_go_and_ours_come() {
    let rules = |rules| of(&Seen { rules: Some(rules), ..pipeline() });
    let loaded = rules(Answer::Known(vec![names::ALERT_SKEW.to_owned(), names::ALERT_STALLED.to_owned()]));
    let part = loaded.parts.iter().find(|part| part.kind == RULES).unwrap();
    assert!(part.fate == Fate::Deleted && part.says.contains("K8sVersionSkew, K8sUpgradeStalled"), "{part:?}");
    let told = |found: &Adoption| found.steps.iter().any(|step| step.what.contains("prometheus_chart_values.tpl"));
    assert!(told(&loaded), "{:?}", loaded.steps);
    for (answer, shown) in [(Answer::Known(Vec::new()), false), (Answer::Unknown("away".to_owned()), true)] {
        let found = rules(answer);
        assert_eq!(found.parts.iter().any(|part| part.kind == RULES && part.fate == Fate::Unclear), shown);
        assert!(!told(&found), "{:?}", found.steps);
    }
}

#[test]
fn settings_follow_from_the_scripts() {
    let mut seen = pipeline();
    seen.scripts[0].text = "ssh -i k ubuntu@k8s-master.lan sudo true\nSSH=1 ubuntu@$n x; ssh other@$n\n\
        kubectl create job --from=\"cronjob/x\" y; kubectl -n kube-system create job \"--from=cronjob/etcd-backup\" \"$job\"\n\
        PG='http://gate.observability:9091/metrics/job/k8s-version-upgrade'\n\
        PROM=https://prometheus.example.org/mimir\n\
        kubectl annotate ns k8s-upgrade example.com/k8s-upgrade-in-flight=x"
        .to_owned();
    seen.store.as_mut().unwrap().key = Some("team/k8s-upgrade".to_owned());
    let found: Vec<(&str, Vec<String>)> = of(&seen).settings.into_iter().map(|offer| (offer.key, offer.values)).collect();
    let wanted = [
        ("annotation-prefix", &["example.com"][..]),
        ("ssh-user", &["ubuntu", "other"]),
        ("backup-cronjob", &["kube-system/etcd-backup"]),
        ("prometheus", &["https://prometheus.example.org/mimir"]),
        ("pushgateway", &["observability/gate:9091"]),
        ("vault-path", &["team/k8s-upgrade"]),
    ];
    let wanted = wanted.map(|(key, values)| (key, values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>()));
    assert_eq!(found, wanted);
}

/// A script is anybody's text: nothing of it goes further than a setting's own parser lets it.
#[test]
fn no_text_of_a_script_comes_through_that_is_no_setting() {
    let mut seen = pipeline();
    seen.scripts[0].text =
        "ssh -o@x $(reboot)@$n -x@host @n a\u{1b}[1m@n ä@n 1a@n\nkubectl -n a/b create job --from=cronjob/x;y\n\
        curl http:// http://a b http://u:p@h/metrics/job/x http://\u{1b}[2J.prometheus:1 https://prometheus?x\n--from=cronjob/"
            .to_owned();
    seen.store.as_mut().unwrap().key = Some("../x".to_owned());
    let found = of(&seen).settings;
    let all: Vec<&String> = found.iter().flat_map(|offer| &offer.values).collect();
    assert!(all.iter().all(|value| !value.contains(['\u{1b}', '$', '(', ' ', '?', '@'])), "{all:?}");
    assert!(!found.iter().any(|offer| ["ssh-user", "vault-path", "pushgateway"].contains(&offer.key)), "{found:?}");
}
