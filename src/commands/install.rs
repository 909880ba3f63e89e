//! `manifests` and `image`: everything that an installation needs, from this one binary.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use crate::cli::{Manifests, Part, PasswordFile, WebhookFile};
use crate::failure::{Cause, Outcome};
use crate::names;
use crate::plan::manifests::dashboard::dashboard;
use crate::plan::manifests::install;
use crate::plan::manifests::installation::{Credentials, Install};
use crate::plan::model::policy::{Policy, Runner};
use crate::plan::trust::keys::Public;
use crate::plan::trust::known_hosts::{KnownHosts, Seeds};
use crate::report::{Event, Out, Shared};
use crate::run::image::{OWN_BINARY, archive_of};
use crate::settings::Settings;
use crate::words::{Label, Namespace, bearer_token, command, user_and_password};
use crate::world::{BINARY_FILE, SECRET_FILE, TEXT_FILE, World};

/// Writes bytes to stdout as they are, at once.
pub(super) fn write_out(stdout: &Out, bytes: &[u8]) -> Result<(), Cause> {
    stdout.bytes(bytes).map_err(cannot_write)
}

/// Why nothing of it stands on stdout.
pub(super) fn cannot_write(error: std::io::Error) -> Cause {
    Cause::step(format!("cannot write to stdout: {error}"))
}

fn read(world: &World, path: &Path, limit: usize) -> Result<Vec<u8>, Cause> {
    world.files.read(path, limit).map_err(|error| Cause::usage(format!("cannot read {}: {error}", path.display())))
}

/// Namespaces of the cluster itself: what is printed for ours would lock their pods out.
const NOT_OURS: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "default"];

/// What the manifests are printed with.
pub struct Printing<'a> {
    pub world: &'a World,
    pub sink: &'a Shared,
    pub stdout: &'a Out,
    pub settings: &'a Settings,
    pub namespace: &'a Namespace,
}

impl Printing<'_> {
    fn warn(&self, text: String) {
        let event = Event::Warning { place: "manifests".to_owned(), text };
        self.sink.lock().unwrap_or_else(PoisonError::into_inner).event(self.world.clock.now(), &event);
    }
}

/// What the known_hosts file of this machine says of the nodes; what it says of others is told.
fn host_keys(printing: &Printing<'_>) -> Result<BTreeMap<String, String>, Cause> {
    let Printing { world, settings, .. } = printing;
    let file = settings.known_hosts_file.as_path();
    if file.as_os_str().is_empty() {
        return Ok(BTreeMap::new());
    }
    let place = file.display().to_string();
    let text = String::from_utf8(read(world, file, TEXT_FILE)?).map_err(|_| Cause::usage(format!("{place} is not text")))?;
    let nodes = settings.host_addresses.iter().map(|(node, address)| (node.to_string(), address.to_string())).collect();
    let Seeds { of, left } = KnownHosts::read(&place, &text)?.seeds(&nodes, settings.ssh_port);
    if left > 0 {
        printing.warn(format!(
            "{left} host key(s) of {place} fit no node and are left out: a node stands there by its name, or by its address of host-addresses"
        ));
    }
    let without: Vec<&str> = nodes.keys().filter(|node| !of.contains_key(*node)).map(String::as_str).collect();
    if !without.is_empty() {
        printing.warn(format!("{place} has no host key of {}", without.join(", ")));
    }
    Ok(of)
}

