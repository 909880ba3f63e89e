#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::patches::{OfNodes, Patches};
use super::static_pods::StaticPod;
use super::*;
use crate::failure::Class;

/// As kubeadm 1.36.3 made it of a ClusterConfiguration with flags of its own, without a pod network.
const CONFIGURATION: &str = "\
apiServer:
  extraArgs:
  - name: audit-policy-file
    value: /etc/audit-policy.yaml
  - name: audit-log-maxsize
    value: \"4000\"
apiVersion: kubeadm.k8s.io/v1beta4
certificatesDir: /etc/kubernetes/pki
clusterName: kubernetes
controllerManager: {}
dns: {}
etcd:
  local:
    dataDir: /var/lib/etcd
kind: ClusterConfiguration
kubernetesVersion: v1.36.3
networking:
  dnsDomain: cluster.local
  serviceSubnet: 10.96.0.0/12
scheduler: {}
";
const APISERVER: &str = "kube-apiserver --advertise-address=10.77.0.10 --allow-privileged=true --authorization-mode=Node,RBAC \
    --client-ca-file=/etc/kubernetes/pki/ca.crt --enable-admission-plugins=NodeRestriction --enable-bootstrap-token-auth=true \
    --etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt --etcd-certfile=/etc/kubernetes/pki/apiserver-etcd-client.crt \
    --etcd-keyfile=/etc/kubernetes/pki/apiserver-etcd-client.key --etcd-servers=https://127.0.0.1:2379 \
    --kubelet-client-certificate=/etc/kubernetes/pki/apiserver-kubelet-client.crt \
    --kubelet-client-key=/etc/kubernetes/pki/apiserver-kubelet-client.key \
    --kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname \
    --proxy-client-cert-file=/etc/kubernetes/pki/front-proxy-client.crt \
    --proxy-client-key-file=/etc/kubernetes/pki/front-proxy-client.key --requestheader-allowed-names=front-proxy-client \
    --requestheader-client-ca-file=/etc/kubernetes/pki/front-proxy-ca.crt --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --requestheader-group-headers=X-Remote-Group --requestheader-username-headers=X-Remote-User --secure-port=6443 \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-account-key-file=/etc/kubernetes/pki/sa.pub \
    --service-account-signing-key-file=/etc/kubernetes/pki/sa.key --service-cluster-ip-range=10.96.0.0/12 \
    --tls-cert-file=/etc/kubernetes/pki/apiserver.crt --tls-private-key-file=/etc/kubernetes/pki/apiserver.key \
    --audit-policy-file=/etc/audit-policy.yaml --audit-log-maxsize=4000";
const CONTROLLER_MANAGER: &str = "kube-controller-manager --authentication-kubeconfig=/etc/kubernetes/controller-manager.conf \
    --authorization-kubeconfig=/etc/kubernetes/controller-manager.conf --bind-address=127.0.0.1 \
    --client-ca-file=/etc/kubernetes/pki/ca.crt --cluster-name=kubernetes --cluster-signing-cert-file=/etc/kubernetes/pki/ca.crt \
    --cluster-signing-key-file=/etc/kubernetes/pki/ca.key --controllers=*,bootstrapsigner,tokencleaner \
    --kubeconfig=/etc/kubernetes/controller-manager.conf --leader-elect=true \
    --requestheader-client-ca-file=/etc/kubernetes/pki/front-proxy-ca.crt --root-ca-file=/etc/kubernetes/pki/ca.crt \
    --service-account-private-key-file=/etc/kubernetes/pki/sa.key --use-service-account-credentials=true";
const SCHEDULER: &str = "kube-scheduler --authentication-kubeconfig=/etc/kubernetes/scheduler.conf \
    --authorization-kubeconfig=/etc/kubernetes/scheduler.conf --bind-address=127.0.0.1 \
    --kubeconfig=/etc/kubernetes/scheduler.conf --leader-elect=true";
const ETCD: &str = "etcd --advertise-client-urls=https://10.77.0.10:2379 --cert-file=/etc/kubernetes/pki/etcd/server.crt \
    --client-cert-auth=true --data-dir=/var/lib/etcd --feature-gates=InitialCorruptCheck=true \
    --initial-advertise-peer-urls=https://10.77.0.10:2380 --initial-cluster=m=https://10.77.0.10:2380 \
    --key-file=/etc/kubernetes/pki/etcd/server.key --listen-client-urls=https://127.0.0.1:2379,https://10.77.0.10:2379 \
    --listen-metrics-urls=http://127.0.0.1:2381 --listen-peer-urls=https://10.77.0.10:2380 --name=m \
    --peer-cert-file=/etc/kubernetes/pki/etcd/peer.crt --peer-client-cert-auth=true \
    --peer-key-file=/etc/kubernetes/pki/etcd/peer.key --peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt \
    --snapshot-count=10000 --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt --watch-progress-notify-interval=5s";

