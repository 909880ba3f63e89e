//! What each operation prints and does on a machine, as its script would.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::super::State;
use super::super::control::SNAPSHOT_BYTES;
use super::super::state::Access;
use super::machine::{ETCD_FOLDER, File, KERNEL, KubeletUnit, Machine, SOURCE_FILE, WORKER_FOLDERS};
use super::packages::{
    KUBERNETES, Stop, audit, available, failed, has_ended, hold, is_known, key_of, offered_by, outside, refresh, refused,
    repository, revision, room_to_download, source, strangers, unreachable, wait_for_locks,
};
use super::release::{REGISTRY, images};
use super::script::{Op, Request};
use super::session::Session;
use super::trial::{self, Asked};
use super::{certificates, etcd, identity, keys, past, plan, put, work};
use crate::plan::decide::own_image;

/// How long sessions last, in milliseconds.
const SHORT: u64 = 300;
const REFRESH: u64 = 3_000;
const REPOSITORY: u64 = 6_000;
const DOWNLOAD: u64 = 5_000;
const PULL: u64 = 4_000;
const PLAN: u64 = 3_400;

/// What a session comes to.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Its whole output, once `span` has passed.
    Done { stdout: String, stderr: String, status: u8, span: Duration },
    /// It goes on at least until then; its stdout so far.
    Waits { stdout: String, until: Timestamp },
}

/// Runs an operation of a session that began at `begun`, now.
pub fn perform(state: &mut State, node: &str, request: &Request, begun: Timestamp) -> Reply {
    let name = request.name;
    let begin = format!("@k8s-upgrade begin {name}\n");
    if let (Some(only), Some(machine)) = (&request.only, state.hosts.machine(node))
        && *only != (machine.machine_id.clone(), machine.boot_id(node))
    {
        let stderr = "! this is another machine than the one that was looked at, or it has booted since\n".to_owned();
        let stdout = format!("{begin}\n@k8s-upgrade end {name} 14\n");
        return Reply::Done { stdout, stderr, status: 14, span: Duration::from_millis(SHORT) };
    }
    let mut session = Session { millis: SHORT, ..Session::default() };
    let ended = if let Op::Follow { from, seconds } = request.op {
        match work::follow(state, node, from, begun, seconds) {
            (printed, Some(until)) => return Reply::Waits { stdout: begin + &printed, until },
            (printed, None) => {
                session = Session { stdout: printed, ..Session::default() };
                Ok(())
            }
        }
    } else {
        run(state, node, &request.op, &mut session)
    };
    let status = match ended {
        Ok(()) => 0,
        Err(stop) => {
            session.stderr.push_str(&format!("! {}\n", stop.what));
            stop.status
        }
    };
    let stdout = format!("{begin}{}\n@k8s-upgrade end {name} {status}\n", session.stdout);
    Reply::Done { stdout, stderr: session.stderr, status, span: Duration::from_millis(session.millis) }
}

/// What kubeadm patches, as the names of its patches begin.
const PATCHED: [&str; 6] =
    ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "kubeletconfiguration", "corednsdeployment"];

fn is_patch(name: &str) -> bool {
    PATCHED.iter().any(|target| name.starts_with(target)) && (name.ends_with(".json") || name.ends_with(".yaml"))
}

