# What the API server and the etcd of this control plane say of themselves: each is asked here, as its kubelet asks it, without a certificate.
api_manifest=$root/etc/kubernetes/manifests/kube-apiserver.yaml

# URL GOOD: well, where what it answers matches GOOD.
ask() {
    local answer
    answer=$(curl -sS --insecure --noproxy '*' --max-time 5 --max-filesize 65536 "$1" 2>&1) || true
    answer=${answer//[$'\n\r']/ }
    if [[ $answer =~ $2 ]]; then echo well; else echo "ill ${answer:0:300}"; fi
}
url='^https?://[][A-Za-z0-9.:_-]+$'

if ! command -v curl >/dev/null; then
    echo 'api unasked curl is missing on this node'
    echo 'etcd unasked curl is missing on this node'
    exit 0
fi

if [[ -f $api_manifest ]]; then
    address=$(flag_of "$api_manifest" advertise-address) || address=
    port=$(flag_of "$api_manifest" secure-port) || port=
    if [[ $address == *:* ]]; then address=[$address]; fi
    ready=https://${address:-127.0.0.1}:${port:-6443}
    if [[ $ready =~ $url ]]; then
        echo "api $(ask "$ready/readyz" '^ok$')"
    else
        echo 'api unasked its manifest names no address that can be asked'
    fi
else
    echo 'api unasked there is no manifest of an API server on this node'
fi

if [[ -f $etcd_manifest ]]; then
    metrics=$(flag_of "$etcd_manifest" listen-metrics-urls | tr , '\n' | sed -n '/^http:/{p;q}') || metrics=
    if [[ $metrics =~ $url ]]; then
        echo "etcd $(ask "$metrics/health" '"health": ?"?true')"
    else
        echo 'etcd unasked its manifest has no http: address in --listen-metrics-urls'
    fi
else
    echo 'etcd unasked there is no manifest of an etcd on this node'
fi
