# The API server as kubeadm runs it on this node. Needs etcd.sh.
api_manifest=$root/etc/kubernetes/manifests/kube-apiserver.yaml
api_url='^https?://[][A-Za-z0-9.:_-]+$'

# Where its kubelet asks it; fails where its manifest names no address.
api_address() {
    local address port
    address=$(flag_of "$api_manifest" advertise-address) || address=
    port=$(flag_of "$api_manifest" secure-port) || port=
    if [[ $address == *:* ]]; then address=[$address]; fi
    address=https://${address:-127.0.0.1}:${port:-6443}
    [[ $address =~ $api_url ]] && echo "$address"
}
