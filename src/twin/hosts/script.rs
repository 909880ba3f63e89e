//! What a session asks for: the operation and its arguments, read back out of the script on standard input.

use std::str::FromStr;

use crate::node::{
    AddKey, AskDeprecated, AskServers, Available, Begin, CheckCertificates, Follow, Identify, ImagesThere, Inspect, KubeadmPlan,
    LookAtEtcd, LookAtKeys, LookBack, MoveLeader, Operation, Prefetch, ReadPatches, Refresh, RefreshAll, RemoveKeys, Repository,
    SnapshotHash, Step, TakeSnapshot, Trial, WriteCard,
};

/// An operation of [`crate::node`], as a machine understands it.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    Identify,
    Inspect { packages: String },
    ImagesThere { name: String },
    LookBack { snapshots: String },
    AskServers,
    AskDeprecated,
    CheckCertificates,
    ReadPatches { folder: String },
    Available { package: String },
    RefreshAll,
    Refresh { packages: String },
    Repository { url: String, packages: String, minor: String, target: String, keys: Vec<String> },
    Prefetch { target: String, control_plane: bool, registry: String, without: Vec<String> },
    KubeadmPlan { target: String, flags: Vec<String> },
    Trial { url: String, packages: String, minor: String, target: String, first: bool, keys: Vec<String>, flags: Vec<String> },
    SnapshotHash { path: String },
    LookAtEtcd { folder: String },
    TakeSnapshot { folder: String, name: String, node: String, keep: usize, limit: u64 },
    MoveLeader { to: String },
    WriteCard { name: String, content: String },
    Begin { step: Step, target: String, run: String },
    Follow { from: u64, seconds: u64 },
    LookAtKeys { user: String, of: Vec<String> },
    AddKey { kind: String, key: String, replaces: Vec<String> },
    RemoveKeys { keep: String, strays: bool, gone: Vec<String> },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub name: &'static str,
    /// It changes the machine.
    pub changes: bool,
    pub op: Op,
    /// Machine id and boot id of the one machine that it is for.
    pub only: Option<(String, String)>,
}

impl Request {
    /// For the history: `begin kubeadm-package`.
    pub fn label(&self) -> String {
        match &self.op {
            Op::Begin { step, .. } => format!("{} {}", self.name, step.name()),
            _ => self.name.to_owned(),
        }
    }

    /// The error names what is not understood.
    pub fn read(stdin: &str) -> Result<Request, String> {
        let (args, rest) = arguments(stdin).ok_or("a script without arguments")?;
        let name = rest.split_once("printf '@k8s-upgrade begin ").and_then(|(_, rest)| rest.split_once("\\n'"));
        let (name, body) = name.ok_or("a script without a name")?;
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let request = request(name, &args).ok_or_else(|| format!("operation {name} with {} arguments", args.len()))?;
        Ok(Request { only: only(body), ..request })
    }
}

fn of<O: Operation>(op: Op) -> Option<Request> {
    Some(Request { name: O::NAME, changes: O::MUTATES, op, only: None })
}

/// The check with which a body begins that is for one machine alone.
fn only(body: &str) -> Option<(String, String)> {
    let check = body.lines().find_map(|line| line.strip_prefix("still '")?.strip_suffix('\''))?;
    check.split_once("' '").map(|(machine_id, boot_id)| (machine_id.to_owned(), boot_id.to_owned()))
}

