//! Kubeconfigs: read within limits, checked, and made one configuration. kube's own loader would ask the environment for proxies, read
//! files of any size, and take words that it cannot put into a request.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Uri};
use kube::Config;
use kube::config::{AuthInfo, Cluster, Context, ExecAuthCluster, Kubeconfig};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::ExposeSecret;

use crate::adapters::files;
use crate::adapters::proxy::proxy;
use crate::world::{KubeTarget, Named, SECRET_FILE, TEXT_FILE};

/// What a context says.
pub struct Chosen {
    pub config: Config,
    /// For messages: `context homelab, as ann`.
    pub source: String,
}

/// The configuration of the context that is wanted, else of the current one, with the cluster and the user that are wanted instead of its
/// own; `shown` is what the kubeconfig is called.
pub fn choose(kubeconfig: Kubeconfig, shown: &str, target: &KubeTarget) -> Result<Chosen, String> {
    let (context, mut source) = context(&kubeconfig, shown, target)?;
    let place = |why: String| format!("{shown}, {}: {why}", source.join(", "));
    let cluster = match &target.cluster {
        Some(name) => {
            let absent = || unknown(shown, "cluster", name, kubeconfig.clusters.iter().map(|known| &known.name));
            cluster(&kubeconfig, name).ok_or_else(absent)?
        }
        None => {
            cluster(&kubeconfig, &context.cluster).ok_or_else(|| place(format!("it has no cluster {:?}", context.cluster)))?
        }
    };
    let user = match &target.user {
        Some(name) => {
            let absent = || unknown(shown, "user", name, kubeconfig.auth_infos.iter().map(|known| &known.name));
            user(&kubeconfig, name).ok_or_else(absent)?
        }
        // One that is missing is anonymous, as to kubectl.
        None => context.user.as_ref().and_then(|name| user(&kubeconfig, name)).unwrap_or_default(),
    };
    let mut config = configure(cluster, user).map_err(place)?;
    source.extend(act_as(&mut config.auth_info, target)?);
    if let Some(namespace) = context.namespace {
        config.default_namespace = namespace;
    }
    Ok(Chosen { config, source: source.join(", ") })
}

/// All that it has names for.
pub fn named(kubeconfig: &Kubeconfig) -> Named {
    Named {
        contexts: kubeconfig.contexts.iter().map(|known| known.name.clone()).collect(),
        clusters: kubeconfig.clusters.iter().map(|known| known.name.clone()).collect(),
        users: kubeconfig.auth_infos.iter().map(|known| known.name.clone()).collect(),
    }
}

/// What the context says, and of what is wanted the parts, for messages. Whoever names a cluster needs no context.
fn context(kubeconfig: &Kubeconfig, shown: &str, target: &KubeTarget) -> Result<(Context, Vec<String>), String> {
    let known = || kubeconfig.contexts.iter().map(|context| &context.name);
    let current = kubeconfig.current_context.as_deref().filter(|name| !name.is_empty());
    let name = target.context.as_deref().or(current);
    let context = match name {
        Some(name) => {
            let found = kubeconfig.contexts.iter().find(|context| context.name == name);
            found.ok_or_else(|| unknown(shown, "context", name, known()))?.context.clone().unwrap_or_default()
        }
        None if target.cluster.is_some() => Context::default(),
        None => {
            return Err(format!("{shown} has no current context: name one with --context (known: {})", list(known())));
        }
    };
    let part = |kind: &str, name: Option<&str>| name.map(|name| format!("{kind} {name}"));
    let parts = [part("context", name), part("cluster", target.cluster.as_deref()), part("user", target.user.as_deref())];
    Ok((context, parts.into_iter().flatten().collect()))
}

fn cluster(kubeconfig: &Kubeconfig, name: &str) -> Option<Cluster> {
    kubeconfig.clusters.iter().find(|known| known.name == name)?.cluster.clone()
}

fn user(kubeconfig: &Kubeconfig, name: &str) -> Option<AuthInfo> {
    kubeconfig.auth_infos.iter().find(|known| known.name == name)?.auth_info.clone()
}

fn unknown<'a>(shown: &str, kind: &str, name: &str, known: impl Iterator<Item = &'a String>) -> String {
    format!("{shown} has no {kind} {name} (known: {})", list(known))
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Has the API server take us for somebody else, as far as the command line says so, and says whom for messages.
///
/// # Errors
/// Groups alone: the API server knows no impersonation without a user.
pub fn act_as(user: &mut AuthInfo, target: &KubeTarget) -> Result<Option<String>, String> {
    if let Some(wanted) = &target.as_user {
        user.impersonate = Some(wanted.to_string());
    }
    if !target.as_groups.is_empty() {
        user.impersonate_groups = Some(target.as_groups.iter().map(ToString::to_string).collect());
    }
    match &user.impersonate {
        None if !target.as_groups.is_empty() => {
            Err("--as-group needs --as: the API server takes nobody for a member of a group without a user's name".to_owned())
        }
        taken => Ok(taken.as_ref().map(|name| format!("as {name}"))),
    }
}

fn configure(cluster: Cluster, mut user: AuthInfo) -> Result<Config, String> {
    let mut config = Config::new(server(cluster.server.as_deref().unwrap_or_default())?);
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.root_cert = authorities(&cluster)?;
    config.proxy_url = match cluster.proxy_url.as_deref().map(str::trim) {
        None | Some("") => None,
        Some(url) => Some(proxy("proxy-url", url)?),
    };
    if let Some(exec) = user.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
        let known =
            ExecAuthCluster::try_from(&cluster).map_err(|error| format!("its cluster, for the credential plugin: {error}"))?;
        exec.cluster = Some(known);
    }
    config.tls_server_name = cluster.tls_server_name;
    fit(&mut user)?;
    config.auth_info = user;
    Ok(config)
}

