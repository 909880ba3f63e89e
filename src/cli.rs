//! The command line: types and help texts. Parsing never acts.

pub mod typed;

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::names;
use crate::plan::decide::gates::{Gate, Occasion};
use crate::plan::model::version::Version;
use crate::words::{
    ImageRef, KubeconfigName, Label, LossId, Namespace, NodeName, NotAToken, ObjectName, Reason, RunId, Subject, WebhookName,
};

const GROUPS: &str = "\
Watch:     check, plan, status, report
Run:       detect, approve, start, resume, acknowledge
Stop:      halt, skip-phase, clear-state
Try:       rehearse
Maintain:  rollback, rotate-key, adopt, manifests, uninstall, image, completions, man
Phases:    preflight, drain, upgrade-node, postflight

Exit codes: 0 done or nothing to do · 2 usage · 3 hold: not now · 4 refused: a person must change something ·
5 a step failed, resumable · 6 somebody else holds the run or the node · 7 an endpoint could not be reached ·
130/143 stopped at a safe point · 1 a bug of this program";

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

/// As `--version` tells it: a release with its commit.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("OF_COMMIT"));

/// Upgrades kubeadm clusters by itself, one node at a time, as a chain of Kubernetes Jobs.
#[derive(Debug, Parser)]
#[command(name = names::PROGRAM, version = VERSION, after_help = GROUPS, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Kubeconfig file; else KUBECONFIG, ~/.kube/config, or the pod's ServiceAccount
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub context: Option<KubeconfigName>,
    /// Cluster of the kubeconfig, instead of the context's
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub cluster: Option<KubeconfigName>,
    /// User of the kubeconfig, instead of the context's
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub user: Option<KubeconfigName>,
    /// Act as this user (impersonation); whom the kubeconfig knows must be allowed to
    #[arg(long = "as", global = true, value_name = "USER", help_heading = "Global options")]
    pub as_user: Option<Subject>,
    /// Act as a member of this group, too; may be repeated
    #[arg(long = "as-group", global = true, value_name = "GROUP", help_heading = "Global options")]
    pub as_groups: Vec<Subject>,
    /// Namespace of the installation
    #[arg(short, long, global = true, value_name = "NAME", default_value = names::NAMESPACE, help_heading = "Global options")]
    pub namespace: Namespace,
    /// How long an API server that does not answer is waited for by a command that has changed nothing yet
    #[arg(long, global = true, value_name = "DURATION", default_value = "5s", value_parser = duration, help_heading = "Global options")]
    pub request_timeout: Duration,
    /// Settings file; else the mounted ConfigMap, or ~/.config/k8s-upgrade/config.yaml
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// One setting, over file and environment (K8S_UPGRADE_KEY); may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", help_heading = "Global options")]
    pub set: Vec<String>,
    /// Form of the progress on stderr; on a terminal text is drawn as bars
    #[arg(long, global = true, value_enum, default_value_t = Form::Text, help_heading = "Global options")]
    pub log_format: Form,
    /// Also show what programs on nodes print; twice: this program's own diagnosis
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// Only warnings and failures
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,
    /// Do not ask before a change
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub yes: bool,
    /// No colour, no bars
    #[arg(long, global = true, help_heading = "Global options")]
    pub no_color: bool,
}

/// `5s` or `1m 30s`.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    parsed.ok_or_else(|| "a duration is wanted, for example 5s or 1m".to_owned())
}

/// How progress is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    Text,
    Json,
}

/// How data are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Notation {
    Text,
    Json,
    /// What JSON says, as YAML
    Yaml,
}

/// Who asks for completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
    /// The program kubectl_complete-upgrade, which kubectl asks about its plugin
    Kubectl,
}

/// How a run is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Page {
    Text,
    Markdown,
    /// A page for a browser, with a picture of the run over time; one file, which fetches nothing
    Html,
    /// That picture alone
    Svg,
    Json,
    /// What JSON says, as YAML
    Yaml,
}

