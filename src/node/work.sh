# The one unit, and what is known of it. A reboot forgets units: the fsynced status file with the boot id tells.
unit=k8s-upgrade-work.service
work=$state/work

boot_id() { cat "$root/proc/sys/kernel/random/boot_id"; }

# STEP TARGET RUN BOOT running | STEP TARGET RUN BOOT finished STATUS
record_work() { printf '%s\n' "$*" | write_durably "$work/status" 0600; }

# Sets unit_load, unit_sub, unit_result, unit_status from systemd; a unit that is not there reads as not-found.
look_at_unit() {
    unit_load=not-found unit_sub=dead unit_result=success unit_status=0
    command -v systemctl >/dev/null || return 0
    local shown key value
    shown=$(systemctl show "$unit" -p LoadState -p SubState -p Result -p ExecMainStatus)
    while IFS='=' read -r key value; do
        case $key in
        LoadState) unit_load=$value ;;
        SubState) unit_sub=$value ;;
        Result) unit_result=$value ;;
        ExecMainStatus) unit_status=$value ;;
        esac
    done <<<"$shown"
}

unit_runs() { [[ $unit_load == loaded && $unit_sub != exited && $unit_sub != failed && $unit_sub != dead ]]; }

# One line: none, or what became of the last work: running|done|failed|killed|interrupted STEP TARGET RUN [STATUS|HOW].
work_state() {
    local step target run boot word status
    look_at_unit
    if [[ ! -s $work/status ]]; then
        if unit_runs; then echo "running unknown - -"; else echo none; fi
        return
    fi
    read -r step target run boot word status <"$work/status"
    local mark="$step $target $run"
    if unit_runs; then
        echo "running $mark"
    elif [[ $word == finished ]]; then
        if ((status == 0)); then echo "done $mark"; else echo "failed $mark $status"; fi
    elif [[ $boot != "$(boot_id)" ]]; then
        echo "interrupted $mark reboot"
    elif [[ $unit_load != loaded ]]; then
        echo "interrupted $mark stopped"
    elif [[ $unit_result == success ]]; then
        echo "done $mark"
    elif [[ $unit_result == exit-code ]]; then
        echo "failed $mark $unit_status"
    else
        echo "killed $mark $unit_result"
    fi
}

# What kubeadm rewrites of the kubelet, as it was before the upgrade away from a release: former-RELEASE, beside the work.
kubelet_files=(config.yaml kubeadm-flags.env)

# SERVICE: until it has been active for two looks in a row.
wait_active() {
    local tries steady=0
    for ((tries = 0; tries < 60; tries++)); do
        if systemctl is-active --quiet "$1"; then steady=$((steady + 1)); else steady=0; fi
        if ((steady == 2)); then return 0; fi
        sleep 1
    done
    systemctl status --no-pager --lines 20 "$1" >&2 || true
    failed "$1 is not active 60 s after its restart"
}

# VERSION: the kubelet runs what its package is now.
restart_kubelet() {
    local now
    say "restarting the kubelet"
    systemctl daemon-reload
    systemctl restart kubelet
    wait_active kubelet
    now=$(kubelet --version)
    [[ $now == "Kubernetes v$1" ]] || failed "kubelet says it is $now though its package is $1"
}
