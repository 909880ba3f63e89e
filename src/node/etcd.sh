# etcd as kubeadm runs it on this node: its manifest, its data, and the way into its container, whose image has no shell.
etcd_manifest=$root/etc/kubernetes/manifests/etcd.yaml

# FILE NAME: what a manifest of kubeadm's gives its program by --NAME=…; fails where it does not.
flag_of() {
    local line
    while IFS= read -r line; do
        if [[ $line == *"- --$2="* ]]; then
            line=${line#*"- --$2="}
            echo "${line%%[\"[:space:]]*}"
            return
        fi
    done <"$1"
    return 1
}
etcd_flag() { flag_of "$etcd_manifest" "$1" || refused "this node's etcd is not as kubeadm sets it up: its manifest has no --$1"; }

# Sets etcd_data and etcd_bytes: its folder, which is the same in its container, and the size of its database.
etcd_here() {
    local servers=$root/etc/kubernetes/manifests/kube-apiserver.yaml
    if [[ ! -f $etcd_manifest ]]; then
        if [[ -f $servers ]] && servers=$(flag_of "$servers" etcd-servers); then
            refused "etcd is external (${servers:0:200}): whoever runs it there takes its snapshots, and it can be restored nowhere else"
        fi
        refused "no etcd of kubeadm's is on this node: /etc/kubernetes/manifests/etcd.yaml is not there"
    fi
    etcd_data=$(etcd_flag data-dir)
    [[ $etcd_data == /* && -f $root$etcd_data/member/snap/db ]] ||
        refused "this node's etcd is not as kubeadm sets it up: its data is not in ${etcd_data:0:200} on this node"
    etcd_bytes=$(stat -c %s -- "$root$etcd_data/member/snap/db")
    numbers "$etcd_bytes"
}

# FOLDER: room for a snapshot where etcd's container can write it, and where it is kept.
etcd_room() {
    local path place free wanted=$(((etcd_bytes >> 20) + 256))
    for path in "$etcd_data" "$1"; do
        place=$root$path
        while [[ ! -d ${place:-/} ]]; do place=${place%/*}; done
        free=$(df -BM --output=avail "${place:-/}" | sed -n '2{s/[^0-9]//g;p}')
        numbers "$free"
        ((free >= wanted)) || refused "the disk is full: $path has $free MiB free, an etcd snapshot needs $wanted MiB"
    done
}

# SECONDS: sets in_etcd to what runs a program in the container of etcd, for so long at most.
enter_etcd() {
    local socket found id
    socket=$(runtime_socket)
    case $(runtime_puller) in
    crictl)
        local crictl=(crictl --runtime-endpoint "unix://$socket")
        found=$("${crictl[@]}" ps --quiet --label io.kubernetes.container.name=etcd --label io.kubernetes.pod.namespace=kube-system) ||
            unreachable "the container runtime at $socket lists no containers"
        id=${found%%$'\n'*}
        in_etcd=(timeout --foreground "$1" "${crictl[@]}" exec --sync --timeout "$1" "$id")
        ;;
    ctr)
        local containers
        # Containers that have ended are among them.
        containers=$(ctr -n k8s.io containers ls -q 'labels."io.kubernetes.container.name"==etcd,labels."io.kubernetes.pod.namespace"==kube-system') ||
            unreachable "containerd lists no containers"
        found=$(ctr -n k8s.io tasks ls | awk '$3 == "RUNNING" { print $1 }')
        id=$(grep -m 1 -xF -- "${containers:-none}" <<<"$found") || id=
        in_etcd=(timeout --foreground "$1" ctr -n k8s.io tasks exec --exec-id "k8s-upgrade-$BASHPID-$RANDOM" "$id")
        ;;
    *) refused "no crictl is on this node: etcd's container at $socket cannot be entered" ;;
    esac
    [[ -n $id ]] || hold "no container of etcd runs on this node"
}

# Sets client to etcdctl as this node's member lets it in; it runs in etcd's container.
etcd_client() {
    local flag
    flag=$(etcd_flag listen-client-urls)
    client=(etcdctl "--endpoints=${flag%%,*}")
    flag=$(etcd_flag trusted-ca-file)
    client+=("--cacert=$flag")
    flag=$(etcd_flag cert-file)
    client+=("--cert=$flag")
    flag=$(etcd_flag key-file)
    client+=("--key=$flag")
}
