//! Completions inside the shells themselves: what they offer is what the program says, and without a cluster nothing disturbs whoever types.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use clap::CommandFactory;
use k8s_upgrade::cli::Cli;

use super::ports;

const PROGRAM: &str = env!("CARGO_BIN_EXE_k8s-upgrade");

fn script(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("completions").join(file)
}

/// A shell that finds the program, and nothing of this machine's cluster.
fn shell(name: &str, args: &[&str]) -> Output {
    let folder = Path::new(PROGRAM).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(name);
    command.args(args).env_clear().env("PATH", path).env("HOME", home.path()).env("LANG", "C.UTF-8").env("TERM", "xterm");
    command.output().unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()
}

/// What bash offers for the end of a line, as it calls a completion: with the line, and the word that it would replace.
fn bash(line: &str) -> Vec<String> {
    let replaced = line.rsplit(|c: char| " =@:".contains(c)).next().unwrap();
    let call = format!(
        "source {}; COMP_LINE='{line}' COMP_POINT={}; $(complete -p k8s-upgrade | sed 's/.*-F \\([^ ]*\\).*/\\1/') k8s-upgrade '{replaced}'; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script("k8s-upgrade.bash").display(),
        line.len(),
    );
    lines(&shell("bash", &["--norc", "-c", &call]))
}

/// What fish offers, without what it is for.
fn fish(line: &str) -> Vec<String> {
    let call = format!("source {}; complete -C '{line}'", script("k8s-upgrade.fish").display());
    let offers = lines(&shell("fish", &["--no-config", "-c", &call]));
    offers.iter().map(|offer| offer.split('\t').next().unwrap().to_owned()).collect()
}

/// zsh completes at a terminal alone, and brings one along: the line is typed there, and this must come to stand on it.
fn zsh_shows(line: &str, wanted: &str) {
    let call = r#"
        zmodload zsh/zpty; zpty z 'PS1= zsh -f -i'
        zpty -w z "fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; LISTMAX=9999; print READY\$((1+1))"
        zpty -r z seen '*READY2*'; zpty -w -n z "$2"$'\t'; zpty -r z seen "*${(b)3}*"; zpty -d z"#;
    let folder = script("_k8s-upgrade").parent().unwrap().display().to_string();
    let ended = shell("timeout", &["30", "zsh", "-f", "-c", call, "zsh", &folder, line, wanted]);
    assert!(ended.status.success(), "{line} does not come to {wanted}: {}", String::from_utf8_lossy(&ended.stderr));
}

/// In each shell: the first word, what ends at a sign at which bash ends a word, and what was typed whole before.
#[test]
fn every_shell_completes() {
    for (shell, offered) in [("bash", bash as fn(&str) -> Vec<String>), ("fish", fish)] {
        assert_eq!(offered("k8s-upgrade sta"), ["start", "status"], "{shell}");
        let mut phases = offered("k8s-upgrade -q skip-phase ");
        phases.sort();
        assert_eq!(phases, ["master", "postflight", "preflight", "worker"], "{shell}");
        assert!(offered("k8s-upgrade rehearse --inject kil").concat().contains("kill@"), "{shell}");
    }
    assert_eq!(
        bash("k8s-upgrade rehearse --inject kill@worker/k8s-node"),
        ["1", "2", "3", "4"].map(|n| format!("worker/k8s-node{n}"))
    );
    assert_eq!(fish("k8s-upgrade rehearse --inject kill@worker/k8s-node").len(), 4);
    assert_eq!(bash("k8s-upgrade status --output=js"), ["json"]);
    assert_eq!(fish("k8s-upgrade status --output=js"), ["--output=json"]);
    zsh_shows("k8s-upgrade sta", "status  -- Show where a run stands");
    zsh_shows("k8s-upgrade status --output=js", "--output=json");
    zsh_shows("k8s-upgrade rehearse --inject kil", "kill@");
    zsh_shows("k8s-upgrade rehearse --inject kill@worker/", "kill@worker/k8s-node");
}

