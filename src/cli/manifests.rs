//! What an installation is printed from.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use crate::words::{ImageRef, Label, NotAToken, ObjectName, WebhookName};

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
