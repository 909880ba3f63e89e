//! Every command, with what it is for and two examples of it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;

use super::forms::{Data, Page, Sheet, Shell};
use super::global::duration;
use super::manifests::Manifests;
use super::rehearse::Rehearse;
use super::run::{Chain, Halt, Pause, Skip};
use crate::plan::decide::gates::{Gate, Occasion};
use crate::plan::model::version::Version;
use crate::words::{LossId, NodeName, RunId};

const PREFLIGHT_EXAMPLES: &str =
    "Examples:\n  k8s-upgrade preflight --target 1.36.3 --dry-run\n  k8s-upgrade preflight --target 1.36.3";

/// What preflight asks, from the table of gates, and the examples.
fn gates_of_preflight() -> String {
    let rows: Vec<_> = Gate::of(Occasion::Preflight).map(Gate::row).collect();
    let width = rows.iter().map(|row| row.id.len()).max().unwrap_or_default();
    let lines: String = rows.iter().map(|row| format!("  {:width$}  {}\n", row.id, row.question)).collect();
    format!(
        "Gates, in the order in which they are asked; the manual page k8s-upgrade-operations(7) has all:\n{lines}\n{PREFLIGHT_EXAMPLES}"
    )
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look for a new release and start the chain if there is one
    #[command(
        after_help = "Examples:\n  k8s-upgrade detect --dry-run\n  kubectl -n k8s-upgrade create job --from=cronjob/k8s-version-check version-check-test"
    )]
    Detect {
        /// Say what would be started, start nothing, push nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Let a release begin that detection asks for: the watch begins its run in the next window, by itself
    #[command(
        after_help = "Examples:\n  k8s-upgrade approve 1.36.3\n  k8s-upgrade approve --lift    # takes it back, as long as its run has not begun"
    )]
    Approve {
        /// The release that detection asks for, and no other
        #[arg(value_name = "X.Y.Z", required_unless_present = "lift")]
        release: Option<Version>,
        /// Take the approval back
        #[arg(long, conflicts_with = "release")]
        lift: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Start the chain by hand
    #[command(
        after_help = "Examples:\n  k8s-upgrade start --target 1.36.3 --dry-run\n  k8s-upgrade start --target 1.36.3 --only k8s-node4    # one worker first, then it stops"
    )]
    Start {
        /// The release to go to
        #[arg(long, value_name = "X.Y.Z")]
        target: Version,
        /// Perform all phases in this process; it must not run on a node of the cluster
        #[arg(long)]
        local: bool,
        /// Stop after this worker, once it has soaked; `resume` goes on with the others
        #[arg(long, value_name = "NODE", conflicts_with = "local")]
        only: Option<NodeName>,
        /// Do not wait for a window, nor for the end of a freeze: a person knows
        #[arg(long)]
        now: bool,
        /// Say what would be created
        #[arg(long, conflicts_with = "local")]
        dry_run: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Resume an interrupted upgrade
    #[command(
        after_help = "Examples:\n  k8s-upgrade resume\n  k8s-upgrade resume --if-orphaned --dry-run    # what the watch would do now"
    )]
    Resume {
        /// Only if all that was at work has died; the command of the CronJob k8s-upgrade-watch
        #[arg(long)]
        if_orphaned: bool,
        /// Perform all that is left in this process, as `start --local` does
        #[arg(long, conflicts_with_all = ["if_orphaned", "dry_run"])]
        local: bool,
        /// Do not wait for a window, nor for the end of a freeze: a person knows
        #[arg(long, conflicts_with = "if_orphaned")]
        now: bool,
        /// Say what would be created
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Halt upgrades: a run stops at its next safe point, and none starts until it is lifted
    #[command(
        after_help = "Examples:\n  k8s-upgrade halt --reason \"disks are being replaced\"\n  k8s-upgrade halt --lift && k8s-upgrade resume"
    )]
    Halt(Halt),
    /// Keep nodes, or a pool and whoever joins it, out of upgrades until `unpause`: a run goes on with the others, and waits for them at its end
    #[command(
        after_help = "Examples:\n  k8s-upgrade pause k8s-node3 k8s-node4\n  k8s-upgrade pause gpu    # a pool of the settings"
    )]
    Pause(Pause),
    /// Let what was paused have its turn
    #[command(
        after_help = "Examples:\n  k8s-upgrade unpause k8s-node3 && k8s-upgrade resume    # at once, else the watch goes on within 10 minutes\n  k8s-upgrade unpause pool/gpu"
    )]
    Unpause(Pause),
    /// Skip a completed phase; by force also one that is not completed, and the run then ends as partial
    #[command(
        after_help = "Examples:\n  k8s-upgrade skip-phase worker k8s-node3\n  k8s-upgrade skip-phase worker k8s-node3 --force --reason \"its disk is being replaced\""
    )]
    SkipPhase(Skip),
    /// Clear what a run that is given up has left: annotations, gauges, our cordons, stale Leases, Jobs that never began
    #[command(after_help = "Examples:\n  k8s-upgrade clear-state\n  k8s-upgrade halt --now && k8s-upgrade clear-state --yes")]
    ClearState {
        #[command(flatten)]
        data: Data,
    },
    /// Let the next run lose what people changed by hand and kubeadm writes over: flags of static pods, the kubelet's, CoreDNS
    #[command(
        after_help = "Examples:\n  k8s-upgrade acknowledge             # what there is, and the ID that names exactly this\n  k8s-upgrade acknowledge 3f9a2c81"
    )]
    Acknowledge {
        /// What `acknowledge` or a refusal has named; without it, nothing is recorded
        id: Option<LossId>,
        #[command(flatten)]
        data: Data,
    },
    /// Check all that an installation and an upgrade need, before and after installing; changes nothing
    #[command(
        after_help = "Examples:\n  k8s-upgrade check\n  k8s-upgrade check --write-config config.yaml    # the settings that this cluster seems to need"
    )]
    Check {
        /// Also write the settings that this cluster seems to need, never over a file; `-` prints them alone
        #[arg(long, value_name = "FILE")]
        write_config: Option<PathBuf>,
        #[command(flatten)]
        data: Data,
    },
    /// Show what a shell pipeline has left that ran under the same names, what becomes of each part, and how to come to this program; changes nothing
    #[command(
        after_help = "Examples:\n  k8s-upgrade adopt\n  k8s-upgrade adopt --write-config config.yaml    # the settings that its scripts had"
    )]
    Adopt {
        /// Also write the settings that its scripts had, never over a file; `-` prints them alone
        #[arg(long, value_name = "FILE")]
        write_config: Option<PathBuf>,
        #[command(flatten)]
        data: Data,
    },
    /// Show where a run stands, what blocks it, and what to do next
    #[command(
        after_help = "Examples:\n  k8s-upgrade status --watch\n  k8s-upgrade status --hosts     # the API server is away: what the nodes say"
    )]
    Status {
        /// Go on showing it, as it changes, until Ctrl-C; elsewhere than in a terminal each change is a screen, with -o json a line
        #[arg(short, long, conflicts_with_all = ["health", "hosts"])]
        watch: bool,
        /// Whether the installation would do its work: CronJobs, the last detection, the chain's Jobs, gauges, alert rules
        #[arg(long)]
        health: bool,
        /// Ask the nodes by SSH alone, when the API server is away; host-addresses, known-hosts-file and ssh-key-file are settings.
        /// Exit code 0 if all answered, 7 if one did not, 4 if one refused or shows another host key, 5 if a session was cut
        #[arg(long, conflicts_with = "health")]
        hosts: bool,
        /// A line for each node of a large cluster; else those of which nothing is to be said are counted
        #[arg(long, conflicts_with_all = ["watch", "health", "hosts"])]
        all: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Show a run before it is begun: its Jobs in their order, the gates as they stand, what each node goes through, and how long it takes
    #[command(after_help = "Examples:\n  k8s-upgrade plan\n  k8s-upgrade plan --target 1.36.3 -o markdown > change.md")]
    Plan {
        /// The release to go to; else that of the run in flight, or the one that detection would choose
        #[arg(long, value_name = "X.Y.Z")]
        target: Option<Version>,
        /// Form of the plan
        #[arg(short, long, value_enum, default_value_t = Sheet::Text)]
        output: Sheet,
    },
    /// Tell what happened in a run, from the journals that outlive its Jobs
    #[command(
        after_help = "Examples:\n  k8s-upgrade report 5f3a21bc -o markdown > upgrade.md\n  k8s-upgrade report -o html > run.html    # the newest run, as a timeline for a browser"
    )]
    Report {
        /// Id of a run, or by-hand for what was done outside any; else the newest
        run: Option<RunId>,
        /// Form of the report
        #[arg(short, long, value_enum, default_value_t = Page::Text)]
        output: Page,
    },
    /// Check that the cluster may be upgraded, claim the run, back up etcd, prefetch
    #[command(after_help = gates_of_preflight())]
    Preflight {
        /// The release to go to
        #[arg(long, value_name = "X.Y.Z")]
        target: Version,
        #[command(flatten)]
        chain: Chain,
        /// Do not wait for a window, nor for the end of a freeze: a person knows
        #[arg(long)]
        now: bool,
        /// Ask the gates that change nothing, then stop
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Upgrade one node: drain, packages, kubeadm, kubelet, uncordon, soak
    #[command(
        after_help = "Examples:\n  k8s-upgrade upgrade-node k8s-node4\n  k8s-upgrade upgrade-node k8s-master --target 1.36.3"
    )]
    UpgradeNode {
        /// Name of the node
        node: NodeName,
        /// The release to go to; else the target of the run in flight
        #[arg(long, value_name = "X.Y.Z")]
        target: Option<Version>,
        #[command(flatten)]
        chain: Chain,
        /// Do not wait for a window, nor for the end of a freeze: a person knows
        #[arg(long)]
        now: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Verify the whole cluster, then end the run
    #[command(after_help = "Examples:\n  k8s-upgrade postflight\n  k8s-upgrade postflight --target 1.36.3")]
    Postflight {
        /// The release that all must have; else the target of the run in flight
        #[arg(long, value_name = "X.Y.Z")]
        target: Option<Version>,
        #[command(flatten)]
        chain: Chain,
        #[command(flatten)]
        data: Data,
    },
    /// Cordon and drain a node as the chain does
    #[command(
        after_help = "Examples:\n  k8s-upgrade drain k8s-node4 --dry-run    # what would go, what would hold\n  k8s-upgrade drain k8s-node4"
    )]
    Drain {
        /// Name of the node
        node: NodeName,
        /// Forecast by server-side dry-run evictions
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Take a worker back to the versions that it had before its upgrade; for a control plane, print what to do, also while the API server is away
    #[command(
        after_help = "Examples:\n  k8s-upgrade rollback k8s-node4 --dry-run\n  k8s-upgrade rollback k8s-master     # changes nothing: the plan, with the snapshot's path"
    )]
    Rollback {
        /// Name of the node
        node: NodeName,
        /// Say what would be done
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Replace the SSH key of the installation: on every node, and where it is stored
    #[command(
        after_help = "Examples:\n  k8s-upgrade rotate-key --dry-run\n  k8s-upgrade rotate-key --only k8s-node3    # it was away: bring it the key that the cluster holds now"
    )]
    RotateKey {
        /// Look at the store and at every node, change nothing
        #[arg(long)]
        dry_run: bool,
        /// No new key: let this node have the one that is stored
        #[arg(long, value_name = "NODE")]
        only: Option<NodeName>,
        #[command(flatten)]
        data: Data,
    },
    /// Live through an upgrade in memory: the whole chain, without a cluster or on a copy of one; nothing outside is touched
    #[command(
        after_help = "Examples:\n  k8s-upgrade rehearse --from-cluster --target 1.36.3 --inject power-cut@worker/k8s-node3\n  k8s-upgrade rehearse -o html > run.html    # a timeline, for a browser"
    )]
    Rehearse(Rehearse),
    /// Print everything to install, for `kubectl apply -f -`
    #[command(
        after_help = "Examples:\n  k8s-upgrade manifests --image docker.io/library/k8s-upgrade:TAG | kubectl apply -f -\n  k8s-upgrade manifests --only rules > upgrade-gates.yaml"
    )]
    Manifests(Manifests),
    /// Show what an installation consists of and what it leaves, and remove it: from the CronJobs to the namespace
    #[command(
        after_help = "Examples:\n  k8s-upgrade uninstall --dry-run      # what there is, and what a person would type\n  k8s-upgrade uninstall"
    )]
    Uninstall {
        /// Show it, and delete nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Write this binary as an image archive, for `ctr -n k8s.io images import`, skopeo (oci-archive, docker-archive) and podman
    #[command(
        after_help = "Examples:\n  k8s-upgrade image --file k8s-upgrade.tar     # prints the image's name\n  k8s-upgrade image --file k8s-upgrade.tar --add-binary ./k8s-upgrade-arm64    # for both"
    )]
    Image {
        /// Archive to write; `-` for stdout, and the image's name goes to stderr
        #[arg(long, value_name = "FILE", short_alias = 'o', alias = "output")]
        file: PathBuf,
        /// The same program built for another architecture, which its file tells; may be repeated
        #[arg(long, value_name = "BINARY")]
        add_binary: Vec<PathBuf>,
    },
    /// Print the completions of a shell
    #[command(
        after_help = "Examples:\n  k8s-upgrade completions bash > /etc/bash_completion.d/k8s-upgrade\n  k8s-upgrade completions kubectl > ~/.local/bin/kubectl_complete-upgrade    # then chmod +x it"
    )]
    Completions {
        /// Whose completions
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print what the word that is being typed may become; the completions of a shell ask this
    #[command(hide = true)]
    Complete {
        /// For what is asked outside: a person waits with a finger on the key
        #[arg(long, value_name = "DURATION", default_value = "200ms", value_parser = duration)]
        patience: Duration,
        /// The words behind the program's name, the last one as far as it was typed
        #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
        words: Vec<OsString>,
    },
    /// Write the manual pages into a folder
    #[command(after_help = "Examples:\n  k8s-upgrade man ./man\n  man ./man/k8s-upgrade.1")]
    Man {
        /// The folder; it is made where it is not there
        folder: PathBuf,
    },
}
