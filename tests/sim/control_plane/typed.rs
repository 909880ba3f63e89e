//! What a person types at a real API server: this program and kubectl beside it, as they are.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_k8s-upgrade");
const KUBECTL: &str = "CONTROL_PLANE_KUBECTL";

/// A person's machine.
struct Person {
    home: TempDir,
    kubeconfig: String,
    kubectl: String,
    namespace: String,
}

fn var(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: tests/control-plane/run starts a control plane and sets it"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Person {
    /// With a namespace that no other has, which is not made.
    fn new(name: &str) -> Person {
        let namespace = format!("typed-{name}-{}", std::process::id());
        Person { home: tempfile::tempdir().unwrap(), kubeconfig: var(super::KUBECONFIG), kubectl: var(KUBECTL), namespace }
    }

    fn command(&self, program: &str, args: &[&str], stdin: &str) -> Output {
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home.path())
            .env("KUBECONFIG", &self.kubeconfig);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn kubectl_with(&self, args: &[&str], stdin: &str) -> String {
        let output = self.command(&self.kubectl, args, stdin);
        assert!(output.status.success(), "kubectl {args:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    fn kubectl(&self, line: &str) -> String {
        self.kubectl_with(&line.split(' ').collect::<Vec<_>>(), "")
    }

    /// This program; with the snapshot that it takes itself, so that no policy of ours looks at a CronJob: an API server from which the last
    /// of those goes hears of no CronJob any more, and behaviours have theirs.
    fn types(&self, line: &str) -> (String, String) {
        let args: Vec<&str> = ["-n", &self.namespace, "--set", "snapshot=etcdctl"].into_iter().chain(line.split(' ')).collect();
        let output = self.command(PROGRAM, &args, "");
        assert!(output.status.success(), "k8s-upgrade {line}: {}{}", text(&output.stdout), text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    }

    fn manifests(&self, build: &str, more: &str) -> String {
        self.types(&format!("manifests --image docker.io/library/k8s-upgrade:{build}{more}")).0
    }

    /// Not by `uninstall`, which refuses while a node has our cordon: others here play with nodes.
    fn removes(&self, manifests: &str) {
        self.kubectl_with(&["delete", "--wait=false", "-f", "-"], manifests);
    }

    fn get(&self, what: &str, path: &str) -> String {
        self.kubectl(&format!("-n {} get {what} -o jsonpath={path}", self.namespace))
    }
}

/// kubectl leaves alone what the manifests do not mention: what people set, and what runs have written.
#[test]
fn applied_again_a_newer_build_keeps_what_people_and_runs_have_set() {
    let person = Person::new("again");
    let ns = person.namespace.clone();
    person.kubectl_with(&["apply", "-f", "-"], &person.manifests("0123456789ab", ""));
    let mark = |suffix: &str| format!("viktorbarzin.me/k8s-upgrade-{suffix}");
    let said = [
        (
            format!(
                "annotate namespace {ns} {}=by-ann {}=true {}=5f3a21bc team=infra",
                mark("halted"),
                mark("in-flight"),
                mark("run-id")
            ),
            "",
        ),
        (format!("label namespace {ns} cost-centre=42"), ""),
        (format!("-n {ns} annotate cronjob k8s-version-check note=mine"), ""),
        (format!("-n {ns} label cronjob k8s-upgrade-watch tier=cluster"), ""),
        (format!("-n {ns} patch cronjob k8s-version-check --type=merge -p"), r#"{"spec":{"suspend":true}}"#),
        (
            format!("-n {ns} patch configmap k8s-upgrade-known-hosts --type=merge -p"),
            r#"{"data":{"k8s-node1":"ssh-ed25519 AAAA"}}"#,
        ),
        (format!("-n {ns} annotate serviceaccount k8s-upgrade-job eks=role"), ""),
        (format!("-n {ns} create secret generic k8s-upgrade-creds --from-literal=ssh_key=x"), ""),
        (format!("-n {ns} create configmap k8s-upgrade-journal-5f3a21bc-x --from-literal=a=b"), ""),
    ];
    for (line, patch) in &said {
        let words: Vec<&str> = line.split(' ').chain(Some(*patch).filter(|patch| !patch.is_empty())).collect();
        person.kubectl_with(&words, "");
    }
    let newer = person.manifests("ba9876543210", " --set soak=20m --set events=false --set drain-surge=single");
    let folder = person.home.path().join("gitops");
    let printed = folder.display().to_string();
    person
        .manifests("ba9876543210", &format!(" --set soak=20m --set events=false --set drain-surge=single --kustomize {printed}"));
    for apply in [&["apply", "-f", "-"][..], &["apply", "-k", &printed]] {
        person.kubectl_with(apply, &newer);
        let annotations = person.kubectl(&format!("get namespace {ns} -o jsonpath={{.metadata.annotations}}"));
        for kept in ["halted\":\"by-ann", "in-flight\":\"true", "run-id\":\"5f3a21bc", "team\":\"infra"] {
            assert!(annotations.contains(kept), "{kept}: {annotations}");
        }
        for (what, path, wanted) in [
            (format!("namespace {ns}"), "{.metadata.labels.cost-centre}", "42"),
            (format!("namespace {ns}"), r"{.metadata.labels.pod-security\.kubernetes\.io/enforce}", "restricted"),
            ("cronjob k8s-version-check".to_owned(), "{.metadata.annotations.note}", "mine"),
            ("cronjob k8s-version-check".to_owned(), "{.spec.suspend}", "true"),
            ("cronjob k8s-upgrade-watch".to_owned(), "{.metadata.labels.tier}", "cluster"),
            ("configmap k8s-upgrade-known-hosts".to_owned(), "{.data.k8s-node1}", "ssh-ed25519 AAAA"),
            ("serviceaccount k8s-upgrade-job".to_owned(), "{.metadata.annotations.eks}", "role"),
            ("secret k8s-upgrade-creds".to_owned(), "{.data.ssh_key}", "eA=="),
            ("configmap k8s-upgrade-journal-5f3a21bc-x".to_owned(), "{.data.a}", "b"),
        ] {
            assert_eq!(person.get(&what, path), wanted, "{what} {path}");
        }
        // What is the new build's own is the new build's.
        let image = person.get("cronjob k8s-version-check", "{.spec.jobTemplate.spec.template.spec.containers[*].image}");
        assert_eq!(image, "docker.io/library/k8s-upgrade:ba9876543210");
        assert!(person.get("configmap k8s-upgrade-config", "{.data}").contains("soak: 20m"));
    }
    // The folder is what is printed.
    assert_eq!(person.command(&person.kubectl, &["diff", "-f", "-"], &newer).status.code(), Some(0));
    person.removes(&newer);
}

/// Each command that `uninstall --dry-run` prints for what there is, typed as it stands there. No kind of External Secrets is served here, nor of
/// the Prometheus operator: what would be of them is not found, and not stumbled over.
#[test]
fn what_uninstall_prints_can_be_typed_and_leaves_nothing() {
    let person = Person::new("leaving");
    let ns = person.namespace.clone();
    let kinds = person.kubectl("api-resources -o name");
    assert!(!kinds.contains("externalsecrets") && !kinds.contains("prometheusrules"), "{kinds}");
    person.kubectl_with(&["apply", "-f", "-"], &person.manifests("0123456789ab", ""));
    person.kubectl(&format!("-n {ns} create secret generic k8s-upgrade-creds --from-literal=ssh_key=x"));
    let (_, said) = person.types("uninstall --dry-run");
    let printed = |said: &str, begins: &str| -> Vec<String> {
        let lines = said.lines().filter_map(|line| line.find(begins).map(|at| line[at..].to_owned()));
        lines.filter(|line| line.contains(" delete ") && !line.contains("--raw") && !line.contains("prometheusrules")).collect()
    };
    let lines = printed(&said, "kubectl ");
    assert!(lines.len() > 8, "{said}");
    let order: Vec<&str> = lines.iter().map(|line| line.split(" delete ").nth(1).unwrap().split(' ').next().unwrap()).collect();
    assert_eq!((order.first(), order.last()), (Some(&"cronjobs"), Some(&"namespaces")), "{lines:#?}");
    for line in &lines {
        // As a shell reads them, and as a person waits: the namespace goes once it is empty.
        let kubectl = format!("kubectl() {{ '{}' \"$@\"; }}; {line} --timeout=120s", person.kubectl);
        let typed = person.command("bash", &["-c", &kubectl], "");
        assert!(typed.status.success(), "{line}: {}", text(&typed.stderr));
    }
    let (_, said) = person.types("uninstall --dry-run");
    assert!(said.contains("nothing of an installation is in the namespace"), "{said}");
    assert!(printed(&said, "kubectl ").is_empty(), "{said}");
    for kind in ["clusterroles", "clusterrolebindings", "validatingadmissionpolicies", "validatingadmissionpolicybindings"] {
        let left = person.kubectl(&format!("get {kind} -o name"));
        assert!(!left.contains(&ns), "{left}");
    }
    // What it leaves: of nodes the marks, of the operator's kind nothing, which is not served.
    let marks = said.lines().find_map(|line| line.find("kubectl annotate nodes").map(|at| line[at..].to_owned())).unwrap();
    let kubectl = format!("kubectl() {{ '{}' \"$@\"; }}; {marks} --dry-run=server", person.kubectl);
    let typed = person.command("bash", &["-c", &kubectl], "");
    assert!(typed.status.success(), "{marks}: {}", text(&typed.stderr));
    let rules =
        said.lines().find_map(|line| line.find("kubectl delete prometheusrules").map(|at| line[at..].to_owned())).unwrap();
    let typed = person.command("bash", &["-c", &format!("kubectl() {{ '{}' \"$@\"; }}; {rules}", person.kubectl)], "");
    assert!(!typed.status.success() && text(&typed.stderr).contains("prometheusrules"), "{}", text(&typed.stderr));
}

/// Nothing of another pipeline, and one that a person has made by kubectl: what `adopt` types away is gone.
#[test]
fn what_adopt_prints_can_be_typed_and_our_manifests_take_its_place() {
    let person = Person::new("adopt");
    let ns = person.namespace.clone();
    for line in [
        format!("create namespace {ns}"),
        format!("-n {ns} create cronjob k8s-version-check --image=example.org/tools:1 --schedule=0~12~*~*~0 -- true"),
        format!("-n {ns} create configmap k8s-upgrade-scripts --from-literal=upgrade-step.sh=ssh~ubuntu@$node"),
        format!("-n {ns} create configmap k8s-upgrade-job-template --from-literal=a=b"),
        format!("-n {ns} create serviceaccount k8s-upgrade-job"),
        format!("-n {ns} create role creds --verb=get --resource=secrets"),
        format!("-n {ns} create rolebinding creds --role=creds --serviceaccount={ns}:k8s-upgrade-job"),
        format!("-n {ns} create secret generic k8s-upgrade-creds --from-literal=ssh_key=x"),
    ] {
        let words: Vec<String> = line.split(' ').map(|word| word.replace('~', " ")).collect();
        person.kubectl_with(&words.iter().map(String::as_str).collect::<Vec<_>>(), "");
    }
    let (told, _) = person.types("adopt --set alerts=off --set gauges=off");
    assert!(told.contains("ssh-user: ubuntu"), "{told}");
    let lines: Vec<&str> = told.lines().filter_map(|line| line.trim_start().strip_prefix("type  ")).collect();
    let kubectl: Vec<&&str> =
        lines.iter().filter(|line| line.starts_with("kubectl") && line.contains(&ns) && !line.contains(" get ")).collect();
    assert!(kubectl.len() >= 5 && kubectl[0].contains("suspend"), "{told}");
    for line in kubectl {
        let typed = person.command("bash", &["-c", &format!("kubectl() {{ '{}' \"$@\"; }}; {line}", person.kubectl)], "");
        assert!(typed.status.success(), "{line}: {}", text(&typed.stderr));
    }
    let (told, _) = person.types("adopt --set alerts=off --set gauges=off");
    assert!(told.contains("nothing of another pipeline is here"), "{told}");
    let ours = person.manifests("0123456789ab", "");
    person.kubectl_with(&["apply", "-f", "-"], &ours);
    assert_eq!(person.get("secret k8s-upgrade-creds", "{.data.ssh_key}"), "eA==", "the key stays");
    person.removes(&ours);
}

/// kubectl itself finds the plugin on PATH, and asks the program beside it what a word may become.
#[test]
fn kubectl_completes_its_plugin() {
    let person = Person::new("completes");
    let bin = person.home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(PROGRAM, bin.join("kubectl-upgrade")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions/kubectl_complete-upgrade");
    std::fs::copy(script, bin.join("kubectl_complete-upgrade")).unwrap();
    let asked = |words: &str| {
        let path = format!("PATH={}:/usr/bin:/bin", bin.display());
        let args: Vec<&str> =
            [path.as_str(), &person.kubectl, "__complete", "upgrade"].into_iter().chain(words.split(' ')).collect();
        text(&person.command("env", &args, "").stdout)
    };
    assert!(asked("adop").starts_with("adopt\tShow what"), "{}", asked("adop"));
    // What is live has 200 ms, which a machine at work may not keep; offline, completions:: ask for it.
    assert_eq!(asked("skip-phase mas"), "master\n:4\n");
    assert_eq!(asked("status --output=js"), "json\n:4\n");
}
