//! No parser is forgotten: each function of the program that reads what came from outside is in this table, with the properties that hold
//! it, or with the reason why none does.

use std::collections::BTreeSet;
use std::path::Path;

/// File, function, and which test of this folder (`file::test`) tries it; or why none does, in a sentence.
const READERS: &[(&str, &str, &str)] = &[
    (
        "src/adapters/kube/kubeconfig.rs",
        "carried",
        "It asks the http crate whether a header can carry a text, and keeps nothing.",
    ),
    (
        "src/adapters/kube/kubeconfig.rs",
        "server",
        "The parser is that of the http crate; the suite `hostile` has kubeconfigs that are none.",
    ),
    ("src/adapters/proxy.rs", "is_near", "clients::places"),
    ("src/adapters/proxy.rs", "proxy", "clients::places"),
    ("src/adapters/web.rs", "builder", "It hands on what is a URL already."),
    ("src/clients/access.rs", "apply", "It makes a header's name of a tenant's, which was checked before."),
    ("src/clients/access.rs", "new", "It makes a header of a token or a password, which were checked before."),
    ("src/clients/endpoint.rs", "of_proxy", "It looks for the fields of a Status in any JSON; none is an answer, too."),
    ("src/cli/global.rs", "duration", "words::options"),
    ("src/cli/manifests.rs", "from_str", "words::options"),
    ("src/clients/hook.rs", "new", "clients::places"),
    ("src/clients/packages.rs", "compare_revisions", "clients::package_index"),
    ("src/clients/packages.rs", "parse", "clients::package_index"),
    ("src/clients/prometheus.rs", "ask", "clients::prometheus"),
    ("src/clients/prometheus.rs", "sample", "clients::prometheus"),
    ("src/clients/pushgateway.rs", "series", "clients::pushgateway"),
    ("src/clients/vault/mod.rs", "new", "clients::places"),
    ("src/clients/vault/mod.rs", "read", "clients::vault"),
    ("src/clients/vault/mod.rs", "send", "It makes a header of the token, which has been checked before."),
    ("src/clients/vault/mod.rs", "write", "It reads one number at one place, and all else is an error."),
    ("src/clients/vault/mount.rs", "is_kv2", "clients::vault"),
    ("src/clients/vault/refusal.rs", "capabilities", "It takes words out of any JSON, as the mount's answer is read."),
    ("src/clients/vault/refusal.rs", "elsewhere", "The URL parser is that of the http crate, and none is an answer, too."),
    ("src/clients/vault/refusal.rs", "said", "clients::vault"),
    ("src/commands/pause.rs", "set", "It makes a pool's name of one that was read as such before."),
    (
        "src/commands/pause.rs",
        "unpause",
        "It takes names of pools out of a mark that was read before; what is none is none of them.",
    ),
    ("src/commands/written.rs", "text", "It reads the file that it has just made, as every command reads settings."),
    ("src/node/certificates.rs", "parse", "node::certificates"),
    ("src/node/deprecated.rs", "parse", "node::deprecated"),
    ("src/node/deprecated.rs", "started", "node::deprecated"),
    ("src/node/deprecated.rs", "writer", "node::deprecated"),
    ("src/node/files.rs", "parse", "node::files"),
    ("src/node/identify.rs", "parse", "node::identify"),
    ("src/node/images.rs", "parse", "node::packages"),
    ("src/node/inspect.rs", "parse", "node::inspect"),
    ("src/node/keys.rs", "parse", "node::keys"),
    ("src/node/mod.rs", "parse", "node::inspect"),
    ("src/node/mod.rs", "status", "node::inspect"),
    ("src/node/mod.rs", "token", "node::inspect"),
    ("src/node/mod.rs", "waits", "node::waits"),
    ("src/node/packages.rs", "parse", "node::packages"),
    ("src/node/past.rs", "parse", "node::look_back"),
    ("src/node/patches.rs", "parse", "node::files"),
    ("src/node/repository.rs", "parse", "node::packages"),
    ("src/node/servers.rs", "parse", "node::servers"),
    ("src/node/servers.rs", "read", "node::servers"),
    ("src/plan/model/certificates.rs", "of_json", "node::certificates"),
    ("src/plan/model/certificates.rs", "row", "node::certificates"),
    ("src/node/snapshot.rs", "parse", "node::snapshots"),
    ("src/node/trial.rs", "parse", "node::packages"),
    ("src/node/work.rs", "parse", "node::work"),
    ("src/packages/layout.rs", "setting_for", "words::tokens"),
    ("src/plan/decide/addons.rs", "of", "words::tokens"),
    ("src/plan/model/addons.rs", "number", "words::addons"),
    ("src/plan/model/addons.rs", "from_str", "words::addons"),
    ("src/plan/model/addons.rs", "try_from", "words::addons"),
    ("src/plan/decide/runtime.rs", "epoch", "It reads a number of what is a revision already; none is zero."),
    ("src/plan/decide/sources.rs", "series_of", "words::versions"),
    ("src/plan/model/baseline.rs", "read", "words::records_of_what_was_well"),
    ("src/plan/model/calendar.rs", "from_str", "words::windows_and_freezes"),
    ("src/plan/model/calendar.rs", "minutes", "words::windows_and_freezes"),
    ("src/plan/model/calendar.rs", "read", "words::windows_and_freezes"),
    ("src/plan/model/paused.rs", "from_str", "words::what_is_paused_and_taken_back"),
    ("src/plan/model/taken_back.rs", "from_str", "words::what_is_paused_and_taken_back"),
    ("src/plan/model/reminded.rs", "read", "words::records_of_reminders"),
    ("src/plan/model/approved.rs", "from_str", "words::approvals_and_what_was_found"),
    ("src/plan/model/found.rs", "read", "words::approvals_and_what_was_found"),
    ("src/plan/rescue/card.rs", "read", "plan::restore_cards"),
    ("src/plan/model/halt.rs", "read", "plan::halts_and_skips"),
    ("src/plan/model/held_drain.rs", "read", "words::records_of_drains"),
    ("src/plan/model/hooks.rs", "from_str", "words::tokens"),
    ("src/plan/model/journal.rs", "deserialize", "plan::journals"),
    ("src/plan/model/matcher.rs", "from_str", "words::shares_and_matchers"),
    ("src/plan/model/waves.rs", "deserialize", "settings::one_by_one"),
    ("src/plan/model/waves.rs", "from_str", "words::shares_and_matchers"),
    ("src/plan/model/journal.rs", "head", "plan::journals"),
    ("src/plan/model/journal.rs", "read", "plan::journals"),
    ("src/plan/trust/keys.rs", "fingerprint", "plan::keys"),
    ("src/plan/trust/keys.rs", "of", "plan::keys"),
    ("src/plan/trust/keys.rs", "parse", "plan::keys"),
    ("src/plan/trust/known_hosts.rs", "plain", "plan::known_hosts"),
    ("src/plan/decide/losses/coredns.rs", "step", "plan::deployments_of_coredns"),
    ("src/plan/decide/losses/kubelet.rs", "walk", "plan::configurations_of_kubelets"),
    ("src/plan/decide/losses/mod.rs", "acknowledged", "plan::acknowledgements"),
    ("src/plan/decide/losses/patches.rs", "folder", "It reads a flag of the settings, whose path was checked there."),
    ("src/plan/decide/losses/patches.rs", "read", "plan::patches_of_kubeadm"),
    ("src/plan/decide/losses/static_pods.rs", "parse", "plan::configurations_of_static_pods"),
    ("src/plan/decide/losses/static_pods.rs", "read", "plan::configurations_of_static_pods"),
    (
        "src/plan/decide/orphan.rs",
        "read_intent",
        "A name, a number and a word, split at blanks; whatever else stands there is no intent.",
    ),
    (
        "src/plan/decide/surge.rs",
        "bounds",
        "A number before a percent sign; whatever is none is no share, and such a Deployment is left alone.",
    ),
    (
        "src/plan/manifests/policies/jobs.rs",
        "accepted",
        "It reads files of this repository, which are compiled in; a test reads each.",
    ),
    ("src/plan/decide/trial.rs", "setting", "What cannot be read says nothing there; that it is read at all is asked by losses."),
    ("src/plan/model/marks.rs", "from_str", "What it would not write the same again is refused; a test has what is near it."),
    ("src/plan/model/policy.rs", "from_str", "words::ceilings"),
    ("src/plan/model/marks.rs", "parsed", "words::tokens"),
    ("src/plan/model/parse.rs", "backup_done", "plan::backups"),
    ("src/plan/model/parse.rs", "exit_code", "plan::messages_of_jobs"),
    ("src/plan/model/parse.rs", "images", "plan::image_repositories"),
    ("src/plan/model/parse.rs", "image_version", "plan::images_and_runtimes"),
    ("src/plan/model/parse.rs", "leading_version", "plan::images_and_runtimes"),
    ("src/plan/model/parse.rs", "plan_agrees", "plan::plans_of_kubeadm"),
    ("src/plan/model/parse.rs", "upgrade_plan", "plan::plans_of_kubeadm"),
    ("src/plan/model/progress.rs", "read", "words::records_of_progress"),
    ("src/plan/model/resting.rs", "read", "words::records_of_rests"),
    ("src/plan/model/webhook.rs", "try_from", "plan::webhooks"),
    ("src/plan/rescue/restore.rs", "former", "words::versions"),
    ("src/plan/rescue/rollback.rs", "packages_of", "plan::records_of_former_versions"),
    ("src/plan/rescue/rollback.rs", "read", "words::versions"),
    ("src/plan/model/version.rs", "from_str", "words::versions"),
    ("src/report/notice.rs", "all", "It makes samples, for tests alone."),
    ("src/run/cluster/created.rs", "submit", "It makes an object of what it was given, and refuses what is none."),
    ("src/run/nodes/own_image.rs", "there", "words::tokens"),
    ("src/run/ssh/without_api.rs", "ask_host", "It makes a name of a constant."),
    ("src/run/ssh/without_api.rs", "snapshot_on", "words::tokens"),
    ("src/run/chain/snapshot/etcdctl.rs", "of_node", "words::tokens"),
    ("src/run/chain/snapshot/look.rs", "looked_at", "words::tokens"),
    ("src/run/cluster/job.rs", "job_fact", "words::versions"),
    ("src/run/cluster/observer.rs", "node_fact", "words::versions"),
    (
        "src/run/cluster/observer.rs",
        "time",
        "The parser of times is that of the jiff crate; what it refuses is a refusal that names the annotation.",
    ),
    ("src/run/nodes/prepare.rs", "configured", "words::tokens"),
    ("src/plan/view/adopt/settings.rs", "address", "plan::scripts_of_a_former_pipeline"),
    ("src/plan/view/adopt/settings.rs", "backup", "plan::scripts_of_a_former_pipeline"),
    ("src/plan/view/adopt/settings.rs", "logins", "plan::scripts_of_a_former_pipeline"),
    ("src/plan/view/adopt/settings.rs", "offers", "plan::scripts_of_a_former_pipeline"),
    ("src/plan/view/adopt/settings.rs", "prefixes", "plan::scripts_of_a_former_pipeline"),
    ("src/run/view/adopt.rs", "nodes", "words::versions"),
    ("src/run/view/check.rs", "first_that", "words::places"),
    ("src/settings/load.rs", "apply", "settings::the_file"),
    ("src/settings/load.rs", "file", "settings::the_file"),
    (
        "src/settings/load.rs",
        "is_service_link",
        "It compares the value with a number of a port; whatever is none is no service link.",
    ),
    ("src/settings/load.rs", "text", "settings::one_by_one"),
    ("src/settings/mod.rs", "known", "It reads defaults, which are constants."),
    ("src/plan/model/journal.rs", "run_of", "It takes the run out of a name, and what stands there is read as a run id."),
    ("src/report/printed.rs", "yaml", "It reads JSON that this program has written in this process."),
    ("src/run/nodes/losses.rs", "lost", "It reads a path of this program's own."),
    ("src/settings/values.rs", "deserialize", "settings::one_by_one"),
    ("src/settings/values.rs", "from_str", "settings::one_by_one"),
    ("src/twin/rehearsal/inject.rs", "call_old_api", "It reads a version that the twin has installed itself."),
    ("src/twin/rehearsal/outcome.rs", "evidence", "plan::journals"),
    ("src/twin/rehearsal/page.rs", "head", "It reads versions that the scenario's own reader has read."),
    ("src/twin/scenario/build.rs", "setting", "settings::scenarios"),
    ("src/twin/scenario/check.rs", "nodes", "settings::scenarios"),
    ("src/twin/scenario/check.rs", "percentage", "settings::scenarios"),
    ("src/twin/scenario/copy.rs", "node", "words::versions"),
    ("src/twin/scenario/mod.rs", "deserialize", "settings::scenarios"),
    ("src/twin/scenario/read.rs", "find", "settings::scenarios"),
    ("src/twin/scenario/read.rs", "refusal", "settings::scenarios"),
    ("src/twin/scenario/read.rs", "scenario", "settings::scenarios"),
    ("src/twin/scenario/read.rs", "too_many", "settings::scenarios"),
    ("src/twin/scenario/read.rs", "unreadable", "settings::scenarios"),
    ("src/words/address.rs", "from_str", "words::places"),
    ("src/words/address.rs", "is_open", "words::places"),
    ("src/words/address.rs", "try_from", "words::places"),
    (
        "src/words/certificates.rs",
        "from_str",
        "The parser is that of the x509-cert crate; a test has what is near certificates, and a private key among them.",
    ),
    ("src/run/nodes/canary.rs", "begun", "A node's name as the API server has it; what is none is a defect, and nothing begins."),
    ("src/words/given.rs", "from_str", "words::what_people_give"),
    ("src/words/given.rs", "is_host", "words::what_people_give"),
    ("src/words/token.rs", "from_str", "words::tokens"),
    ("src/words/token.rs", "is_url", "words::places"),
    ("src/words/token.rs", "numbers", "words::tokens"),
    ("src/words/token.rs", "port", "words::places"),
    ("src/words/token.rs", "try_from", "words::tokens"),
];