/// The public half beside a private key file, as ssh-keygen names it: `key` and `key.pub`. Of another key it would be brought to every node,
/// and none would let the Jobs in.
fn public_half(printing: &Printing<'_>, path: &Path, private: &[u8]) -> Result<Vec<u8>, Cause> {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    let beside = Path::new(&name);
    let make = || command!("ssh-keygen -y -f {} > {}      # writes the one that belongs to it", path.display(), beside.display());
    let public = read(printing.world, beside, SECRET_FILE).map_err(|cause| cause.next(make()))?;
    let there = Public::parse(&String::from_utf8_lossy(&public))
        .ok_or_else(|| Cause::usage(format!("{} is no public key", beside.display())).next(make()))?;
    match Public::of(&String::from_utf8_lossy(private)) {
        Some(own) if own == there => {}
        Some(own) => {
            let what = format!("{} and {} are of two keys: nothing is printed", path.display(), beside.display());
            let of = |path: &Path, key: &Public| format!("{}: {}", path.display(), key.fingerprint());
            return Err(Cause::usage(what).detail([of(path, &own), of(beside, &there)]).next(make()));
        }
        None => printing.warn(format!(
            "{} is no private key in OpenSSH's own format, so whether {} belongs to it is not known",
            path.display(),
            beside.display()
        )),
    }
    Ok(public)
}

/// The URLs of webhooks, as the Secret holds them: each of one that the settings name, for nobody else would say what is sent there.
fn webhooks(printing: &Printing<'_>, given: &[WebhookFile]) -> Result<String, Cause> {
    let mut lines = String::new();
    for WebhookFile { name, file } in given {
        if !printing.settings.webhooks.contains_key(name) {
            let what = format!("--webhook {name}: the settings name no webhook {name}, so what is sent there is not known");
            return Err(Cause::usage(what)
                .next(command!("man {}      # webhooks of Teams, Discord and ntfy as examples", names::PROGRAM)));
        }
        let url = read(printing.world, file, SECRET_FILE)?;
        let url = String::from_utf8_lossy(&url);
        // Whatever else is wrong with it is told by whoever sends to it; a second line would be another webhook's.
        let url = Some(url.trim()).filter(|url| !url.is_empty() && url.lines().count() == 1);
        let url = url.ok_or_else(|| {
            Cause::usage(format!("{} does not hold one URL (its value is secret and not shown)", file.display()))
        })?;
        lines.push_str(&format!("{name}: {url}\n"));
    }
    Ok(lines)
}

/// What Prometheus wants, by the keys of the Secret. What could not be sent is refused now, and not by every Job.
fn prometheus(printing: &Printing<'_>, wanted: &Manifests) -> Result<Vec<(&'static str, String)>, Cause> {
    let secret = |file: &Path| {
        let text = String::from_utf8(read(printing.world, file, SECRET_FILE)?);
        text.map_err(|_| Cause::usage(format!("{} is not text (its value is secret and not shown)", file.display())))
    };
    let refused = |file: &Path, why| Cause::usage(format!("{}: {why} (its value is secret and not shown)", file.display()));
    if let Some(file) = &wanted.prometheus_token {
        let token = secret(file)?;
        bearer_token(&token).map(drop).map_err(|why| refused(file, why))?;
        return Ok(vec![(names::SECRET_PROMETHEUS_TOKEN, token)]);
    }
    if let Some(PasswordFile { user, file }) = &wanted.prometheus_password {
        let password = secret(file)?;
        user_and_password(user, &password).map(drop).map_err(|why| refused(file, why))?;
        return Ok(vec![(names::SECRET_PROMETHEUS_USERNAME, user.clone()), (names::SECRET_PROMETHEUS_PASSWORD, password)]);
    }
    Ok(Vec::new())
}

