//! The whole program by its one entry, as a person or a Job calls it: exit codes, and what stands on which stream.

use clap::CommandFactory;
use k8s_upgrade::cli::Cli;
use k8s_upgrade::report::Wording;

use super::ports;
use crate::support::program::{program, program_as};

/// A kubeconfig of an API server that nobody listens for.
pub fn nobody(folder: &tempfile::TempDir) -> String {
    let port = ports::free();
    let path = folder.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn help_and_version_are_data() {
    let help = program(&["--help"], &[]);
    help.is(0);
    assert!(
        help.stdout.contains("upgrade-node") && help.stdout.contains("Exit codes") && help.stderr.is_empty(),
        "{}",
        help.stdout
    );
    assert!(program(&["--version"], &[]).is(0).stdout.starts_with("k8s-upgrade "));
}

#[test]
fn every_command_s_help_ends_with_two_examples() {
    for command in [
        "detect",
        "start",
        "resume",
        "rehearse",
        "status",
        "preflight",
        "upgrade-node",
        "postflight",
        "drain",
        "manifests",
        "image",
        "adopt",
        "completions",
        "man",
    ] {
        let help = program(&[command, "--help"], &[]);
        help.is(0);
        let examples = help.stdout.split_once("Examples:").unwrap_or_else(|| panic!("{command}: no examples")).1;
        assert_eq!(examples.trim().lines().count(), 2, "{command}: {examples}");
    }
}

#[test]
fn a_wrong_command_line_is_usage() {
    program(&[], &[]).is(2);
    program(&["upgrade"], &[]).is(2).says("unrecognized subcommand");
    program(&["start"], &[]).is(2).says("--target");
    program(&["preflight", "--target", "1.36"], &[]).is(2).says("is no Kubernetes release");
    program(&["preflight", "--target", "v1.36.3-rc.1"], &[]).is(2).says("is no Kubernetes release");
    program(&["preflight", "--target", "1.36.3", "--chain"], &[]).is(2).says("--run");
    program(&["manifests"], &[]).is(2).says("--image REF");
}

#[test]
fn wrong_settings_are_usage_and_name_their_source() {
    program(&["status", "--set", "soka=1m"], &[]).is(2).says("did you mean \"soak\"?");
    program(&["status"], &[("K8S_UPGRADE_SOAK", "long")]).is(2).says("environment variable K8S_UPGRADE_SOAK");
    program(&["status", "--config", "/nonexistent/config.yaml"], &[]).is(2).says("/nonexistent/config.yaml");
}

#[test]
fn an_api_server_that_is_not_there_is_told_in_bounded_time() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = nobody(&folder);
    let ran = program(&["status", "--kubeconfig", &kubeconfig], &[]);
    ran.is(7).says("✗ list nodes").says("onnection refused").says("Next:");
    let ran = program(&["status", "--kubeconfig", "/nonexistent/kubeconfig"], &[]);
    ran.is(2).says("/nonexistent/kubeconfig").says("Next:  kubectl config get-contexts");
}

/// What a required argument is given, by its name.
pub fn sample(arg: &clap::Arg) -> &'static str {
    match arg.get_id().as_str() {
        "target" | "release" => "1.36.3",
        "node" | "names" => "k8s-node4",
        "phase" => "preflight",
        other => panic!("a value of {other} is wanted here"),
    }
}

#[test]
fn no_command_advises_itself() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = nobody(&folder);
    let mut cli = Cli::command();
    cli.build();
    let without_cluster = ["help", "completions", "complete", "man", "manifests", "image", "rehearse"];
    let mut asked = 0;
    for command in cli.get_subcommands().filter(|command| !without_cluster.contains(&command.get_name())) {
        // One that another may stand for is wanted, too, where that other is not there.
        let wanted = |arg: &&clap::Arg| arg.is_required_set() || arg.get_id() == "release";
        let required = command.get_arguments().filter(wanted).filter(|arg| !arg.is_global_set());
        let required =
            required.flat_map(|arg| arg.get_long().map(|long| format!("--{long}")).into_iter().chain([sample(arg).to_owned()]));
        let line: Vec<String> = std::iter::once(command.get_name().to_owned()).chain(required).collect();
        let words: Vec<&str> = line.iter().map(String::as_str).collect();
        let ran = program(&[&words[..], &["--yes", "--kubeconfig", &kubeconfig, "--request-timeout", "0s"]].concat(), &[]);
        let own = format!("k8s-upgrade {}", line.join(" "));
        let next = ran.stderr.split_once("\n  Next:  ").unwrap_or_else(|| panic!("{own}: {}", ran.stderr)).1;
        assert!(
            next.lines().all(|line| line.split(" # ").next().unwrap().trim() != own),
            "{own} advises itself:\n{}",
            ran.stderr
        );
        asked += 1;
    }
    assert!(asked > 12, "{asked}");
}