#[test]
fn every_reader_is_held_by_properties() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = readers(root);
    let known: BTreeSet<(String, String)> =
        READERS.iter().map(|(file, name, _)| ((*file).to_owned(), (*name).to_owned())).collect();
    let forgotten: Vec<_> = found.difference(&known).map(|(file, name)| format!("(\"{file}\", \"{name}\", \"\"),")).collect();
    assert!(forgotten.is_empty(), "write properties for these, and lines into READERS:\n{}", forgotten.join("\n"));
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(gone.is_empty(), "these read nothing any more: {gone:?}");
    for (file, name, by) in READERS {
        let sentence = by.ends_with('.') && by.contains(' ');
        assert!(sentence || is_test(root, by), "{file}, {name}: {by:?} is neither a test of this folder nor a reason");
    }
}

fn is_test(root: &Path, by: &str) -> bool {
    let Some((file, test)) = by.split_once("::") else { return false };
    let path = root.join("tests/offline/properties").join(file).with_extension("rs");
    std::fs::read_to_string(path).is_ok_and(|text| text.contains(&format!("#[test]\nfn {test}(")))
}

/// What makes a function a reader of what came from outside.
const READS: &[&str] = &[
    "serde_json::from_",
    "serde_saphyr::from_",
    ".parse::<",
    ".parse()",
    "str::parse",
    "::from_str(",
    "::from_openssh(",
    "::strptime(",
    "fn parse(",
    "fn parse<",
    "FromStr for",
];

