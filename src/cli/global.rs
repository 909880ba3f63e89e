//! What goes with every command.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::forms::Form;
use crate::names;
use crate::words::{KubeconfigName, Namespace, Subject};

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
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    parsed.ok_or_else(|| "a duration is wanted, for example 5s or 1m".to_owned())
}