/// Prints what `kubectl apply` installs, or one part of it; warnings go to stderr.
pub fn manifests(printing: &Printing<'_>, wanted: &Manifests) -> Result<Outcome, Cause> {
    let Printing { world, sink, stdout, settings, namespace } = *printing;
    let labels = wanted.labels.iter().map(Label::parts);
    if labels.len() > 0 && wanted.only != Some(Part::PrometheusRule) {
        return Err(Cause::usage("--label is for the object of the Prometheus operator: with --only prometheus-rule"));
    }
    let runbook = settings.runbook_url.as_deref();
    let for_monitoring = match wanted.only {
        Some(Part::Rules) => Some(install::rules(settings.gauges, runbook)?),
        Some(Part::PrometheusRule) => Some(install::prometheus_rule(namespace, labels, settings.gauges, runbook)?),
        Some(Part::Dashboard) => Some(dashboard(settings.gauges)?),
        Some(Part::Policies) | None => None,
    };
    if let Some(text) = for_monitoring {
        write_out(stdout, text.as_bytes())?;
        return Ok(Outcome::Done);
    }
    if NOT_OURS.contains(&namespace.as_str()) {
        let what = format!(
            "{namespace} is the cluster's own namespace: the manifests hold theirs to restricted pods, and would lock out others"
        );
        return Err(Cause::usage(what).detail([format!(
            "a namespace for {} alone is wanted, for example -n {}",
            names::PROGRAM,
            names::NAMESPACE
        )]));
    }
    let image = wanted.image.as_deref().ok_or_else(|| {
        Cause::usage("manifests need the image that the Jobs run: --image REF")
            .next(command!("{} image --file k8s-upgrade.tar      # writes it, and prints its name", names::PROGRAM))
    })?;
    let key = wanted.ssh_key.as_deref().map(|path| read(world, path, SECRET_FILE)).transpose()?;
    let public = match (wanted.ssh_key.as_deref(), &key) {
        (Some(path), Some(key)) => Some(public_half(printing, path, key)?),
        _ => None,
    };
    let slack = wanted.slack_webhook.as_deref().map(|path| read(world, path, SECRET_FILE)).transpose()?;
    let webhooks = webhooks(printing, &wanted.webhooks)?;
    let prometheus = prometheus(printing, wanted)?;
    let there = settings.external_key();
    let credentials = match (&key, &public, wanted.external_secret.as_deref()) {
        (Some(key), Some(public), _) => {
            let (slack_webhook, webhooks, prometheus) = (slack.as_deref(), webhooks.as_str(), prometheus.as_slice());
            Credentials::Secret { ssh_key: key, ssh_key_pub: public, slack_webhook, webhooks, prometheus }
        }
        (_, _, Some(store)) => Credentials::External { store, key: &there },
        _ => Credentials::Existing,
    };
    // An ExternalSecret carries where in Vault the secret is.
    let carried = |key: &str| wanted.external_secret.is_some() && ["vault-mount", "vault-path"].contains(&key);
    for (key, instead) in settings.left_behind()?.into_iter().filter(|(key, _)| !carried(key)) {
        printing.warn(format!("the setting {key} is of this machine and does not go into the cluster: {instead}"));
    }
    let host_keys = host_keys(printing)?;
    let changed = settings.for_jobs()?;
    let config = if changed.is_empty() {
        String::new()
    } else {
        serde_saphyr::to_string(&changed).map_err(|error| Cause::bug(format!("settings as YAML: {error}")))?
    };
    let policy = settings.policy();
    let install = Install {
        namespace,
        image,
        config: &config,
        backup: settings.backup(),
        hooks: settings.hooks(),
        prefix: &settings.annotation_prefix,
        unstick: settings.drain_unstick,
        forced_in: settings.forced_in(),
        surge: settings.drain_surge,
        events: settings.events,
        gauges: settings.gauges,
        runbook,
        freezes: settings.freezes_elsewhere(),
        credentials,
        runner: &policy.runner,
        standby: &policy.standby,
        host_keys,
    };
    match &wanted.kustomize {
        Some(folder) => write_folder(world, folder, &install::folder(&install)?)?,
        None if wanted.only == Some(Part::Policies) => write_out(stdout, install::policies(&install)?.as_bytes())?,
        None => write_out(stdout, install::manifests(&install)?.as_bytes())?,
    }
    let tell = |event| sink.lock().unwrap_or_else(PoisonError::into_inner).event(world.clock.now(), &event);
    tell(Event::Note { place: String::new(), text: trusted(&policy) });
    if let Some(folder) = &wanted.kustomize {
        let next = |what_for: &str, command| tell(Event::Next { place: String::new(), what_for: what_for.to_owned(), command });
        if wanted.external_secret.is_none() {
            let (name, key, public) = (names::CREDS_SECRET, names::SECRET_SSH_KEY, names::SECRET_SSH_KEY_PUB);
            let files = [format!("--from-file={key}=KEY"), format!("--from-file={public}=KEY.pub")];
            let make = command!("kubectl -n {} create secret generic {} {} {}", namespace, name, files[0], files[1]);
            next("the Secret is not among the files; make it with", make);
        }
        next("install them with", command!("kubectl apply -k {}", folder.display()));
    }
    Ok(Outcome::Done)
}

