//! The flags of static pods: those that run, against those that kubeadm makes of its ClusterConfiguration (1.33 to 1.36).
//! Its manifests are written anew as a whole; only their flags are compared here.

use std::collections::BTreeMap;

use serde_json::Value;

use super::patches::{self, Command, Patches};
use super::{Difference, Keep, shown};
use crate::failure::Cause;

/// A static pod as its kubelet shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticPod {
    pub node: String,
    pub component: String,
    /// Command and arguments of its container.
    pub command: Vec<String>,
}

/// What kubeadm writes for a flag.
#[derive(Clone, Debug)]
enum ExpectedFlag {
    /// The first of these; releases or circumstances differ.
    Default(Vec<String>),
    /// One of them, or nothing.
    Maybe(Vec<String>),
    /// Its `extraArgs`, in their order.
    Extra(Vec<String>),
    /// It depends on the members of etcd, and means nothing once there is data.
    Any,
}

type Flags = BTreeMap<String, ExpectedFlag>;

/// kubeadm's ClusterConfiguration.
pub struct Configuration(Value);

impl Configuration {
    /// # Errors
    /// Refused: it is no YAML, or no mapping.
    pub fn read(text: &str) -> Result<Self, Cause> {
        let unreadable = |why: String| Cause::refused("kubeadm's ClusterConfiguration cannot be read").detail(why.lines());
        let value: Value = serde_saphyr::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        if value.is_object() { Ok(Configuration(value)) } else { Err(unreadable("it is no mapping".to_owned())) }
    }

    fn text(&self, pointer: &str, default: &str) -> String {
        self.0.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).unwrap_or(default).to_owned()
    }

    /// etcd runs as static pods.
    pub fn local_etcd(&self) -> bool {
        self.0.pointer("/etcd/external").is_none_or(Value::is_null)
    }

    /// kubeadm then leaves CoreDNS alone.
    pub fn dns_disabled(&self) -> bool {
        self.0.pointer("/dns/disabled").and_then(Value::as_bool).unwrap_or(false)
    }

    /// `extraArgs` of a component: a list since v1beta4, a mapping before.
    fn extra(&self, section: &str) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match self.0.pointer(&format!("{section}/extraArgs")) {
            Some(Value::Array(list)) => {
                let pair = |arg: &Value| Some((arg["name"].as_str()?.to_owned(), arg.get("value").map(text).unwrap_or_default()));
                list.iter().filter_map(pair).collect()
            }
            Some(Value::Object(map)) => map.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            _ => Vec::new(),
        }
    }
}

/// All that kubeadm would not write as it stands there, with the patches of each node. A control plane whose address is not to be seen cannot be
/// judged: that is an error.
pub fn differences(
    configuration: &Configuration,
    pods: &[StaticPod],
    patches: &patches::OfNodes,
) -> Result<Vec<Difference>, Cause> {
    let (mut found, none) = (Vec::new(), Patches::default());
    for pod in pods {
        // kubeadm itself takes the address from the API server's pod of that node.
        let advertised = || {
            let own = pods.iter().find(|other| other.node == pod.node && other.component == "kube-apiserver")?;
            let flags = parse(&own.command);
            let value = |name: &str| flags.get(name).and_then(|values| values.first()).cloned();
            Some((value("advertise-address")?, value("secure-port").unwrap_or_else(|| "6443".to_owned())))
        };
        let wanted = match pod.component.as_str() {
            "kube-controller-manager" => controller_manager(configuration),
            "kube-scheduler" => scheduler(configuration),
            component => {
                let (address, port) = advertised().ok_or_else(|| {
                    Cause::hold(format!("{}: the address that its kube-apiserver advertises is not to be seen", pod.node))
                })?;
                match component {
                    "kube-apiserver" => apiserver(configuration, &address, &port),
                    _ => etcd(configuration, &pod.node, &address),
                }
            }
        };
        let difference = |what: String| Difference {
            place: pod.node.clone(),
            what: format!("{} {what}", pod.component),
            keep: Keep::ClusterConfiguration,
        };
        if let Some(program) = pod.command.first().filter(|program| **program != pod.component) {
            found.push(difference(format!(
                "is started as {}: kubeadm would start it as it does",
                shown(&program.as_str().into())
            )));
        }
        let actual = parse(&pod.command);
        let by_hand = compare(&actual, &wanted);
        let commands = patches.get(&pod.node).unwrap_or(&none).commands(&pod.component);
        let mut lost = compare(&actual, &commands.iter().fold(wanted, patched));
        // What a patch alone would change is not rolled out yet: nobody has made it by hand.
        lost.retain(|(flag, _)| by_hand.iter().any(|(changed, _)| changed == flag));
        found.extend(lost.into_iter().map(|(_, line)| difference(line)));
    }
    Ok(found)
}