/// What kubectl is offered for `kubectl upgrade …`, and the number that says what a shell makes of it: kubectl finds a program of that name on
/// PATH and calls it with the words behind its plugin's name.
fn kubectl(words: &[&str]) -> (Vec<String>, String) {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(PROGRAM, folder.path().join("kubectl-upgrade")).unwrap();
    let asked = folder.path().join("kubectl_complete-upgrade");
    std::fs::copy(script("kubectl_complete-upgrade"), &asked).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let mut command = Command::new(&asked);
    let output = command.args(words).env_clear().env("PATH", path).env("HOME", folder.path()).output().unwrap();
    let mut offers = lines(&output);
    let directive = offers.pop().unwrap();
    (offers, directive)
}

#[test]
fn kubectl_completes_its_plugin() {
    let words = |asked: &[&str]| {
        let (offers, directive) = kubectl(asked);
        (offers.iter().map(|offer| offer.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>(), directive)
    };
    assert_eq!(words(&["sta"]), (vec!["start".to_owned(), "status".to_owned()], ":4".to_owned()));
    assert_eq!(kubectl(&["stat"]).0, ["status\tShow where a run stands, what blocks it, and what to do next"]);
    assert_eq!(words(&["status", "-o", "js"]), (vec!["json".to_owned()], ":4".to_owned()));
    // kubectl completes what is behind the sign, and puts the rest before it.
    assert_eq!(words(&["status", "--output=js"]), (vec!["json".to_owned()], ":4".to_owned()));
    // What is not whole yet has no blank behind it; names of files are the shell's.
    assert_eq!(words(&["--set", "so"]), (vec!["soak=".to_owned()], ":6".to_owned()));
    assert_eq!(words(&["--config", ""]), (vec![], ":0".to_owned()));
    // Silent about what it cannot ask, whatever is typed.
    for asked in [&["drain", "k8s-"][..], &["halt", "--reason", "a b"], &["nonsense", "$(id)"], &["drain", "--", ""]] {
        assert_eq!(words(asked), (vec![], ":4".to_owned()), "{asked:?}");
    }
    let (all, directive) = words(&[""]);
    assert!(all.contains(&"adopt".to_owned()) && directive == ":4", "{all:?}");
}

/// In bash itself: the first word, and then every option of every command.
#[test]
fn every_option_of_every_command_is_offered() {
    let mut cli = Cli::command();
    cli.build();
    let mut asked = 0;
    for sub in cli.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()) {
        let name = sub.get_name();
        assert!(bash(&format!("k8s-upgrade {}", &name[..2])).contains(&name.to_owned()), "{name}");
        let options = bash(&format!("k8s-upgrade {name} --"));
        for option in sub.get_arguments().filter(|option| !option.is_hide_set()) {
            if let Some(long) = option.get_long() {
                assert!(options.contains(&format!("--{long}")), "{name} --{long}: {options:?}");
                asked += 1;
            }
        }
    }
    assert!(asked > 200, "{asked}");
}

/// What the program says of the words, asked as the shells ask.
fn complete(words: &[&str]) -> Vec<String> {
    asks(&["complete", "--"], words)
}

/// The same, and however busy the machine is, it waits for what it asks.
fn complete_in_the_end(words: &[&str]) -> Vec<String> {
    asks(&["complete", "--patience", "1h", "--"], words)
}