/// Writes files into a folder, over what was written so before, and over nothing else.
fn write_folder(world: &World, folder: &Path, files: &[(&str, String)]) -> Result<(), Cause> {
    let cannot = |path: &Path, error| Cause::usage(format!("cannot write {}: {error}", path.display()));
    for (name, _) in files {
        let path = folder.join(name);
        let there = world.files.is_file(&path).map_err(|error| cannot(&path, error))?;
        if there && !read(world, &path, TEXT_FILE)?.starts_with(install::WRITTEN.as_bytes()) {
            let what =
                format!("{} is there already, and is none that this command has written: nothing is written", path.display());
            return Err(Cause::usage(what).next("the same with a folder of its own      # it is made where it is not there"));
        }
    }
    world.files.make_folder(folder).map_err(|error| cannot(folder, error))?;
    for (name, text) in files {
        let path = folder.join(name);
        world.files.write(&path, text.as_bytes(), 0o644).map_err(|error| cannot(&path, error))?;
    }
    Ok(())
}

/// Who gets the key: whoever installs is to know it.
fn trusted(policy: &Policy) -> String {
    let runner = match &policy.runner {
        Runner::FirstWorker => "the first worker in natural order".to_owned(),
        Runner::Node(name) => name.clone(),
        Runner::ControlPlane => "no worker".to_owned(),
    };
    let workers = std::iter::once(runner).chain(policy.standby.iter().cloned()).collect::<Vec<_>>().join(", ");
    format!("trusted with the SSH key, beside the control planes: {workers} (settings runner, runner-standby)")
}

/// Writes the running binary as an image archive, with those for other architectures, and prints the image's name. `-` for the file: the archive
/// goes to stdout.
pub fn image(world: &World, sink: &Shared, stdout: &Out, file: &Path, others: &[PathBuf]) -> Result<Outcome, Cause> {
    let own = read(world, Path::new(OWN_BINARY), BINARY_FILE)?;
    let names: Vec<String> = others.iter().map(|path| path.display().to_string()).collect();
    let read = others.iter().map(|path| read(world, path, BINARY_FILE)).collect::<Result<Vec<_>, _>>()?;
    let others = names.iter().map(String::as_str).zip(read.iter().map(Vec::as_slice));
    let image = archive_of(&std::iter::once(("this program", own.as_slice())).chain(others).collect::<Vec<_>>())?;
    let to_stdout = file == Path::new("-");
    if to_stdout {
        write_out(stdout, &image.bytes)?;
    } else {
        let cannot = |error| Cause::usage(format!("cannot write {}: {error}", file.display()));
        world.files.write(file, &image.bytes, 0o644).map_err(cannot)?;
        write_out(stdout, format!("{}\n", image.tag).as_bytes())?;
    }
    let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
    let mut note = |text| sink.event(world.clock.now(), &Event::Note { place: String::new(), text });
    if to_stdout {
        note(format!("image {}", image.tag));
    }
    // Where there are others, it has to be told before a Job ends there with "exec format error".
    note(format!("for nodes of the architecture {} (kubectl get nodes -L kubernetes.io/arch)", image.architectures.join(", ")));
    let mut next = |what_for: &str, command: String| {
        let event = Event::Next { place: String::new(), what_for: what_for.to_owned(), command };
        sink.event(world.clock.now(), &event);
    };
    if !to_stdout {
        next("bring it to each node", command!("ssh NODE sudo ctr -n k8s.io images import - < {}", file.display()));
    }
    next("then install it", command!("{} manifests --image {} | kubectl apply -f -", names::PROGRAM, image.tag));
    Ok(Outcome::Done)
}
