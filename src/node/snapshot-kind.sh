# FILE: sets kind to whole (etcd's own, and the hash at its end is that of all before it: so `etcdctl snapshot save` ends one), torn (it begins
# as etcd's does, and does not end so) or other.
snapshot_kind() {
    local size own last
    size=$(stat -c %s -- "$1")
    numbers "$size"
    # etcd's own file begins with a page of bbolt, whose magic stands behind the page's head.
    kind=other
    if [[ $(od -An -tx1 -j16 -N4 -- "$1" 2>/dev/null | tr -d ' \n') == edda0ced ]]; then
        kind=torn
        if ((size % 512 == 32)); then
            own=$(head -c -32 -- "$1" | sha256sum)
            last=$(tail -c 32 -- "$1" | od -An -v -tx1 | tr -d ' \n')
            if [[ ${own%% *} == "$last" ]]; then kind=whole; fi
        fi
    fi
}
