//! The whole program, held by something that knows no deadline: signals end it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::END;

fn program(args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_k8s-upgrade"));
    command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Its code, in time.
fn code(child: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if begun.elapsed() > END {
            child.kill().unwrap();
            panic!("signals did not end it");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn waits(file: &Path) {
    let begun = Instant::now();
    while !file.exists() {
        assert!(begun.elapsed() < END, "it did not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_first_signal_ends_the_wait_for_a_credential_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let (file, begun) = (folder.path().join("config"), folder.path().join("begun"));
    let script = format!("touch {}; sleep 10", begun.display());
    let text = format!(
        "current-context: c\nclusters: [{{name: c, cluster: {{server: 'https://10.0.0.1'}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         users: [{{name: u, user: {{exec: {{command: sh, args: [-c, '{script}'], interactiveMode: Never}}}}}}]\n"
    );
    std::fs::write(&file, text).unwrap();
    for (name, wanted) in [("-TERM", 143), ("-INT", 130)] {
        let _ = std::fs::remove_file(&begun);
        let mut child = program(&["--kubeconfig", file.to_str().unwrap(), "status"]);
        waits(&begun);
        signal(&child, name);
        assert_eq!(code(&mut child), Some(wanted));
    }
}

/// The settings are read on the thread that would hear of signals: a FIFO holds it.
#[test]
fn the_second_signal_ends_the_program_whatever_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("settings");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut child = program(&["--config", fifo.to_str().unwrap(), "status"]);
    // Once it has the FIFO open, it is held, and it listens.
    let fds = format!("/proc/{}/fd", child.id());
    let begun = Instant::now();
    let holds = || {
        let fds = std::fs::read_dir(&fds).into_iter().flatten().flatten();
        fds.filter_map(|fd| std::fs::read_link(fd.path()).ok()).any(|to| to == fifo)
    };
    while !holds() {
        assert!(begun.elapsed() < END, "it did not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    signal(&child, "-TERM");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(
        child.try_wait().unwrap(),
        None,
        "the first signal is no end of the file: settings that nobody has read are not empty"
    );
    signal(&child, "-TERM");
    let begun = Instant::now();
    assert_eq!(code(&mut child), Some(143));
    assert!(begun.elapsed() < Duration::from_secs(8), "it was the FIFO's deadline: {:?}", begun.elapsed());
}
