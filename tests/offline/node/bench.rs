//! A scratch node: a root folder, stubbed programs with a small honest package state, and real bash.

use std::fmt::Debug;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::str::FromStr;

use k8s_upgrade::failure::Cause;
use k8s_upgrade::node::{self, Operation, Target};
use k8s_upgrade::plan::model::version::Version;
use k8s_upgrade::world::HostOutput;

/// Programs that the stub plays.
const STUBBED: &str = "apt-get apt-cache apt-mark dpkg dpkg-query dpkg-deb apt-config kubeadm kubelet kubectl systemctl systemd-run curl gpg ctr crictl \
    mv rm sync sleep df getent sshd";
/// Real programs that scripts may use; nothing else is in PATH.
const REAL: &str = "awk base64 bash cat chmod comm cp cut date dd df du find flock grep head install ls mkdir mktemp mv od readlink rm sed \
    sha256sum sort stat tail tar tee timeout touch tr uname xargs";

/// The run that begins work here.
pub const RUN: &str = "5f3a21bc";
/// The first boot; a later one is [`reboot`].
pub const BOOT: &str = "11111111-1111-4111-8111-111111111111";

/// A token of whatever kind is wanted.
pub fn word<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub fn release(text: &str) -> Version {
    word(text)
}

/// A release, or the version of a package.
pub fn target(text: &str) -> Target {
    text.parse::<Version>().map_or_else(|_| Target::Package(word(text)), Target::from)
}

pub struct Node {
    dir: tempfile::TempDir,
}

impl Node {
    /// A held, healthy 1.35.4 whose repository is already that of 1.36.
    pub fn new() -> Node {
        let node = Node { dir: tempfile::tempdir().unwrap() };
        node.state("stub.sh", include_str!("stub.sh"));
        fs::set_permissions(node.path("state/stub.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        for (folder, names) in [("bin", STUBBED), ("real", REAL)] {
            fs::create_dir_all(node.path(folder)).unwrap();
            for name in names.split_whitespace() {
                let target = if folder == "bin" { PathBuf::from("../state/stub.sh") } else { find(name) };
                symlink(target, node.path(folder).join(name)).unwrap();
            }
        }
        for folder in ["etc/apt/sources.list.d", "etc/apt/keyrings", "etc/kubernetes/manifests", "etc/kubernetes/tmp", "usr"] {
            fs::create_dir_all(node.path("root").join(folder)).unwrap();
        }
        for folder in ["var/cache/apt/archives", "var/lib/etcd", "proc/sys/kernel/random"] {
            fs::create_dir_all(node.path("root").join(folder)).unwrap();
        }
        for package in ["kubeadm", "kubelet", "kubectl"] {
            node.state(&format!("pkg/{package}"), "hi 1.35.4-1.1\n");
        }
        node.state("pkg/containerd", "ii 1.6.20~ds1-1\n");
        for (minor, versions) in [("v1.35", ["1.35.4-1.1", "1.35.2-1.1"]), ("v1.36", ["1.36.3-1.1", "1.36.1-2.1"])] {
            let mut index = String::from("containerd 1.7.24~ds1-6\n");
            for package in ["kubeadm", "kubelet", "kubectl"] {
                index.extend(versions.iter().map(|version| format!("{package} {version}\n")));
            }
            node.state(&format!("upstream/{minor}"), &index);
            node.state(&format!("lists/{minor}"), &index);
            node.state(&format!("keys/{minor}"), &format!("-----BEGIN PGP\nkey of {minor}\n"));
        }
        node.source("v1.36");
        node.state("images", "registry.k8s.io/pause:3.10.2\n");
        node.state("running/none", "");
        node.state("plan", "");
        node.state("plan-stderr", "");
        node.root("proc/sys/kernel/random/boot_id", &format!("{BOOT}\n"));
        node
    }

    /// Another boot, which forgets the unit.
    pub fn reboot(&self) {
        let now = self.read_root("proc/sys/kernel/random/boot_id");
        self.root("proc/sys/kernel/random/boot_id", &now.replace('2', "3").replace('1', "2"));
        if self.path("state/unit").exists() {
            self.forget("unit");
        }
    }

    /// Another node in the same state.
    pub fn twin(&self) -> Node {
        let dir = tempfile::tempdir().unwrap();
        let copied = Command::new("cp").arg("-a").arg(self.path(".")).arg(dir.path()).status().unwrap();
        assert!(copied.success());
        Node { dir }
    }

    /// The package source as kubeadm's documentation has it, and its key.
    pub fn source(&self, minor: &str) {
        let keyring = "/etc/apt/keyrings/kubernetes-apt-keyring.gpg";
        let line = format!("deb [signed-by={keyring}] https://repo.test/core:/stable:/{minor}/deb/ /\n");
        self.root("etc/apt/sources.list.d/kubernetes.list", &line);
        self.root("etc/apt/keyrings/kubernetes-apt-keyring.gpg", &format!("key of {minor}\n"));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file of the node's root.
    pub fn root(&self, name: &str, content: &str) {
        self.write(&format!("root/{name}"), content);
    }
    /// Writes a file of the stubs' state.
    pub fn state(&self, name: &str, content: &str) {
        self.write(&format!("state/{name}"), content);
    }
    /// The same of what is no text.
    pub fn state_bytes(&self, name: &str, content: &[u8]) {
        fs::write(self.path("state").join(name), content).unwrap();
    }
    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    pub fn root_path(&self, name: &str) -> PathBuf {
        self.path("root").join(name)
    }
    /// A file of the root; empty if it is not there.
    pub fn read_root(&self, name: &str) -> String {
        fs::read_to_string(self.root_path(name)).unwrap_or_default()
    }
    /// A file of the stubs' state; empty if it is not there.
    pub fn read_state(&self, name: &str) -> String {
        fs::read_to_string(self.path("state").join(name)).unwrap_or_default()
    }
    pub fn forget(&self, name: &str) {
        fs::remove_file(self.path("state").join(name)).unwrap();
    }
    /// Takes programs out of PATH.
    pub fn without(&self, programs: &[&str]) {
        for program in programs {
            fs::remove_file(self.path("bin").join(program)).unwrap();
        }
    }
    /// Programs that are real here.
    pub fn real(&self, programs: &[&str]) {
        for program in programs {
            symlink(find(program), self.path("real").join(program)).unwrap();
        }
    }
    pub fn calls(&self) -> Vec<String> {
        self.read_state("calls").lines().map(str::to_owned).collect()
    }
    /// What is installed, held, running and in force: two nodes that agree in it are in the same state.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let files = [
            "pkg/kubeadm",
            "pkg/kubelet",
            "pkg/kubectl",
            "pkg/containerd",
            "running/kubelet",
            "running/containerd",
            "control-plane",
        ];
        let mut facts: Vec<_> = files.map(|name| (name, self.read_state(name))).into();
        let of_root = [
            "etc/apt/sources.list.d/kubernetes.list",
            "etc/apt/sources.list.d/k8s.sources",
            "etc/apt/keyrings/kubernetes-apt-keyring.gpg",
            "var/lib/k8s-upgrade/restore.md",
            "var/lib/kubelet/config.yaml",
        ];
        facts.extend(of_root.map(|name| (name, self.read_root(name))));
        facts
    }