/// `--name=value`, `--name value`, `--name`: as Kubernetes' programs read them, by name and in their order.
fn parse(command: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut flags: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut words = command.iter().skip(1).peekable();
    while let Some(word) = words.next() {
        let name = word.trim_start_matches('-');
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => (name, words.next_if(|next| !next.starts_with('-')).map_or("true".to_owned(), Clone::clone)),
        };
        flags.entry(name.to_owned()).or_default().push(value);
    }
    flags
}

/// The flags that differ, each with what is to be said of it.
fn compare(actual: &BTreeMap<String, Vec<String>>, wanted: &Flags) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let text_of = |name: &str, values: &[String]| {
        values.iter().map(|value| format!("--{name}={}", shown(&value.as_str().into()))).collect::<Vec<_>>().join(" ")
    };
    for (name, values) in actual {
        let would = match wanted.get(name) {
            None => "drop it".to_owned(),
            Some(ExpectedFlag::Any) => continue,
            Some(ExpectedFlag::Default(one) | ExpectedFlag::Maybe(one)) if values.len() == 1 && one.contains(&values[0]) => {
                continue;
            }
            Some(ExpectedFlag::Extra(all)) if all == values => continue,
            Some(ExpectedFlag::Default(one) | ExpectedFlag::Maybe(one)) => format!("write {}", text_of(name, &one[..1])),
            Some(ExpectedFlag::Extra(all)) => format!("write {}", text_of(name, all)),
        };
        lines.push((name.clone(), format!("{}: kubeadm would {would}", text_of(name, values))));
    }
    for (name, one) in wanted.iter().filter(|(name, _)| !actual.contains_key(*name)) {
        let values = match one {
            ExpectedFlag::Default(one) => &one[..1],
            // Not rolled out yet: nothing is lost by it.
            ExpectedFlag::Extra(_) | ExpectedFlag::Maybe(_) | ExpectedFlag::Any => continue,
        };
        lines.push((name.clone(), format!("is without --{name}: kubeadm would write {}", text_of(name, values))));
    }
    lines
}

fn flags<const N: usize>(pairs: [(&str, String); N]) -> Flags {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), ExpectedFlag::Default(vec![value]))).collect()
}

/// Overrides replace all instances of their flag.
fn overridden(mut flags: Flags, extra: Vec<(String, String)>) -> Flags {
    let mut lists: BTreeMap<String, Vec<String>> = BTreeMap::new();
    extra.into_iter().for_each(|(name, value)| lists.entry(name).or_default().push(value));
    flags.extend(lists.into_iter().map(|(name, values)| (name, ExpectedFlag::Extra(values))));
    flags
}

/// What kubeadm writes for the flags, once a patch has changed the command that it made.
fn patched(mut flags: Flags, command: &Command) -> Flags {
    let (Command::Whole(words) | Command::Behind(words) | Command::Instead(words)) = command;
    if matches!(command, Command::Whole(_)) {
        flags.clear();
    }
    // The first word of a whole command is its program.
    let program = (!matches!(command, Command::Whole(_))).then(String::new);
    for (name, values) in parse(&program.into_iter().chain(words.iter().cloned()).collect::<Vec<_>>()) {
        let before = match (command, flags.get(&name)) {
            (Command::Behind(_), Some(ExpectedFlag::Extra(all))) => &all[..],
            (Command::Behind(_), Some(ExpectedFlag::Default(one) | ExpectedFlag::Maybe(one))) => &one[..1],
            _ => &[],
        };
        let all = [before, &values].concat();
        flags.insert(name, ExpectedFlag::Extra(all));
    }
    flags
}

