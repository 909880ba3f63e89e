//! Tokens, versions, and text that is made fit to be shown.

use k8s_upgrade::plan::model::baseline::Baseline;
use k8s_upgrade::plan::model::held_drain::HeldDrain;
use k8s_upgrade::plan::model::hooks::Turn;
use k8s_upgrade::plan::model::progress::Progress;
use k8s_upgrade::plan::model::reminded::Reminded;
use k8s_upgrade::plan::model::version::Version;
use k8s_upgrade::words::{
    self, Address, AnnotationPrefix, BootId, ClusterName, ContextName, ExactPackage, Fingerprint, Flag, HostAddress, HostPath,
    ImageName, ImageRef, ImageTag, KeyBase64, KeyType, Keyword, KubeadmCheck, Letters, Login, LossId, MachineId, Minor,
    Namespace, NodeName, ObjectName, ObjectPath, PackageName, PackagesUrl, PatchName, Reason, Revision, RunId, SourceUrl, Stamp,
    Url, VaultPath,
};

use super::{check, ends, returns};

fn token<T: std::str::FromStr + ToString + PartialEq + std::fmt::Debug>(harmless: fn(char) -> bool, samples: &[&str]) {
    // A token is its text: nothing is normalised away.
    check(samples, |text| match text.parse::<T>() {
        Ok(token) if token.to_string() != text => Err(format!("{token:?} is not the text that it was read from")),
        Ok(_) if !text.chars().all(harmless) => Err("it holds a character that somebody might obey".to_owned()),
        read => Ok(read.is_ok()),
    });
}

fn hex(c: char) -> bool {
    c.is_ascii_hexdigit()
}

fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.:+~=/@".contains(c)
}

/// What may hold anything that stands in one line, and is quoted wherever it goes.
fn one_line(c: char) -> bool {
    !c.is_control()
}

#[test]
fn tokens() {
    token::<RunId>(plain, &["5f3a21bc", "00000000", "by-hand"]);
    token::<NodeName>(plain, &["k8s-node4", "n1.example.org"]);
    token::<Revision>(plain, &["1.35.4-1.1", "1:2.3+b1", "2.1.4-1~debian.12~bookworm"]);
    token::<PackageName>(plain, &["kubeadm", "libc6:i386"]);
    token::<ExactPackage>(plain, &["kubelet=1.35.4-1.1"]);
    token::<Letters>(plain, &["ii", "iHR"]);
    token::<Keyword>(plain, &["active", "oom-kill"]);
    token::<HostPath>(one_line, &["/var/lib/etcd backup/e.db"]);
    token::<Stamp>(plain, &["2026-11-22T12:04:00Z"]);
    token::<ImageName>(plain, &["registry.k8s.io/pause:3.10", "r:5000/x@sha256:00ff"]);
    let pattern = |c| plain(c) || "%{}".contains(c);
    token::<PackagesUrl>(pattern, &["https://pkgs.example", "http://10.0.0.1:8080/a/b", "https://a/k8s-v{minor}/core%3A/deb"]);
    token::<SourceUrl>(one_line, &["https://mirror.example/k8s-1.36", "file:/srv/k8s", "mirror+https://a/b"]);
    token::<KubeadmCheck>(plain, &["CreateJob", "FileAvailable--etc-kubernetes-a.yaml"]);
    token::<ImageTag>(plain, &["v1.14.6", "3.6.8-0"]);
    token::<PatchName>(plain, &["etcd0+json.yaml", "kube-apiserver.json"]);
    token::<Turn>(|c| plain(c) || c == ' ', &["5f3a21bc", "5f3a21bc after"]);
    // One that is near another is seldom one.
    token::<Fingerprint>(hex, &["DE15B14486CD377B9E876E1A234654DA9A296436"]);
    token::<Login>(plain, &["wizard", "_apt"]);
    token::<KeyType>(plain, &["ssh-ed25519", "sk-ssh-ed25519@openssh.com"]);
    token::<KeyBase64>(plain, &["AAAAC3NzaC1lZDI1NTE5AAAAIA=="]);
    token::<Flag>(one_line, &["--v=5", "--ignore-preflight-errors=Swap"]);
    token::<BootId>(plain, &["0b9c6d1e-4f2a-4c3b-9d8e-7f6a5b4c3d2e"]);
    token::<MachineId>(hex, &["0b9c6d1e4f2a4c3b9d8e7f6a5b4c3d2e"]);
    token::<Minor>(plain, &["1.36", "1.9"]);
}

#[test]
fn what_people_give() {
    token::<Namespace>(plain, &["k8s-upgrade"]);
    token::<ObjectName>(plain, &["vault-store", "a.b"]);
    token::<AnnotationPrefix>(plain, &["example.org"]);
    token::<HostAddress>(plain, &["10.0.20.101", "2001:db8::1", "node4.example.org"]);
    token::<ImageRef>(plain, &["docker.io/library/k8s-upgrade:3f9a2c81d07e", "localhost:5000/a_b/c__d:v1.0"]);
    token::<VaultPath>(plain, &["team/k8s-upgrade"]);
    token::<ClusterName>(one_line, &["kubernetes", "Zürich 1"]);
    token::<ContextName>(one_line, &["ann@prod"]);
    token::<LossId>(hex, &["0011aabb"]);
    token::<Reason>(one_line, &["its disk is being replaced"]);
}

