# shellcheck shell=bash
# A containerd newer than the nodes' own: Debian's package with another version in its name and, at the same length, in its
# programs, so that dpkg, apt and the kubelet (which asks CRI) all see the difference.

containerd_key() { hash_of "$(rootfs_key)" "$(hash_files "$LAB_LIB/containerd.sh")"; }
containerd_newer() { artefact_path containerd-newer "$(containerd_key)"; }

build_containerd() { # OUT: a flat repository
	local out=$1 tree=$1/tree version own upstream newer file
	# shellcheck disable=SC2016 # dpkg-query's own placeholder
	version=$(chroot "$(rootfs)" dpkg-query -W -f '${Version}' containerd)
	own=${version%%-*} # as the program says it: 1.6.20~ds1
	upstream=${version%%[~-]*}
	newer=${upstream%?}9
	[ "$newer" != "$upstream" ] || { echo "$upstream has no newer version of the same length" && return 1; }
	dpkg-deb -R "$LAB_CACHE/debs/containerd_${version//:/%3a}_amd64.deb" "$tree"
	grep -qaF "$own" "$tree/usr/bin/containerd" || { echo "containerd's program does not name $own" && return 1; }
	find "$tree/usr/bin" -type f -exec env LC_ALL=C sed -i "s/${own//./\\.}/$newer${own#"$upstream"}/g" {} +
	sed -i "s/^Version: .*/Version: $newer${version#"$upstream"}/" "$tree/DEBIAN/control"
	rm "$tree/DEBIAN/md5sums"
	file=containerd_${newer}${version#"$upstream"}_amd64.deb
	dpkg-deb --root-owner-group -Zzstd -z1 --build "$tree" "$out/$file"
	rm -rf "$tree"
	{
		dpkg-deb --field "$out/$file"
		printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n' "$file" "$(stat -c %s "$out/$file")" "$(sha256sum <"$out/$file" | cut -d' ' -f1)"
	} >"$out/Packages"
}

# All nodes know its repository; these have it.
command_containerd() { # NODE…
	local name names
	for name in "$@"; do known_node "$name"; done
	step "containerd, newer" artefact containerd-newer "$(containerd_key)" build_containerd
	ln -sfn "$(containerd_newer)" "$(repository)/containerd"
	mapfile -t names < <(nodes)
	in_parallel containerd_offer "${names[@]}"
	step "containerd $(sed -n 's/^Version: //p' "$(containerd_newer)/Packages") on $*" in_parallel containerd_install "$@"
}
CONTAINERD_LIST=/etc/apt/sources.list.d/lab-containerd.list
containerd_offer() {
	printf 'deb [trusted=yes] %s/containerd ./\n' "$PACKAGES_URL" | node_ssh "$1" sudo -n tee "$CONTAINERD_LIST" >/dev/null
}
containerd_install() {
	local log=$LAB_STATE/logs/containerd-$1.log
	node_root "$1" >"$log" 2>&1 <<-SCRIPT ||
		export DEBIAN_FRONTEND=noninteractive
		apt-get -q update -o Dir::Etc::sourcelist=$CONTAINERD_LIST -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0
		apt-get -q -y -o Dpkg::Options::=--force-confold install containerd
	SCRIPT
		die "apt on $1 failed; its output is $log" "$1 has the containerd that it had, or half of the newer one" "$LAB_SELF ssh $1"
}
