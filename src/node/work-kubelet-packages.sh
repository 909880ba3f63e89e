# TARGET: the packages of kubelet and, where installed, kubectl; then the kubelet's restart. The restart comes always: a crash between
# the package and the restart leaves the former kubelet running, and packages cannot tell.
target=$1
now=$(kubeadm version -o short)
[[ $now == "v$target" ]] || failed "kubeadm on this node is $now, not v$target: the kubelet must not pass it"
packages_wait
repair "$target" kubeadm kubelet kubectl
hold_kubernetes
packages=$(kubernetes_packages)
wanted=()
for package in $packages; do
    if [[ $package != kubeadm ]] && ! at_version "$package" "$target"; then
        exact=$(revision "$package" "$target")
        wanted+=("$package=$exact")
    fi
done
if ((${#wanted[@]} > 0)); then
    install_exact "${wanted[@]}"
    hold_kubernetes
fi
at_version kubelet "$target" || failed "kubelet's package is $(packages_state kubelet) after its installation"

restart_kubelet "$target"
