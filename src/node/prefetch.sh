# TARGET ROLE REPOSITORY DNS_REPOSITORY DNS_TAG ETCD_REPOSITORY ETCD_TAG WITHOUT…: packages and images of the target, so that nothing is
# waited for later. What is empty is as kubeadm has it; images named in WITHOUT are not needed in this cluster.
target=$1 role=$2 image_repository=$3
of_coredns=("$4" "$5") of_etcd=("$6" "$7")
shift 7
names=$(kubernetes_packages)
packages=()
for package in $names; do
    exact=$(revision "$package" "$target")
    packages+=("$package=$exact")
    echo "package $package $exact"
done
((${#packages[@]} > 0)) || refused "kubeadm and kubelet are not installed as packages on this node"

held=$(packages_held)
need_space "$packages_cache" 300
packages_wait
say "downloading ${packages[*]}"
packages_download "${packages[@]}"
now_held=$(packages_held)
if [[ $now_held != "$held" ]]; then
    mapfile -t lost < <(comm -23 <(sort <<<"$held") <(sort <<<"$now_held"))
    packages_hold "${lost[@]}"
fi

# The target's own kubeadm knows the images; it is in the package just downloaded, unless it is installed already.
kubeadm=kubeadm
if ! at_version kubeadm "$target"; then
    exact=$(revision kubeadm "$target")
    archive=$(packages_archive kubeadm "$exact")
    # Not in /tmp, from which hardened nodes run nothing.
    install -d -m 0700 "$state"
    unpacked=$(mktemp -d -p "$state")
    trap 'rm -rf "$unpacked"' EXIT
    packages_unpack "$archive" "$unpacked" ./usr/bin/kubeadm
    kubeadm=$unpacked/usr/bin/kubeadm
fi
from=()
if [[ -n $image_repository ]]; then from=(--image-repository "$image_repository"); fi
wanted=$("$kubeadm" config images list --kubernetes-version "v$target" "${from[@]}")
if [[ $role == worker ]]; then wanted=$(grep -E '/(kube-proxy|pause):' <<<"$wanted"); fi

# IMAGE REPOSITORY TAG: the image, from there and with that tag where they are given.
instead() {
    local name=${1##*/}
    echo "${2:-${1%/*}}/${name%%:*}:${3:-${name##*:}}"
}
wanted=$(while IFS= read -r image; do
    name=${image##*/}
    name=${name%%:*}
    if [[ " $* " == *" $name "* ]]; then continue; fi
    case $name in
    coredns) instead "$image" "${of_coredns[@]}" ;;
    etcd) instead "$image" "${of_etcd[@]}" ;;
    *) echo "$image" ;;
    esac
done <<<"$wanted")

socket=$(runtime_socket)
case $(runtime_puller) in
crictl) pull=(crictl --runtime-endpoint "unix://$socket" pull) ;;
ctr) pull=(ctr -n k8s.io images pull) ;;
*) refused "no crictl is on this node: images cannot be pulled for the runtime at $socket" ;;
esac
have_images=
if [[ $socket == */containerd.sock ]] && command -v ctr >/dev/null; then have_images=$(ctr -n k8s.io images ls -q); fi
# IMAGE
there() { grep -qxF -- "$1" <<<"$have_images" || { [[ ${pull[0]} == crictl ]] && "${pull[@]:0:3}" inspecti "$1" &>/dev/null; }; }
while IFS= read -r image; do
    if [[ -z $image ]]; then continue; fi
    if there "$image"; then
        echo "present $image"
        continue
    fi
    say "pulling $image"
    if output=$("${pull[@]}" "$image" 2>&1); then
        echo "pulled $image"
    else
        tail -n 4 <<<"$output" >&2
        case $output in
        *'no space left on device'*) refused "the disk is full: image $image cannot be stored" ;;
        *) unreachable "image $image cannot be pulled" ;;
        esac
    fi
done <<<"$wanted"