#[test]
fn json_goes_to_stderr_for_failures_too() {
    let ran = program(&["status", "--kubeconfig", "/nonexistent/kubeconfig", "--log-format", "json"], &[]);
    let last = ran.stderr.lines().last().unwrap();
    let event: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!((event["event"].as_str(), event["failure"]["exitCode"].as_u64()), (Some("failed"), Some(2)), "{last}");
}

#[test]
fn manifests_and_rules_need_no_cluster() {
    let ran = program(&["manifests", "--image", "example.org/k8s-upgrade:1", "--set", "soak=1m"], &[]);
    assert!(ran.is(0).stdout.contains("soak: 1m"), "{}", ran.stdout);
    let rules = program(&["manifests", "--only", "rules"], &[]);
    assert!(rules.is(0).stdout.contains("K8sUpgradeStalled"), "{}", rules.stdout);
}

#[test]
fn words_that_are_no_names_are_refused_before_anything_is_asked() {
    let long = "a".repeat(300);
    for word in ["", "A B", "../x", "a\nb", "a\tb", "-o", "$(id)", &long, "\u{1b}[31m"] {
        for (line, name) in [
            (vec!["status", &format!("--namespace={word}")], "namespace"),
            (vec!["manifests", &format!("--image={word}")], "image"),
            (vec!["manifests", "--image", "r.test/a:1", &format!("--external-secret={word}")], "name of an object"),
            (vec!["drain", "--", word], "node name"),
            (vec!["rollback", "--", word], "node name"),
            (vec!["upgrade-node", "--", word], "node name"),
            (vec!["skip-phase", "worker", "--", word], "node name"),
            (vec!["rotate-key", &format!("--only={word}")], "node name"),
            (vec!["report", "--", word], "run id"),
            (vec!["acknowledge", "--", word], "ID of changes"),
            (vec!["preflight", &format!("--target={word}")], "Kubernetes release"),
        ] {
            program(&line, &[]).is(2).says(&format!("is no {name}"));
        }
    }
    for reason in ["", " ", "a\nb", "\u{1b}[31m", &"a".repeat(501)] {
        program(&["halt", &format!("--reason={reason}")], &[]).is(2).says("is no reason");
        program(&["status", &format!("--context={reason}")], &[]).is(2).says("is no name in a kubeconfig");
    }
    for seed in ["-1", "18446744073709551616", "x"] {
        program(&["rehearse", &format!("--seed={seed}")], &[]).is(2);
    }
}

#[test]
fn manifests_are_not_for_the_cluster_s_own_namespaces() {
    for namespace in ["kube-system", "kube-public", "kube-node-lease", "default"] {
        let ran = program(&["-n", namespace, "manifests", "--image", "r.test/a:1"], &[]);
        assert_eq!(ran.is(2).says("the cluster's own namespace").says("-n k8s-upgrade").stdout, "");
    }
}

#[test]
fn what_stays_on_this_machine_is_told_by_manifests() {
    let line = [
        "manifests",
        "--image",
        "r.test/a:1",
        "--set",
        "ssh-key-file=/k",
        "--set",
        "vault-address=https://v",
        "--set",
        "soak=1m",
    ];
    let ran = program(&line, &[]);
    ran.is(0).says("ssh-key-file is of this machine").says("--ssh-key FILE").says("vault-address is of this machine");
    assert!(ran.stdout.contains("soak: 1m") && !ran.stdout.contains("https://v"), "{}", ran.stdout);
    assert!(!program(&["manifests", "--image", "r.test/a:1"], &[]).is(0).stderr.contains("of this machine"));
}

#[test]
fn variables_of_service_links_are_told_on_request() {
    let links = [("K8S_UPGRADE_PORT", "tcp://10.96.0.7:9091")];
    assert_eq!(program(&["manifests", "--only", "rules"], &links).is(0).stderr, "");
    program(&["-v", "manifests", "--only", "rules"], &links).is(0).says("K8S_UPGRADE_PORT is no setting");
    program(&["status"], &[("K8S_UPGRADE_PORTS", "1")]).is(2).says("unknown setting");
}

#[test]
fn whom_it_acts_as_is_said_where_the_api_server_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = nobody(&folder);
    let ask = |args: &[&str]| program(&[&["check", "--kubeconfig", &kubeconfig, "--request-timeout", "0s"], args].concat(), &[]);
    ask(&["--as", "ann", "--as-group", "ops"]).is(7).says("(context c, as ann)");
    ask(&["--as-group", "ops"]).is(2).says("--as-group needs --as");
    ask(&["--cluster", "gone"]).is(2).says("has no cluster gone (known: c)");
    ask(&["--user", "gone"]).is(2).says("has no user gone (known: u)");
    for name in ["", " ", "a\nb", "\u{1b}[31m", "ä", &"a".repeat(501)] {
        ask(&[&format!("--as={name}")]).is(2).says("is no name of a user or a group");
        ask(&[&format!("--as-group={name}")]).is(2).says("is no name of a user or a group");
    }
}

