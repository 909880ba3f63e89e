//! How a script is put together and how its end is read.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use k8s_upgrade::failure::{Cause, Class};
use k8s_upgrade::node::{
    self, AddKey, AskDeprecated, AskServers, Available, Begin, CheckCertificates, Follow, Identify, Images, ImagesThere, Inspect,
    KubeadmPlan, LookAtKeys, MoveLeader, Operation, Prefetch, ReadPatches, Refresh, RefreshAll, RemoveKeys, Repository,
    SnapshotHash, Step, WriteCard,
};
use k8s_upgrade::world::HostOutput;

use super::bench::{Node, RUN, release, word};

/// An operation whose body the test chooses.
struct Echo {
    body: &'static str,
    args: Vec<String>,
}

impl Operation for Echo {
    const NAME: &'static str = "echo";
    const MUTATES: bool = false;
    const DEADLINE: Duration = Duration::from_secs(5);
    type Output = String;
    fn script(&self) -> &'static str {
        self.body
    }
    fn args(&self) -> Vec<String> {
        self.args.clone()
    }
    fn parse(&self, stdout: &str) -> Result<String, Cause> {
        Ok(stdout.to_owned())
    }
}

fn body(body: &'static str) -> Echo {
    Echo { body, args: Vec::new() }
}

#[test]
fn hostile_arguments_arrive_as_they_are() {
    let args = [
        "",
        "a b",
        "it's",
        "$(touch /tmp/pwned)`id`",
        "two\nlines",
        "\\",
        "\"",
        "-n",
        "*",
        "'; exit 3; '",
        "ü€",
        "@k8s-upgrade end echo 0",
    ];
    let op = Echo { body: "for a; do printf '<%s>' \"$a\"; done\n", args: args.map(str::to_owned).into() };
    let expected: String = args.iter().map(|arg| format!("<{arg}>")).collect();
    assert_eq!(Node::new().run(&op).unwrap(), expected);
}

#[test]
fn a_body_that_fails_anywhere_ends_there_and_says_so() {
    let node = Node::new();
    for failing in [
        "false\necho on\n",
        "x=$(false)\necho on\n",
        "false | true\necho on\n",
        "f() { false; echo on; }\nf\n",
        "echo \"$unset\"\necho on\n",
    ] {
        let output = node.answer(&node::stdin(&body(failing)));
        assert!(!output.stdout.contains("on\n"), "{failing:?} went on: {output:?}");
        let cause = node::read(&body(failing), &output).unwrap_err();
        assert_eq!((cause.class, cause.what.as_str()), (Class::Step, "echo failed (exit 1)"), "{failing:?}");
    }
}

#[test]
fn a_status_says_the_class_and_the_script_says_what() {
    let node = Node::new();
    for (call, class) in [
        ("hold 'not now'\n", Class::Hold),
        ("refused 'not now'\n", Class::Refused),
        ("unreachable 'not now'\n", Class::Unreachable),
        ("contended 'not now'\n", Class::Contended),
        ("failed 'not now'\n", Class::Step),
    ] {
        let cause = node.run(&body(call)).unwrap_err();
        assert_eq!((cause.class, cause.what.as_str()), (class, "not now"));
    }
    let cause = node.run(&body("echo evidence >&2\nfailed broken\n")).unwrap_err();
    assert_eq!(cause.detail, ["evidence"]);
}

#[test]
fn nothing_reads_the_script_by_accident() {
    assert_eq!(Node::new().run(&body("cat\nread -r line || echo nothing\n")).unwrap(), "nothing\n");
}

#[test]
fn a_script_cut_short_does_nothing_at_all() {
    let node = Node::new();
    let script = node::stdin(&WriteCard { name: "card".to_owned(), content: "text".to_owned() });
    for cut in [script.len() / 2, script.len() - 3] {
        let output = node.answer(&script[..cut]);
        assert!(!node.root_path("var/lib/k8s-upgrade/card").exists(), "cut at {cut}");
        let op = WriteCard { name: String::new(), content: String::new() };
        assert_eq!(node::read(&op, &output).unwrap_err().class, Class::Step);
    }
}

