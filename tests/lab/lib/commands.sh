# shellcheck shell=bash
# What the lab's commands do, from the parts in the other files.

usage() {
	cat <<-'EOT'
		usage: lab COMMAND
		  up [--control-planes N] [--workers N] [--version V]
		                                   the cluster, all of it (default: 1 control plane, 2 workers, 1.35.4); several control planes
		                                   are behind a balancer
		  down                             end it and leave nothing behind but the build cache
		  prefetch                         build everything into the cache, start nothing
		  status                           what runs
		  env                              KEY=VALUE lines for tests
		  ssh NODE [COMMAND…]              as wizard, who has passwordless sudo
		  kubectl …                        as the cluster's admin
		  logs [NODE|SERVICE]              a node's journal or a service's output
		  alert NAME on|off [LABEL=VALUE…] fire or clear an alert; waits until Prometheus says so
		  alerts                           the alerts in Prometheus: name, state, labels
		  rules FILE                       check a rule file, load it into Prometheus
		  publish V…                       the versions that the apt repository lists from now on
		  image FILE [NODE…]               import an image archive on all nodes, or on these
		  service NAME start|stop          prometheus, pushgateway, packages, slack, balancer
		  service packages mode MODE       ok, down (503), 404, badkey (signed by another key)
		  service balancer to NODE…        sends to these control planes alone from now on
		  node NAME cut|start              a power cut, and booting again
		  containerd NODE…                 a newer containerd on these nodes, and its repository on all
		  crictl NODE…                     crictl on these nodes, which have none otherwise
		  hold [--wait S] WHAT COMMAND…    run a command that has the lab alone meanwhile; waits at most S seconds for it
		While somebody holds the lab, what would change it refuses. It needs root, Go on PATH, and about 20 GB; Debian's packages it installs itself.
	EOT
}