fn pods(edit: impl Fn(&str) -> String) -> Vec<StaticPod> {
    let pod = |command: &str| {
        let command: Vec<String> = edit(command).split_whitespace().map(str::to_owned).collect();
        StaticPod { node: "m".to_owned(), component: command[0].clone(), command }
    };
    [APISERVER, CONTROLLER_MANAGER, SCHEDULER, ETCD].map(pod).to_vec()
}

fn found(configuration: &str, edit: impl Fn(&str) -> String) -> Vec<String> {
    let configuration = static_pods::Configuration::read(configuration).unwrap();
    static_pods::differences(&configuration, &pods(edit), &OfNodes::new()).unwrap().iter().map(Difference::line).collect()
}

#[test]
fn what_kubeadm_made_is_no_difference() {
    let none: Vec<String> = Vec::new();
    assert_eq!(found(CONFIGURATION, str::to_owned), none);
    // etcd before 3.6; a joined member; the CA's key elsewhere.
    for (made, instead) in [
        ("--feature-gates=InitialCorruptCheck=true", "--experimental-initial-corrupt-check=true"),
        ("--watch-progress-notify-interval=5s", "--experimental-watch-progress-notify-interval=5s"),
        (
            "--initial-cluster=m=https://10.77.0.10:2380",
            "--initial-cluster=l=https://a:2380,m=https://b:2380 --initial-cluster-state=existing",
        ),
        ("--cluster-signing-key-file=/etc/kubernetes/pki/ca.key", "--cluster-signing-key-file="),
    ] {
        assert_eq!(found(CONFIGURATION, |command| command.replace(made, instead)), none, "{instead}");
    }
    // The mapping of v1beta3.
    let old = CONFIGURATION.replace("  - name: audit-policy-file\n    value: ", "    audit-policy-file: ");
    let old = old.replace("  - name: audit-log-maxsize\n    value: ", "    audit-log-maxsize: ");
    assert_eq!(found(&old, str::to_owned), none);
    // A network of pods, IPv6, another port.
    let network = CONFIGURATION.replace("  serviceSubnet", "  podSubnet: 10.244.0.0/16\n  serviceSubnet");
    let flags = "--allocate-node-cidrs=true --cluster-cidr=10.244.0.0/16 --service-cluster-ip-range=10.96.0.0/12 --cluster-name";
    assert_eq!(found(&network, |command| command.replace("--cluster-name", flags)), none);
    let six = |command: &str| {
        let command =
            command.replace("--advertise-address=10.77.0.10", "--advertise-address=fd00::a").replace("10.77.0.10", "[fd00::a]");
        command.replace("//127.0.0.1", "//[::1]").replace("--secure-port=6443", "--secure-port=8443")
    };
    assert_eq!(found(CONFIGURATION, six), none);
    // etcd elsewhere.
    let external = CONFIGURATION.replace(
        "  local:\n    dataDir: /var/lib/etcd",
        "  external:\n    endpoints: [https://a:2379, https://b:2379]\n    caFile: /ca\n    certFile: /c\n    keyFile: /k",
    );
    let command = |command: &str| {
        let servers = command
            .replace("https://127.0.0.1:2379 ", "https://a:2379,https://b:2379 ")
            .replace("/etc/kubernetes/pki/etcd/ca.crt", "/ca");
        servers
            .replace("/etc/kubernetes/pki/apiserver-etcd-client.crt", "/c")
            .replace("/etc/kubernetes/pki/apiserver-etcd-client.key", "/k")
    };
    let configuration = static_pods::Configuration::read(&external).unwrap();
    assert_eq!(static_pods::differences(&configuration, &pods(command)[..3], &OfNodes::new()).unwrap(), []);
    // An override takes the place of kubeadm's own; a structured configuration, of the modes.
    let own = "  - name: profiling\n    value: \"false\"\n  - name: authorization-config\n    value: /a.yaml\n  - name: audit-policy-file";
    let overridden = CONFIGURATION.replace("  - name: audit-policy-file", own);
    let modes =
        |command: &str| command.replace("--authorization-mode=Node,RBAC", "--profiling=false --authorization-config=/a.yaml");
    assert_eq!(found(&overridden, modes), none);
}

