# What the API server and the etcd of this control plane say of themselves: each is asked here, as its kubelet asks it, without a certificate.

# URL GOOD: well, where what it answers matches GOOD.
ask() {
    local answer
    answer=$(curl -sS --insecure --noproxy '*' --max-time 5 --max-filesize 65536 "$1" 2>&1) || true
    answer=${answer//[$'\n\r']/ }
    if [[ $answer =~ $2 ]]; then echo well; else echo "ill ${answer:0:300}"; fi
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
    echo 'api unasked there is no manifest of an API server on this node'
fi

if [[ -f $etcd_manifest ]]; then
    metrics=$(flag_of "$etcd_manifest" listen-metrics-urls | tr , '\n' | sed -n '/^http:/{p;q}') || metrics=
    if [[ $metrics =~ $api_url ]]; then
        echo "etcd $(ask "$metrics/health" '"health": ?"?true')"
    else
        echo 'etcd unasked its manifest has no http: address in --listen-metrics-urls'
    fi
else
    echo 'etcd unasked there is no manifest of an etcd on this node'
fi
