# shellcheck shell=bash
# A node: a systemd-nspawn container that boots systemd from an overlay over the shared
# Debian file system. Its mounts are in a private mount namespace and vanish with it.
# This file makes, boots, cuts and forgets nodes; what is installed on them is cluster.sh's.

node_pid() { recorded_process "$(node_dir "$1")/pid" "$1"; }

# Its own files, before the first boot.
node_make() { # NAME VERSION
	local name=$1 minor=${2%.*} dir upper ip number other routes=''
	dir=$(node_dir "$name")
	ip=$(node_ip "$name")
	number=$(node_number "$name")
	[ ! -e "$dir/made" ] || return 0
	rm -rf --one-file-system "$dir"
	upper=$dir/upper
	umask 022
	mkdir -p "$dir"/{root,work,kubelet,etcd,audit} "$upper"/etc/{ssh,apt/keyrings,apt/sources.list.d,cni/net.d}
	node_images "$dir"

	echo "$name" >"$upper/etc/hostname"
	printf '127.0.0.1 localhost\n%s %s\n' "$ip" "$name" >"$upper/etc/hosts"
	tr -d - </proc/sys/kernel/random/uuid >"$upper/etc/machine-id"
	# nobody answers there: names outside the cluster fail at once
	printf 'nameserver %s\n' "$HOST_IP" >"$upper/etc/resolv.conf"
	ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$upper/etc/ssh/ssh_host_ed25519_key"
	install -d -m 755 "$upper/home"
	install -d -m 700 -o 1000 -g 1000 "$upper/home/wizard" "$upper/home/wizard/.ssh"
	install -m 600 -o 1000 -g 1000 "$LAB_STATE/ssh/id_ed25519.pub" "$upper/home/wizard/.ssh/authorized_keys"

	# the other nodes' pods; any that may ever be, so that a later node needs no change here
	for ((other = 0; other < 100; other++)); do
		[ $other = "$number" ] || routes+="10.244.$other.0/24 10.77.0.$((10 + other))"$'\n'
	done
	printf "ADDRESS=%s\nGATEWAY=%s\nROUTES='%s'\n" "$ip" "$HOST_IP" "$routes" >"$upper/etc/lab-node"
	jq -n --arg subnet "10.244.$number.0/24" '{cniVersion: "0.4.0", name: "lab", plugins: [
		{type: "ptp", ipam: {type: "host-local", dataDir: "/run/cni-addresses",
			ranges: [[{subnet: $subnet}]], routes: [{dst: "0.0.0.0/0"}]}},
		{type: "portmap", capabilities: {portMappings: true}}]}' >"$upper/etc/cni/net.d/10-lab.conflist"

	gpg --dearmor <"$(repository_of "$minor")/Release.key" >"$upper/etc/apt/keyrings/kubernetes-apt-keyring.gpg"
	printf 'deb [signed-by=/etc/apt/keyrings/kubernetes-apt-keyring.gpg] %s/core:/stable:/v%s/deb/ /\n' \
		"$PACKAGES_URL" "$minor" >"$upper/etc/apt/sources.list.d/kubernetes.list"
	touch "$dir/made"
}

# Boots it; done when the process runs (node_reachable waits for ssh).
node_boot() { # NAME
	local dir
	dir=$(node_dir "$1")
	! node_pid "$1" >/dev/null || return 0
	if [ ! -d /run/systemd ]; then
		mkdir /run/systemd
		touch "$LAB_STATE/run-systemd"
	fi
	# the remains of a node that was cut would keep the next kubelet waiting for a minute
	cgroups_remove "$1"
	wait_for 10 "the former network link of $1 to go" no_link "vb-$1"
	setsid unshare --mount "$LAB_SELF" __call node_process "$1" </dev/null >>"$dir/console.log" 2>&1 7>&- 9>&- &
	wait_for 10 "the process of $1" node_pid "$1"
}
no_link() { ! ip link show "$1" >/dev/null 2>&1; }

