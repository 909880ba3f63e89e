# shellcheck shell=bash
# The one Debian file system that all nodes share (each has an overlay over it):
# everything that a node needs but for kubeadm, kubelet and kubectl.

ROOTFS_PACKAGES=(
	systemd systemd-sysv dbus openssh-server sudo containerd runc containernetworking-plugins
	iptables nftables conntrack ethtool socat curl gpg ca-certificates iproute2 procps apt
	util-linux mount kmod
)

rootfs_key() {
	hash_of "$(debian_codename)" "${ROOTFS_PACKAGES[*]}" "$(hash_files "$LAB_LIB/rootfs.sh" "$LAB_LIB"/../files/rootfs/*)"
}
rootfs() { artefact_path rootfs "$(rootfs_key)"; }
rootfs_build() { artefact rootfs "$(rootfs_key)" build_rootfs; }

build_rootfs() {
	local out=$1 mirror proxy='' packages files=$LAB_LIB/../files/rootfs
	mirror=$(debian_mirror)
	[ -n "$mirror" ] || { echo "this machine's apt sources name no Debian mirror with $(debian_codename) main"; return 1; }
	eval "$(apt-config shell proxy Acquire::http::Proxy)"
	packages=$(IFS=,; echo "${ROOTFS_PACKAGES[*]}")
	mkdir -p "$LAB_CACHE/debs"
	http_proxy=${proxy:-${http_proxy:-}} debootstrap --variant=minbase --cache-dir="$LAB_CACHE/debs" \
		--include="$packages" "$(debian_codename)" "$out" "$mirror"

	# nodes have no source but the Kubernetes one, which each gets for itself
	: >"$out/etc/apt/sources.list"
	mkdir -p "$out/etc/apt/keyrings"
	rm -rf "$out"/var/cache/apt/archives/*.deb "$out"/var/lib/apt/lists/* "$out"/usr/share/doc "$out"/usr/share/locale
	rm -f "$out"/etc/ssh/ssh_host_* "$out/etc/machine-id" "$out/etc/hostname" "$out/etc/resolv.conf"
	printf 'force-unsafe-io\n' >"$out/etc/dpkg/dpkg.cfg.d/lab"
	printf 'path-exclude=/usr/share/doc/*\n' >>"$out/etc/dpkg/dpkg.cfg.d/lab"

	install -D -m 644 "$files/containerd.toml" "$out/etc/containerd/config.toml"
	install -D -m 644 "$files/node.service" "$out/etc/systemd/system/lab-node.service"
	install -D -m 755 "$files/node.sh" "$out/usr/local/sbin/lab-node"
	install -D -m 644 "$files/sshd.conf" "$out/etc/ssh/sshd_config.d/lab.conf"
	install -D -m 644 "$files/journald.conf" "$out/etc/systemd/journald.conf.d/lab.conf"
	mkdir -p "$out/var/log/journal" "$out/etc/cni/net.d"

	chroot "$out" useradd --create-home --shell /bin/bash wizard
	printf 'wizard ALL=(ALL) NOPASSWD:ALL\n' >"$out/etc/sudoers.d/wizard"
	chmod 440 "$out/etc/sudoers.d/wizard"
	# without CAP_SYS_RESOURCE sudo would warn at every call
	printf 'Set disable_coredump false\n' >"$out/etc/sudo.conf"
	chroot "$out" systemctl enable lab-node.service containerd.service ssh.service
	chroot "$out" systemctl mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer \
		fstrim.timer dpkg-db-backup.timer console-getty.service systemd-networkd-wait-online.service
	chroot "$out" systemctl set-default multi-user.target
}
