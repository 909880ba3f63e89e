//! Tokens, versions, and text that is made fit to be shown.

use std::time::Duration;

use clap::{Args, FromArgMatches};
use jiff::Timestamp;
use k8s_upgrade::cli::{Global, PasswordFile, WebhookFile};
use k8s_upgrade::plan::decide::when::{Closed, may_begin};
use k8s_upgrade::plan::model::addons::{Image, Limit, Release};
use k8s_upgrade::plan::model::approved::Approved;
use k8s_upgrade::plan::model::baseline::Baseline;
use k8s_upgrade::plan::model::calendar::{self, Calendar, Freeze, Window};
use k8s_upgrade::plan::model::found::{Found, Seen};
use k8s_upgrade::plan::model::held_drain::HeldDrain;
use k8s_upgrade::plan::model::hooks::Turn;
use k8s_upgrade::plan::model::matcher::Matcher;
use k8s_upgrade::plan::model::paused::PausedPools;
use k8s_upgrade::plan::model::policy::{Ceiling, Days};
use k8s_upgrade::plan::model::progress::Progress;
use k8s_upgrade::plan::model::reminded::Reminded;
use k8s_upgrade::plan::model::resting::Resting;
use k8s_upgrade::plan::model::taken_back::TakenBack;
use k8s_upgrade::plan::model::version::Version;
use k8s_upgrade::plan::model::waves::Share;
use k8s_upgrade::words::{
    self, AddonName, Address, AnnotationPrefix, ApiResource, BootId, ClusterName, ExactPackage, Fingerprint, Flag, HostAddress,
    HostPath, ImageName, ImageRef, ImageTag, KeyBase64, KeyType, Keyword, KubeadmCheck, KubeconfigName, Label, Letters, Login,
    LossId, MachineId, MemberId, Minor, Namespace, NodeName, NodeOrPool, ObjectName, ObjectPath, PackageName, PackagesUrl,
    PageUrl, PatchName, PoolName, Reason, Revision, RunId, SourceUrl, Stamp, Subject, Tenant, Url, VaultPath, WebhookName,
};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

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
    token::<MemberId>(plain, &["8e9e05c52164694d"]);
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
    token::<ApiResource>(plain, &["v1/endpoints", "networking.k8s.io/v1beta1/ipaddresses"]);
}

/// The options that are no tokens, as the command line reads them.
#[test]
fn options() {
    let command = Global::augment_args(clap::Command::new("x"));
    let waits = |text: &str| {
        let given = command.clone().try_get_matches_from(["x", &format!("--request-timeout={text}")]).ok()?;
        Some(Global::from_arg_matches(&given).ok()?.request_timeout)
    };
    returns(&["5s", "1m 30s", "PT1H"], waits, |wait| jiff::SignedDuration::try_from(*wait).unwrap().to_string());
    let webhook = |text: &str| text.parse::<WebhookFile>().ok().map(|given| (given.name, given.file));
    returns(&["teams=/run/teams", "ntfy=a=b c"], webhook, |(name, file)| format!("{name}={}", file.display()));
    let password = |text: &str| text.parse::<PasswordFile>().ok().map(|given| (given.user, given.file));
    returns(&["ann=/run/password", "a b=c"], password, |(user, file)| format!("{user}={}", file.display()));
}

#[test]
fn what_people_give() {
    token::<Namespace>(plain, &["k8s-upgrade"]);
    token::<AddonName>(plain, &["cilium", "calico/node", "a.b/c__d/e"]);
    token::<Tenant>(|c| plain(c) || " !*'()|".contains(c), &["team-a", "a|b", "THANOS-TENANT: team-a"]);
    token::<WebhookName>(plain, &["teams", "on-call-2"]);
    token::<PoolName>(plain, &["gpu", "batch-2"]);
    token::<NodeOrPool>(|c| plain(c) || c == '/', &["k8s-node4", "node/k8s-node4.example", "pool/gpu"]);
    token::<ObjectName>(plain, &["vault-store", "a.b"]);
    token::<AnnotationPrefix>(plain, &["example.org"]);
    token::<HostAddress>(plain, &["10.0.20.101", "2001:db8::1", "node4.example.org"]);
    token::<ImageRef>(plain, &["docker.io/library/k8s-upgrade:3f9a2c81d07e", "localhost:5000/a_b/c__d:v1.0"]);
    token::<VaultPath>(plain, &["team/k8s-upgrade"]);
    token::<Label>(plain, &["release=kube-prometheus-stack", "prometheus.io/team=A_1.b"]);
    token::<PageUrl>(|c| plain(c) || c == '#', &["https://a.example/b/README.md#troubleshooting"]);
    token::<ClusterName>(one_line, &["kubernetes", "Zürich 1"]);
    token::<KubeconfigName>(one_line, &["ann@prod"]);
    token::<Subject>(|c| c.is_ascii() && !c.is_ascii_control(), &["ann", "system:serviceaccount:k8s-upgrade:k8s-upgrade-job"]);
    token::<LossId>(hex, &["0011aabb"]);
    token::<Reason>(one_line, &["its disk is being replaced"]);
}

