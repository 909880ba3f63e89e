//! Hosts and agents that never let go.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use k8s_upgrade::adapters::Ssh;
use k8s_upgrade::world::{Bounds, Host, HostError, HostOutput, Hosts, Login, STDERR};

use super::super::ssh::Sshd;
use super::{END, SOCKETS, ends, run};

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: usize = 1 << 20;

/// With the time that it took.
fn exec(ssh: &Ssh, host: &Host, command: &str, time: Duration) -> (Result<HostOutput, HostError>, Duration) {
    let begun = Instant::now();
    let output = run(ends(command, ssh.exec(host, command, Bytes::new(), Bounds::new(time, LIMIT), &mut |_| {})));
    (output, begun.elapsed())
}

fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[test]
fn a_command_that_never_stops_is_cut_at_the_limit_of_its_stream() {
    let sshd = Sshd::start("");
    let host = sshd.host();
    let before = peak();
    for (command, limit) in [
        ("yes", "1 MiB"),
        ("yes >&2", "64 KiB"),
        ("yes '' ", "1 MiB"),
        ("tr '\\0' x </dev/zero", "1 MiB"),
        ("tr '\\0' '\\n' </dev/zero >&2", "64 KiB"),
    ] {
        let (output, _) = exec(&Ssh::default(), &host, command, 20 * SECOND);
        let error = output.unwrap_err();
        assert!(matches!(error, HostError::TooMuch(_)), "{command}: {error}");
        let told = error.to_string();
        assert!(told.contains("k8s-node1 (127.0.0.1:") && told.contains(limit), "{command}: {told}");
    }
    let more = peak().saturating_sub(before);
    // Other tests of this process are in it.
    assert!(more < 512 << 20, "{more} bytes more than before");
    // As much as is taken comes whole.
    let whole = format!("head -c {LIMIT} /dev/zero; head -c {STDERR} /dev/zero >&2");
    let output = exec(&Ssh::default(), &host, &whole, 20 * SECOND).0.unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (LIMIT, STDERR));
}

/// Says `first`, then `then` for ever.
fn talker(first: &'static [u8], then: &'static [u8]) -> (Host, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let count = count.clone();
            std::thread::spawn(move || talk(&socket, first, then, &count));
        }
    });
    let login = Login::Key("".into());
    (Host { node: "k8s-node1".into(), address: "127.0.0.1".into(), port, user: "u".into(), login, known_keys: vec![] }, sent)
}

fn talk(mut socket: &TcpStream, first: &[u8], then: &[u8], count: &AtomicUsize) -> Option<()> {
    socket.set_write_timeout(Some(END)).ok()?;
    socket.write_all(first).ok()?;
    if then.is_empty() {
        socket.set_read_timeout(Some(END)).ok()?;
        while socket.read(&mut [0; 4096]).ok()? > 0 {}
        return None;
    }
    let many = then.repeat(65536 / then.len());
    loop {
        socket.write_all(&many).ok()?;
        count.fetch_add(many.len(), Ordering::Relaxed);
    }
}

#[test]
fn whatever_is_said_before_the_login_has_an_end() {
    // Unencrypted packets as they come before the keys are agreed on: length 12, padding 4, type 2 (ignore) or 90.
    const IGNORED: &[u8] = b"\0\0\0\x0c\x04\x02\0\0\0\x02xx\0\0\0\0";
    const QUEUED: &[u8] = b"\0\0\0\x0c\x04\x5a\0\0\0\x02xx\0\0\0\0";
    for (first, then) in [
        (&b""[..], &b""[..]),
        (b"", b"\n"),
        (b"", b"junk\r\n"),
        (b"", b"x"),
        (b"", b"\0"),
        (b"SSH-2.0-x", b"x"),
        (b"SSH-2.0-x\r\n", b""),
        (b"SSH-2.0-x\r\n", b"\n"),
        (b"SSH-2.0-x\r\n", b"\xff\xff\xff\xff"),
        (b"SSH-2.0-x\r\n", IGNORED),
        (b"SSH-2.0-x\r\n", QUEUED),
    ] {
        let (host, sent) = talker(first, then);
        let (output, took) = exec(&Ssh::default(), &host, "true", 2 * SECOND);
        let error = output.unwrap_err();
        assert!(error.to_string().contains("k8s-node1 (127.0.0.1:"), "{first:?} {then:?}: {error}");
        assert!(took < 5 * SECOND, "{first:?} {then:?}: {took:?}");
        // Up to eight attempts, where it looks like a host that is busy.
        let sent = sent.load(Ordering::Relaxed);
        assert!(sent < 8 * ((1 << 20) + SOCKETS / 2), "{first:?} {then:?}: {sent} bytes were read");
    }
}

/// An agent's socket at which somebody does this.
fn agent(folder: &tempfile::TempDir, manner: fn(&mut std::os::unix::net::UnixStream)) -> PathBuf {
    let path = folder.path().join("agent");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || manner(&mut socket));
        }
    });
    path
}

#[test]
fn an_agent_that_does_not_answer_is_named_in_time() {
    let sshd = Sshd::start("");
    let host = Host { login: Login::Agent, ..sshd.host() };
    let manners: [fn(&mut std::os::unix::net::UnixStream); 4] = [
        |_| std::thread::sleep(END),
        |socket| drop(socket.write_all(b"\xff\xff\xff\xff\x0c and more")),
        |socket| while socket.write_all(&[0; 4096]).is_ok() {},
        // It answers the first who asks, and nobody after that.
        |socket| {
            static ASKED: AtomicUsize = AtomicUsize::new(0);
            if ASKED.fetch_add(1, Ordering::Relaxed) == 0 {
                let _ = socket.read(&mut [0; 64]);
                let _ = socket.write_all(b"\0\0\0\x05\x0c\0\0\0\0");
            }
            std::thread::sleep(END);
        },
    ];
    for (number, manner) in manners.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let path = agent(&folder, manner);
        let (output, took) = exec(&Ssh::new(Some(path.clone())), &host, "true", 2 * SECOND);
        let told = output.unwrap_err().to_string();
        assert!(told.contains(path.to_str().unwrap()) || told.contains("did not answer within 2s"), "{number}: {told}");
        assert!(took < 5 * SECOND, "{number}: {took:?}");
    }
    let none = exec(&Ssh::default(), &host, "true", 5 * SECOND).0.unwrap_err();
    assert!(none.to_string().contains("SSH_AUTH_SOCK"), "{none}");
}