/// How a plan is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sheet {
    Text,
    /// For whoever has to approve the change
    Markdown,
    Json,
    /// What JSON says, as YAML
    Yaml,
}

impl From<Page> for Notation {
    fn from(page: Page) -> Self {
        match page {
            Page::Json => Notation::Json,
            Page::Yaml => Notation::Yaml,
            Page::Text | Page::Markdown | Page::Html | Page::Svg => Notation::Text,
        }
    }
}

impl From<Sheet> for Notation {
    fn from(sheet: Sheet) -> Self {
        match sheet {
            Sheet::Json => Notation::Json,
            Sheet::Yaml => Notation::Yaml,
            Sheet::Text | Sheet::Markdown => Notation::Text,
        }
    }
}

/// For commands that print data.
#[derive(Clone, Copy, Debug, Args)]
pub struct Data {
    /// Form of the data on stdout
    #[arg(short, long, value_enum, default_value_t = Notation::Text)]
    pub output: Notation,
}

/// What a Job of the chain is told by the one that created it.
#[derive(Clone, Debug, Args)]
pub struct Chain {
    /// Create the successor Job afterwards; Jobs pass this
    #[arg(long, requires = "run")]
    pub chain: bool,
    /// Id of the run that this belongs to
    #[arg(long, value_name = "ID", hide = true)]
    pub run: Option<RunId>,
    /// The Job before this one held at the same step, and told so
    #[arg(long, requires = "chain", hide = true)]
    pub held: bool,
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

#[derive(Debug, Args)]
pub struct Halt {
    /// Only suspend the detection; a run in flight goes on
    #[arg(long, group = "how")]
    pub detection_only: bool,
    /// Delete the Jobs at work as soon as kubeadm and the package manager have ended on their nodes, not at the next safe point: a node may stay
    /// cordoned
    #[arg(long, group = "how")]
    pub now: bool,
    /// Only raise the alert that blocks upgrades and reboots at their next gate
    #[arg(long, group = "how")]
    pub blocker_alert: bool,
    /// Undo what was set, and that alone
    #[arg(long, group = "how", conflicts_with = "reason")]
    pub lift: bool,
    /// Why, for whoever meets it
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<Reason>,
    #[command(flatten)]
    pub data: Data,
}

#[derive(Debug, Args)]
pub struct Skip {
    /// Which phase
    #[arg(value_enum)]
    pub phase: PhaseName,
    /// Which node's, for master and worker
    pub node: Option<NodeName>,
    /// Also if nothing shows its work done; never the backup nor a control plane
    #[arg(long, requires = "reason")]
    pub force: bool,
    /// Why; recorded and told to Slack
    #[arg(long, value_name = "TEXT", requires = "force")]
    pub reason: Option<Reason>,
    #[command(flatten)]
    pub data: Data,
}

/// A phase as a person types it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PhaseName {
    Preflight,
    Master,
    Worker,
    Postflight,
}

#[derive(Debug, Args)]
pub struct Rehearse {
    /// Rehearse a copy of the real cluster: nodes, workloads, budgets, alerts; it is only read, and no Secret is
    #[arg(long, conflicts_with = "scenario")]
    pub from_cluster: bool,
    /// The release to go to; else the scenario's, or with --from-cluster the one that detection would choose
    #[arg(long, value_name = "X.Y.Z")]
    pub target: Option<Version>,
    /// A file that --save wrote, or one of runbook, minor, three-control-planes
    #[arg(long, value_name = "FILE", default_value = "runbook")]
    pub scenario: String,
    /// Write the scenario to a file, never over one, - for stdout, and do no more: names, labels and versions, to share and to change
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Print what a scenario may say, field by field (JSON Schema), and do no more
    #[arg(long, conflicts_with_all = ["from_cluster", "scenario", "save", "inject", "target", "seed"])]
    pub schema: bool,
    /// Break something at preflight, master, worker/NODE, postflight or a node's step; may be repeated: kill, ssh-loss, api-outage, alert,
    /// node-not-ready, pdb-deadlock, deployment-down, crash-loop, etcd-ill, etcd-slow, dns-away, old-api-caller, backup-failure, power-cut,
    /// prometheus-away, pushgateway-away, slack-away, new-release
    #[arg(long, value_name = "WHAT@STEP")]
    pub inject: Vec<String>,
    /// One seed gives one history
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// On a terminal, too, as fast as it goes
    #[arg(long)]
    pub fast: bool,
    /// Form of the result on stdout; markdown, html and svg tell the run as a report does
    #[arg(short, long, value_enum, default_value_t = Page::Text)]
    pub output: Page,
}

