//! The SSH adapter against real sshds on loopback, started by the tests: own keys, own configuration, as the current user.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::node::bench::Node;
use crate::support::program::program;
use bytes::Bytes;
use k8s_upgrade::adapters::Ssh;
use k8s_upgrade::run::parallel;
use k8s_upgrade::world::{Bounds, Host, HostError, HostOutput, Hosts, Login};

const SSHD: &str = "/usr/sbin/sshd";
const SHORT: Duration = Duration::from_secs(20);
/// Where sshd itself makes whoever comes wait, on a machine that has much else to do.
const LONG: Duration = Duration::from_secs(180);
const LIMIT: usize = 8 << 20;

pub struct Sshd {
    process: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn keygen(path: &Path, kind: &str) -> String {
    let made = Command::new("ssh-keygen").args(["-q", "-t", kind, "-b", "2048", "-N", "", "-C", "test", "-f"]).arg(path).status();
    assert!(made.expect("ssh-keygen is needed: apt-get install openssh-client").success());
    std::fs::read_to_string(path).unwrap()
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Sshd {
    /// An sshd with an ed25519 and an RSA host key that accepts `client` (and `client_rsa`).
    pub fn start(extra: &str) -> Sshd {
        Self::on("127.0.0.1", extra)
    }

    /// The same at another address.
    fn on(address: &str, extra: &str) -> Sshd {
        assert!(Path::new(SSHD).exists(), "{SSHD} is needed: apt-get install openssh-server");
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        keygen(&file("host_ed25519"), "ed25519");
        keygen(&file("host_rsa"), "rsa");
        keygen(&file("client"), "ed25519");
        keygen(&file("client_rsa"), "rsa");
        let accepted = ["client.pub", "client_rsa.pub"].map(|name| std::fs::read_to_string(file(name)).unwrap()).concat();
        std::fs::write(file("authorized_keys"), accepted).unwrap();
        if user() == "root" {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let port = super::ports::free();
        let root = folder.path().display();
        // A shell under sshd reads its home's .bashrc, and what that of whoever runs the tests prints would be the command's words.
        let config = format!(
            "ListenAddress {address}:{port}\nHostKey {root}/host_ed25519\nHostKey {root}/host_rsa\n\
             AuthorizedKeysFile {root}/authorized_keys\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nSetEnv HOME={root}\n{extra}\n"
        );
        std::fs::write(file("config"), config).unwrap();
        let log = std::fs::File::create(file("log")).unwrap();
        let process =
            Command::new(SSHD).args(["-D", "-e", "-f"]).arg(file("config")).stderr(log).stdin(Stdio::null()).spawn().unwrap();
        let sshd = Sshd { process, folder, port };
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < SHORT, "sshd does not listen: {}", std::fs::read_to_string(sshd.file("log")).unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
        sshd
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap()
    }

    /// `type base64` of a public key file.
    fn public(&self, name: &str) -> String {
        self.read(name).split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    /// This sshd as a host whose key is known.
    pub fn host(&self) -> Host {
        Host {
            node: "k8s-node1".into(),
            address: "127.0.0.1".into(),
            port: self.port,
            user: user(),
            login: Login::Key(self.read("client").into()),
            known_keys: vec![self.public("host_ed25519.pub")],
        }
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn exec(host: &Host, command: &str, stdin: &[u8], deadline: Duration) -> Result<HostOutput, HostError> {
    run(Ssh::default().exec(host, command, Bytes::copy_from_slice(stdin), Bounds::new(deadline, LIMIT), &mut |_| {}))
}

#[test]
fn both_streams_and_stdin_at_once_without_a_deadlock() {
    let sshd = Sshd::start("");
    let stdin: Vec<u8> = b"0123456789abcde\n".repeat(256 * 1024);
    // 4 MiB in, 4 MiB out, which is more than an SSH window, and as much on stderr as is taken of it.
    let output = exec(&sshd.host(), "tee >(head -c 60000 >&2; cat >/dev/null)", &stdin, Duration::from_secs(60)).unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (stdin.len(), 60_000));
    assert_eq!(output.stdout.as_bytes(), stdin, "in order and whole");
}

#[test]
fn a_script_comes_by_stdin_and_its_streams_are_kept_apart() {
    let sshd = Sshd::start("");
    let output = exec(&sshd.host(), "bash -s", b"echo out; echo err >&2; exit 7\n", SHORT).unwrap();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
    let output = exec(&sshd.host(), "exec <&-; sleep 0.2; echo never read", &[b'x'; 3 << 20], SHORT).unwrap();
    assert_eq!(output.stdout, "never read\n", "a command need not read its stdin");
}

#[test]
fn lines_are_told_as_they_come() {
    let sshd = Sshd::start("");
    let (mut seen, begin) = (Vec::new(), Instant::now());
    let mut on_line = |line: &str| seen.push((line.to_owned(), begin.elapsed()));
    let host = sshd.host();
    run(Ssh::default().exec(&host, "echo one; sleep 2; printf two", Bytes::new(), Bounds::new(SHORT, LIMIT), &mut on_line))
        .unwrap();
    let (one, two) = (&seen[0], &seen[1]);
    assert_eq!((one.0.as_str(), two.0.as_str(), seen.len()), ("one", "two", 2));
    assert!(two.1 - one.1 > Duration::from_secs(1), "{seen:?}");
}

#[test]
fn the_deadline_ends_the_wait_and_not_the_command() {
    let sshd = Sshd::start("");
    let begin = Instant::now();
    let mark = sshd.file("mark");
    let command = format!("sleep 5; echo done > {}", mark.display());
    let error = exec(&sshd.host(), &command, b"", Duration::from_secs(3)).unwrap_err();
    assert!(matches!(error, HostError::Deadline(..)), "{error}");
    assert!(begin.elapsed() < Duration::from_millis(4500), "{:?}", begin.elapsed());
    while !mark.exists() {
        assert!(begin.elapsed() < SHORT, "the command was not left to finish");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_dropped_future_ends_its_thread_soon() {
    let sshd = Sshd::start("");
    let host = sshd.host();
    let begin = Instant::now();
    // Dropping the runtime waits for its blocking threads.
    run(async {
        let mut nothing = |_: &str| {};
        let ssh = Ssh::default();
        let exec = ssh.exec(&host, "sleep 30", Bytes::new(), Bounds::new(Duration::from_secs(60), LIMIT), &mut nothing);
        tokio::time::timeout(Duration::from_secs(2), exec).await.unwrap_err();
    });
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn a_cut_session_is_lost_and_not_a_success() {
    let sshd = Sshd::start("");
    let host = sshd.host();
    let mut cut = |line: &str| {
        let pid: u32 = line.parse().unwrap();
        assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    };
    // The parent of the shell is the sshd that serves this session.
    let result = run(Ssh::default().exec(&host, "echo $PPID; sleep 30", Bytes::new(), Bounds::new(SHORT, LIMIT), &mut cut));
    assert!(matches!(result, Err(HostError::Lost(..))), "{result:?}");
}

#[test]
fn a_wrong_key_is_refused_and_a_broken_one_named() {
    let sshd = Sshd::start("");
    let other = keygen(&sshd.file("other"), "ed25519");
    let error = exec(&Host { login: Login::Key(other.into()), ..sshd.host() }, "true", b"", SHORT).unwrap_err();
    assert!(matches!(&error, HostError::Auth(_, name, _) if *name == user()), "{error}");
    let nonsense = "-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense\n-----END OPENSSH PRIVATE KEY-----";
    let error = exec(&Host { login: Login::Key(nonsense.into()), ..sshd.host() }, "true", b"", SHORT).unwrap_err();
    assert!(matches!(error, HostError::BadKey(_)), "{error}");
    assert!(!error.to_string().contains("nonsense"), "no key material in a message: {error}");
}

#[test]
fn keys_of_other_types_and_without_their_last_newline_work() {
    let sshd = Sshd::start("");
    for name in ["client", "client_rsa"] {
        let key = sshd.read(name).trim_end().to_owned();
        let output = exec(&Host { login: Login::Key(key.into()), ..sshd.host() }, "echo in", b"", SHORT).unwrap();
        assert_eq!(output.stdout, "in\n", "{name}");
    }
}

#[test]
fn an_unknown_host_key_is_learned_then_strict() {
    let sshd = Sshd::start("");
    let learned = exec(&Host { known_keys: vec![], ..sshd.host() }, "true", b"", SHORT).unwrap().host_key;
    assert!([sshd.public("host_ed25519.pub"), sshd.public("host_rsa.pub")].contains(&learned), "{learned}");
    let again = exec(&Host { known_keys: vec![learned.clone()], ..sshd.host() }, "true", b"", SHORT).unwrap();
    assert_eq!(again.host_key, learned);
}

#[test]
fn a_host_known_by_its_rsa_key_alone_is_no_mismatch() {
    let sshd = Sshd::start("");
    let host = Host { known_keys: vec![sshd.public("host_rsa.pub")], ..sshd.host() };
    assert_eq!(exec(&host, "true", b"", SHORT).unwrap().host_key, sshd.public("host_rsa.pub"));
}

#[test]
fn a_changed_host_key_is_told_with_its_fingerprint_before_any_login() {
    let sshd = Sshd::start("");
    let host = Host { known_keys: vec![sshd.public("client.pub")], ..sshd.host() };
    let error = exec(&host, "true", b"", SHORT).unwrap_err();
    let shown = Command::new("ssh-keygen").arg("-lf").arg(sshd.file("host_ed25519.pub")).output().unwrap();
    let fingerprint = String::from_utf8(shown.stdout).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    assert!(matches!(&error, HostError::HostKeyChanged(_, shown) if *shown == format!("ssh-ed25519 {fingerprint}")), "{error}");
    assert!(!sshd.read("log").contains("Accepted"), "we did not log in");
}

#[test]
fn twenty_at_once_get_in_though_sshd_drops_some() {
    let sshd = Sshd::start("MaxStartups 6:100:6");
    let host = Arc::new(sshd.host());
    let outputs = run(futures::future::join_all((0..20).map(|number| {
        let host = host.clone();
        async move {
            let command = format!("echo {number}");
            Ssh::default().exec(&host, &command, Bytes::new(), Bounds::new(LONG, LIMIT), &mut |_| {}).await
        }
    })));
    for (number, output) in outputs.into_iter().enumerate() {
        assert_eq!(output.unwrap().stdout, format!("{number}\n"));
    }
    assert!(sshd.read("log").contains("beginning MaxStartups throttling"), "sshd dropped some: {}", sshd.read("log"));
}

/// One sshd under many addresses, and a host that lets in and says nothing: how long the living take, beside the bound of who only looks.
#[test]
#[ignore = "it only says how long that takes here"]
fn five_hundred_hosts_and_a_silent_one() {
    let sshd = Sshd::on("0.0.0.0", "MaxStartups 200");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = Host { port: silent.local_addr().unwrap().port(), ..sshd.host() };
    let living =
        (0..500).map(|number| Host { address: format!("127.0.{}.{}", 1 + number / 250, 1 + number % 250), ..sshd.host() });
    let begin = Instant::now();
    let look = |host: Host| async move {
        let end = Ssh::default().exec(&host, "true", Bytes::new(), Bounds::new(SHORT, LIMIT), &mut |_| {}).await;
        (end, begin.elapsed())
    };
    let mut ended = run(parallel::looks_in_turn(std::iter::once(dead).chain(living).map(look)));
    let (dead, took) = ended.remove(0);
    let last = ended.iter().map(|(_, took)| *took).max().unwrap();
    eprintln!("{} hosts in {last:?}; the dead one took {took:?}", ended.len());
    assert!(dead.is_err() && ended.iter().all(|(end, _)| end.is_ok()), "{:?}", ended.iter().find(|(end, _)| end.is_err()));
}

#[test]
fn an_absent_sshd_and_a_silent_one() {
    let port = super::ports::free();
    let login = Login::Key("".into());
    let host = Host { node: "k8s-node1".into(), address: "127.0.0.1".into(), port, user: user(), login, known_keys: vec![] };
    let error = exec(&host, "true", b"", SHORT).unwrap_err();
    assert!(matches!(&error, HostError::Closed(place, _) if place.contains("k8s-node1")), "{error}");
    // Accepts connections into its backlog and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = Host { port: silent.local_addr().unwrap().port(), ..host };
    let begin = Instant::now();
    let error = exec(&host, "true", b"", Duration::from_secs(1)).unwrap_err();
    assert!(matches!(error, HostError::Connect(..) | HostError::Deadline(..)), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(3));
}

#[test]
fn an_agent_offers_all_its_keys() {
    let sshd = Sshd::start("");
    keygen(&sshd.file("other"), "ed25519");
    let socket = sshd.file("agent");
    let mut agent = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
    while !socket.exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    for key in ["other", "client"] {
        let added = Command::new("ssh-add").arg("-q").arg(sshd.file(key)).env("SSH_AUTH_SOCK", &socket).status().unwrap();
        assert!(added.success());
    }
    let host = Host { login: Login::Agent, ..sshd.host() };
    let within = Bounds::new(SHORT, LIMIT);
    let output = run(Ssh::new(Some(socket)).exec(&host, "echo in", Bytes::new(), within, &mut |_| {}));
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert_eq!(output.unwrap().stdout, "in\n");
}

/// `status --hosts` as a person types it, against one sshd whose sessions are on a scratch node.
#[test]
fn by_ssh_alone_the_known_hosts_file_decides() {
    let node = Node::new();
    let sshd = Sshd::start(&format!("ForceCommand {}", node.shell()));
    let known = sshd.file("known_hosts");
    let own = sshd.public("host_ed25519.pub");
    let place = format!("[127.0.0.1]:{}", sshd.port);
    let settings = [
        "host-addresses=k8s-node1=127.0.0.1".to_owned(),
        format!("ssh-port={}", sshd.port),
        format!("ssh-user={}", user()),
        format!("ssh-key-file={}", sshd.file("client").display()),
        format!("known-hosts-file={}", known.display()),
    ];
    let ask = |content: &str| {
        std::fs::write(&known, content).unwrap();
        let options = settings.iter().flat_map(|setting| ["--set", setting]);
        let nobody = [("HOME", "/nonexistent")];
        program(&["status", "--hosts"].into_iter().chain(options).collect::<Vec<_>>(), &nobody)
    };
    // No kubeconfig is needed for any of it.
    let accepted = ask(&format!("# mine\n{place} {own}\n"));
    accepted.is(0);
    assert!(accepted.stdout.contains("1 of 1 hosts answered"), "{}", accepted.stdout);
    assert!(accepted.stdout.contains("active      1.35.4-1.1  1.35.4-1.1"), "{}", accepted.stdout);
    // Nor for the plan of a control plane, which is what a static pod makes of the node.
    node.root("etc/kubernetes/manifests/kube-apiserver.yaml", "    image: registry.k8s.io/kube-apiserver:v1.35.4\n");
    let mut rollback = vec!["rollback", "k8s-node1", "--kubeconfig", "/nonexistent"];
    rollback.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    let plan = program(&rollback, &[]);
    plan.is(0).says("kubeconfig /nonexistent");
    assert!(
        plan.stdout.contains("kube-apiserver 1.35.4") && plan.stdout.contains("install -D -m 0600 SNAPSHOT "),
        "{}",
        plan.stdout
    );
    let changed = ask(&format!("{place} {}\n", sshd.public("client.pub")));
    changed.is(4);
    assert!(changed.stdout.contains("shows another host key than the one known"), "{}", changed.stdout);
    let absent = ask(&format!("127.0.0.1 {own}\n"));
    absent.is(4);
    assert!(absent.stdout.contains("knows no host key of k8s-node1"), "of another port is of another host: {}", absent.stdout);
    ask(&format!("{place} {own}\n{place} ssh-ed25519 AAAA\n")).is(2).says(&format!("{}, line 2: ", known.display()));
    // Without a key file it is an agent that has the key; without an agent the setting is named.
    std::fs::write(&known, format!("{place} {own}\n")).unwrap();
    let keyless = settings.iter().filter(|setting| !setting.starts_with("ssh-key-file")).flat_map(|setting| ["--set", setting]);
    let output =
        Command::new(env!("CARGO_BIN_EXE_k8s-upgrade")).args(["status", "--hosts"]).args(keyless).env_clear().output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(4) && said.contains("--set ssh-key-file=FILE"), "{said}");
    let logins = sshd.read("log").matches("Accepted publickey").count();
    assert_eq!(logins, 6, "twice a look, a look back and one at images, and nobody else got in: {}", sshd.read("log"));
}