fn apiserver(configuration: &Configuration, address: &str, port: &str) -> Flags {
    let pki = configuration.text("/certificatesDir", "/etc/kubernetes/pki");
    let file = |name: &str| format!("{pki}/{name}");
    let text = str::to_owned;
    let extra = configuration.extra("/apiServer");
    let domain = configuration.text("/networking/dnsDomain", "cluster.local");
    let mut all = flags([
        ("advertise-address", text(address)),
        ("allow-privileged", text("true")),
        ("authorization-mode", text("Node,RBAC")),
        ("client-ca-file", file("ca.crt")),
        ("enable-admission-plugins", text("NodeRestriction")),
        ("enable-bootstrap-token-auth", text("true")),
        ("kubelet-client-certificate", file("apiserver-kubelet-client.crt")),
        ("kubelet-client-key", file("apiserver-kubelet-client.key")),
        ("kubelet-preferred-address-types", text("InternalIP,ExternalIP,Hostname")),
        ("proxy-client-cert-file", file("front-proxy-client.crt")),
        ("proxy-client-key-file", file("front-proxy-client.key")),
        ("requestheader-allowed-names", text("front-proxy-client")),
        ("requestheader-client-ca-file", file("front-proxy-ca.crt")),
        ("requestheader-extra-headers-prefix", text("X-Remote-Extra-")),
        ("requestheader-group-headers", text("X-Remote-Group")),
        ("requestheader-username-headers", text("X-Remote-User")),
        ("secure-port", text(port)),
        ("service-account-issuer", format!("https://kubernetes.default.svc.{domain}")),
        ("service-account-key-file", file("sa.pub")),
        ("service-account-signing-key-file", file("sa.key")),
        ("service-cluster-ip-range", configuration.text("/networking/serviceSubnet", "10.96.0.0/12")),
        ("tls-cert-file", file("apiserver.crt")),
        ("tls-private-key-file", file("apiserver.key")),
    ]);
    if extra.iter().any(|(name, _)| name == "authorization-config") {
        all.remove("authorization-mode");
    }
    if configuration.local_etcd() {
        let advertised = configuration.extra("/etcd/local").into_iter().find(|(name, _)| name == "advertise-client-urls");
        let servers = advertised.map_or_else(|| format!("https://{}:2379", loopback(address)), |(_, urls)| urls);
        all.extend(flags([
            ("etcd-cafile", file("etcd/ca.crt")),
            ("etcd-certfile", file("apiserver-etcd-client.crt")),
            ("etcd-keyfile", file("apiserver-etcd-client.key")),
            ("etcd-servers", servers),
        ]));
    } else {
        let endpoints = configuration.0.pointer("/etcd/external/endpoints").and_then(Value::as_array);
        let endpoints: Vec<&str> = endpoints.into_iter().flatten().filter_map(Value::as_str).collect();
        all.extend(flags([("etcd-servers", endpoints.join(","))]));
        for (flag, field) in [("etcd-cafile", "caFile"), ("etcd-certfile", "certFile"), ("etcd-keyfile", "keyFile")] {
            let value = configuration.text(&format!("/etcd/external/{field}"), "");
            if !value.is_empty() {
                all.extend(flags([(flag, value)]));
            }
        }
    }
    overridden(all, extra)
}