#[test]
fn each_edit_of_a_manifest_is_named_with_what_kubeadm_would_do() {
    for (made, instead, wanted) in [
        (
            "--secure-port=6443",
            "--secure-port=6443 --profiling=false",
            "m: kube-apiserver --profiling=false: kubeadm would drop it",
        ),
        (
            "--secure-port=6443",
            "--secure-port=6443 --goaway-chance 0.001",
            "m: kube-apiserver --goaway-chance=0.001: kubeadm would drop it",
        ),
        (
            "--audit-log-maxsize=4000",
            "--audit-log-maxsize=100",
            "m: kube-apiserver --audit-log-maxsize=100: kubeadm would write --audit-log-maxsize=4000",
        ),
        (
            "--authorization-mode=Node,RBAC",
            "--authorization-mode=Node,RBAC,Webhook",
            "m: kube-apiserver --authorization-mode=Node,RBAC,Webhook: kubeadm would write --authorization-mode=Node,RBAC",
        ),
        (
            "--listen-metrics-urls=http://127.0.0.1:2381",
            "--listen-metrics-urls=http://0.0.0.0:2381",
            "m: etcd --listen-metrics-urls=http://0.0.0.0:2381: kubeadm would write --listen-metrics-urls=http://127.0.0.1:2381",
        ),
        (
            " --enable-admission-plugins=NodeRestriction",
            "",
            "m: kube-apiserver is without --enable-admission-plugins: kubeadm would write --enable-admission-plugins=NodeRestriction",
        ),
        (
            "--leader-elect=true --requestheader",
            "--leader-elect=true --node-monitor-grace-period=20s --requestheader",
            "m: kube-controller-manager --node-monitor-grace-period=20s: kubeadm would drop it",
        ),
    ] {
        assert_eq!(found(CONFIGURATION, |command| command.replace(made, instead)), [wanted]);
    }
    // What the ConfigMap says and no manifest yet is a gain.
    assert_eq!(found(CONFIGURATION, |command| command.replace(" --audit-log-maxsize=4000", "")), Vec::<String>::new());
}

#[test]
fn what_cannot_be_read_is_no_pass() {
    for text in ["", "- 1", "a: [", "text"] {
        assert!(static_pods::Configuration::read(text).is_err(), "{text}");
        assert!(kubelet::Configuration::read(text).is_err(), "{text}");
    }
    let configuration = static_pods::Configuration::read(CONFIGURATION).unwrap();
    let hidden = pods(|command| command.replace("--advertise-address=10.77.0.10 ", ""));
    assert_eq!(static_pods::differences(&configuration, &hidden, &OfNodes::new()).unwrap_err().class, Class::Hold);
    assert_eq!(acknowledged(Some("yes")).unwrap_err().class, Class::Refused);
    assert_eq!(acknowledged(None).unwrap(), []);
}