#[test]
fn places() {
    let urls = ["https://vault.example:8200", "http://10.0.0.9:9090/prometheus/", "https://[2001:db8::1]:8200"];
    returns(&urls, |text| text.parse::<Url>().ok(), Url::to_string);
    ends(&urls, |text| Some((words::is_open(text), words::is_of_cluster(text))));
    let addresses = ["http://10.0.0.9:9090/prometheus/", "monitoring/prometheus-server:80"];
    returns(&addresses, |text| text.parse::<Address>().ok(), Address::to_string);
    returns(&["default/backup-etcd"], |text| text.parse::<ObjectPath>().ok(), ObjectPath::to_string);
}

#[test]
fn versions() {
    returns(&["1.36.3", "v1.36.0", "10.0.12"], |text| text.parse::<Version>().ok(), Version::to_string);
}

/// What a matrix says, and what an image tells: any image is read, and none is of an addon by what stands in its registry or tag.
#[test]
fn addons() {
    returns(&["1", "1.18", "1.18.3"], |text| text.parse::<Release>().ok(), Release::to_string);
    returns(&["<=1.35", "<= 1.35"], |text| text.parse::<Limit>().ok(), Limit::to_string);
    ends(&["<=1.35"], |text| text.parse::<Limit>().ok());
    let cilium: AddonName = "cilium".parse().unwrap();
    check(&["quay.io/cilium/cilium:v1.18.3@sha256:00ff", "cilium:1.18"], |text| {
        let Ok(image) = text.parse::<ImageName>() else { return Ok(false) };
        match Image::read(&image).fit(&cilium) {
            Some(_) if !text.contains("cilium") => Err("it is of no such addon".to_owned()),
            _ => Ok(true),
        }
    });
}

/// A ceiling is its text, and allows what it names and what lies below, but nothing above.
#[test]
fn ceilings() {
    check(&["1.36.3", "1.36", "2.0"], |text| {
        let Ok(ceiling) = text.parse::<Ceiling>() else { return Ok(false) };
        if ceiling.to_string() != text {
            return Err(format!("{ceiling:?} is not the text that it was read from"));
        }
        let numbers: Vec<u32> = text.split('.').filter_map(|number| number.parse().ok()).collect();
        let (major, minor, patch) = (numbers[0], numbers[1], numbers.get(2).copied().unwrap_or(u32::MAX));
        let highest = Version::new(major, minor, patch);
        let near = [(minor, patch), (minor, 0), (minor, patch.saturating_add(1)), (minor.saturating_add(1), 0)];
        let near = near.map(|(minor, patch)| Version::new(major, minor, patch));
        match near.into_iter().find(|release| ceiling.allows(*release) != (*release <= highest)) {
            Some(wrong) => Err(format!("{ceiling:?} is wrong about {wrong}")),
            None => Ok(true),
        }
    });
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
    let several = format!("[{sample},{}]", sample.replace("node4", "node3"));
    check(&[sample, &several], |text| {
        let all = HeldDrain::read(text);
        if HeldDrain::read(&HeldDrain::write(&all)) != all {
            return Err(format!("{all:?} does not read back"));
        }
        for held in &all {
            let next = HeldDrain::after(Some(held), &held.node, held.out(), held.last);
            if next.again() < held.last || next.words().is_empty() {
                return Err(format!("{next:?}"));
            }
        }
        Ok(!all.is_empty())
    });
}

#[test]
fn what_is_paused_and_taken_back() {
    returns(&["gpu", "batch,gpu"], |text| text.parse::<PausedPools>().ok(), ToString::to_string);
    let sample =
        r#"{"run":"5f3a21bc","node":"k8s-node4","to":"1.34.2","at":"2026-11-22T12:00:00Z","why":["web has 1 of 2 pods"]}"#;
    returns(&[sample], |text| text.parse::<TakenBack>().ok(), ToString::to_string);
}

/// What is read is written so that it reads back the same, and never counts more than there are.
#[test]
fn shares_and_matchers() {
    check(&["3", "10%", "0", "100%"], |text| match text.parse::<Share>() {
        Err(_) => Ok(false),
        Ok(share) if share.to_string().parse() != Ok(share) => Err(format!("{share:?} does not read back")),
        Ok(Share::Percent(_)) if text.parse::<Share>().unwrap().of(5000) > 5000 => Err(format!("{text:?} is more than all")),
        Ok(_) => Ok(true),
    });
    check(&["severity=~\"critical|page\"", "team!=batch", "a=b", "a_1!~\"x.*\""], |text| match text.parse::<Matcher>() {
        Err(_) => Ok(false),
        Ok(matcher) if matcher.to_string().parse() != Ok(matcher.clone()) => Err(format!("{matcher:?} does not read back")),
        Ok(_) => Ok(true),
    });
}

