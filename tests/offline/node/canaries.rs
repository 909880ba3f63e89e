//! Words that mean harm, in every argument of every operation that its type still takes, and in every answer: nothing of them is run,
//! nothing hangs, no answer is a defect of ours, and what comes out of one is a token, or is text that never becomes an argument.
//!
//! The operations are enumerated in [`every`]; one that is not among them fails a test.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::str::FromStr;
use std::time::{Duration, Instant};

use k8s_upgrade::failure::{Cause, Class};
use k8s_upgrade::node::{
    self, AddKey, AskDeprecated, AskServers, Available, Begin, CheckCertificates, Follow, Identify, ImageSource, Images,
    ImagesThere, Inspect, KubeadmPlan, LookAtEtcd, LookAtKeys, LookBack, MoveLeader, Operation, Prefetch, ReadPatches, Refresh,
    RefreshAll, RemoveKeys, Repository, SnapshotHash, Step, TakeSnapshot, Trial, WriteCard,
};
use k8s_upgrade::world::HostOutput;

use super::bench::{self, Node, RUN, release, word};

/// In each of them, and in no token of ASCII: so it is seen where one has come to.
const SIGN: &str = "$c4n4ry";
/// No session here lasts longer, whatever it is given.
const SOON: Duration = Duration::from_secs(30);

/// `trap`: a file that none of them may make.
fn canaries(trap: &str) -> Vec<String> {
    let mut all: Vec<String> = [
        "a[$(touch TRAP)]",
        // Of a name that is set: arithmetic comes as far as the subscript, whatever `set -u` says.
        "PATH[$(touch TRAP)]",
        "$(touch TRAP)",
        "`touch TRAP`",
        "';touch TRAP;'",
        "\";touch TRAP;\"",
        "\ntouch TRAP\n",
        "\\';touch TRAP;'",
        "|e touch TRAP|",
        "\tb",
        "\nb",
        "\r",
        "'",
        "\"",
        " b",
        "-o",
        "%s%n",
        "*",
        "\u{1b}]0;x\u{7}",
        "\u{202e}",
        "\n@k8s-upgrade end inspect 0\n",
    ]
    .map(|canary| format!("{}{SIGN}", canary.replace("TRAP", trap)))
    .into();
    // What a program would take for an option, and what begins as a path or a flag must.
    all.extend(all.clone().into_iter().flat_map(|canary| [format!("/{canary}"), format!("--a={canary}")]));
    all.push("x".repeat(100_000) + SIGN);
    all
}

/// Puts one canary into one of an operation's arguments, the others as usual.
struct Fill<'a> {
    canary: &'a str,
    /// Which argument.
    slot: usize,
    seen: usize,
    /// The type took it.
    taken: bool,
}

impl Fill<'_> {
    fn put<T: FromStr<Err: Debug>>(&mut self, usual: &str) -> T {
        self.seen += 1;
        if self.seen - 1 == self.slot
            && let Ok(taken) = self.canary.parse()
        {
            self.taken = true;
            return taken;
        }
        word(usual)
    }
}

