# shellcheck shell=bash
# Whose the lab is. There is one a machine, and a test run, a demo or a command that changes it has it alone, from its first
# touch to its last: file descriptor 6 holds a lock on a file beside the lab's folder, which says who that is.
# What a holder starts inherits the lock, so that a run whose parent was killed still has the lab; the lab itself closes it, for its
# nodes outlive every run. LAB_HOLD tells the holder's own lab commands that they are.

LAB_STATE=${LAB_STATE:-/var/lib/k8s-upgrade-lab}
LAB_HOLD_FILE=$LAB_STATE.held # a line: ID PID SINCE WHAT
LAB_WAIT=${LAB_WAIT:-1800}            # seconds that a test run waits for another's end
HOLD_IS_OURS=                 # set by the process that took it

lab_is_ours() {
	local id=
	[ -n "${LAB_HOLD:-}" ] && read -r id _ 2>/dev/null <"$LAB_HOLD_FILE" && [ "$id" = "$LAB_HOLD" ]
}

# "tests/run in /src, process 4711, since 12:13:05"
lab_holder() {
	local id pid since what
	if read -r id pid since what 2>/dev/null <"$LAB_HOLD_FILE"; then
		echo "$what (process $pid, since $since)"
	else
		echo "somebody who has not said who"
	fi
}

# hold_lab SECONDS WHAT: until release_lab, or the end of this process and of all that it started. Waits so long for another holder
# and says for whom; false after that.
hold_lab() {
	local deadline=$((SECONDS + $1)) what=$2 told=
	! lab_is_ours || return 0
	while :; do
		# appending, for the line in it is another's until the lock is ours
		exec 6>>"$LAB_HOLD_FILE"
		if flock -n 6; then
			# it may be a file that its last holder has removed
			[ ! "$LAB_HOLD_FILE" -ef /proc/self/fd/6 ] || break
			continue
		fi
		if [ "$SECONDS" -ge "$deadline" ]; then
			exec 6>&-
			printf '%s\n' "lab: error: the lab is held by $(lab_holder)" "lab: state: nothing was changed" \
				"lab: next:  wait for its end, then the same command again" >&2
			return 1
		fi
		if [ -z "$told" ] || [ $((SECONDS - told)) -ge 60 ]; then
			printf '%s\n' "lab: waiting for the lab, at most $((deadline - SECONDS)) s more: it is held by $(lab_holder)" >&2
			told=$SECONDS
		fi
		flock -w 2 6 || true
		exec 6>&-
	done
	HOLD_IS_OURS=yes
	LAB_HOLD=$BASHPID-$RANDOM$RANDOM
	export LAB_HOLD
	printf '%s %s %s %s\n' "$LAB_HOLD" "$BASHPID" "$(date +%T)" "$what" >"$LAB_HOLD_FILE"
}

release_lab() {
	[ -n "$HOLD_IS_OURS" ] || return 0
	HOLD_IS_OURS=
	rm -f "$LAB_HOLD_FILE"
	exec 6>&-
	unset LAB_HOLD
}