fn request(name: &str, args: &[&str]) -> Option<Request> {
    match (name, args) {
        (Identify::NAME, []) => of::<Identify>(Op::Identify),
        (Inspect::NAME, []) => of::<Inspect>(Op::Inspect { packages: String::new() }),
        (Inspect::NAME, [packages]) => of::<Inspect>(Op::Inspect { packages: (*packages).into() }),
        (ImagesThere::NAME, [name]) => of::<ImagesThere>(Op::ImagesThere { name: (*name).to_owned() }),
        (LookBack::NAME, [folder]) => of::<LookBack>(Op::LookBack { snapshots: (*folder).into() }),
        (AskServers::NAME, []) => of::<AskServers>(Op::AskServers),
        (AskDeprecated::NAME, []) => of::<AskDeprecated>(Op::AskDeprecated),
        (CheckCertificates::NAME, []) => of::<CheckCertificates>(Op::CheckCertificates),
        (ReadPatches::NAME, [folder]) => of::<ReadPatches>(Op::ReadPatches { folder: (*folder).into() }),
        (Available::NAME, [package]) => of::<Available>(Op::Available { package: (*package).to_owned() }),
        (RefreshAll::NAME, []) => of::<RefreshAll>(Op::RefreshAll),
        (Refresh::NAME, []) => of::<Refresh>(Op::Refresh { packages: String::new() }),
        (Refresh::NAME, [packages]) => of::<Refresh>(Op::Refresh { packages: (*packages).into() }),
        (Repository::NAME, [url, packages, minor, target, keys @ ..]) => of::<Repository>(Op::Repository {
            url: (*url).into(),
            packages: (*packages).into(),
            minor: (*minor).into(),
            target: (*target).into(),
            keys: words(keys),
        }),
        (Prefetch::NAME, [target, role, registry, _, _, _, _, without @ ..]) => of::<Prefetch>(Op::Prefetch {
            target: (*target).into(),
            control_plane: *role != "worker",
            registry: (*registry).into(),
            without: words(without),
        }),
        (KubeadmPlan::NAME, [target, flags @ ..]) => {
            of::<KubeadmPlan>(Op::KubeadmPlan { target: (*target).into(), flags: words(flags) })
        }
        (Trial::NAME, [url, packages, minor, target, role, rest @ ..]) => {
            let mut parts = rest.splitn(2, |word| *word == "--");
            let (keys, flags) = (words(parts.next()?), words(parts.next()?));
            let (url, packages, minor, target) = ((*url).into(), (*packages).into(), (*minor).into(), (*target).into());
            of::<Trial>(Op::Trial { url, packages, minor, target, first: *role == "first", keys, flags })
        }
        (SnapshotHash::NAME, [path]) => of::<SnapshotHash>(Op::SnapshotHash { path: (*path).into() }),
        (LookAtEtcd::NAME, [folder]) => of::<LookAtEtcd>(Op::LookAtEtcd { folder: (*folder).into() }),
        (TakeSnapshot::NAME, [folder, name, node, keep, limit]) => of::<TakeSnapshot>(Op::TakeSnapshot {
            folder: (*folder).into(),
            name: (*name).into(),
            node: (*node).into(),
            keep: keep.parse().ok()?,
            limit: limit.parse().ok()?,
        }),
        (MoveLeader::NAME, [to]) => of::<MoveLeader>(Op::MoveLeader { to: (*to).into() }),
        (WriteCard::NAME, [name, content]) => of::<WriteCard>(Op::WriteCard { name: (*name).into(), content: (*content).into() }),
        (Begin::NAME, [step, target, run, script]) => {
            let step = work(step, target, script)?;
            of::<Begin>(Op::Begin { step, target: (*target).into(), run: (*run).into() })
        }
        (Follow::NAME, [from, seconds]) => of::<Follow>(Op::Follow { from: from.parse().ok()?, seconds: seconds.parse().ok()? }),
        (LookAtKeys::NAME, [user, keys @ ..]) => of::<LookAtKeys>(Op::LookAtKeys { user: (*user).into(), of: words(keys) }),
        (AddKey::NAME, [_, kind, key, replaces @ ..]) => {
            of::<AddKey>(Op::AddKey { kind: (*kind).into(), key: (*key).into(), replaces: words(replaces) })
        }
        (RemoveKeys::NAME, [_, keep, strays, gone @ ..]) => {
            of::<RemoveKeys>(Op::RemoveKeys { keep: (*keep).into(), strays: *strays == "yes", gone: words(gone) })
        }
        _ => None,
    }
}

fn words(args: &[&str]) -> Vec<String> {
    args.iter().map(|word| (*word).to_owned()).collect()
}

fn tokens<T: FromStr>(args: &[&str]) -> Option<Vec<T>> {
    args.iter().map(|word| word.parse().ok()).collect()
}

/// The step that the unit's own script performs.
fn work(name: &str, target: &str, script: &str) -> Option<Step> {
    let (args, _) = arguments(script)?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let known = match args.as_slice() {
        [of, verb @ ("apply" | "node"), flags @ ..] if *of == target => {
            Step::KubeadmUpgrade { first_control_plane: *verb == "apply", flags: tokens(flags)? }
        }
        [of, packages @ ..] if *of == target && name == Step::ROLLBACK => Step::Rollback { packages: tokens(packages)? },
        [of] if *of == target => {
            [Step::KubeadmPackage, Step::KubeletPackages, Step::ContainerdPackage].into_iter().find(|step| step.name() == name)?
        }
        _ => return None,
    };
    (known.name() == name).then_some(known)
}