fn run(state: &mut State, node: &str, op: &Op, session: &mut Session) -> Result<(), Stop> {
    let Some(machine) = state.hosts.machine(node).cloned() else { return Ok(()) };
    match op {
        Op::Identify => identity::shown(node, &machine).iter().for_each(|line| session.line(line)),
        Op::Inspect { packages } => inspect(node, &machine, packages, session),
        Op::ImagesThere { name } => {
            let named = |image: &&String| own_image::name(image) == name;
            machine.images.iter().filter(named).for_each(|image| session.line(format_args!("image {image}")));
        }
        Op::LookBack { snapshots } => past::look_back(state, &machine, snapshots, |line| session.line(line)),
        Op::AskServers => servers(state, node, &machine).iter().for_each(|line| session.line(line)),
        Op::AskDeprecated => deprecated(state, &machine, session),
        Op::ReadPatches { folder } => {
            for (path, file) in &machine.files {
                let name = path.strip_prefix(folder.as_str()).and_then(|rest| rest.strip_prefix('/'));
                if let Some(name) = name.filter(|name| is_patch(name)) {
                    session.line(format_args!("patch {name}"));
                    let text = file.text.as_deref().unwrap_or_default();
                    text.lines().for_each(|line| session.line(format_args!("text {line}")));
                }
            }
        }
        Op::Available { package } => {
            available(state, &machine, package).iter().for_each(|v| session.line(format_args!("available {v}")))
        }
        Op::Refresh { packages } => {
            session.millis = REFRESH;
            let none = "no apt source of this node points at a Kubernetes repository (…/core:/stable:/v1.N/deb/)";
            let (minor, url) = source(&machine).ok_or_else(|| refused(none))?;
            session.wait(wait_for_locks(state, &machine, "refreshing the list of the Kubernetes repository")?);
            if key_of(state, minor) != machine.keyring || has_ended(machine.keyring_ends, state.now()) {
                session.line("# the repository's signature does not fit the key");
                if is_known(&url, minor, packages) {
                    session.line(key_line(&machine.keyring, machine.keyring_ends));
                }
                session.line(format_args!("unfit {url}"));
                return Ok(());
            }
            refresh(state, node, minor)?;
        }
        Op::RefreshAll => {
            const WHAT: &str = "refreshing the package lists";
            session.millis = REFRESH;
            session.wait(wait_for_locks(state, &machine, WHAT)?);
            // What cannot be fetched stays as it was, and apt's end is good.
            if outside(state, &machine).is_ok() {
                if let Some(minor) = &machine.source {
                    refresh(state, node, minor)?;
                }
                state.hosts.change(node, |machine| machine.containerd_unread = false);
            }
        }
        Op::Repository { url, packages, minor, target, keys } => {
            session.millis = REPOSITORY;
            if let Some(stranger) = strangers(&machine, packages).first() {
                return Err(refused(format!(
                    "another source of this node offers kubeadm, and would be left beside {url}: {stranger} ({SOURCE_FILE}). \
                     Take it out, or have packages-url in the settings name that repository"
                )));
            }
            let offer = offered_by(state, &machine, url, minor, keys, session)?;
            let key = key_of(state, minor).to_owned();
            session.line(format_args!("# proving the repository of v{minor}"));
            session.wait(wait_for_locks(state, &machine, "refreshing the list of the Kubernetes repository")?);
            let ends = state.web.packages.keys_end;
            if has_ended(ends, state.now()) {
                return Err(refused(format!(
                    "the repository's signature does not fit the key: what {url}/Release.key gives is {key}"
                )));
            }
            if !offer.iter().any(|exact| exact.starts_with(&format!("{target}-"))) {
                return Err(hold(format!("the repository {url} does not offer kubeadm {target} yet")));
            }
            state.hosts.change(node, |machine| {
                (machine.source, machine.lists) = (Some(minor.clone()), offer);
                machine.source_url = Some(url.clone());
                (machine.keyring, machine.keyring_ends) = (key.clone(), ends);
            });
            session.line(format_args!("# the repository is at v{minor}"));
            session.line(key_line(&key, ends));
        }
        Op::Prefetch { target, control_plane, registry, without } => {
            prefetch(state, node, &machine, target, (*control_plane, registry, without), session)?;
        }
        Op::KubeadmPlan { target, flags } => {
            session.millis = PLAN;
            let ignored = |check: &&String| flags.contains(&format!("--ignore-preflight-errors={check}"));
            if let Some(check) = machine.faults.kubeadm_objects.as_ref().filter(|check| !ignored(check)) {
                session.line(format_args!("objects {check}\nnote \t[ERROR {check}]: it did not complete in 15s"));
                return Ok(());
            }
            match plan::plan(state, target) {
                Ok(text) => session.stdout.push_str(&text),
                Err((stderr, stop)) => {
                    session.stderr.push_str(&stderr);
                    return Err(stop);
                }
            }
        }
        Op::Trial { url, packages, minor, target, first, keys, flags } => {
            trial::tried(state, &machine, &Asked { url, packages, minor, target, first: *first, keys, flags }, session)?;
        }
        Op::SnapshotHash { path } if !path.starts_with('/') => {
            return Err(refused(format!("the snapshot's path is not absolute: {path}")));
        }
        Op::LookAtEtcd { .. } => {
            let found = etcd::look(&machine)?;
            session.line(format_args!("etcd {SNAPSHOT_BYTES} {found}"));
        }
        Op::TakeSnapshot { folder, name, node: of, keep, limit } => {
            etcd::take(state, node, &machine, &etcd::Wanted { folder, name, of, keep: *keep, limit: *limit }, session)?;
        }
        Op::SnapshotHash { path } => match machine.files.get(path) {
            None => session.line("absent"),
            Some(file) => {
                let kind = etcd::kind(&machine, file);
                session.line(format_args!("snapshot {} {} {kind} {}", file.bytes, file.at.as_second(), file.sha256(path)));
            }
        },
        Op::CheckCertificates => {
            session.millis = PLAN;
            if machine.manifests.is_empty() {
                return Err(failed("kubeadm certs check-expiration failed (exit 1)"));
            }
            session.line(certificates::checked(&machine, state.now()));
        }
        Op::MoveLeader { to } => etcd::move_leader(state, node, &machine, to, session)?,
        Op::WriteCard { name, content } => {
            let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if !name.bytes().all(fine) || !name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
                return Err(refused(format!("not a plain file name: {name}")));
            }
            let path = format!("/var/lib/k8s-upgrade/{name}");
            if u64::try_from(content.len()).is_ok_and(|bytes| bytes > machine.free) {
                return Err(failed("write-card failed: No space left on device"));
            }
            let file = File { bytes: content.len() as u64, at: state.now(), text: Some(content.as_str().into()) };
            put(state, node, &path, file);
            session.line(format_args!("card {path}"));
        }
        Op::Begin { step, target, run } => session.stdout.push_str(&work::begin(state, node, step, target, run)?),
        Op::Follow { .. } => {}
        Op::LookAtKeys { user, of } => keys::look(&machine, user, of).iter().for_each(|line| session.line(line)),
        Op::AddKey { kind, key, replaces } => {
            let added = keys::add(&machine.authorized_keys, kind, key, replaces);
            let word = if added.is_some() { "added" } else { "present" };
            let now = added.unwrap_or(machine.authorized_keys);
            session.line(format_args!("{word} {}", keys::count(&now)));
            state.hosts.change(node, |machine| machine.authorized_keys = now);
        }
        Op::RemoveKeys { keep, strays, gone } => {
            let now = keys::remove(&machine.authorized_keys, keep, *strays, gone)?;
            let (before, after) = (keys::count(&machine.authorized_keys), keys::count(&now));
            session.line(format_args!("removed {} {after}", before - after));
            if after < before {
                state.hosts.change(node, |machine| machine.authorized_keys = now);
            }
        }
    }
    Ok(())
}

