# shellcheck shell=bash
# Control groups of the nodes. Each node gets a cgroup namespace of its own, below
# k8slab/NAME in every hierarchy, else all kubelets would share one /kubepods.
# Everything here runs in a private mount namespace: the machine's own mounts stay as
# they are. Version 1 (and hybrid) is what the lab is tested on; version 2 is handled as far
# as could be told without such a machine, and untested.

cgroup_version() { [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ] || { echo 2; return; }; echo 1; }

# the version 1 hierarchies, as "cpu,cpuacct" or "name=systemd" a line; those that
# nobody has mounted yet (hugetlb, perf_event…) as well, since nspawn wants them all
cgroup_hierarchies() {
	local mounted name hierarchy enabled
	mounted=$(cut -d: -f2 /proc/self/cgroup | grep -v '^$' || true)
	{
		printf '%s\n' "$mounted" name=systemd
		while read -r name hierarchy _ enabled; do
			if [ "$hierarchy" = 0 ] && [ "$enabled" = 1 ]; then echo "$name"; fi
		done < <(grep -v '^#' /proc/cgroups)
	} | grep -v '^$' | sort -u
}

# mounts every hierarchy at /sys/fs/cgroup, in this mount namespace
cgroups_mount() {
	local list one dir alias version=$1
	if [ "$version" = 2 ]; then
		mount -t cgroup2 cgroup2 /sys/fs/cgroup
		return
	fi
	list=$(cgroup_hierarchies)
	mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
	for one in $list; do
		dir=/sys/fs/cgroup/${one#name=}
		mkdir "$dir"
		case $one in
		name=*) mount -t cgroup -o "none,$one" cgroup "$dir" ;;
		*) mount -t cgroup -o "$one" cgroup "$dir" ;;
		esac
		# programs look for each controller of a joint hierarchy by its own name
		case $one in
		*,*) for alias in ${one//,/ }; do ln -s "${dir##*/}" "/sys/fs/cgroup/$alias"; done ;;
		esac
	done
	mkdir /sys/fs/cgroup/unified
	mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
}

# the roots of all mounted hierarchies
cgroup_roots() {
	if [ "$1" = 2 ]; then
		echo /sys/fs/cgroup
	else
		find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d
	fi
}

# cgroups_join VERSION NAME: this process goes to k8slab/NAME in every hierarchy
cgroups_join() {
	local root level file controller controllers
	for root in $(cgroup_roots "$1"); do
		for level in k8slab "k8slab/$2"; do
			if [ "$1" = 2 ]; then
				read -ra controllers <"$root/cgroup.controllers"
				for controller in "${controllers[@]}"; do
					echo "+$controller" >"$(dirname "$root/$level")/cgroup.subtree_control" || true
				done
			fi
			mkdir -p "$root/$level"
			# an empty cpuset takes no process
			for file in cpuset.cpus cpuset.mems; do
				[ ! -e "$root/$level/$file" ] || [ "$1" = 2 ] || cat "$(dirname "$root/$level")/$file" >"$root/$level/$file"
			done
		done
		# Together the nodes would count as one process beside all others: kubelets would kill API servers on a machine that compiles.
		[ ! -e "$root/k8slab/cpu.shares" ] || echo 65536 >"$root/k8slab/cpu.shares"
		[ ! -e "$root/k8slab/cpu.weight" ] || echo 6400 >"$root/k8slab/cpu.weight"
		echo $$ >"$root/k8slab/$2/cgroup.procs"
	done
}

# cgroups_remove [NAME]: what nodes (or one node) left in any hierarchy. Also those
# that only a node had mounted: they are mounted for the moment.
cgroups_remove() {
	unshare --mount "$LAB_SELF" __call cgroups_rmdir "$(cgroup_version)" "k8slab${1:+/$1}"
}
cgroups_rmdir() { # VERSION TREE
	[ "$1" = 2 ] || cgroups_mount "$1"
	local root
	for root in $(cgroup_roots "$1"); do
		[ ! -d "$root/$2" ] || wait_for 5 "the processes in $root/$2 to be gone" cgroup_tree_removed "$root/$2"
	done
}
cgroup_tree_removed() { find "$1" -depth -type d -exec rmdir {} + && [ ! -d "$1" ]; }
