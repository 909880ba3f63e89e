//! apt and dpkg.

use super::manager::PackageManager;

/// The one of Debian and Ubuntu.
pub const APT: PackageManager = PackageManager {
    name: "apt",
    format: "deb",
    functions: include_str!("apt.sh"),
    repository: include_str!("repository.sh"),
    cache: "/var/cache/apt",
    audit: "dpkg --audit",
    finish: "dpkg --configure -a",
    release: |names| ["apt-mark unhold ", names].concat(),
    exact: |name, version| format!("{name}={version}"),
    go_back: |names, packages| {
        vec![
            ["apt-mark unhold ", names].concat(),
            ["apt-get install -y --allow-downgrades ", packages].concat(),
            ["apt-mark hold ", names].concat(),
        ]
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_know_the_same_names() {
        for line in [
            format!("packages_manager={}", APT.name),
            format!("packages_format={}", APT.format),
            format!("packages_cache={}", APT.cache),
        ] {
            assert!(APT.functions.lines().any(|known| known == line), "{line}");
        }
        assert!(APT.functions.contains(&format!("packages_broken() {{ {}; }}", APT.audit)));
    }

    #[test]
    fn what_a_person_types_to_go_back() {
        let packages = APT.words(&["kubeadm=1.34.2-1.1", "kubelet=1.34.2-*"]);
        assert_eq!(
            (APT.go_back)("kubeadm kubelet", &packages),
            [
                "apt-mark unhold kubeadm kubelet",
                "apt-get install -y --allow-downgrades kubeadm=1.34.2-1.1 'kubelet=1.34.2-*'",
                "apt-mark hold kubeadm kubelet",
            ]
        );
    }
}
