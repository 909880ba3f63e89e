# MEMBER: where this node's member of etcd leads, that one leads instead; anywhere else nothing is done.
to=$1
[[ $to =~ ^[0-9a-f]{1,16}$ ]] || refused "not a member of etcd: ${to:0:60}"
etcd_here
enter_etcd 20
etcd_client

# Whether this member leads; its answer names members by decimal numbers.
leads() {
    local said own
    said=$("${in_etcd[@]}" "${client[@]}" --command-timeout=10s --write-out=json endpoint status 2>&1) ||
        unreachable "etcd does not answer: ${said:0:300}"
    [[ $said =~ \"member_id\":([0-9]+) ]] || failed "etcd's answer has no member: ${said:0:300}"
    own=${BASH_REMATCH[1]}
    [[ $said =~ \"leader\":([0-9]+) ]] || hold "etcd has no leader now: ${said:0:300}"
    [[ ${BASH_REMATCH[1]} == "$own" ]]
}

if leads; then
    said=$("${in_etcd[@]}" "${client[@]}" --command-timeout=10s move-leader "$to" 2>&1) ||
        failed "etcdctl has moved no leadership: ${said:0:300}"
    for ((tries = 0; tries < 5; tries++)); do
        if ! leads; then break; fi
        sleep 1
    done
    ((tries < 5)) || failed "this node's member leads as before: ${said:0:300}"
    echo moved
else
    echo elsewhere
fi