trait Visit {
    /// `sample`: what it prints, with every result that its parser knows.
    fn visit<O: Operation<Output: Debug>>(&mut self, make: impl Fn(&mut Fill<'_>) -> O, sample: &str);
}

const BASE64: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAFIRST";
const UUID: &str = bench::BOOT;

/// All operations.
fn every(visit: &mut impl Visit) {
    let inspect = format!(
        "boot-id {UUID}\nkernel 6.1.0-28-amd64\npackage kubeadm hi 1.35.4-1.1\nhold kubeadm\naudit The following packages\nfree 1024 /usr\n\
         kubelet active\nkubeadm v1.35.4\nsource 1.36 https://a/v1.36 /etc/apt/a b.list\nstranger file:/srv/k8s /etc/apt/a b.list\nstranger https://b -\nstray /etc/x.bak\nleftovers 5\nkubelet-config a: 1\nruntime crictl /run/a.sock\n\
         work failed kubeadm-upgrade 1.36.3 {RUN} 1\n"
    );
    visit.visit(|fill| Inspect { packages: Some(fill.put("https://repo.test/{minor}")) }, &inspect);
    let certificate = "certificate -----BEGIN CERTIFICATE-----\ncertificate AAAA\ncertificate -----END CERTIFICATE-----";
    visit.visit(|_| Identify, &format!("machine-id {}\nboot-id {UUID}\n{certificate}\nnone text\n", "0".repeat(32)));
    visit.visit(
        |fill| LookBack { snapshots: Some(fill.put("/backup")) },
        "static-pod registry.k8s.io/etcd:3.6.8-0 etcd\nmanifest registry.k8s.io/a:v1 2026-11-22T12:04:00Z /etc/kubernetes/tmp/a.yaml\n\
         etcd-data 2026-11-22T12:04:00Z /etc/a\nformer 1.35.4 /var/a\ncard 2026-11-22T12:04:00Z /var/b.txt\ncard-line text\n\
         snapshot 5 2026-11-22T12:04:00Z /backup/a\n",
    );
    visit.visit(
        |fill| Repository {
            packages: fill.put("https://repo.test"),
            target: fill.put("1.36.3"),
            keys: vec![fill.put("DE15B14486CD377B9E876E1A234654DA9A296436")],
        },
        "",
    );
    visit.visit(|fill| Refresh { packages: Some(fill.put("https://repo.test/{minor}")) }, "unfit https://repo.test/1.36\n");
    visit.visit(|_| RefreshAll, "");
    visit.visit(
        |_| AskDeprecated,
        "started 1.79583564012e+09\ncalled {group=\"networking.k8s.io\",removed_release=\"1.37\",resource=\"ipaddresses\",\
         subresource=\"status\",version=\"v1beta1\"} 1\nasked\n",
    );
    visit.visit(
        |_| AskServers,
        "api ill no leader\netcd unasked curl is missing\nmember 8e9e05c52164694d\ncounts server_is_leader 1\n\
         counts disk_wal_fsync_duration_seconds_sum 1.5e+01\n",
    );
    visit.visit(|_| CheckCertificates, "{}\n");
    visit.visit(|fill| MoveLeader { to: fill.put("8e9e05c52164694d") }, "moved\n");
    visit.visit(
        |fill| Trial {
            packages: fill.put("https://repo.test/{minor}"),
            target: fill.put("1.36.3"),
            keys: vec![fill.put("DE15B14486CD377B9E876E1A234654DA9A296436")],
            first_control_plane: true,
            flags: vec![fill.put("--v=1")],
        },
        "cgroup 1\ngate Gone\nallows-cgroup-1\nrefuses --gone Error: unknown flag\nset 3 /etc/default/kubelet\nobjects Swap\nnote text\ntried\n",
    );
    visit.visit(|fill| ReadPatches { folder: fill.put("/etc/patches") }, "patch etcd+json.yaml\ntext - op: add\n");
    visit.visit(|fill| ImagesThere { name: fill.put("k8s-upgrade") }, "image docker.io/library/k8s-upgrade:1\n");
    visit.visit(|_| Available { package: "kubeadm" }, "available 1.36.3-1.1\n");
    visit.visit(
        |fill| Prefetch {
            target: fill.put("1.36.3"),
            control_plane: false,
            images: Images {
                repository: Some(fill.put("registry.k8s.io")),
                coredns: ImageSource { repository: Some(fill.put("a/b")), tag: Some(fill.put("v1")) },
                etcd: ImageSource { repository: Some(fill.put("a/b")), tag: Some(fill.put("v1")) },
                without: vec!["kube-proxy"],
            },
        },
        "package kubeadm 1.36.3-1.1\npresent registry.k8s.io/pause:3.10.2\npulled registry.k8s.io/kube-proxy:v1.36.3\n",
    );
    visit.visit(
        |fill| KubeadmPlan { target: fill.put("1.36.3"), flags: vec![fill.put("--v=1")] },
        "note text\nobjects CreateJob\n{ \"kind\": \"UpgradePlan\" }\n",
    );
    visit.visit(|fill| LookAtEtcd { folder: fill.put("/backup") }, "etcd 5 /var/lib/etcd\n");
    visit.visit(
        |fill| TakeSnapshot {
            folder: fill.put("/backup"),
            target: fill.put("1.36.3"),
            run: fill.put(RUN),
            node: fill.put("k8s-master"),
            keep: 1,
            limit: Duration::from_secs(60),
        },
        "made 5 6\nsnapshot 5 /backup/a\n",
    );
    visit
        .visit(|fill| SnapshotHash { path: fill.put("/backup/a") }, &format!("snapshot 5 1795348680 whole {}\n", "0".repeat(64)));
    visit.visit(|fill| WriteCard { name: fill.put("a.txt"), content: fill.put("text") }, "card /var/lib/k8s-upgrade/a.txt\n");
    visit.visit(
        |fill| LookAtKeys { user: fill.put("u"), of: vec![fill.put(BASE64)] },
        &format!(
            "keys 2\nmarked 1\nhas {BASE64}\nours {BASE64}\nelsewhere {BASE64} /a b\nunread /etc/keys/%u\nasks /usr/bin/a\n"
        ),
    );
    visit.visit(
        |fill| AddKey {
            user: fill.put("u"),
            kind: fill.put("ssh-ed25519"),
            key: fill.put(BASE64),
            replaces: vec![fill.put("AAAA")],
        },
        "added 2\n",
    );
    visit.visit(
        |fill| RemoveKeys { user: fill.put("u"), keep: Some(fill.put(BASE64)), strays: true, gone: vec![fill.put("AAAA")] },
        "removed 1 2\n",
    );
    visit.visit(
        |_| Follow { from: 0, wait: Duration::ZERO },
        &format!("| text\noffset 5\nwork killed kubeadm-upgrade 1.36.3 {RUN} oom-kill\nlast text\n"),
    );
    let upgrade = |fill: &mut Fill<'_>| Step::KubeadmUpgrade { first_control_plane: true, flags: vec![fill.put("--v=1")] };
    let steps: [fn(&mut Fill<'_>) -> Step; 3] = [|_| Step::KubeadmPackage, |_| Step::KubeletPackages, upgrade];
    for step in steps {
        visit.visit(|fill| Begin { step: step(fill), target: bench::target("1.36.3"), run: fill.put(RUN) }, "started\n");
    }
    visit.visit(
        |fill| {
            let target = node::Target::Package(fill.put("1.7.24~ds1-6"));
            Begin { step: Step::ContainerdPackage, target, run: fill.put(RUN) }
        },
        "attached\n",
    );
    visit.visit(
        |fill| {
            let step = Step::Rollback { packages: vec![fill.put("kubelet=1.35.4-1.1")] };
            Begin { step, target: release("1.35.4").into(), run: fill.put(RUN) }
        },
        "started\n",
    );
}

/// A node on which every operation has something to do. All files of the trap are in its own folder.
fn busy() -> (Node, String) {
    let node = super::snapshot::control_plane();
    node.state("passwd", "u:x:0:0::/home/u:/bin/bash\n");
    node.root("home/u/.ssh/authorized_keys", &format!("ssh-ed25519 {BASE64} k8s-upgrade-key\n"));
    node.root("backup/a", "x");
    // So that kubeadm's flags come as far as kubeadm.
    node.state("pkg/kubeadm", "hi 1.36.3-1.1\n");
    let trap = node.root_path("trap").display().to_string();
    (node, trap)
}

#[test]
fn the_trap_can_be_sprung() {
    let (node, trap) = busy();
    node.answer(&format!("touch {trap}\n"));
    assert!(node.root_path("trap").exists());
}

#[test]
fn no_operation_is_forgotten() {
    struct Names(BTreeSet<String>);
    impl Visit for Names {
        fn visit<O: Operation<Output: Debug>>(&mut self, make: impl Fn(&mut Fill<'_>) -> O, _: &str) {
            let op = make(&mut Fill { canary: "", slot: usize::MAX, seen: 0, taken: false });
            self.0.insert(O::NAME.to_owned());
            // Of the work that is begun, each step.
            if O::NAME == Begin::NAME {
                self.0.extend(op.args().first().cloned());
            }
        }
    }
    let mut names = Names(BTreeSet::new());
    every(&mut names);
    let missing: Vec<String> = crate::support::suite::known().into_iter().filter(|name| !names.0.contains(name)).collect();
    assert!(missing.is_empty(), "these get no canaries: {missing:?}");
}

/// Each argument in turn. What its type takes is given to real bash, and what is begun by it is run.
#[test]
fn nothing_of_an_argument_is_run() {
    struct Arguments {
        taken: BTreeSet<(&'static str, usize)>,
    }
    impl Visit for Arguments {
        fn visit<O: Operation<Output: Debug>>(&mut self, make: impl Fn(&mut Fill<'_>) -> O, _: &str) {
            let mut counted = Fill { canary: "", slot: usize::MAX, seen: 0, taken: false };
            make(&mut counted);
            for slot in 0..counted.seen {
                let (mut node, mut trap) = busy();
                for at in 0..canaries("").len() {
                    if O::NAME == Begin::NAME {
                        (node, trap) = busy();
                    }
                    let canary = canaries(&trap).swap_remove(at);
                    let mut fill = Fill { canary: &canary, slot, seen: 0, taken: false };
                    let op = make(&mut fill);
                    if !fill.taken {
                        continue;
                    }
                    self.taken.insert((O::NAME, slot));
                    let begun = Instant::now();
                    let output = node.answer(&node::stdin(&op));
                    if O::NAME == Begin::NAME {
                        node.run_unit();
                    }
                    assert!(begun.elapsed() < SOON, "{} with {canary:?} lasted {:?}", O::NAME, begun.elapsed());
                    assert!(!node.root_path("trap").exists(), "{} ran {canary:?}", O::NAME);
                    if let Err(cause) = node::read(&op, &output) {
                        assert_ne!(cause.class, Class::Bug, "{} with {canary:?}: {cause}", O::NAME);
                    }
                }
            }
        }
    }
    let mut arguments = Arguments { taken: BTreeSet::new() };
    every(&mut arguments);
    // All others are tokens, numbers, or words of ours.
    let text = [
        ("begin", 0),
        ("kubeadm-plan", 1),
        ("look-at-etcd", 0),
        ("look-back", 0),
        ("patches", 0),
        ("snapshot-hash", 0),
        ("take-snapshot", 0),
        ("trial", 3),
        ("write-card", 0),
        ("write-card", 1),
    ];
    assert_eq!(arguments.taken.into_iter().collect::<Vec<_>>(), text);
}

/// Results whose value is text: it is shown, and goes into no argument. All else must be a token.
const TEXT: [(&str, &str); 18] = [
    ("certificates", ""), // kubeadm's own words, read in `plan::model::certificates`
    ("servers", "api"),
    ("servers", "etcd"),
    ("identify", "none"),
    ("inspect", "audit"),
    ("inspect", "kernel"),
    ("inspect", "kubelet-config"),
    ("look-back", "static-pod"), // the pod's name; its image is a token
    ("look-back", "card-line"),
    ("follow", "last"),
    ("look-at-keys", "unread"),
    ("patches", "text"),
    ("kubeadm-plan", "note"),
    ("kubeadm-plan", ""), // kubeadm's own JSON, read in `plan::model::parse`
    ("kubeadm-plan", "{"),
    ("trial", "refuses"), // the kubelet's words; the name before them is a token
    ("trial", "set"),     // a path, from its root
    ("trial", "note"),
];
/// Results that end with a path, which may hold any sign but those of control. It may begin with a canary only after its root.
const PATHS: [(&str, &str); 15] = [
    ("inspect", "free"),
    ("inspect", "runtime"),
    ("inspect", "source"),
    ("inspect", "stranger"),
    ("inspect", "stray"),
    ("look-back", "manifest"),
    ("look-back", "etcd-data"),
    ("look-back", "former"),
    ("look-back", "card"),
    ("look-back", "snapshot"),
    ("look-at-etcd", "etcd"),
    ("take-snapshot", "snapshot"),
    ("write-card", "card"),
    ("look-at-keys", "asks"),
    ("look-at-keys", "elsewhere"),
];

fn judged<O: Operation<Output: Debug>>(op: &O, key: &str, body: &str, texts: &mut BTreeSet<(&'static str, String)>) {
    let name = O::NAME;
    let stdout = format!("@k8s-upgrade begin {name}\n{body}\n@k8s-upgrade end {name} 0\n");
    match node::read(op, &HostOutput { stdout, ..HostOutput::default() }) {
        Ok(output) => {
            let whole = format!("{output:?}");
            if whole.contains(SIGN) {
                let known = TEXT.iter().chain(&PATHS).any(|known| *known == (name, key));
                assert!(known, "{name}: {key} took {body:?} for a token: {whole:.2000}");
                texts.insert((name, key.to_owned()));
            }
        }
        Err(cause) => fair(name, &cause),
    }
}

/// The node is to blame, and the message can be shown.
fn fair(name: &str, cause: &Cause) {
    assert!(cause.class == Class::Refused || cause.class == Class::Step, "{name}: {cause:?}");
    assert!(cause.what.chars().count() < 500 && !cause.what.chars().any(char::is_control), "{name}: {:?}", cause.what);
}

#[test]
fn an_answer_is_tokens_or_text_or_the_nodes_fault() {
    struct Answers(BTreeSet<(&'static str, String)>);
    impl Visit for Answers {
        fn visit<O: Operation<Output: Debug>>(&mut self, make: impl Fn(&mut Fill<'_>) -> O, sample: &str) {
            let op = make(&mut Fill { canary: "", slot: usize::MAX, seen: 0, taken: false });
            assert!(op.parse(sample).is_ok(), "{}: {:?}", O::NAME, op.parse(sample).map(drop));
            let lines: Vec<&str> = sample.lines().collect();
            for canary in canaries("/trap") {
                judged(&op, "", &canary, &mut self.0);
                for at in 0..lines.len() {
                    let words: Vec<&str> = lines[at].split(' ').collect();
                    for replaced in 0..words.len() {
                        let mut now = words.clone();
                        now[replaced] = &canary;
                        let mut all = lines.clone();
                        let line = now.join(" ");
                        all[at] = &line;
                        let key = if replaced == 0 { "" } else { words[0] };
                        judged(&op, key, &all.join("\n"), &mut self.0);
                    }
                    // Half an answer.
                    judged(&op, "", &lines[..at].join("\n"), &mut self.0);
                }
            }
        }
    }
    let mut answers = Answers(BTreeSet::new());
    every(&mut answers);
    let stale: Vec<_> =
        TEXT.iter().chain(&PATHS).filter(|(name, key)| !answers.0.contains(&(*name, (*key).to_owned()))).collect();
    assert!(stale.is_empty(), "no text or path any more: {stale:?}");
}

/// Ten thousand answers of each operation with some of their bytes changed: none is a defect, whatever else it is.
#[test]
fn a_spoiled_answer_is_the_nodes_fault() {
    struct Spoiled(u64);
    impl Spoiled {
        fn below(&mut self, most: usize) -> usize {
            // xorshift: the same every time.
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % most as u64).unwrap()
        }
    }
    impl Visit for Spoiled {
        fn visit<O: Operation<Output: Debug>>(&mut self, make: impl Fn(&mut Fill<'_>) -> O, sample: &str) {
            let op = make(&mut Fill { canary: "", slot: usize::MAX, seen: 0, taken: false });
            let signs =
                [' ', '\n', '\r', '\t', '-', '.', '/', '0', '9', '9', 'v', 'é', '\u{0}', '\u{1b}', '$', '\'', '@', '#', '|'];
            for _ in 0..10_000 {
                let mut text: Vec<char> = sample.chars().collect();
                for _ in 0..=self.below(6) {
                    let at = self.below(text.len() + 1);
                    let sign = signs[self.below(signs.len())];
                    match self.below(3) {
                        0 => text.insert(at, sign),
                        1 if at < text.len() => text[at] = sign,
                        2 if at < text.len() => text.truncate(at),
                        _ => {}
                    }
                }
                let text: String = text.into_iter().collect();
                if let Err(cause) = op.parse(&text) {
                    fair(O::NAME, &cause);
                }
            }
        }
    }
    every(&mut Spoiled(0x5f3a_21bc));
}

/// Arithmetic would run what stands there: a record that is not ours is told as such, and the next step writes it anew.
#[test]
fn a_record_of_the_work_that_is_not_ours_is_never_evaluated() {
    const RECORD: &str = "var/lib/k8s-upgrade/work/status";
    let (node, trap) = busy();
    let begin = Begin { step: Step::KubeadmPackage, target: bench::target("1.36.3"), run: word(RUN) };
    let whole = format!("step=kubeadm-package\ntarget=1.36.3\nrun={RUN}\nboot={UUID}\nstatus=0\n");
    let former = format!("kubeadm-package 1.36.3 {RUN} {UUID} finished 0\n");
    let mut records = vec![String::from("\n"), "\u{0}".repeat(2000), "x".repeat(100_000), whole.clone() + "more=1\n"];
    for canary in canaries(&trap) {
        for record in [&whole, &former] {
            for usual in ["kubeadm-package", "1.36.3", RUN, UUID, "status=0", "finished", " 0", "\n"] {
                records.push(record.replace(usual, &canary));
                records.push(record.replace(usual, &format!("{usual} {canary}")));
            }
        }
    }
    records.retain(|record| *record != whole && *record != former);
    // All that arithmetic would run, and some of the others: a session takes its time.
    let chosen = records.iter().enumerate().filter(|(at, record)| at % 23 == 0 || record.contains("[$("));
    for (_, record) in chosen {
        node.root(RECORD, record);
        let state = node.run(&Follow { from: 0, wait: Duration::ZERO }).unwrap().work.state;
        assert_eq!(state, node::WorkState::Garbled, "{record:.200}");
        assert!(!node.root_path("trap").exists(), "{record:.200}");
    }
    let followed = node.run(&Follow { from: 0, wait: Duration::ZERO }).unwrap();
    let cause = followed.end().unwrap().unwrap_err();
    assert!(cause.class == Class::Step && cause.what.contains("work/status, cannot be read"), "{cause}");
    node.run(&begin).unwrap();
    node.run_unit();
    assert_eq!(node.run(&Inspect::default()).unwrap().work.state, node::WorkState::Done);
}

/// By a build before this one, in one line.
#[test]
fn a_record_of_a_former_build_reads_as_before() {
    const RECORD: &str = "var/lib/k8s-upgrade/work/status";
    let node = Node::new();
    let other = "22222222-2222-4222-8222-222222222222";
    for (record, state, step, run) in [
        (format!("kubeadm-upgrade 1.36.3 {RUN} {UUID} finished 0"), node::WorkState::Done, "kubeadm-upgrade", RUN),
        (format!("kubelet-packages 1.36.3 {RUN} {UUID} finished 11"), node::WorkState::Failed(11), "kubelet-packages", RUN),
        (format!("rollback 1.35.4 rollback {UUID} finished 255"), node::WorkState::Failed(255), "rollback", "by-hand"),
        (
            format!("kubeadm-package 1.36.3 by-hand {other} running"),
            node::WorkState::Interrupted(word("reboot")),
            "kubeadm-package",
            "by-hand",
        ),
        (
            format!("kubeadm-package 1.36.3 {RUN} {UUID} running"),
            node::WorkState::Interrupted(word("stopped")),
            "kubeadm-package",
            RUN,
        ),
    ] {
        node.root(RECORD, &format!("{record}\n"));
        let work = node.run(&Inspect::default()).unwrap().work;
        assert_eq!((work.state, work.step, work.run.as_deref()), (state, step, Some(run)), "{record}");
    }
}