/// As `servers.sh` prints it: each server's own word, whatever its kubelet makes of its pod.
fn servers(state: &State, node: &str, machine: &Machine) -> Vec<String> {
    let said = |pod: &str, well: bool, ill: &str| match machine.manifests.contains_key(pod) {
        false => format!("absent there is no manifest of an {} on this node", if pod == "etcd" { pod } else { "API server" }),
        true if well => "well".to_owned(),
        true => format!("ill {ill}"),
    };
    let ready = state.access() == Access::Up && !machine.faults.api_ill;
    let health = machine.faults.etcd_ill.as_deref();
    let api = said("kube-apiserver", ready, "[+]ping ok [-]etcd failed: reason withheld readyz check failed");
    let etcd = said("etcd", health.is_none(), &format!("{{\"health\":\"false\",\"reason\":\"{}\"}}", health.unwrap_or_default()));
    let counts = if machine.manifests.contains_key("etcd") { etcd::counts(state, node, machine) } else { Vec::new() };
    [format!("api {api}"), format!("etcd {etcd}")].into_iter().chain(counts).collect()
}

/// As `deprecated.sh` prints it.
fn deprecated(state: &State, machine: &Machine, session: &mut Session) {
    if !machine.manifests.contains_key("kube-apiserver") {
        return session.line("unasked there is no manifest of an API server on this node");
    }
    if state.access() != Access::Up || machine.faults.metrics_away {
        return session.line("unasked its metrics cannot be read: The connection to the server was refused");
    }
    machine.deprecated.iter().for_each(|call| session.line(format_args!("called {call}")));
    session.line(format_args!("started {}", machine.api_started.as_second()));
    session.line("asked");
}

/// As metrics print that an API was called: `group/version/resource`, without a group for the core's, and the minor version that no longer serves
/// it; empty where that is open.
pub fn deprecated_call(api: &str, removed: &str) -> String {
    let (before, resource) = api.rsplit_once('/').unwrap_or(("", api));
    let (group, version) = before.rsplit_once('/').unwrap_or(("", before));
    format!(
        "{{group=\"{group}\",removed_release=\"{removed}\",resource=\"{resource}\",subresource=\"\",version=\"{version}\"}} 1"
    )
}