#[derive(Debug, Args)]
pub struct Manifests {
    /// The image that Jobs run; `k8s-upgrade image` prints its name
    #[arg(long, value_name = "REF")]
    pub image: Option<ImageRef>,
    /// Only one part
    #[arg(long, value_enum)]
    pub only: Option<Part>,
    /// With --only prometheus-rule: a label by which the Prometheus selects its rules; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<Label>,
    /// Write them into a folder for kustomize, Argo CD or Flux, which is made where it is not there; no Secret is among them
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["only", "ssh_key"])]
    pub kustomize: Option<PathBuf>,
    /// Private key file to put into the Secret; without it and --external-secret the Secret is expected to exist
    #[arg(long, value_name = "FILE", conflicts_with = "external_secret")]
    pub ssh_key: Option<PathBuf>,
    /// File with the Slack webhook URL to put into the Secret
    #[arg(long, value_name = "FILE", requires = "ssh_key")]
    pub slack_webhook: Option<PathBuf>,
    /// File with the URL of a webhook that the settings name, to put into the Secret; may be repeated
    #[arg(long = "webhook", value_name = "NAME=FILE", requires = "ssh_key")]
    pub webhooks: Vec<WebhookFile>,
    /// File with a bearer token that Prometheus wants, to put into the Secret
    #[arg(long, value_name = "FILE", requires = "ssh_key", conflicts_with = "prometheus_password")]
    pub prometheus_token: Option<PathBuf>,
    /// The user that Prometheus wants, and a file with the password, to put into the Secret
    #[arg(long, value_name = "USER=FILE", requires = "ssh_key")]
    pub prometheus_password: Option<PasswordFile>,
    /// Name of the ClusterSecretStore that an ExternalSecret reads the key from
    #[arg(long, value_name = "STORE")]
    pub external_secret: Option<ObjectName>,
}

/// Which webhook, and where its URL stands.
#[derive(Clone, Debug)]
pub struct WebhookFile {
    pub name: WebhookName,
    pub file: PathBuf,
}

impl FromStr for WebhookFile {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, file) = text.split_once('=').filter(|(_, file)| !file.is_empty()).ok_or("NAME=FILE is wanted")?;
        let name = name.parse().map_err(|error: NotAToken| error.to_string())?;
        Ok(WebhookFile { name, file: file.into() })
    }
}

/// Whose password, and where it stands.
#[derive(Clone, Debug)]
pub struct PasswordFile {
    pub user: String,
    pub file: PathBuf,
}

impl FromStr for PasswordFile {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (user, file) = text.split_once('=').ok_or("USER=FILE is wanted")?;
        let plain = user.len() <= 256 && !user.trim().is_empty() && !user.contains(|c: char| c.is_control() || c == ':');
        if !plain || file.is_empty() {
            return Err("USER=FILE is wanted, the user in 256 bytes without colons at most".to_owned());
        }
        Ok(PasswordFile { user: user.to_owned(), file: file.into() })
    }
}

/// What `manifests --only` can print alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The Prometheus rule file
    Rules,
    /// The same rules as a PrometheusRule, for the Prometheus operator
    PrometheusRule,
    /// The namespace and the admission policies, to apply before the rest where another pipeline has run
    Policies,
    /// A dashboard for Grafana, to import: what runs, what holds it, what detection has found
    Dashboard,
}