fn asks(how: &[&str], words: &[&str]) -> Vec<String> {
    let output = shell(PROGRAM, &[how, words].concat());
    lines(&output).iter().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

/// An API server that answers one list with these names, and tells what was asked.
fn serve(listener: &TcpListener, names: &[&str]) -> String {
    let item = |name: &&str| format!(r#"{{"metadata":{{"name":"{name}"}}}}"#);
    let items = names.iter().map(item).collect::<Vec<_>>().join(",");
    let kind = r#""kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"1"}"#;
    let body = format!(r#"{{{kind},"items":[{items}]}}"#);
    let (mut socket, _) = listener.accept().unwrap();
    let mut buffer = vec![0; 65536];
    let count = socket.read(&mut buffer).unwrap();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
    socket.write_all(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    String::from_utf8_lossy(&buffer[..count]).lines().next().unwrap().to_owned()
}

fn kubeconfig(folder: &Path, port: u16) -> String {
    let path = folder.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: lab\ncontexts: [{{name: lab, context: {{cluster: c, user: u}}}}, {{name: prod, context: {{cluster: d, user: v}}}}]\n\
         clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}, {{name: d, cluster: {{server: 'http://127.0.0.1:1'}}}}]\n\
         users: [{{name: u, user: {{}}}}, {{name: v, user: {{}}}}]\n"
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Of the cluster that the line names so far.
#[test]
fn what_is_live_is_offered() {
    let folder = tempfile::tempdir().unwrap();
    let asked = |words: &[&str], names: &'static [&'static str]| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let file = kubeconfig(folder.path(), address.port());
        let served = std::thread::spawn(move || serve(&listener, names));
        let offered = complete_in_the_end(&[&["--kubeconfig", &file], words].concat());
        // Where nobody asked, nobody waits for it.
        drop(TcpStream::connect(address));
        (offered, served.join().unwrap())
    };
    let (nodes, request) = asked(&["drain", "k8s-"], &["k8s-master", "k8s-node1", "other"]);
    assert_eq!(nodes, ["k8s-master", "k8s-node1"]);
    assert!(request.starts_with("GET /api/v1/nodes?"), "{request}");
    assert_eq!(asked(&["status", "-n", ""], &["default", "k8s-upgrade"]).0, ["default", "k8s-upgrade"]);
    const JOURNALS: [&str; 3] =
        ["k8s-upgrade-journal-5f3a21bc-a", "k8s-upgrade-journal-5f3a21bc-b", "k8s-upgrade-journal-by-hand-x"];
    let (runs, request) = asked(&["-n", "mine", "report", ""], &JOURNALS);
    assert_eq!(runs, ["5f3a21bc"]);
    assert!(request.starts_with("GET /api/v1/namespaces/mine/configmaps?"), "{request}");
    let (steps, _) = asked(&["rehearse", "--from-cluster", "--inject", "kill@w"], &["far-node1", "far-node2"]);
    assert_eq!(steps, ["kill@worker/far-node1", "kill@worker/far-node2"]);
    // Of the kubeconfig no API server is asked.
    let file = kubeconfig(folder.path(), 1);
    for (option, names) in [("--context", ["lab", "prod"]), ("--cluster", ["c", "d"]), ("--user", ["u", "v"])] {
        assert_eq!(complete_in_the_end(&["status", "--kubeconfig", &file, option, ""]), names);
    }
}

/// No word and no delay, whatever is away; the shell is asked on each key.
#[test]
fn without_a_cluster_it_is_silent_and_soon_done() {
    let folder = tempfile::tempdir().unwrap();
    // One that refuses, one that takes the connection and never answers, and no kubeconfig at all.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = kubeconfig(folder.path(), deaf.local_addr().unwrap().port());
    let other = tempfile::tempdir().unwrap();
    let refuses = kubeconfig(other.path(), ports::free());
    for file in [silent.as_str(), &refuses, "/nonexistent/kubeconfig"] {
        for words in [&["drain", ""][..], &["report", ""], &["-n", ""], &["rehearse", "--from-cluster", "--inject", "kill@"]] {
            let begun = Instant::now();
            let offered = complete(&[&["--kubeconfig", file], words].concat());
            assert!(offered.is_empty(), "{words:?}: {offered:?}");
            // The program's own limit is shorter; the rest is its start on a machine that is busy.
            assert!(begun.elapsed() < Duration::from_secs(3), "{words:?} took {:?}", begun.elapsed());
        }
    }
    assert!(complete(&["--kubeconfig", "/nonexistent/kubeconfig", "--context", ""]).is_empty());
}