# wants NUMBER USAGE ARGS…: at least so many arguments
wants() {
	[ $(($# - 2)) -ge "$1" ] || die "too few arguments" "nothing was changed" "$LAB_SELF $2"
}

# For the time of a command, unless our caller has the lab anyway.
hold_for_command() {
	hold_lab 5 "$LAB_SELF $1" || exit 1
	trap release_lab EXIT
}
command_hold() {
	local wait=$LAB_WAIT status=0
	if [ "${1:-}" = --wait ]; then
		wait=${2:-}
		shift $(($# > 1 ? 2 : 1))
	fi
	[[ $wait =~ ^[0-9]+$ ]] || die "--wait takes a number of seconds, not '$wait'" "nothing was changed" "$LAB_SELF help"
	wants 2 "hold [--wait SECONDS] WHAT COMMAND…" "$@"
	hold_lab "$wait" "$1" || exit 1
	trap release_lab EXIT
	"${@:2}" || status=$?
	exit $status
}

lab_is_up() {
	[ -e "$LAB_STATE/version" ] || die "no lab is up" "nothing was changed" "$LAB_SELF up"
}

command_up() {
	local control_planes=1 workers=2 version=1.35.4 start=$SECONDS names name programs=()
	while [ $# -gt 0 ]; do
		case $1 in
		--control-planes) control_planes=${2:-} ;;
		--workers) workers=${2:-} ;;
		--version) version=${2:-} ;;
		*) die "up does not know $1" "nothing was changed" "$LAB_SELF help" ;;
		esac
		shift $(($# > 1 ? 2 : 1))
	done
	[[ $control_planes =~ ^[1-9]$ ]] || die "--control-planes takes a number from 1 to 9, not '$control_planes'" "nothing was changed" "$LAB_SELF up --control-planes 3"
	[[ $workers =~ ^[0-9]$ ]] || die "--workers takes a number from 0 to 9, not '$workers'" "nothing was changed" "$LAB_SELF up --workers 2"
	[ -n "${KUBE_SOURCE[$version]:-}" ] || die "the lab cannot make $version; it has ${KUBE_VERSIONS[*]}" "nothing was changed" "$LAB_SELF up --version ${KUBE_VERSIONS[0]}"
	lock_state
	if [ -e "$LAB_STATE/version" ] && [ "$(<"$LAB_STATE/version")" != "$version" ]; then
		die "a lab of $(<"$LAB_STATE/version") is up" "nothing was changed" "$LAB_SELF down, then the same command again"
	fi
	if [ -e "$LAB_STATE/workers" ] && [ "$(<"$LAB_STATE/workers")" -gt "$workers" ]; then
		die "a lab of $(<"$LAB_STATE/workers") workers is up" "nothing was changed" "$LAB_SELF down, then the same command again"
	fi
	if [ -e "$LAB_STATE/version" ] && [ "$(control_planes)" != "$control_planes" ]; then
		die "a lab of $(control_planes) control planes is up" "nothing was changed" "$LAB_SELF down, then the same command again"
	fi
	exec 7>&2
	trap interrupted INT TERM
	[ "$control_planes" = 1 ] || programs=("$BALANCER_PROGRAM")
	host_ready "${programs[@]}"
	prefetch

	mkdir -p "$LAB_STATE"/{nodes,services,logs,bin,ssh,prometheus}
	chmod 700 "$LAB_STATE/ssh"
	echo "$version" >"$LAB_STATE/version"
	echo "$control_planes" >"$LAB_STATE/control-planes"
	echo "$workers" >"$LAB_STATE/workers"
	[ -s "$LAB_STATE/token" ] || echo "$(openssl rand -hex 3).$(openssl rand -hex 8)" >"$LAB_STATE/token"
	[ -s "$LAB_STATE/certificate-key" ] || (umask 077 && openssl rand -hex 32 >"$LAB_STATE/certificate-key")
	[ -e "$LAB_STATE/ssh/id_ed25519" ] || ssh-keygen -q -t ed25519 -N '' -C lab -f "$LAB_STATE/ssh/id_ed25519"
	# the one that the nodes were made with, whatever becomes of these scripts meanwhile
	[ -e "$LAB_STATE/rootfs" ] || ln -sfn "$(rootfs)" "$LAB_STATE/rootfs"
	ln -sfn "$(kube_programs "${KUBE_VERSIONS[-1]}")/kubectl" "$LAB_STATE/bin/kubectl"

	mapfile -t names < <(node_names "$control_planes" "$workers")
	step "network $BRIDGE" network_up
	if [ ! -e "$LAB_STATE/packages/published" ]; then
		step "repository lists ${PUBLISHED_AT_FIRST[*]}" publish "${PUBLISHED_AT_FIRST[@]}"
	fi
	prometheus_config "${names[@]}"
	! has_balancer || balancer_config "${names[@]:0:control_planes}"
	for name in $(services); do step "$name" service_start "$name"; done
	for name in "${names[@]}"; do network_route "$name"; done
	step "nodes made: ${names[*]}" in_parallel node_make_at_version "${names[@]}"
	known_hosts
	step "nodes booted, ssh answers" in_parallel node_up "${names[@]}"
	step "kubeadm, kubelet, kubectl $version by apt" in_parallel node_install "${names[@]}"
	step "kubeadm init" cluster_init
	cluster_kubeconfig
	if [ "$control_planes" -gt 1 ]; then step "kubeadm join of the other control planes" control_planes_join "${names[@]:1:control_planes - 1}"; fi
	if [ "$workers" -gt 0 ]; then step "kubeadm join" in_parallel node_join "${names[@]:control_planes}"; fi
	step "additions: Prometheus' access, backup" cluster_additions
	prometheus_reload
	step "every node Ready, CoreDNS Available" cluster_ready
	say "ready after $((SECONDS - start)) s; KUBECONFIG=$LAB_STATE/kubeconfig"
}
node_make_at_version() { node_make "$1" "$(<"$LAB_STATE/version")"; }
node_up() {
	node_boot "$1"
	node_reachable "$1"
}
node_install() {
	local log=$LAB_STATE/logs/packages-$1.log
	node_packages "$1" >"$log" 2>&1 ||
		die "apt on $1 failed; its output is $log" "the nodes run, without a cluster" "$LAB_SELF up to try again, or $LAB_SELF down"
}

# Works from any half state: whatever is there goes, whatever is not is no error.
command_down() {
	local start=$SECONDS name names
	if [ ! -d "$LAB_STATE" ]; then
		say "nothing to end"
		rm -f "$LAB_STATE.lock"
		return
	fi
	lock_state 15
	mapfile -t names < <(nodes)
	[ ${#names[@]} = 0 ] || step "nodes ended: ${names[*]}" in_parallel node_cut "${names[@]}"
	for name in $(services); do service_stop "$name"; done
	network_down
	cgroups_remove
	if [ -d "$LAB_STATE/packages/gpg" ]; then gpgconf --homedir "$LAB_STATE/packages/gpg" --kill all || true; fi
	[ ! -e "$LAB_STATE/run-systemd" ] || rmdir --ignore-fail-on-non-empty /run/systemd
	if grep -qF "$LAB_STATE/" /proc/self/mountinfo; then
		die "something is mounted below $LAB_STATE, which the lab never does" "the nodes and services are ended" "umount it, then $LAB_SELF down"
	fi
	rm -rf --one-file-system "$LAB_STATE"
	rm -f "$LAB_STATE.lock"
	say "down after $((SECONDS - start)) s"
}

command_status() {
	local name state
	lab_is_up
	echo "version  $(<"$LAB_STATE/version") at first; repository lists $(tr '\n' ' ' <"$LAB_STATE/packages/published" 2>/dev/null)"
	for name in $(nodes); do
		state="not running"
		! node_pid "$name" >/dev/null || state="pid $(node_pid "$name")"
		printf 'node     %-12s %-12s %s\n' "$name" "$(node_ip "$name")" "$state"
	done
	for name in $(services); do
		state="not running"
		! service_pid "$name" >/dev/null || state="pid $(service_pid "$name")"
		printf 'service  %-12s %-12s %s\n' "$name" ":$(service_port "$name")" "$state"
	done
	if [ -e "$LAB_STATE/kubeconfig" ]; then lab_kubectl --request-timeout=5s get nodes -o wide || true; fi
}

# The fingerprints of all minors' repository keys, with commas between them: here each minor has its own, and so a change of minor is one
# of the key, which the settings acknowledge.
package_keys() {
	local file keys=()
	for file in "$(repository)"/core:/stable:/v*/deb/Release.key; do
		keys+=("$(gpg --batch --show-keys --with-colons "$file" | awk -F: '$1 == "fpr" && !seen++ { print $10 }')")
	done
	(IFS=, && echo "${keys[*]}")
}

command_env() {
	lab_is_up
	cat <<-EOT
		KUBECONFIG=$LAB_STATE/kubeconfig
		LAB_DIR=$LAB_STATE
		LAB_SSH_KEY=$LAB_STATE/ssh/id_ed25519
		LAB_SSH_USER=$NODE_USER
		LAB_KNOWN_HOSTS=$LAB_STATE/ssh/known_hosts
		LAB_PROMETHEUS_URL=$PROMETHEUS_URL
		LAB_PUSHGATEWAY_URL=$PUSHGATEWAY_URL
		LAB_SLACK_URL=$SLACK_URL
		LAB_SLACK_FILE=$LAB_STATE/slack.jsonl
		LAB_PACKAGES_URL=$PACKAGES_URL
		LAB_PACKAGE_KEYS=$(package_keys)
		LAB_AUDIT_LOG=$(node_dir k8s-master)/audit/audit.log
		LAB_WEB_IMAGE=$WEB_IMAGE
	EOT
}

command_logs() {
	lab_is_up
	case ${1:-} in
	'')
		ls -l "$LAB_STATE/logs"
		tail -n 20 "$LAB_STATE"/logs/*.log
		;;
	k8s-*)
		known_node "$1"
		node_ssh "$1" sudo -n journalctl --no-pager --boot "${@:2}" </dev/null || tail -n 50 "$(node_dir "$1")/console.log"
		;;
	*)
		[ -e "$LAB_STATE/logs/$1.log" ] || die "there is no log of $1" "nothing was changed" "$LAB_SELF logs"
		cat "$LAB_STATE/logs/$1.log"
		;;
	esac
}

command_image() {
	local file=$1 name names
	shift
	[ -r "$file" ] || die "cannot read $file" "nothing was changed" "$LAB_SELF image FILE"
	for name in "$@"; do known_node "$name"; done
	mapfile -t names < <(if [ $# -gt 0 ]; then printf '%s\n' "$@"; else nodes; fi)
	LAB_IMAGE=$(readlink -f "$file")
	export LAB_IMAGE
	step "image $(basename "$file") on ${names[*]}" in_parallel image_import "${names[@]}"
}
image_import() { node_ssh "$1" sudo -n ctr -n k8s.io images import --digests=false - <"$LAB_IMAGE" >&2; }

command_service() {
	local name=${1:-} verb=${2:-}
	case $verb in
	start) step "$name started" service_start "$name" ;;
	stop) step "$name stopped" service_stop "$name" ;;
	mode)
		[ "$name" = packages ] || die "only packages has modes" "nothing was changed" "$LAB_SELF service packages mode ok"
		case ${3:-} in
		ok | down | 404 | badkey) echo "$3" >"$LAB_STATE/packages/mode" ;;
		*) die "packages has the modes ok, down, 404, badkey, not '${3:-}'" "nothing was changed" "$LAB_SELF service packages mode ok" ;;
		esac
		;;
	to)
		[ "$name" = balancer ] || die "only the balancer sends to nodes" "nothing was changed" "$LAB_SELF service balancer to k8s-master"
		step "balancer sends to ${*:3}" balancer_to "${@:3}"
		;;
	*) die "service takes start, stop, mode or to, not '$verb'" "nothing was changed" "$LAB_SELF service ${name:-NAME} start" ;;
	esac
}

command_node() {
	local name=${1:-} verb=${2:-}
	known_node "$name"
	case $verb in
	cut)
		step "$name cut" node_cut "$name"
		cgroups_remove "$name"
		;;
	start) step "$name booted, ssh answers" node_up "$name" ;;
	*) die "node takes cut or start, not '$verb'" "nothing was changed" "$LAB_SELF node $name cut" ;;
	esac
}
