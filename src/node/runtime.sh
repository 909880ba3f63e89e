# The container runtime of this node.

# Its socket, as the kubelet has it: its flag before its configuration, and what is of this node alone before what all have.
runtime_socket() {
    local kubelet=$root/var/lib/kubelet found
    found=$({
        sed -nE 's|.*--container-runtime-endpoint=([^" ]+).*|\1|p' "$kubelet/kubeadm-flags.env"
        sed -nE 's|^containerRuntimeEndpoint: *"?([^" ]+)"?.*|\1|p' "$kubelet/instance-config.yaml" "$kubelet/config.yaml"
    } 2>/dev/null) || true
    found=${found%%$'\n'*}
    found=${found#unix://}
    echo "${found:-/run/containerd/containerd.sock}"
}

# What pulls images through it: crictl, ctr (which knows containerd alone), or nothing. kubeadm itself needs none of them.
runtime_puller() {
    if command -v crictl >/dev/null; then
        echo crictl
    elif [[ $(runtime_socket) == */containerd.sock ]] && command -v ctr >/dev/null; then
        echo ctr
    else
        echo nothing
    fi
}
