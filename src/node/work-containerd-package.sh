# VERSION: containerd's package; its configuration stays. The hold, if it had one, comes back: it is noted before it is dropped.
version=$1
package=
for name in containerd containerd.io; do
    if installed "$name"; then package=$name; fi
done
[[ -n $package ]] || refused "containerd is not installed as a package on this node"
noted=$state/held-$package

wait_for_locks
audit=$(dpkg --audit)
if [[ -n $audit ]]; then
    say "an earlier installation was cut: repairing"
    run_apt "dpkg --configure -a" dpkg --force-confold --configure -a
fi
held=$(apt-mark showhold)
if grep -qxF -- "$package" <<<"$held"; then : | write_durably "$noted" 0600; fi
if at_version "$package" "$version"; then
    say "$package is at $version"
else
    exact=$(offered "$package" "$version")
    if [[ -z $exact ]]; then run_apt "refreshing the package lists" apt_get update; fi
    exact=$(revision "$package" "$version")
    install_exact "$package=$exact"
fi
if [[ -e $noted ]]; then
    apt-mark hold "$package" >&2
    rm -f -- "$noted"
fi
at_version "$package" "$version" || failed "$package is $(package_state "$package") after its installation"
systemctl daemon-reload
systemctl restart containerd
wait_active containerd
wait_active kubelet
