# TARGET: kubeadm's package, exactly.
target=$1
packages_wait
# kubelet and kubectl may be taken to the target only once kubeadm is there: before, the control plane is still the former one.
if at_version kubeadm "$target"; then repair "$target" kubeadm kubelet kubectl; else repair "$target" kubeadm; fi
hold_kubernetes
if at_version kubeadm "$target"; then
    say "kubeadm is at $target"
else
    exact=$(revision kubeadm "$target")
    install_exact "kubeadm=$exact"
    hold_kubernetes
fi
at_version kubeadm "$target" || failed "kubeadm's package is $(packages_state kubeadm) after its installation"
now=$(kubeadm version -o short)
[[ $now == "v$target" ]] || failed "kubeadm says it is $now though its package is $target: another kubeadm stands first in PATH"
