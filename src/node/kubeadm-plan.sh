# TARGET FLAGS…: kubeadm's own forecast, as it prints it.
target=$1
shift
command -v kubeadm >/dev/null || refused "there is no kubeadm on this node"
notes=$(mktemp)
trap 'rm -f "$notes"' EXIT
if kubeadm upgrade plan "v$target" -o json "$@" 2>"$notes"; then
    tail -n 8 "$notes" | sed 's/^/note /'
else
    status=$?
    cat "$notes" >&2
    if grep -qE 'connection refused|i/o timeout|no route to host|TLS handshake timeout' "$notes"; then
        unreachable "kubeadm upgrade plan v$target cannot reach the API server"
    fi
    # What its preflight objects to is an answer, by the name that --ignore-preflight-errors knows.
    checks=$(sed -nE 's|.*\[ERROR ([A-Za-z0-9_./-]+)\].*|objects \1|p' "$notes" | sort -u)
    if [[ -n $checks ]]; then
        echo "$checks"
        grep -F '[ERROR ' -A 1 "$notes" | head -n 16 | sed 's/^/note /'
        exit 0
    fi
    failed "kubeadm upgrade plan v$target failed (exit $status)"
fi