/// Of every command, and of the program itself.
fn helps(name: &str, env: &[(&str, &str)]) -> Vec<String> {
    let mut cli = Cli::command();
    cli.build();
    let commands = cli.get_subcommands().map(|command| vec![command.get_name().to_owned(), "--help".to_owned()]);
    let all = commands.filter(|words| words[0] != "help").chain([vec!["--help".to_owned()], vec!["-h".to_owned()]]);
    all.map(|words| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        program_as(name, &words, env).is(0).stdout.clone()
    })
    .collect()
}

/// As a plugin of kubectl it has another name, wherever a person reads what to type.
#[test]
fn a_plugin_of_kubectl_says_what_is_typed_there() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = nobody(&folder);
    let name = "/usr/local/bin/kubectl-upgrade";
    let (own, plugin) = (helps("k8s-upgrade", &[]), helps(name, &[]));
    let mut named = 0;
    for (own, plugin) in own.iter().zip(&plugin) {
        let usage = plugin.lines().find(|line| line.starts_with("Usage: ")).unwrap();
        assert!(usage.starts_with("Usage: kubectl upgrade"), "{usage}");
        // The same but for the name: a namespace, an image and a file keep theirs.
        assert_eq!(own, &plugin.replace("kubectl upgrade", "k8s-upgrade"));
        for example in plugin.split("Examples:").skip(1).flat_map(str::lines) {
            assert!(!example.trim_start().starts_with("k8s-upgrade"), "{example}");
        }
        named += plugin.matches("kubectl upgrade").count();
    }
    assert!(named > 60, "{named}");
    program_as(name, &["check", "--kubeconfig", &kubeconfig], &[]).is(7).says("Next:  kubectl upgrade status");
    program_as(name, &["check", "--kubeconfig", &kubeconfig, "--log-format", "json"], &[]).is(7).says("k8s-upgrade status");
    // What is applied to the cluster is no text for whoever typed.
    let manifests = |name| program_as(name, &["manifests", "--image", "example.org/k8s-upgrade:1"], &[]).is(0).stdout.clone();
    assert_eq!(manifests(name), manifests("k8s-upgrade"));
}

/// Whatever a screen has: no byte of it is one that such a locale has no sign for.
#[test]
fn a_locale_without_unicode_gets_ascii() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = nobody(&folder);
    for locale in [[("LC_ALL", "POSIX")], [("LC_CTYPE", "C")], [("LANG", "de_DE.ISO-8859-1")]] {
        assert!(helps("k8s-upgrade", &locale).iter().all(|help| help.is_ascii()), "{locale:?}");
        let ran = program(&["status", "--kubeconfig", &kubeconfig], &locale);
        assert!(ran.is(7).says("x list nodes").stderr.is_ascii(), "{}", ran.stderr);
    }
    program(&["status", "--kubeconfig", &kubeconfig], &[("LANG", "C.UTF-8")]).is(7).says("✗ list nodes");
    // JSON is UTF-8 wherever it is read.
    program(&["status", "--kubeconfig", &kubeconfig, "--log-format", "json"], &[("LANG", "C")]).is(7);
    let ascii = Wording { ascii: true, ..Wording::default() };
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let folders = ["offline", "sim"].map(|folder| std::fs::read_dir(tests.join(folder).join("snapshots")).unwrap());
    let (mut screens, mut signs) = (0, 0);
    for file in folders.into_iter().flatten().map(|file| file.unwrap().path()) {
        let Ok(golden) = std::fs::read_to_string(&file) else { continue };
        let put = ascii.put(&golden);
        assert!(put.is_ascii(), "{}", file.display());
        assert_eq!(put.lines().count(), golden.lines().count(), "{}", file.display());
        (screens, signs) = (screens + 1, signs + golden.chars().filter(|sign| !sign.is_ascii()).count());
    }
    assert!(screens > 40 && signs > 100, "{screens} {signs}");
}

/// What JSON says, in the notation that kubectl's users know.
#[test]
fn yaml_says_what_json_says() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = nobody(&folder);
    let halt =
        |form| program(&["halt", "--yes", "--reason", "Zürich: on\u{a0}hold", "--kubeconfig", &kubeconfig, "-o", form], &[]);
    let (json, yaml) = (halt("json").is(7).stdout.clone(), halt("yaml").is(7).stdout.clone());
    let json: serde_json::Value = serde_json::from_str(&json.replace("-o json", "-o yaml")).unwrap();
    assert!(yaml.starts_with("---\nversion: 1\n"), "{yaml}");
    assert_eq!(serde_saphyr::from_str::<serde_json::Value>(&yaml).unwrap(), json, "{yaml}");
}