#[test]
fn what_a_login_file_prints_is_no_answer() {
    let noise = HostOutput {
        stdout: "Welcome!\n@k8s-upgrade begin echo\ntext\n@k8s-upgrade end echo 0\n".to_owned(),
        ..HostOutput::default()
    };
    assert_eq!(node::read(&body(""), &noise).unwrap(), "text");
    let other =
        HostOutput { stdout: "@k8s-upgrade begin echo\ntext\n@k8s-upgrade end other 0\n".to_owned(), ..HostOutput::default() };
    assert_eq!(node::read(&body(""), &other).unwrap_err().class, Class::Step);
}

#[test]
fn sudo_that_refuses_is_told_apart_from_a_lost_session() {
    for text in [
        "sudo: a password is required\n",
        "sudo: a terminal is required to read the password; either use the -S option\n",
        "wizard is not in the sudoers file.\n",
        "Sorry, user wizard may not run sudo on k8s-node1.\n",
        "bash: line 1: sudo: command not found\n",
    ] {
        let cause =
            node::read(&Inspect::default(), &HostOutput { stderr: text.to_owned(), ..HostOutput::default() }).unwrap_err();
        assert_eq!(cause.class, Class::Refused, "{text}");
        assert!(cause.next[0].command.contains("sudoers"), "{cause:?}");
        assert_eq!(cause.detail, [text.trim_end()]);
    }
    let warning = "sudo: setrlimit(RLIMIT_CORE): Operation not permitted\n";
    for stderr in ["", "Connection reset by peer\n", warning] {
        let stdout = "@k8s-upgrade begin inspect\nkernel 6\n".to_owned();
        let cut = HostOutput { stdout, stderr: stderr.to_owned(), ..HostOutput::default() };
        let cause = node::read(&Inspect::default(), &cut).unwrap_err();
        assert_eq!((cause.class, node::is_foreign::<Inspect>(&cut)), (Class::Step, false), "{stderr}");
        assert!(cause.what.contains("may still run"), "{cause}");
    }
}

/// A shell that is none, a forced command, another user, and what a logout adds: the node's own words tell a person at once what is wrong, and
/// nobody is told of work that may still run.
#[test]
fn a_node_that_speaks_for_itself_is_repeated() {
    let ended = "@k8s-upgrade begin inspect\nkernel 6\n\n@k8s-upgrade end inspect 0\nGood bye!\n";
    let nologin = "This account is currently not available.\n";
    let user = "\nPlease login as the user \"ubuntu\" rather than the user \"root\".\n\n";
    for (stdout, stderr, words) in [
        (nologin, "", "This account is currently not available."),
        (user, "", "Please login as the user \"ubuntu\" rather than the user \"root\"."),
        ("", "exec request failed on channel 0\n", "exec request failed on channel 0"),
        ("backup 2.1\nready\n", "", "backup 2.1"),
        (ended, "", "Good bye!"),
    ] {
        let output = HostOutput { stdout: stdout.to_owned(), stderr: stderr.to_owned(), ..HostOutput::default() };
        let cause = node::read(&Inspect::default(), &output).unwrap_err();
        assert_eq!((cause.class, node::is_foreign::<Inspect>(&output)), (Class::Refused, true), "{cause}");
        assert!(cause.what.ends_with(words) && !cause.what.contains("may still run"), "{cause}");
    }
    let silent = HostOutput::default();
    let cause = node::read(&Inspect::default(), &silent).unwrap_err();
    assert_eq!((cause.class, node::is_foreign::<Inspect>(&silent)), (Class::Step, true));
    assert_eq!(cause.what, "the node ended the session without a word before inspect began");
}

/// One machine, by the number of its boot.
fn machine(boot: u8) -> node::Machine {
    let boot_id = format!("0b9c6d1e-4f2a-4c3b-9d8e-7f6a5b4c3d{boot:02x}");
    node::Machine { machine_id: "0b9c6d1e4f2a4c3b9d8e7f6a5b4c3d2e".parse().unwrap(), boot_id: boot_id.parse().unwrap() }
}

