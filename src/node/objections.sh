# NOTES WHAT: what kubeadm said on stderr when it failed at WHAT. What its preflight objects to is an answer, by the name that
# --ignore-preflight-errors knows: `objects CHECK`, and why. Fails where it objects to nothing.
kubeadm_objects() {
    local checks
    cat "$1" >&2
    if grep -qE 'connection refused|i/o timeout|no route to host|TLS handshake timeout' "$1"; then
        unreachable "$2 cannot reach the API server"
    fi
    checks=$(sed -nE 's|.*\[ERROR ([A-Za-z0-9_./-]+)\].*|objects \1|p' "$1" | sort -u)
    [[ -n $checks ]] || return 1
    echo "$checks"
    grep -F '[ERROR ' -A 1 "$1" | head -n 16 | sed 's/^/note /'
}
