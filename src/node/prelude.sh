# Definitions before every script; nothing here acts. The prefix of all paths is empty but in tests.
export LC_ALL=C HOME="${HOME:-/root}" DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
root=${K8S_UPGRADE_ROOT:-}
state=$root/var/lib/k8s-upgrade

say() { printf '# %s\n' "$*"; }
# SECONDS WHAT: a wait, as progress() in mod.rs reads it.
waits() { say "waits $1 s for $2"; }

# How a script ends when it cannot go on: `! what` on stderr, and the status that says the class of it.
die() {
    local status=$1
    shift
    printf '! %s\n' "$*" >&2
    exit "$status"
}
failed() { die 1 "$@"; }
hold() { die 10 "$@"; }
refused() { die 11 "$@"; }
unreachable() { die 12 "$@"; }
contended() { die 13 "$@"; }

# WORD…: each is a number that arithmetic may have. No other word may come near it: bash evaluates what it finds there, commands included.
numbers() {
    local word
    for word; do
        [[ $word =~ ^(0|[1-9][0-9]{0,17})$ ]] || failed "not a number: ${word:0:60}"
    done
}

# PATH MODE: standard input becomes the file, whole or not at all, and outlives a power cut.
write_durably() {
    mkdir -p -- "${1%/*}"
    (umask 077 && cat >"$1.new")
    chmod -- "$2" "$1.new"
    sync -- "$1.new"
    mv -f -- "$1.new" "$1"
    sync -- "${1%/*}"
}

# As the kubelet finds it, and what changes with each boot.
machine_id() { cat "$root/etc/machine-id" 2>/dev/null || cat "$root/var/lib/dbus/machine-id" 2>/dev/null || true; }
boot_id() { cat "$root/proc/sys/kernel/random/boot_id"; }
# MACHINE-ID BOOT-ID: this is the machine, and the boot, that was proved to be the node.
still() {
    local now
    now="$(machine_id) $(boot_id)"
    [[ $now == "$1 $2" ]] || die 14 "this is another machine than the one that was looked at, or it has booted since"
}