    /// What an sshd runs instead of any command: bash on this node.
    pub fn shell(&self) -> String {
        let path = format!("{}:{}", self.path("bin").display(), self.path("real").display());
        let (state, root) = (self.path("state"), self.path("root"));
        format!(
            "/usr/bin/env -i PATH={path} S={} K8S_UPGRADE_ROOT={} {} -s",
            state.display(),
            root.display(),
            find("bash").display()
        )
    }

    fn command(&self) -> Command {
        let mut command = Command::new(find("bash"));
        let path = format!("{}:{}", self.path("bin").display(), self.path("real").display());
        command
            .env_clear()
            .env("PATH", path)
            .env("S", self.path("state"))
            .env("HOME", self.path("root"))
            .env("K8S_UPGRADE_ROOT", self.path("root"));
        // A group of its own: a stub that kills takes the script and itself, and nothing else.
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What the node answers to a script on standard input.
    pub fn answer(&self, script: &str) -> HostOutput {
        let mut child = self.command().arg("-s").stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        HostOutput { stdout: text(output.stdout), stderr: text(output.stderr), host_key: String::new() }
    }

    pub fn run<O: Operation>(&self, op: &O) -> Result<O::Output, Cause> {
        node::read(op, &self.answer(&node::stdin(op)))
    }

    /// Runs the unit's script as systemd would, to its end: what it wrote goes to its log, and the unit is left as systemd leaves it.
    pub fn run_unit(&self) {
        let log = fs::File::options().append(true).open(self.root_path("var/lib/k8s-upgrade/work/log")).unwrap();
        let script = self.root_path("var/lib/k8s-upgrade/work/script");
        let status =
            self.command().arg(script).stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null()).status().unwrap();
        let unit = match status.code() {
            Some(0) => "LoadState=loaded\nSubState=exited\nResult=success\nExecMainStatus=0\n".to_owned(),
            Some(code) => format!("LoadState=loaded\nSubState=failed\nResult=exit-code\nExecMainStatus={code}\n"),
            None => "LoadState=loaded\nSubState=failed\nResult=signal\nExecMainStatus=9\n".to_owned(),
        };
        self.state("unit", &unit);
    }
}

fn find(program: &str) -> PathBuf {
    let folders = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];
    folders
        .iter()
        .map(|folder| PathBuf::from(folder).join(program))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{program} is missing"))
}
