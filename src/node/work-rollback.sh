# FORMER PACKAGE=REVISION…: a worker goes back to the release FORMER. Every part may be done again after any end.
former=$1
shift
packages_allow_downgrades
copy=$state/former-$former
if [[ ! -d $copy ]] && ! at_version kubelet "$former"; then
    refused "there is no copy of the kubelet's configuration of before: put one at $copy/config.yaml" \
        "(kubeadm's own copies: /etc/kubernetes/tmp/kubeadm-kubelet-config*)"
fi
packages_wait

# Read by the kubelet when it starts: first, so that no end between leaves the former kubelet with a newer configuration.
for file in "${kubelet_files[@]}"; do
    if [[ -e $copy/$file ]]; then
        say "the kubelet's $file is as it was at $former"
        cp -p -- "$copy/$file" "$root/var/lib/kubelet/$file.new"
        sync
        mv -f -- "$root/var/lib/kubelet/$file.new" "$root/var/lib/kubelet/$file"
    fi
done

repair "$former" kubeadm kubelet kubectl
hold_kubernetes
wanted=()
for package in "$@"; do
    now=$(packages_state "${package%%=*}")
    if [[ -n $now && ${now#* } != "${package#*=}" ]]; then wanted+=("$package"); fi
done
if ((${#wanted[@]} > 0)); then
    install_exact "${wanted[@]}"
    hold_kubernetes
fi
at_version kubelet "$former" || failed "kubelet's package is $(packages_state kubelet) after its installation"

restart_kubelet "$former"