impl File {
    /// Of its text, or of what stands for its bytes.
    fn sha256(&self, path: &str) -> String {
        let digest = match &self.text {
            Some(text) => Sha256::digest(text.as_bytes()),
            None => Sha256::digest(format!("{} bytes of {path}", self.bytes)),
        };
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// As `keyring.sh` prints it.
fn key_line(fingerprint: &str, ends: Option<Timestamp>) -> String {
    format!("key {fingerprint} {}", ends.map_or("-".to_owned(), |ends| ends.as_second().to_string()))
}

fn inspect(node: &str, machine: &Machine, packages: &str, session: &mut Session) {
    session.line(format_args!("boot-id {}", machine.boot_id(node)));
    session.line(format_args!("kernel {KERNEL}"));
    for (name, package) in &machine.packages {
        session.line(format_args!("package {name} {} {}", package.letters(), package.version));
    }
    for (name, _) in machine.packages.iter().filter(|(_, package)| package.held) {
        session.line(format_args!("hold {name}"));
    }
    audit(machine).iter().for_each(|line| session.line(format_args!("audit {line}")));
    let etcd = machine.control_plane.then_some(ETCD_FOLDER);
    for path in WORKER_FOLDERS.into_iter().chain(etcd) {
        session.line(format_args!("free {} {path}", machine.free));
    }
    session.line(match machine.kubelet_unit {
        KubeletUnit::Active => "kubelet active",
        KubeletUnit::Restarting => "kubelet activating",
        KubeletUnit::Stopped => "kubelet inactive",
    });
    if machine.packages.contains_key("kubeadm") {
        session.line(format_args!("kubeadm v{}", machine.release("kubeadm")));
    }
    if let Some((minor, url)) = source(machine).filter(|(minor, url)| is_known(url, minor, packages)) {
        session.line(format_args!("source {minor} {url} {SOURCE_FILE}"));
        session.line(key_line(&machine.keyring, machine.keyring_ends));
    }
    strangers(machine, packages).iter().for_each(|url| session.line(format_args!("stranger {url} {SOURCE_FILE}")));
    machine.stray_manifests.iter().for_each(|file| session.line(format_args!("stray {file}")));
    if machine.leftovers > 0 {
        session.line(format_args!("leftovers {}", machine.leftovers));
    }
    machine.kubelet_config.lines().for_each(|line| session.line(format_args!("kubelet-config {line}")));
    session.line("runtime crictl /run/containerd/containerd.sock");
    session.line(format_args!("work {}", work::state_line(machine)));
}

fn prefetch(
    state: &mut State,
    node: &str,
    machine: &Machine,
    target: &str,
    (control_plane, registry, without): (bool, &str, &[String]),
    session: &mut Session,
) -> Result<(), Stop> {
    let mut packages = Vec::new();
    for name in KUBERNETES.into_iter().filter(|name| machine.packages.contains_key(*name)) {
        let exact = revision(state, machine, name, target)?;
        session.line(format_args!("package {name} {exact}"));
        packages.push(format!("{name}={exact}"));
    }
    if packages.is_empty() {
        return Err(refused("kubeadm and kubelet are not installed as packages on this node"));
    }
    room_to_download(machine)?;
    let what = format!("downloading {}", packages.join(" "));
    session.line(format_args!("# {what}"));
    session.wait(wait_for_locks(state, machine, &what)?);
    let minor = machine.source.as_deref().unwrap_or_default();
    if !packages.iter().all(|package| machine.archives.contains(package)) {
        repository(state, machine, minor).map_err(|why| unreachable(format!("{what}: Failed to fetch: {why}")))?;
        state.hosts.change(node, |machine| machine.archives.extend(packages));
        session.millis += DOWNLOAD;
    }
    let bad = || failed(format!("kubeadm config images list failed for v{target}"));
    let registry = if registry.is_empty() { REGISTRY } else { registry };
    for image in images(target.parse().map_err(|_| bad())?, control_plane, registry) {
        if without.iter().any(|name| image.contains(&format!("/{name}:"))) {
            continue;
        }
        if machine.images.contains(&image) {
            session.line(format_args!("present {image}"));
            continue;
        }
        session.line(format_args!("# pulling {image}"));
        if let Err(why) = outside(state, machine) {
            session.stderr.push_str(&format!("failed to pull and unpack image \"{image}\": {why}\n"));
            return Err(unreachable(format!("image {image} cannot be pulled")));
        }
        session.millis += PULL;
        session.line(format_args!("pulled {image}"));
        state.hosts.change(node, |machine| machine.images.insert(image));
    }
    Ok(())
}