/// All of them: file and function. The twin is no part of it: it reads what the program itself says, and what it cannot read fails a test.
fn readers(root: &Path) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.extend((!path.ends_with("src/twin/api") && !path.ends_with("src/twin/control")).then_some(path));
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let file = path.strip_prefix(root).unwrap().to_str().unwrap();
                let ours = !file.starts_with("src/twin/")
                    || file.starts_with("src/twin/scenario/")
                    || file.starts_with("src/twin/rehearsal/");
                if ours && !file.contains("tests") && !file.ends_with("fixture.rs") && !file.ends_with("fake.rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    found.extend(readers_in(&text).into_iter().map(|name| (file.to_owned(), name)));
                }
            }
        }
    }
    found
}

fn readers_in(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut function = String::new();
    for line in text.lines().take_while(|line| *line != "mod tests {") {
        if let Some((_, rest)) = line.split_once("fn ").filter(|_| !line.trim_start().starts_with("//")) {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            // A closure's type is no function.
            if !name.is_empty() {
                function = name;
            }
        }
        if !line.trim_start().starts_with("//") && READS.iter().any(|sign| line.contains(sign)) {
            // Its function comes below.
            let own = if line.contains("FromStr for") { "from_str" } else { function.as_str() };
            found.insert(own.to_owned());
        }
    }
    found
}