fn controller_manager(configuration: &Configuration) -> Flags {
    const CONFIG: &str = "/etc/kubernetes/controller-manager.conf";
    let pki = configuration.text("/certificatesDir", "/etc/kubernetes/pki");
    let file = |name: &str| format!("{pki}/{name}");
    let text = str::to_owned;
    let mut all = flags([
        ("authentication-kubeconfig", text(CONFIG)),
        ("authorization-kubeconfig", text(CONFIG)),
        ("bind-address", text("127.0.0.1")),
        ("client-ca-file", file("ca.crt")),
        ("controllers", text("*,bootstrapsigner,tokencleaner")),
        ("kubeconfig", text(CONFIG)),
        ("leader-elect", text("true")),
        ("requestheader-client-ca-file", file("front-proxy-ca.crt")),
        ("root-ca-file", file("ca.crt")),
        ("service-account-private-key-file", file("sa.key")),
        ("use-service-account-credentials", text("true")),
    ]);
    // Empty where the CA's key is not on the node.
    for (flag, name) in [("cluster-signing-cert-file", "ca.crt"), ("cluster-signing-key-file", "ca.key")] {
        all.insert(text(flag), ExpectedFlag::Default(vec![file(name), String::new()]));
    }
    let pods = configuration.text("/networking/podSubnet", "");
    if !pods.is_empty() {
        all.extend(flags([("allocate-node-cidrs", text("true")), ("cluster-cidr", pods)]));
        let services = configuration.text("/networking/serviceSubnet", "");
        if !services.is_empty() {
            all.extend(flags([("service-cluster-ip-range", services)]));
        }
    }
    let name = configuration.text("/clusterName", "");
    if !name.is_empty() {
        all.extend(flags([("cluster-name", name)]));
    }
    overridden(all, configuration.extra("/controllerManager"))
}

fn scheduler(configuration: &Configuration) -> Flags {
    const CONFIG: &str = "/etc/kubernetes/scheduler.conf";
    let text = str::to_owned;
    let all = flags([
        ("authentication-kubeconfig", text(CONFIG)),
        ("authorization-kubeconfig", text(CONFIG)),
        ("bind-address", text("127.0.0.1")),
        ("kubeconfig", text(CONFIG)),
        ("leader-elect", text("true")),
    ]);
    overridden(all, configuration.extra("/scheduler"))
}

fn etcd(configuration: &Configuration, node: &str, address: &str) -> Flags {
    let pki = configuration.text("/certificatesDir", "/etc/kubernetes/pki");
    let file = |name: &str| format!("{pki}/etcd/{name}");
    let text = str::to_owned;
    let (host, local) = (bracketed(address), loopback(address));
    let mut all = flags([
        ("advertise-client-urls", format!("https://{host}:2379")),
        ("cert-file", file("server.crt")),
        ("client-cert-auth", text("true")),
        ("data-dir", configuration.text("/etcd/local/dataDir", "/var/lib/etcd")),
        ("initial-advertise-peer-urls", format!("https://{host}:2380")),
        ("key-file", file("server.key")),
        ("listen-client-urls", format!("https://{local}:2379,https://{host}:2379")),
        ("listen-metrics-urls", format!("http://{local}:2381")),
        ("listen-peer-urls", format!("https://{host}:2380")),
        ("name", text(node)),
        ("peer-cert-file", file("peer.crt")),
        ("peer-client-cert-auth", text("true")),
        ("peer-key-file", file("peer.key")),
        ("peer-trusted-ca-file", file("ca.crt")),
        ("snapshot-count", text("10000")),
        ("trusted-ca-file", file("ca.crt")),
    ]);
    // The first two for etcd 3.6, the others for what came before.
    for (flag, value) in [
        ("feature-gates", "InitialCorruptCheck=true"),
        ("watch-progress-notify-interval", "5s"),
        ("experimental-initial-corrupt-check", "true"),
        ("experimental-watch-progress-notify-interval", "5s"),
    ] {
        all.insert(text(flag), ExpectedFlag::Maybe(vec![text(value)]));
    }
    for flag in ["initial-cluster", "initial-cluster-state"] {
        all.insert(text(flag), ExpectedFlag::Any);
    }
    overridden(all, configuration.extra("/etcd/local"))
}

/// As a URL has it.
fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

/// This machine, in the family of an address.
fn loopback(address: &str) -> &'static str {
    if address.contains(':') { "[::1]" } else { "127.0.0.1" }
}
