//! The SSH key, the webhooks, and what Prometheus wants. They live in memory and are read anew by every process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use tokio::sync::OnceCell;

use crate::clients;
use crate::failure::Cause;
use crate::names;
use crate::run::cluster::Cluster;
use crate::settings::Settings;
use crate::words::command;
use crate::world::{Files, Login, SECRET_FILE};

/// Secrets, in memory alone. It has no Debug.
#[derive(Clone)]
pub struct Creds {
    /// None: a pod that has no key. One that cannot be read keeps nobody from being told.
    login: Result<Option<Login>, Cause>,
    pub slack: Option<Arc<str>>,
    /// A line `NAME: URL` each, read by whoever sends: one that is wrong keeps nobody from the key.
    pub webhooks: Option<Arc<str>>,
}

/// Where secrets are read from, once a process.
pub struct Credentials {
    settings: Arc<Settings>,
    cluster: Arc<Cluster>,
    files: Arc<dyn Files>,
    creds: OnceCell<Creds>,
    /// As the API server has it; in a pod it is mounted.
    secret: OnceCell<Option<Secret>>,
}

impl Credentials {
    /// Has read nothing yet: secrets are read when they are needed.
    pub fn new(settings: Arc<Settings>, cluster: Arc<Cluster>, files: Arc<dyn Files>) -> Self {
        Credentials { settings, cluster, files, creds: OnceCell::new(), secret: OnceCell::new() }
    }

    /// Read once: from the file that a setting names, else the mounted Secret, else the Secret through the API; a key that stands
    /// nowhere leaves the agent.
    pub async fn get(&self) -> Result<&Creds, Cause> {
        self.creds.get_or_try_init(|| self.read_creds()).await
    }

    /// The way in that every node has.
    ///
    /// # Errors
    /// Refused: this pod was given no key.
    pub async fn own_login(&self) -> Result<Login, Cause> {
        self.get().await?.login.clone()?.ok_or_else(|| {
            Cause::refused(format!("no SSH key: {}/{} is not there", names::CREDS_MOUNT, names::SECRET_SSH_KEY))
                .detail([format!(
                    "the Secret {}/{} is missing or has no {}",
                    self.cluster.namespace,
                    names::CREDS_SECRET,
                    names::SECRET_SSH_KEY
                )])
                .next(command!("kubectl -n {} get secret {}", self.cluster.namespace, names::CREDS_SECRET))
        })
    }

    async fn read_creds(&self) -> Result<Creds, Cause> {
        let key = self.key_in_file(&self.settings.ssh_key_file, names::SECRET_SSH_KEY);
        let slack = self.key_in_file(&self.settings.slack_webhook_file, names::SECRET_SLACK)?;
        let webhooks = self.key_in_file(&self.settings.webhooks_file, names::SECRET_WEBHOOKS)?;
        // In a pod the Secret is mounted; what is not there, is not in it.
        let secret = if self.cluster.in_cluster
            || (!matches!(key, Ok(None)) && slack.is_some() && (webhooks.is_some() || self.settings.webhooks.is_empty()))
        {
            None
        } else {
            self.secret().await?
        };
        let field = |name: &str| field(secret, name);
        let login = key.map(|key| match key.or_else(|| field(names::SECRET_SSH_KEY)) {
            Some(key) => Some(Login::Key(key.into())),
            None => (!self.cluster.in_cluster).then_some(Login::Agent),
        });
        let slack = slack.or_else(|| field(names::SECRET_SLACK)).map(|url| Arc::from(url.trim()));
        let webhooks = webhooks.or_else(|| field(names::SECRET_WEBHOOKS)).map(Arc::from);
        Ok(Creds { login, slack, webhooks })
    }

    /// The key of the file that the settings name, else of the mounted Secret: the API server is not asked.
    pub fn login_at_hand(&self) -> Result<Option<Login>, Cause> {
        let key = self.key_in_file(&self.settings.ssh_key_file, names::SECRET_SSH_KEY)?;
        Ok(key.map(|key| Login::Key(key.into())))
    }

    /// A named file must be there; the mounted one may be absent.
    fn key_in_file(&self, named: &Path, key: &str) -> Result<Option<String>, Cause> {
        let is_named = !named.as_os_str().is_empty();
        let path = if is_named { named.to_path_buf() } else { PathBuf::from(names::CREDS_MOUNT).join(key) };
        match self.files.read(&path, SECRET_FILE) {
            Ok(bytes) => {
                let text = String::from_utf8(bytes).map_err(|_| Cause::usage(format!("{} is not text", path.display())))?;
                Ok(Some(text).filter(|text| !text.trim().is_empty()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_named => Ok(None),
            Err(error) => Err(Cause::usage(format!("cannot read {}: {error}", path.display()))),
        }
    }

    /// The Secret, unless it is absent or not ours to read: then the agent is what is left.
    async fn secret(&self) -> Result<Option<&Secret>, Cause> {
        let api: Api<Secret> = self.cluster.own();
        let read = || {
            self.cluster.call("read the Secret with the SSH key", async || match api.get_opt(names::CREDS_SECRET).await {
                Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
                other => other,
            })
        };
        self.secret.get_or_try_init(read).await.map(Option::as_ref)
    }

    /// What Prometheus wants of whoever asks it; None: the Secret has nothing of the kind. In a pod it is read each time: a token may end
    /// while a Job waits, and the mounted Secret has the next.
    ///
    /// # Errors
    /// Usage: they are no credentials, or some of two kinds; they are not shown.
    pub async fn prometheus(&self) -> Result<Option<clients::Credentials>, Cause> {
        let secret = if self.cluster.in_cluster { None } else { self.secret().await? };
        let read = |key: &str| Ok::<_, Cause>(self.key_in_file(Path::new(""), key)?.or_else(|| field(secret, key)));
        let token = read(names::SECRET_PROMETHEUS_TOKEN)?;
        let (username, password) = (read(names::SECRET_PROMETHEUS_USERNAME)?, read(names::SECRET_PROMETHEUS_PASSWORD)?);
        let credentials = match (token, username, password) {
            (None, None, None) => return Ok(None),
            (Some(token), None, None) => clients::Credentials::token(&token),
            (None, Some(username), Some(password)) => clients::Credentials::basic(&username, &password),
            (Some(_), ..) => Err("a token, or a name and a password, is wanted, and not both".to_owned()),
            (None, ..) => Err("the name and the password belong together, and one of them is missing".to_owned()),
        };
        credentials.map(Some).map_err(|why| {
            Cause::usage(format!("the credentials for Prometheus in the Secret cannot be used: {why}"))
                .detail([format!("its keys {} (their values are secret and not shown)", names::SECRET_PROMETHEUS.join(", "))])
                .next("k8s-upgrade manifests --help    # --prometheus-token, --prometheus-password: into the Secret")
        })
    }
}

fn field(secret: Option<&Secret>, name: &str) -> Option<String> {
    let data = secret?.data.as_ref()?.get(name)?;
    String::from_utf8(data.0.clone()).ok().filter(|text| !text.trim().is_empty())
}