#[test]
fn a_reader_is_found() {
    let text = "impl X {\n    fn one(&self) {\n        // x.parse()\n    }\n    fn two() -> Option<u8> {\n        text\n            .parse()\n            .ok()\n    }\n}\n#[cfg(test)]\nmod tests {\n    fn three() { x.parse() }\n}\n";
    assert_eq!(readers_in(text), BTreeSet::from(["two".to_owned()]));
}

#[test]
fn every_token_has_a_property() {
    let tables = [include_str!("../../../src/words/token.rs"), include_str!("../../../src/words/given.rs")]
        .map(|text| text.split("\ntokens! {").nth(1).and_then(|rest| rest.split("\n}").next()).unwrap());
    let names: Vec<&str> = tables
        .iter()
        .flat_map(|table| table.lines())
        .filter(|line| line.starts_with("    ") && !line.starts_with("     ") && line.contains(", \""))
        .filter_map(|line| line.trim_start().split(',').next())
        .filter(|name| name.starts_with(|c: char| c.is_ascii_uppercase()))
        .collect();
    assert!(names.len() > 5, "{names:?}");
    let lost: Vec<_> = names.iter().filter(|name| !include_str!("words.rs").contains(&format!("token::<{name}>("))).collect();
    assert!(lost.is_empty(), "in words.rs nothing tries {lost:?}");
}

#[test]
fn every_operation_has_a_property() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/node");
    let mut operations = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        operations.extend(
            text.lines().filter_map(|line| Some(line.strip_prefix("impl Operation for ")?.trim_end_matches(" {").to_owned())),
        );
    }
    assert!(operations.len() > 5, "{operations:?}");
    let tried = include_str!("node.rs");
    let lost: Vec<_> = operations
        .iter()
        .filter(|name| {
            !["{", " ", "::", "("].iter().any(|after| tried.contains(&format!("{name}{after}")))
                && !tried.contains(&format!("&{name},"))
        })
        .collect();
    assert!(lost.is_empty(), "in node.rs nothing tries {lost:?}");
}
