# The one unit, and what is known of it. A reboot forgets units: the fsynced status file with the boot id tells.
unit=k8s-upgrade-work.service
work=$state/work

# Words that are kept: what is none is never written, and a file that has another was not written by us.
token='[A-Za-z0-9][A-Za-z0-9.+:~-]{0,127}'
# WORD…: each is one.
tokens() {
    local word
    for word; do
        [[ $word =~ ^$token$ ]] || refused "not a word that is kept: ${word:0:60}"
    done
}

# STEP TARGET RUN BOOT running|STATUS
record_work() { printf 'step=%s\ntarget=%s\nrun=%s\nboot=%s\nstatus=%s\n' "$@" | write_durably "$work/status" 0600; }

# Sets step, target, run, boot and status to what is on record; fails where that is not, to the letter, what record_work writes. Nothing of
# the file may come near arithmetic: bash evaluates what it finds there.
read_record() {
    local word="($token)" number='[0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5]' record
    local now="^step=$word"$'\n'"target=$word"$'\n'"run=$word"$'\n'"boot=$word"$'\n'"status=(running|$number)$"
    # One line, by builds that wrote it so.
    local former="^$word $word $word $word (running|finished ($number))$"
    record=$(head -c 1024 -- "$work/status" | tr '\000' '?') || return 1
    [[ $record =~ $now || $record =~ $former ]] || return 1
    step=${BASH_REMATCH[1]} target=${BASH_REMATCH[2]} run=${BASH_REMATCH[3]} boot=${BASH_REMATCH[4]} status=${BASH_REMATCH[5]#finished }
    # What those builds called a run that is none.
    if [[ $run == rollback ]]; then run=by-hand; fi
}

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

# One line: none, garbled (the record cannot be read), or what became of the last work: running|done|failed|killed|interrupted STEP TARGET
# RUN [STATUS|HOW].
work_state() {
    local step=unknown target=- run=- boot status
    look_at_unit
    if [[ ! -s $work/status ]]; then
        if unit_runs; then echo "running $step $target $run"; else echo none; fi
        return
    fi
    if ! read_record && ! unit_runs; then
        echo garbled
        return
    fi
    local mark="$step $target $run"
    if unit_runs; then
        echo "running $mark"
    elif [[ $status == 0 ]]; then
        echo "done $mark"
    elif [[ $status != running ]]; then
        echo "failed $mark $status"
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