/// The words of the script's `set -- …`, and what follows it.
fn arguments(script: &str) -> Option<(Vec<String>, &str)> {
    let (_, mut rest) = script.split_once("\nset -- ")?;
    let mut words = Vec::new();
    loop {
        rest = rest.trim_start_matches(' ');
        if let Some(after) = rest.strip_prefix('\n') {
            return Some((words, after));
        }
        let mut word = String::new();
        while !rest.starts_with([' ', '\n']) {
            if let Some(after) = rest.strip_prefix(r"\'") {
                word.push('\'');
                rest = after;
            } else {
                let (plain, after) = rest.strip_prefix('\'')?.split_once('\'')?;
                word.push_str(plain);
                rest = after;
            }
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{self, stdin};
    use crate::plan::model::version::Version;

    #[test]
    fn what_node_writes_is_read_back_to_the_letter() {
        let card = WriteCard { name: "card".into(), content: "it's\n  'two' lines\nset -- 'x'\n".into() };
        let op = Op::WriteCard { name: card.name.clone(), content: card.content.clone() };
        assert_eq!(Request::read(&stdin(&card)), Ok(Request { name: "write-card", changes: true, op, only: None }));
        assert_eq!(
            Request::read(&stdin(&Inspect::default())).map(|request| (request.op, request.changes)),
            Ok((Op::Inspect { packages: String::new() }, false))
        );
        let upgrade =
            Step::KubeadmUpgrade { first_control_plane: true, flags: vec!["--skip-phases=addon/coredns".parse().unwrap()] };
        for step in [Step::KubeadmPackage, Step::KubeletPackages, Step::ContainerdPackage, upgrade] {
            let begin = Begin { step: step.clone(), target: Version::new(1, 34, 7).into(), run: "5f3a21bc".parse().unwrap() };
            let request = Request::read(&stdin(&begin)).unwrap();
            assert_eq!(request.label(), format!("begin {}", step.name()));
            assert_eq!(request.op, Op::Begin { step, target: "1.34.7".into(), run: "5f3a21bc".into() });
        }
    }

    #[test]
    fn whom_a_script_is_for_is_read_back() {
        let (machine_id, boot_id) = ("0b9c6d1e4f2a4c3b9d8e7f6a5b4c3d2e", "0b9c6d1e-4f2a-4c3b-9d8e-7f6a5b4c3d2e");
        let machine = node::Machine { machine_id: machine_id.parse().unwrap(), boot_id: boot_id.parse().unwrap() };
        let request = Request::read(&node::stdin_on(&Inspect::default(), &machine)).unwrap();
        assert_eq!(
            (request.op, request.only),
            (Op::Inspect { packages: String::new() }, Some((machine_id.to_owned(), boot_id.to_owned())))
        );
    }

    #[test]
    fn keys_are_read_back() {
        let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let keys = |words: &[&str]| words.iter().map(|word| word.parse().unwrap()).collect();
        let user: crate::words::Login = "u".parse().unwrap();
        let look = LookAtKeys { user: user.clone(), of: keys(&["A", "B"]) };
        assert_eq!(
            Request::read(&stdin(&look)).map(|request| request.op),
            Ok(Op::LookAtKeys { user: "u".into(), of: text(&["A", "B"]) })
        );
        let add = AddKey {
            user: user.clone(),
            kind: "ssh-ed25519".parse().unwrap(),
            key: "AAAA".parse().unwrap(),
            replaces: keys(&["B"]),
        };
        let op = Op::AddKey { kind: "ssh-ed25519".into(), key: "AAAA".into(), replaces: text(&["B"]) };
        assert_eq!(Request::read(&stdin(&add)), Ok(Request { name: "add-key", changes: true, op, only: None }));
        let remove = RemoveKeys { user, keep: None, strays: true, gone: keys(&["AAAA"]) };
        let op = Op::RemoveKeys { keep: String::new(), strays: true, gone: text(&["AAAA"]) };
        assert_eq!(Request::read(&stdin(&remove)).map(|request| request.op), Ok(op));
    }

    #[test]
    fn what_it_does_not_write_is_not_understood() {
        let other = stdin(&Inspect::default()).replace("begin inspect", "begin reboot");
        assert_eq!(Request::read(&other), Err("operation reboot with 0 arguments".to_owned()));
        for text in ["", "reboot", "{\nset -- 'x\n"] {
            assert!(Request::read(text).is_err(), "{text}");
        }
    }
}