/// # Errors
/// Never repeats the URL: a password may be in it.
fn server(text: &str) -> Result<Uri, String> {
    let uri = text.parse::<Uri>().ok();
    let whole = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty());
    uri.filter(whole).ok_or_else(|| "server is no URL such as https://10.0.0.1:6443".to_owned())
}

fn authorities(cluster: &Cluster) -> Result<Option<Vec<Vec<u8>>>, String> {
    let pem = match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
        (Some(data), _) if !data.is_empty() => {
            BASE64_STANDARD.decode(data.trim()).map_err(|error| format!("certificate-authority-data: {error}"))?
        }
        (_, Some(file)) if !file.is_empty() => read(Path::new(file), TEXT_FILE)?,
        _ => return Ok(None),
    };
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).map(|der| der.map(|der| der.to_vec())).collect();
    match all {
        Ok(all) if all.is_empty() => Err("its certificate authority holds no certificate".to_owned()),
        Ok(all) => Ok(Some(all)),
        Err(error) => Err(format!("its certificate authority is no PEM: {error}")),
    }
}

/// Takes what stands in files into memory, and refuses what no request can carry: kube would stop the program over it.
fn fit(user: &mut AuthInfo) -> Result<(), String> {
    let inline = |data: bool, file: &Option<String>| match file.as_deref().filter(|file| !data && !file.is_empty()) {
        Some(file) => read(Path::new(file), SECRET_FILE).map(|bytes| Some(BASE64_STANDARD.encode(bytes))),
        None => Ok(None),
    };
    if let Some(certificate) = inline(user.client_certificate_data.is_some(), &user.client_certificate)? {
        user.client_certificate_data = Some(certificate);
    }
    if let Some(key) = inline(user.client_key_data.is_some(), &user.client_key)? {
        user.client_key_data = Some(key.into());
    }
    if let Some(token) = &user.token {
        carried("token", token.expose_secret())?;
    } else if let Some(file) = user.token_file.as_deref().filter(|file| !file.is_empty()) {
        let token = read(Path::new(file), SECRET_FILE)?;
        carried(&format!("the token in {file}"), &String::from_utf8_lossy(&token))?;
    }
    Ok(())
}

fn carried(what: &str, secret: &str) -> Result<(), String> {
    match HeaderValue::from_str(secret) {
        Ok(_) => Ok(()),
        Err(_) => {
            Err(format!("{what} holds characters that no token has, such as a line break (its value is secret and not shown)"))
        }
    }
}

/// One path, or more separated by colons. The first to say a thing wins, as with kubectl.
pub fn read_merged(paths: &Path) -> Result<Kubeconfig, String> {
    let mut merged = Kubeconfig::default();
    for path in std::env::split_paths(paths).filter(|path| !path.as_os_str().is_empty()) {
        let place = |why: String| format!("kubeconfig {}: {why}", path.display());
        let bytes = files::read(&path, TEXT_FILE).map_err(|error| place(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| place("it is not text".to_owned()))?;
        let next = Kubeconfig::from_yaml(&text).map_err(|error| place(error.to_string()))?;
        merged = merged.merge(from_folder(next, &path)).map_err(|error| place(error.to_string()))?;
    }
    Ok(merged)
}

/// Files that a kubeconfig names are beside it, unless it says where.
fn from_folder(mut kubeconfig: Kubeconfig, path: &Path) -> Kubeconfig {
    let Some(folder) = path.parent() else { return kubeconfig };
    let beside = |file: &mut Option<String>| {
        if let Some(named) = file.as_mut().filter(|named| !named.is_empty() && Path::new(named.as_str()).is_relative()) {
            *named = folder.join(named.as_str()).display().to_string();
        }
    };
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        beside(&mut cluster.certificate_authority);
    }
    for user in kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        beside(&mut user.client_certificate);
        beside(&mut user.client_key);
        beside(&mut user.token_file);
        // A bare name is looked for in PATH.
        if let Some(exec) = user.exec.as_mut().filter(|exec| exec.command.as_ref().is_some_and(|command| command.contains('/'))) {
            beside(&mut exec.command);
        }
    }
    kubeconfig
}

fn read(path: &Path, limit: usize) -> Result<Vec<u8>, String> {
    files::read(path, limit).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Where kubectl looks when nothing is said.
pub fn usual(kubeconfig: Option<&str>, home: Option<&str>) -> Option<PathBuf> {
    match (kubeconfig.filter(|paths| !paths.is_empty()), home) {
        (Some(paths), _) => Some(PathBuf::from(paths)),
        (None, home) => Some(Path::new(home?).join(".kube/config")),
    }
}
