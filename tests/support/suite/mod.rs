//! One suite of node operations, held against three machines: real bash with stubbed programs, the machine in memory (`machines` beside
//! this), and a real worker of the lab (`tests/live/worker.rs`). The same assertions for all, on typed values and on failures' classes.
//! A new behaviour is one line in [`behaviours`], and is held against all three.

pub mod keys;
pub mod packages;
pub mod steps;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;

use k8s_upgrade::failure::{Cause, Class};
use k8s_upgrade::node::{self, Begin, Begun, Follow, Followed, Inspect, NodeState, Operation, Package, Repository, Step, Target};
use k8s_upgrade::plan::model::version::Version;
use k8s_upgrade::words::{Fingerprint, Flag};
use k8s_upgrade::world::HostOutput;

/// The run that begins work here.
pub const RUN: &str = "5f3a21bc";

/// A token of whatever kind is wanted.
pub fn word<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// A worker whose packages are 1.35.4, held; its repository is that of 1.35 and has nothing else, that of 1.36 has 1.36.1 and 1.36.3.
pub trait Machine {
    /// What it answers to a script.
    fn answer(&mut self, script: &str) -> HostOutput;
    /// Lets the unit that was begun come to its end.
    fn finish(&mut self);
    /// dpkg's letters and version of a package, as a cut leaves them.
    fn package(&mut self, name: &str, letters: &str, version: &str);
    /// Free on every folder that is looked at, in MiB.
    fn free(&mut self, mib: u64);
    /// Somebody else has dpkg's lock, and never gives it up.
    fn locked(&mut self);
    /// Neither packages nor images can be had.
    fn offline(&mut self, offline: bool);
    /// The next run of `kubeadm upgrade` fails.
    fn kubeadm_fails_once(&mut self);
    /// A file of this many bytes.
    fn file(&mut self, path: &str, bytes: usize);
    /// Who logs in, by a key in authorized_keys.
    fn user(&self) -> &str {
        "wizard"
    }
    /// Where it has its packages from.
    fn packages_url(&self) -> &str {
        "https://pkgs.k8s.io"
    }
    /// What its kubeadm must be told besides, as the setting has it.
    fn kubeadm_flags(&self) -> Vec<Flag> {
        Vec::new()
    }
    /// The keys that the settings acknowledge, where each minor has its own.
    fn package_keys(&self) -> Vec<Fingerprint> {
        Vec::new()
    }
}

/// Operations and steps that behaviours have performed, by name.
static PERFORMED: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// What no behaviour can show of a worker, and what shows it.
const BEYOND: [&str; 1] = [
    "kubeadm-plan", // asks a control plane's own files; the lab's runs ask it in each preflight
];

/// Operations and steps that the program has.
pub fn known() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/node");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if let Some(step) = name.strip_prefix("work-").and_then(|name| name.strip_suffix(".sh")) {
            names.push(step.to_owned());
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let of =
                |line: &str| Some(line.trim().strip_prefix("const NAME: &'static str = \"")?.strip_suffix("\";")?.to_owned());
            names.extend(text.lines().filter_map(of));
        }
    }
    assert!(names.len() > 15, "they are not where they are looked for: {names:?}");
    names
}

/// Those that no behaviour has performed so far.
pub fn unperformed() -> Vec<String> {
    let mut names = known();
    let performed = PERFORMED.lock().unwrap();
    names.retain(|name| !performed.contains(name.as_str()) && !BEYOND.contains(&name.as_str()));
    names
}

impl dyn Machine + '_ {
    fn run<O: Operation>(&mut self, operation: &O) -> Result<O::Output, Cause> {
        PERFORMED.lock().unwrap().insert(O::NAME);
        let output = self.answer(&node::stdin(operation));
        node::read(operation, &output)
    }

    fn inspect(&mut self) -> NodeState {
        self.run(&Inspect::default()).unwrap()
    }

    fn begin(&mut self, step: Step, target: &str) -> Result<Begun, Cause> {
        PERFORMED.lock().unwrap().insert(step.name());
        self.run(&Begin { step, target: to(target), run: word(RUN) })
    }

    fn follow(&mut self) -> Followed {
        self.run(&Follow { from: 0, wait: Duration::ZERO }).unwrap()
    }

    /// A step from its beginning to its end.
    fn perform(&mut self, step: Step, target: &str) -> Result<(), Cause> {
        assert_eq!(self.begin(step, target).unwrap(), Begun::Started);
        self.finish();
        self.follow().end().expect("it has ended")
    }

    #[track_caller]
    fn fails(&mut self, step: Step, target: &str, class: Class, words: &str) -> Cause {
        let cause = self.perform(step, target).unwrap_err();
        assert_eq!(cause.class, class, "{cause}");
        assert!(cause.what.contains(words), "{cause}");
        cause
    }

    /// Its repository becomes that of the target's minor, which must offer it.
    fn move_repository(&mut self, target: &str) -> Result<(), Cause> {
        self.run(&Repository { packages: word(self.packages_url()), target: word(target), keys: self.package_keys() }).map(drop)
    }

    fn moved(&mut self) {
        self.move_repository("1.36.3").unwrap();
    }

    fn upgrade(&self) -> Step {
        Step::KubeadmUpgrade { first_control_plane: false, flags: self.kubeadm_flags() }
    }
}

/// A release, or the version of a package.
fn to(target: &str) -> Target {
    target.parse::<Version>().map_or_else(|_| Target::Package(word(target)), Target::from)
}

/// What must be the same whoever comes again: packages, holds, and nothing half done.
fn standing(state: &NodeState) -> Vec<(String, String, String)> {
    let kubernetes = ["kubeadm", "kubelet", "kubectl"].into_iter().filter_map(|name| state.package(name));
    let told = |package: &Package| (package.name.to_string(), package.letters.to_string(), package.version.to_string());
    kubernetes.map(told).collect()
}

/// Hands each room's behaviours to a macro that makes a test of each on some machine.
macro_rules! behaviours {
    ($each:ident) => {
        $each! {
            keys: keys_come_and_go_and_the_others_stay, what_is_to_stay_must_be_there;
            packages: a_machine_says_what_it_is, a_machine_shows_whose_it_is, the_repository_moves_and_lists_follow, a_release_that_is_not_offered_moves_nothing,
                a_list_is_what_the_last_refresh_found, all_lists_are_read_anew, the_targets_binaries_are_tried, what_is_fetched_is_there, the_runtime_names_its_images, files_are_hashed_and_written,
                patches_are_what_kubeadm_reads,
                a_machine_looks_back, a_worker_has_no_etcd, a_worker_has_no_servers_to_ask, a_worker_has_no_calls_to_count,
                a_worker_has_no_certificates_to_check;
            steps: begun_attached_and_contended, a_worker_is_upgraded, a_second_run_of_each_step_changes_nothing, a_worker_goes_back,
                a_worker_of_which_nothing_is_kept_does_not_go_back, the_disk_is_full,
                a_lock_that_is_never_given_up_holds, what_is_not_offered_is_refused, there_is_no_way_back,
                the_kubelet_does_not_pass_kubeadm, kubeadm_fails_and_the_next_run_goes_on, a_half_done_kubeadm_is_repaired,
                half_done_packages_of_the_kubelet_are_repaired, another_half_installed_package_keeps_its_version,
                containerd_stays_at_its_version, a_containerd_that_is_not_offered_is_refused;
        }
    };
}
pub(crate) use behaviours;
