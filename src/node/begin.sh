# STEP TARGET RUN SCRIPT: starts the script as the unit, attaches if it runs the same step, contends if it runs another.
step=$1 target=$2 run=$3 script=$4
tokens "$step" "$target" "$run"
install -d -m 0700 "$state" "$work"
exec 9>"$work/lock"
flock -w 30 9 || contended "another session has been starting work on this node for 30 s"

now=$(work_state)
look_at_unit
read -r word now_step now_target now_run _ <<<"$now"
if [[ $word == running ]]; then
    [[ "$now_step $now_target" == "$step $target" ]] ||
        contended "$now_step ($now_target, run $now_run) is still running on this node"
    say "$step is running already: attached"
    echo attached
    exit 0
fi

# An ended unit keeps its name, and with it the result, until it is dismissed.
if [[ $unit_load == loaded && $unit_sub == failed ]]; then
    systemctl reset-failed "$unit"
elif [[ $unit_load == loaded ]]; then
    systemctl stop "$unit"
fi

printf '%s' "$script" | write_durably "$work/script" 0700
if [[ -e $work/log ]]; then mv -f -- "$work/log" "$work/log.former"; fi
: >"$work/log"
record_work "$step" "$target" "$run" "$(boot_id)" running
# No --wait: with --remain-after-exit it never returns. The stop timeout leaves the package manager and kubeadm time when the machine
# shuts down.
systemd-run --quiet --unit="$unit" --description="k8s-upgrade: $step $target" --remain-after-exit \
    -p StandardOutput=append:"$work/log" -p StandardError=append:"$work/log" -p TimeoutStopSec=15min \
    /bin/bash "$work/script"
say "$step started"
echo started