#[test]
fn places() {
    let urls = ["https://vault.example:8200", "http://10.0.0.9:9090/prometheus/", "https://[2001:db8::1]:8200"];
    returns(&urls, |text| text.parse::<Url>().ok(), Url::to_string);
    ends(&urls, |text| Some(words::is_open(text)));
    let addresses = ["http://10.0.0.9:9090/prometheus/", "monitoring/prometheus-server:80"];
    returns(&addresses, |text| text.parse::<Address>().ok(), Address::to_string);
    returns(&["default/backup-etcd"], |text| text.parse::<ObjectPath>().ok(), ObjectPath::to_string);
}

#[test]
fn versions() {
    returns(&["1.36.3", "v1.36.0", "10.0.12"], |text| text.parse::<Version>().ok(), Version::to_string);
}

#[test]
fn text_is_made_fit_to_be_shown() {
    let samples = ["plain → ✓", "\u{1b}[31mred\u{1b}[0m", "a\u{1b}]8;;http://x\u{1b}\\b", "one\ntwo\r\nthree\tfour"];
    let obeyed = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
    check(&samples, |text| {
        let (line, block) = (words::line(text), words::block(text));
        match (line.chars().find(|c| obeyed(*c)), block.chars().find(|c| *c != '\n' && obeyed(*c))) {
            _ if words::line(&line) != line || words::block(&block) != block => Err("it is not fit the first time".to_owned()),
            (None, None) => Ok(true),
            found => Err(format!("{found:?} is left")),
        }
    });
}

#[test]
fn words_of_the_shell_are_one_word() {
    check(&["k8s-node4", "it's", "a b", "$(id)", ""], |text| {
        for written in [words::quoted(text), words::word(text)] {
            if unquoted(&written).as_deref() != Some(text) {
                return Err(format!("{text:?} is written as {written}"));
            }
        }
        Ok(true)
    });
}

/// What a shell makes of a word that consists of '…' and \' alone, or of harmless characters alone.
fn unquoted(word: &str) -> Option<String> {
    if !word.contains('\'') {
        let harmless = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
        return (!word.is_empty() && word.chars().all(harmless)).then(|| word.to_owned());
    }
    let mut text = String::new();
    let mut rest = word;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(r"\'") {
            text.push('\'');
            rest = after;
        } else {
            let (inner, after) = rest.strip_prefix('\'')?.split_once('\'')?;
            text.push_str(inner);
            rest = after;
        }
    }
    Some(text)
}

#[test]
fn records_of_drains() {
    let sample = r#"{"node":"k8s-node4","tries":2,"seconds":3600,"last":"2026-11-22T12:00:00Z"}"#;
    // Whatever numbers stand there, they are counted on and told.
    check(&[sample], |text| match HeldDrain::read(text) {
        Some(held) if HeldDrain::read(&held.write()).as_ref() != Some(&held) => Err(format!("{held:?} does not read back")),
        Some(held) => {
            let next = HeldDrain::after(Some(&held), &held.node, held.out(), held.last);
            if next.again() >= held.last && !next.words().is_empty() { Ok(true) } else { Err(format!("{next:?}")) }
        }
        None => Ok(false),
    });
}

#[test]
fn records_of_reminders() {
    let sample = r#"{"run":"5f3a21bc","at":"gate","since":"2026-11-22T12:00:00Z","times":2,"last":"2026-11-22T18:00:00Z"}"#;
    check(&[sample], |text| match Reminded::read(text) {
        Some(known) if Reminded::read(&known.write()).as_ref() != Some(&known) => Err(format!("{known:?} does not read back")),
        Some(known) => {
            let (times, now) = (known.times, known.since);
            let told = known.told(now);
            if told.times >= times && told.last == Some(now) { Ok(true) } else { Err(format!("{told:?}")) }
        }
        None => Ok(false),
    });
}

#[test]
fn records_of_what_was_well() {
    let sample = r#"{"at":"2026-11-22T12:00:00Z","ill":["etcd: etcd of k8s-master"],"whole":"0badcafe5f3a21bc"}"#;
    check(&[sample], |text| match Baseline::read(text) {
        Some(known) if known.write().ok().and_then(|text| Baseline::read(&text)).as_ref() != Some(&known) => {
            Err(format!("{known:?} does not read back"))
        }
        Some(known) => {
            if known.ill().all(|key| known.was_ill(key)) {
                Ok(true)
            } else {
                Err(format!("{known:?}"))
            }
        }
        None => Ok(false),
    });
}

#[test]
fn records_of_progress() {
    let samples = [
        r#"{"version":1,"writer":"a-x7kq2","written":"2026-11-22T12:00:00Z","ended":true,"doing":{"failure":{"what":["x"],"state":"","next":[{"purpose":"go-on","command":"y"},{"purpose":"of-another-build","command":"z"},{"command":"w"}]}}}"#,
        r#"{"version":1,"writer":"a","written":"2026-11-22T12:00:00Z","doing":{"step":{"what":"drain","since":"2026-11-22T12:00:00Z","until":"2026-11-22T12:30:00Z"},"drain":{"left":3,"total":17,"held":[["a/b","2026-11-22T12:00:00Z"]]}}}"#,
    ];
    // What was read is written so that it reads back.
    check(&samples, |text| match Progress::read(text) {
        Ok(progress) if Progress::read(&progress.clone().text()).is_err() => Err(format!("{progress:?} does not read back")),
        read => Ok(read.is_ok()),
    });
}