/// What is read is written so that it reads back the same, in one line without anything that a terminal obeys.
#[test]
fn windows_and_freezes() {
    fn reads_back<T: std::str::FromStr + ToString + PartialEq>(samples: &[&str]) {
        check(samples, |text| match text.parse::<T>() {
            Ok(read) => {
                let written = read.to_string();
                let same = written.parse::<T>().is_ok_and(|again| again == read) && words::line(&written) == written;
                if same { Ok(true) } else { Err(format!("{written:?} does not read back")) }
            }
            Err(_) => Ok(false),
        });
    }
    reads_back::<Window>(&["Sat,Sun 01:00-05:00 Europe/Berlin", "daily 22:00-24:00 UTC", "Mon-Fri 23:00-03:00 America/New_York"]);
    reads_back::<Freeze>(&["2026-12-20..2027-01-06 Europe/Berlin: end of the year", "2026-12-24: eve"]);
    ends(&["2026-12-20..2027-01-06 Europe/Berlin\n2027-11-26", "2026-12-24"], |text| {
        calendar::freezes([("sale", text)].into_iter()).ok()
    });
}

/// An approval reads back as it was given, in one line; what detection remembers is never older than now, whatever stands there.
#[test]
fn approvals_and_what_was_found() {
    check(&["1.36.3 5f3a21bc 2026-11-30T10:00:00Z 2026-12-14T10:00:00Z ann"], |text| match text.parse::<Approved>() {
        Ok(read) if words::line(text) != text || read.to_string() != text => Err(format!("{read:?} does not read back")),
        read => Ok(read.is_ok()),
    });
    check(&["1.36.3=2026-11-30T10:00:00Z 1.37.0=2026-12-14T10:00:00Z"], |text| {
        let (seen, now) = (Seen::read(text), Timestamp::UNIX_EPOCH);
        let old = seen.since("1.36.3".parse().unwrap(), now) > now;
        if old || Seen::read(&seen.write()) != seen { Err(format!("{seen:?}")) } else { Ok(!seen.write().is_empty()) }
    });
    check(&[r#"{"asks":"1.36.3","told":[{"release":"1.36.3","why":"ask","at":"2026-11-30T10:00:00Z"}]}"#], |text| {
        match Found::read(text) {
            Some(found) if Found::read(&found.write()).as_ref() != Some(&found) => Err(format!("{found:?} does not read back")),
            found => Ok(found.is_some()),
        }
    });
    check(&["0d", "14d", "365d"], |text| match text.parse::<Days>() {
        Ok(days) if days.to_string() != text => Err(format!("{days:?} does not read back")),
        days => Ok(days.is_ok()),
    });
}

/// Between the edges that it goes by, nothing changes: minute by minute, as the clock on the wall shows it, comes to the same.
#[test]
fn windows_minute_by_minute() {
    let zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"];
    // Around the changes of their clocks in 2026, and a plain week.
    let begins =
        ["2026-03-27T00:00:00Z", "2026-10-23T12:00:00Z", "2026-04-03T00:00:00Z", "2026-03-06T20:00:00Z", "2026-06-01T07:13:00Z"];
    let window = (0_usize..zones.len(), 0_u16..1440, 0_u16..=1440, 1_u8..128);
    let given = (prop::collection::vec(window, 1..3), 0_usize..begins.len(), 0_i64..4000, 1_u64..600);
    let config = Config { cases: 48, ..Config::default() };
    TestRunner::new(config)
        .run(&given, |(windows, begin, later, needs)| {
            let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
            let days = |bits: u8| {
                let names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
                names.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, name)| *name).collect::<Vec<_>>().join(",")
            };
            let windows = windows.iter().filter(|(_, from, to, _)| from != to);
            let texts =
                windows.map(|(zone, from, to, on)| format!("{} {}-{} {}", days(*on), clock(*from), clock(*to), zones[*zone]));
            let windows: Vec<Window> = texts.map(|text| text.parse().unwrap()).collect();
            prop_assume!(!windows.is_empty());
            let now = begins[begin].parse::<jiff::Timestamp>().unwrap() + jiff::SignedDuration::from_mins(later);
            // A day and a bit beyond the week in which every window comes once.
            let minutes = 8 * 24 * 60;
            let is_open = |n: i64| windows.iter().any(|window| window.has(now + jiff::SignedDuration::from_mins(n)));
            let mut run = 0;
            let wanted = (0..minutes).find_map(|n| {
                run = if is_open(n) { run + 1 } else { 0 };
                (run == needs as i64).then_some(n + 1 - run)
            });
            let calendar = Calendar { windows: windows.clone(), ..Calendar::ALWAYS };
            let found = match may_begin(&calendar, now, Duration::from_secs(needs * 60)) {
                Ok(()) => Some(0),
                Err(Closed { until, .. }) => until.map(|until| until.duration_since(now).as_mins()),
            };
            // What is further away than that is no matter here.
            prop_assert_eq!(found.filter(|n| n + needs as i64 <= minutes), wanted, "{:?} at {}", windows, now);
            Ok(())
        })
        .unwrap();
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
fn records_of_rests() {
    let samples = [
        r#"{"node":"k8s-node4","since":"2026-11-22T12:00:00Z","until":"2026-11-22T22:00:00Z","why":"no window is open"}"#,
        r#"{"node":"","since":"2026-11-22T12:00:00Z","until":null,"why":"a freeze: sale"}"#,
    ];
    returns(&samples, Resting::read, Resting::write);
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