#[test]
fn what_is_for_one_machine_does_nothing_elsewhere() {
    let node = Node::new();
    node.root("etc/machine-id", &format!("{}\n", machine(0).machine_id));
    node.root("proc/sys/kernel/random/boot_id", &format!("{}\n", machine(0).boot_id));
    let card = WriteCard { name: "card".to_owned(), content: "text".to_owned() };
    let written = || node.root_path("var/lib/k8s-upgrade/card").exists();
    let clone = node::Machine { machine_id: "ffffffff4f2a4c3b9d8e7f6a5b4c3d2e".parse().unwrap(), ..machine(0) };
    for elsewhere in [machine(1), clone] {
        let output = node.answer(&node::stdin_on(&card, &elsewhere));
        assert!(node::is_elsewhere::<WriteCard>(&output) && !written(), "{output:?}");
        assert_eq!(node::read(&card, &output).unwrap_err().class, Class::Step);
    }
    let output = node.answer(&node::stdin_on(&card, &machine(0)));
    assert!(!node::is_elsewhere::<WriteCard>(&output) && written(), "{output:?}");
    node::read(&card, &output).unwrap();
}

/// Every script as it is sent, and every file that a unit runs.
fn assembled() -> Vec<(String, String)> {
    let text = |word: &str| word.to_owned();
    let mut scripts = vec![
        (text("inspect"), node::stdin(&Inspect::default())),
        (text("identify"), node::stdin(&Identify)),
        (text("inspect there"), node::stdin_on(&Inspect::default(), &machine(0))),
        (
            text("repository"),
            node::stdin(&Repository { packages: word("https://a"), target: release("1.36.3"), keys: Vec::new() }),
        ),
        (text("refresh"), node::stdin(&Refresh::default())),
        (text("refresh-all"), node::stdin(&RefreshAll)),
        (text("available"), node::stdin(&Available { package: "kubeadm" })),
        (text("images"), node::stdin(&ImagesThere { name: word("k8s-upgrade") })),
        (text("prefetch"), node::stdin(&Prefetch { target: release("1.36.3"), control_plane: true, images: Images::default() })),
        (text("kubeadm-plan"), node::stdin(&KubeadmPlan { target: release("1.36.3"), flags: vec![word("--x")] })),
        (text("follow"), node::stdin(&Follow { from: 0, wait: Duration::from_secs(1) })),
        (text("servers"), node::stdin(&AskServers)),
        (text("deprecated"), node::stdin(&AskDeprecated)),
        (text("certificates"), node::stdin(&CheckCertificates)),
        (text("move-leader"), node::stdin(&MoveLeader { to: word("8e9e05c52164694d") })),
        (text("patches"), node::stdin(&ReadPatches { folder: word("/a") })),
        (text("look-at-etcd"), node::stdin(&super::snapshot::look())),
        (text("take-snapshot"), node::stdin(&super::snapshot::take())),
        (text("snapshot-hash"), node::stdin(&SnapshotHash { path: word("/a") })),
        (text("look-at-keys"), node::stdin(&LookAtKeys { user: word("u"), of: vec![word("AAAA")] })),
        (
            text("add-key"),
            node::stdin(&AddKey { user: word("u"), kind: word("ssh-rsa"), key: word("A"), replaces: vec![word("B")] }),
        ),
        (text("remove-keys"), node::stdin(&RemoveKeys { user: word("u"), keep: None, strays: true, gone: vec![word("A")] })),
        (text("write-card"), node::stdin(&WriteCard { name: text("a"), content: text("b") })),
    ];
    let upgrade = Step::KubeadmUpgrade { first_control_plane: true, flags: vec![word("--x")] };
    for step in [Step::KubeadmPackage, upgrade, Step::KubeletPackages, Step::ContainerdPackage] {
        let begin = Begin { step: step.clone(), target: release("1.36.3").into(), run: word(RUN) };
        scripts.push((format!("{} (unit)", step.name()), begin.args().pop().unwrap()));
        scripts.push((format!("begin {}", step.name()), node::stdin(&begin)));
    }
    scripts
}

#[test]
fn every_script_passes_shellcheck() {
    for (name, script) in assembled() {
        let spawned = Command::new("shellcheck")
            .args(["--shell=bash", "--severity=style", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = spawned.expect("shellcheck is missing: apt-get install shellcheck");
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{name}:\n{}", String::from_utf8_lossy(&output.stdout));
    }
}
