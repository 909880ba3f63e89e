# TARGET ROLE IMAGE_REPOSITORY: packages and images of the target, so that nothing is waited for later.
target=$1 role=$2 image_repository=$3
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

have_images=
if command -v ctr >/dev/null; then have_images=$(ctr -n k8s.io images ls -q); fi
while IFS= read -r image; do
    if grep -qxF -- "$image" <<<"$have_images"; then
        echo "present $image"
        continue
    fi
    say "pulling $image"
    if command -v crictl >/dev/null; then
        pull=(crictl --runtime-endpoint unix:///run/containerd/containerd.sock pull "$image")
    elif command -v ctr >/dev/null; then
        pull=(ctr -n k8s.io images pull "$image")
    else
        refused "neither crictl nor ctr is on this node: images cannot be pulled"
    fi
    if output=$("${pull[@]}" 2>&1); then
        echo "pulled $image"
    else
        tail -n 4 <<<"$output" >&2
        case $output in
        *'no space left on device'*) refused "the disk is full: image $image cannot be stored" ;;
        *) unreachable "image $image cannot be pulled" ;;
        esac
    fi
done <<<"$wanted"