# In a private mount namespace: becomes nspawn, keeping its pid.
node_process() { # NAME
	local dir version
	dir=$(node_dir "$1")
	record_process "$dir/pid" $$
	version=$(cgroup_version)
	mount --make-rprivate /
	# nspawn keeps notes there, which would outlive the lab
	mount -t tmpfs tmpfs /run/systemd
	mount -t overlay overlay -o "lowerdir=$LAB_STATE/rootfs,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
	[ "$version" = 2 ] || cgroups_mount 1
	cgroups_join "$version" "$1"
	exec unshare --cgroup --mount "$LAB_SELF" __call node_nspawn "$1" "$version"
}
node_nspawn() { # NAME CGROUP-VERSION
	local dir
	dir=$(node_dir "$1")
	cgroups_mount "$2"
	export SYSTEMD_SECCOMP=0 SYSTEMD_NSPAWN_API_VFS_WRITABLE=1 SYSTEMD_NSPAWN_USE_CGNS=0 SYSTEMD_NSPAWN_LOCK=0
	exec systemd-nspawn --quiet --register=no --keep-unit --boot --directory="$dir/root" --machine="$1" \
		--network-bridge="$BRIDGE" --capability=all --resolv-conf=off --timezone=off --link-journal=no \
		--bind="$dir/containerd:/var/lib/containerd" --bind="$dir/kubelet:/var/lib/kubelet" \
		--bind="$dir/etcd:/var/lib/etcd" --bind="$dir/audit:/var/log/kubernetes/audit" --bind=/dev/kmsg
}

# Host keys are made anew with each node, so the lab's own ssh learns them from the files.
ssh_options() {
	printf '%s\n' -i "$LAB_STATE/ssh/id_ed25519" -o IdentitiesOnly=yes -o IdentityAgent=none \
		-o "UserKnownHostsFile=$LAB_STATE/ssh/known_hosts" -o GlobalKnownHostsFile=/dev/null \
		-o StrictHostKeyChecking=yes -o ConnectTimeout=5 -o ServerAliveInterval=15 -o LogLevel=ERROR -F none
}
known_hosts() {
	local name
	for name in $(nodes); do
		printf '%s %s\n' "$(node_ip "$name")" "$(cut -d' ' -f1,2 "$(node_dir "$name")/upper/etc/ssh/ssh_host_ed25519_key.pub")"
	done >"$LAB_STATE/ssh/known_hosts"
}
node_ssh() { # NAME [COMMAND…]
	local options ip
	mapfile -t options < <(ssh_options)
	ip=$(node_ip "$1")
	shift
	# shellcheck disable=SC2029 # the caller's words are for the node's shell
	ssh "${options[@]}" "$NODE_USER@$ip" "$@"
}
# node_root NAME: the bash script on stdin, as root there. As an argument, so that no
# command in it can eat the rest of the script.
node_root() { node_ssh "$1" "sudo -n bash -euo pipefail -c $(printf %q "$(cat)")" </dev/null; }
node_reachable() {
	wait_for 30 "ssh to $1" node_ssh "$1" true </dev/null ||
		die "$1 does not answer by ssh" "its process runs; its console is $(node_dir "$1")/console.log" "$LAB_SELF logs $1"
}

# Power off without any warning: the container's init is killed, and all with it.
node_cut() { # NAME
	local pid child
	if pid=$(node_pid "$1"); then
		for child in $(ps -o pid= --ppid "$pid"); do
			kill -KILL "$child" 2>/dev/null || true
		done
		if ! wait_for 3 "nspawn of $1 to end" gone "$pid"; then
			kill -KILL "$pid" 2>/dev/null || true
			wait_for 3 "nspawn of $1 to die" gone "$pid" || true
		fi
	fi
	rm -f "$(node_dir "$1")/pid"
}
