# VERSION: containerd's package; its configuration stays. The hold, if it had one, comes back: it is noted before it is dropped.
version=$1
package=
for name in containerd containerd.io; do
    if installed "$name"; then package=$name; fi
done
[[ -n $package ]] || refused "containerd is not installed as a package on this node"
noted=$state/held-$package

packages_wait
audit=$(packages_broken)
if [[ -n $audit ]]; then
    say "an earlier installation was cut: repairing"
    packages_finish
fi
held=$(packages_held)
if grep -qxF -- "$package" <<<"$held"; then : | write_durably "$noted" 0600; fi
if at_version "$package" "$version"; then
    say "$package is at $version"
else
    exact=$(offered "$package" "$version")
    if [[ -z $exact ]]; then packages_refresh_all; fi
    exact=$(revision "$package" "$version")
    install_exact "$package=$exact"
fi
if [[ -e $noted ]]; then
    packages_hold "$package"
    rm -f -- "$noted"
fi
at_version "$package" "$version" || failed "$package is $(packages_state "$package") after its installation"
systemctl daemon-reload
systemctl restart containerd
wait_active containerd
wait_active kubelet
