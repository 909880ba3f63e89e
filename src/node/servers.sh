# What the API server and the etcd of this control plane say of themselves: each is asked here, as its kubelet asks it, without a certificate.

# URL GOOD: well, where what it answers matches GOOD.
ask() {
    local answer
    answer=$(curl -sS --insecure --noproxy '*' --max-time 5 --max-filesize 65536 "$1" 2>&1) || true
    answer=${answer//[$'\n\r']/ }
    if [[ $answer =~ $2 ]]; then echo well; else echo "ill ${answer:0:300}"; fi
}

# URL: of what the member counts of itself, whose page has some 200 KiB, only what is judged.
counts_itself() {
    local page
    page=$(curl -sS --insecure --noproxy '*' --max-time 5 --max-filesize 4194304 "$1" 2>/dev/null | head -c 4194304) || true
    sed -nE 's/^etcd_((mvcc_db_total_size_in_bytes|mvcc_db_total_size_in_use_in_bytes|server_quota_backend_bytes|server_is_leader|server_is_learner|disk_wal_fsync_duration_seconds_(sum|count)|disk_backend_commit_duration_seconds_(sum|count)) [0-9.e+-]{1,40})$/counts \1/p
        s/^etcd_server_id\{server_id="([0-9a-f]{1,16})"\} 1$/member \1/p' <<<"$page"
}

if ! command -v curl >/dev/null; then
    echo 'api unasked curl is missing on this node'
    echo 'etcd unasked curl is missing on this node'
    exit 0
fi

if [[ -f $api_manifest ]]; then
    if ready=$(api_address); then
        echo "api $(ask "$ready/readyz" '^ok$')"
    else
        echo 'api unasked its manifest names no address that can be asked'
    fi
else
    echo 'api absent there is no manifest of an API server on this node'
fi

if [[ -f $etcd_manifest ]]; then
    metrics=$(flag_of "$etcd_manifest" listen-metrics-urls | tr , '\n' | sed -n '/^http:/{p;q}') || metrics=
    if [[ $metrics =~ $api_url ]]; then
        echo "etcd $(ask "$metrics/health" '"health": ?"?true')"
        counts_itself "$metrics/metrics"
    else
        echo 'etcd unasked its manifest has no http: address in --listen-metrics-urls'
    fi
else
    echo 'etcd absent there is no manifest of an etcd on this node'
fi