#[test]
fn the_kubelets_file_against_the_config_map() {
    let map = "cgroupDriver: systemd\nclusterDNS: [10.96.0.10]\ncontainerRuntimeEndpoint: \"\"\nevictionHard: {nodefs.available: 10%}\nmaxPods: 110\n";
    let configuration = kubelet::Configuration::read(map).unwrap();
    let lines =
        |file: &str| kubelet::differences(&configuration, "n", file, None).iter().map(Difference::line).collect::<Vec<_>>();
    let none: Vec<String> = Vec::new();
    assert_eq!(lines(map), none);
    assert_eq!(lines(""), none);
    // kubeadm's own doing, unset fields, and what the node would gain.
    let own = "containerRuntimeEndpoint: unix:///run/containerd/containerd.sock\nresolvConf: /run/systemd/resolve/resolv.conf\n\
               syncFrequency: 0s\nmemorySwap: {}\nlogging: {verbosity: 0, options: {json: {infoBufferSize: \"0\"}}}\n";
    assert_eq!(lines(own), none);
    let tuned = "maxPods: 250\nevictionHard: {nodefs.available: 5%, memory.available: 500Mi}\nclusterDNS: [169.254.20.10]\n\
                 healthzPort: 0\nresolvConf: /etc/own.conf\nstaticPodURLHeader: {Authorization: [\"Bearer 1234\"]}\n";
    insta::assert_snapshot!(lines(tuned).join("\n"), @r#"
    n: kubelet clusterDNS: ["169.254.20.10"]: kubeadm would write ["10.96.0.10"]
    n: kubelet evictionHard.memory.available: 500Mi: kubeadm would drop it
    n: kubelet evictionHard.nodefs.available: 5%: kubeadm would write 10%
    n: kubelet healthzPort: 0: kubeadm would drop it
    n: kubelet maxPods: 250: kubeadm would write 110
    n: kubelet resolvConf: /etc/own.conf: kubeadm would drop it
    n: kubelet staticPodURLHeader.Authorization: (hidden, sha256 739f7bf94cb5): kubeadm would drop it
    "#);
    insta::assert_snapshot!(lines("maxPods: [").join("\n"), @"n: kubelet /var/lib/kubelet/config.yaml cannot be read (error: line 1 column 10: unclosed bracket '['): maxPods: [");
}

fn deployment(managers: Value) -> Value {
    let container =
        json!({ "name": "coredns", "image": "registry.example/coredns:own", "args": ["-conf", "/own"], "resources": {} });
    let template =
        json!({ "metadata": { "annotations": { "a": "b" } }, "spec": { "containers": [container], "dnsPolicy": "Default" } });
    json!({ "metadata": { "managedFields": managers }, "spec": { "replicas": 3, "template": template } })
}

#[test]
fn what_somebody_else_has_set_in_the_coredns_deployment() {
    let lines =
        |managers: Value| coredns::differences(&deployment(managers), &[]).iter().map(Difference::line).collect::<Vec<_>>();
    let none: Vec<String> = Vec::new();
    let entry = |manager: &str, subresource: &str, spec: Value| json!({ "manager": manager, "subresource": subresource, "fieldsV1": { "f:spec": spec } });
    let all = json!({ "f:replicas": {}, "f:template": { "f:spec": { "f:containers": {} } } });
    let kubeadm = entry("kubeadm", "", all);
    assert_eq!(lines(json!([kubeadm])), none);
    // A scaled Deployment, a restart, and the controllers' marks.
    let restart = json!({ "f:template": { "f:metadata": { "f:annotations": { "f:kubectl.kubernetes.io/restartedAt": {} } } } });
    let marks = json!({ "manager": "kube-controller-manager", "fieldsV1": { "f:metadata": { "f:annotations": {} } } });
    let scaled = entry("kubectl", "scale", json!({ "f:replicas": {} }));
    let edited = entry("kubectl-edit", "", json!({ "f:replicas": {} }));
    assert_eq!(lines(json!([kubeadm, scaled, edited, entry("kubectl-rollout", "", restart), marks])), none);
    let image = json!({ "f:template": { "f:spec": {
        "f:containers": { "k:{\"name\":\"coredns\"}": { ".": {}, "f:image": {}, "f:args": {} } },
        "f:dnsPolicy": {}, "f:hostNetwork": {},
    } } });
    insta::assert_snapshot!(lines(json!([kubeadm, entry("helm", "", image)])).join("\n"), @r#"
    CoreDNS: template.spec.containers[coredns].image: registry.example/coredns:own, set by helm: kubeadm would write its own
    CoreDNS: template.spec.containers[coredns].args: ["-conf","/own"], set by helm: kubeadm would write its own
    CoreDNS: template.spec.dnsPolicy: Default, set by helm: kubeadm would write its own
    CoreDNS: template.spec.hostNetwork: (gone), set by helm: kubeadm would write its own
    "#);
    insta::assert_snapshot!(lines(json!([])).join("\n"), @"CoreDNS: who set its fields is not recorded (template dc2ce0cddeac): kubeadm would write its own Deployment");
    let flags = |flag: &str| coredns::is_skipped(&[flag.parse().unwrap()]);
    assert!(
        flags("--skip-phases=addon/coredns")
            && flags("--skip-phases=preflight,addon")
            && !flags("--skip-phases=addon/kube-proxy")
    );
}

fn patches(files: &[(&str, &str)]) -> Patches {
    Patches::read(files.iter().copied()).unwrap()
}

/// As people write them: at the end of kubeadm's command, as arguments behind it, in the place of a flag, or the whole command anew.
#[test]
fn what_a_patch_names_is_not_lost_and_all_else_is() {
    let configuration = static_pods::Configuration::read(CONFIGURATION).unwrap();
    let lines = |files: &[(&str, &str)], edit: &dyn Fn(&str) -> String| -> Vec<String> {
        let own = OfNodes::from([("m".to_owned(), patches(files))]);
        static_pods::differences(&configuration, &pods(edit), &own).unwrap().iter().map(Difference::line).collect()
    };
    let edit = |command: &str| {
        let command = command.replace("--secure-port=6443", "--secure-port=6443 --max-requests-inflight=800 --profiling=false");
        command.replace("--snapshot-count=10000", "--snapshot-count=5000 --quota-backend-bytes=8589934592")
    };
    let lost = [
        "m: kube-apiserver --max-requests-inflight=800: kubeadm would drop it",
        "m: kube-apiserver --profiling=false: kubeadm would drop it",
        "m: etcd --quota-backend-bytes=8589934592: kubeadm would drop it",
        "m: etcd --snapshot-count=5000: kubeadm would write --snapshot-count=10000",
    ];
    assert_eq!(lines(&[], &edit), lost);
    let add = |flag: &str| format!("- op: add\n  path: /spec/containers/0/command/-\n  value: {flag}\n");
    let apiserver = add("--max-requests-inflight=800");
    let etcd = "spec:\n  containers:\n  - name: etcd\n    args: [--quota-backend-bytes=8589934592]\n";
    let kept = [("kube-apiserver0+json.yaml", apiserver.as_str()), ("etcd.yaml", etcd)];
    assert_eq!(lines(&kept, &edit), [lost[1], lost[3]]);
    // One file, two patches; and the flag that kubeadm writes itself, in its place.
    let both = format!("{apiserver}---\n{}", add("--profiling=false"));
    let replace = add("--snapshot-count=5000").replace("op: add", "op: replace").replace("/-", "/15");
    let all = [kept[1], ("etcd1+json.yaml", &replace), ("kube-apiserver+json.yaml", &both)];
    assert_eq!(lines(&all, &edit), Vec::<String>::new());
    // Another value than runs there, and another component.
    let other = add("--max-requests-inflight=400");
    assert_eq!(
        lines(&[("kube-apiserver+json.yaml", &other), ("kube-scheduler+json.yaml", &both)], &edit)[0],
        "m: kube-apiserver --max-requests-inflight=800: kubeadm would write --max-requests-inflight=400"
    );
    // Added behind kubeadm's own, which stays; and not rolled out yet.
    let twice = |command: &str| command.replace("--snapshot-count=10000", "--snapshot-count=10000 --snapshot-count=5000");
    assert_eq!(
        lines(
            &[("etcd+json.json", r#"[{"op":"add","path":"/spec/containers/0/command/-","value":"--snapshot-count=5000"}]"#)],
            &twice
        ),
        Vec::<String>::new()
    );
    assert_eq!(lines(&all, &str::to_owned), Vec::<String>::new());
    // A whole command says all of it: what it leaves out is lost.
    let whole =
        |command: &str| format!("spec: {{containers: [{{name: kube-scheduler, command: [{}]}}]}}", command.replace(' ', ", "));
    let own = |command: &str| command.replace("--leader-elect=true", "--leader-elect=true --v=4");
    let names = ["kube-scheduler --v=4", "kube-scheduler --leader-elect=true"];
    let scheduler = own(SCHEDULER).split_whitespace().collect::<Vec<_>>().join(" ");
    let of_scheduler = |files: &[(&str, &str)]| {
        let all = lines(files, &own);
        names.map(|name| all.iter().any(|line| line.contains(name)))
    };
    assert_eq!(of_scheduler(&[("kube-scheduler+strategic.yaml", &whole(&scheduler))]), [false, false]);
    assert_eq!(of_scheduler(&[("kube-scheduler.yaml", &whole("kube-scheduler --bind-address=127.0.0.1"))]), [true, false]);
}

#[test]
fn what_a_patch_names_of_the_kubelet_and_of_coredns_is_not_lost() {
    let configuration = kubelet::Configuration::read("maxPods: 110\nevictionHard: {nodefs.available: 10%}\n").unwrap();
    let tuned = "maxPods: 250\nevictionHard: {nodefs.available: 10%, memory.available: 500Mi}\nfailSwapOn: false\n";
    let lines = |files: &[(&str, &str)]| {
        let found = kubelet::differences(&configuration, "n", tuned, Some(&patches(files)));
        found.iter().map(Difference::line).collect::<Vec<_>>()
    };
    let memory = "n: kubelet evictionHard.memory.available: 500Mi: kubeadm would drop it";
    let swap = "n: kubelet failSwapOn: false: kubeadm would drop it";
    assert_eq!(lines(&[("kubeletconfiguration.yaml", "maxPods: 250\n")]), [memory, swap]);
    assert_eq!(
        lines(&[("kubeletconfiguration+merge.json", r#"{"maxPods": 200, "failSwapOn": false}"#)]),
        [memory, "n: kubelet maxPods: 250: kubeadm would write 200"]
    );
    let json = r#"[{"op":"replace","path":"/maxPods","value":250},{"op":"add","path":"/evictionHard/memory.available","value":"500Mi"}]"#;
    assert_eq!(
        lines(&[("kubeletconfiguration+json.yaml", json), ("kubeletconfiguration1.yaml", "evictionHard: null")]),
        [memory, swap]
    );
    let image = json!({ "f:template": { "f:spec": { "f:containers": { "k:{\"name\":\"coredns\"}": { "f:image": {}, "f:args": {} } } } } });
    let deployment = deployment(json!([{ "manager": "helm", "fieldsV1": { "f:spec": image } }]));
    let patch = "spec: {template: {spec: {containers: [{name: coredns, image: \"registry.example/coredns:own\"}]}}}";
    let (own, none) = (patches(&[("corednsdeployment+strategic.yaml", patch)]), Patches::default());
    let count = |patches: &[&Patches]| coredns::differences(&deployment, patches).len();
    assert_eq!(
        [count(&[]), count(&[&none]), count(&[&own]), count(&[&own, &none])],
        [2, 2, 1, 2],
        "any control plane may write it"
    );
}

#[test]
fn what_is_no_patch_is_refused_as_kubeadm_would() {
    for (name, text) in [("etcd.yaml", "- op: add"), ("etcd+json.yaml", "a: b"), ("etcd.json", "{"), ("etcd.yaml", "text")] {
        let refused = Patches::read([(name, text)]).unwrap_err();
        assert_eq!((refused.class, refused.what), (Class::Refused, format!("kubeadm's patch {name} cannot be read")));
    }
    assert_eq!(Patches::read([("etcd.yaml", ""), ("etcd1.yaml", "---\n---\n")]).unwrap(), Patches::default());
    let folder = |flags: &[&str]| {
        let flags: Vec<_> = flags.iter().map(|flag| flag.parse().unwrap()).collect();
        super::patches::folder(&flags).map(|folder| folder.to_string())
    };
    assert_eq!(folder(&["--v=5", "--patches=/etc/kubernetes/patches"]).as_deref(), Some("/etc/kubernetes/patches"));
    assert_eq!(folder(&["--skip-phases=addon"]), None);
}

#[test]
fn a_changed_difference_is_another_one() {
    let difference = |what: &str| Difference { place: "m".into(), what: what.into(), keep: Keep::ClusterConfiguration };
    let (one, other) =
        (difference("kube-apiserver --a=1: kubeadm would drop it"), difference("kube-apiserver --a=2: kubeadm would drop it"));
    let known = Acknowledged { digest: one.digest(), what: one.line(), by: "ann".into(), at: "now".into() };
    let kept = acknowledged(Some(&serde_json::to_string(&[known]).unwrap())).unwrap();
    assert_eq!(open(vec![one.clone()], &kept), []);
    assert_eq!(open(vec![one.clone(), other.clone()], &kept), std::slice::from_ref(&other));
    assert_eq!(verdict(&[]), Ok(()));
    assert_ne!(id(std::slice::from_ref(&one)), id(std::slice::from_ref(&other)));
    assert_eq!(id(&[one.clone(), other.clone()]), id(&[other.clone(), one.clone()]), "in whatever order they are found");
    let kubelet = Difference { keep: Keep::KubeletConfiguration, ..difference("kubelet maxPods: 250: kubeadm would drop it") };
    let refused = verdict(&[one, kubelet]).unwrap_err();
    assert_eq!(refused.class, Class::Refused);
    let failure = crate::failure::Failure { cause: refused, place: String::new(), state: String::new(), next: Vec::new() };
    insta::assert_snapshot!(failure.to_string(), @r"
    ✗ refused: kubeadm would write over 2 changes that were made by hand
        m: kube-apiserver --a=1: kubeadm would drop it
        m: kubelet maxPods: 250: kubeadm would drop it
      Next:  kubectl -n kube-system edit configmap kubeadm-config    # to keep flags: into extraArgs of their component
             kubectl -n kube-system edit configmap kubelet-config    # to keep the kubelet's settings, on every node
             k8s-upgrade acknowledge e31e2435    # to lose all that is named above, in the next run
    ");
}
