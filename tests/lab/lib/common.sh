# shellcheck shell=bash
# Common ground of the lab: names, addresses, messages, waits with a deadline,
# and processes that are only ever ended after we made sure that they are ours.
# It starts nothing by itself.

# --- where things are ---------------------------------------------------------
LAB_CACHE=${LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/k8s-upgrade-lab}
# LAB_STATE is hold.sh's, which others than the lab read, too

# --- what the lab consists of -------------------------------------------------
# version of Kubernetes, folder of its go.mod, stamp that the programs carry
KUBE_VERSIONS=(1.35.4 1.36.3 1.36.4)
declare -A KUBE_SOURCE=([1.35.4]=1.35.4 [1.36.3]=1.36.3 [1.36.4]=1.36.3) # 1.36.4 is 1.36.3 restamped
# offered by apt alone, made of the other's programs once it is published: no cluster is ever made of it
declare -A KUBE_REPACKED=([1.36.1]=1.36.3)
PACKAGE_VERSIONS=("${KUBE_VERSIONS[@]}" "${!KUBE_REPACKED[@]}")
ETCD_VERSIONS=(3.6.6 3.6.8)
PUBLISHED_AT_FIRST=(1.35.4 1.36.3)
# one package revision for all, as upstream's usual one
PACKAGE_REVISION=1.1

BRIDGE=k8slab0
HOST_IP=10.77.0.1
POD_CIDR=10.244.0.0/16
NODE_USER=wizard
WEB_IMAGE=k8slab.local/web:1
BACKUP_IMAGE=k8slab.local/backup-etcd:1

PROMETHEUS_URL=http://$HOST_IP:9090
PUSHGATEWAY_URL=http://$HOST_IP:9091
PACKAGES_URL=http://$HOST_IP:8080
SLACK_URL=http://$HOST_IP:8081/services/lab/lab/lab

# --- messages: stdout is data, stderr is for people ---------------------------
say() { printf '%s\n' "lab: $*" >&2; }
# die MESSAGE [WHAT STATE IS LEFT] [WHAT TO TYPE NEXT]
die() {
	printf '%s\n' "lab: error: $1" >&2
	[ $# -lt 2 ] || printf '%s\n' "lab: state: $2" >&2
	[ $# -lt 3 ] || printf '%s\n' "lab: next:  $3" >&2
	exit 1
}

# step TEXT COMMAND…: run it and say how long it took
step() {
	local text=$1 start=${EPOCHREALTIME/./} took
	shift
	"$@"
	took=$(((${EPOCHREALTIME/./} - start) / 100000))
	say "$(printf '%5d.%d s  %s' $((took / 10)) $((took % 10)) "$text")"
}

# wait_for SECONDS TEXT COMMAND…: until the command succeeds; false after the deadline.
# The command's output is shown only if it never succeeded.
wait_for() {
	local deadline=$((SECONDS + $1)) text=$2 out=
	shift 2
	until out=$("$@" 2>&1); do
		if ((SECONDS >= deadline)); then
			say "gave up waiting for $text; last answer: ${out:-(none)}"
			return 1
		fi
		sleep 0.2
	done
}

need_root() {
	[ "$(id -u)" = 0 ] || die "the lab needs root (namespaces, mounts, a bridge)" "nothing was changed" "sudo $0 $*"
}

# --- nodes --------------------------------------------------------------------
# number 0 is the master, N is k8s-nodeN; 90 + N is k8s-masterN, where there are several
node_number() {
	case $1 in
	k8s-master) echo 0 ;;
	k8s-master[2-9]) echo $((90 + ${1#k8s-master})) ;;
	k8s-node[1-9] | k8s-node[1-9][0-9]) echo "${1#k8s-node}" ;;
	*) die "no node is called $1" "nothing was changed" "$0 status" ;;
	esac
}
node_ip() { echo "10.77.0.$((10 + $(node_number "$1")))"; }
node_dir() { echo "$LAB_STATE/nodes/$1"; }
# all nodes that have been made, the master first
nodes() {
	local n
	for n in "$LAB_STATE"/nodes/k8s-*; do [ ! -d "$n" ] || basename "$n"; done | sort -V
}
# the exact nodes that a cluster of $1 control planes and $2 workers has
node_names() {
	local i
	control_plane_names "$1"
	for ((i = 1; i <= $2; i++)); do echo "k8s-node$i"; done
}
control_plane_names() {
	local i
	echo k8s-master
	for ((i = 2; i <= $1; i++)); do echo "k8s-master$i"; done
}
is_control_plane() { [[ $1 == k8s-master* ]]; }
known_node() {
	local n
	for n in $(nodes); do [ "$n" != "$1" ] || return 0; done
	die "no node is called $1; there are: $(nodes | tr '\n' ' ')" "nothing was changed" "$0 status"
}

# --- processes: a record is "PID START-TIME", so that a reused pid is never hit -----
proc_start() { sed -n 's/^.*) //p' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
# record_process FILE PID
record_process() { printf '%s %s\n' "$2" "$(proc_start "$2")" >"$1"; }
# recorded_process FILE WORD: prints the pid if it lives, started when we say, and has WORD in
# its command line
recorded_process() {
	local pid start
	[ -s "$1" ] || return 1
	read -r pid start <"$1" || return 1
	[ -n "$start" ] && [ "$(proc_start "$pid")" = "$start" ] || return 1
	tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$2" || return 1
	echo "$pid"
}
gone() { [ ! -d "/proc/$1" ] || grep -q '^State:[[:space:]]*[ZX]' "/proc/$1/status" 2>/dev/null; }

# stop_recorded FILE WORD: SIGTERM, then SIGKILL after 5 s; removes the record
stop_recorded() {
	local pid
	if pid=$(recorded_process "$1" "$2"); then
		kill -TERM "$pid" 2>/dev/null || true
		if ! wait_for 5 "process $pid ($2) to end" gone "$pid"; then
			kill -KILL "$pid" 2>/dev/null || true
			wait_for 5 "process $pid ($2) to die" gone "$pid" || return 1
		fi
	fi
	rm -f "$1"
}

# --- one lab command at a time changes things -----------------------------------
# Daemons must be started with 9>&- or they would hold the lock for as long as they live
# (and with 7>&-, which keeps the caller's stderr).
lock_state() {
	mkdir -p "$LAB_STATE"
	exec 9>"$LAB_STATE.lock"
	flock -w "${1:-5}" 9 || die "another lab command is at work on $LAB_STATE" "nothing was changed" "wait for it, then the same command again"
}

# in_parallel FUNCTION ARG…: FUNCTION once for each argument, all at a time; false if one failed.
# Each runs as a process group of its own, so that an interruption can end it whole.
CHILDREN=()
in_parallel() {
	local fn=$1 arg pid status=0
	shift
	CHILDREN=()
	set -m
	for arg in "$@"; do
		"$LAB_SELF" __call "$fn" "$arg" </dev/null 7>&- 9>&- &
		CHILDREN+=("$!")
	done
	set +m
	for pid in "${CHILDREN[@]}"; do wait "$pid" || status=1; done
	CHILDREN=()
	return $status
}
interrupted() { # 7 is the terminal, wherever the step at work sent its output
	local pid
	exec 2>&7
	for pid in "${CHILDREN[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
	die "interrupted" "the lab is half made" "the same command again to go on, or $0 down"
}
