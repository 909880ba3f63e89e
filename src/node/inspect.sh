# [PATTERN]: how the settings write the URL of a repository, with {minor} in it.
packages_pattern=${1:-}
echo "boot-id $(boot_id)"
echo "kernel $(uname -r)"

if packages_here; then
    packages_list kubeadm kubelet kubectl containerd containerd.io | sed 's/^/package /'
    packages_held | sed 's/^/hold /'
    packages_broken | sed 's/^/audit /'
fi

for path in "$packages_cache" /usr /etc/kubernetes /var/lib/etcd; do
    if [[ -d $root$path ]]; then
        free=$(df -B1 --output=avail "$root$path" | sed -n '2{s/[^0-9]//g;p}')
        echo "free $free $path"
    fi
done

if command -v systemctl >/dev/null; then
    # is-active ends with 3 when it is not: an answer, which it prints.
    active=$(systemctl is-active kubelet) || [[ $? == [34] ]]
    echo "kubelet ${active:-unknown}"
else
    echo "kubelet unknown"
fi
if command -v kubeadm >/dev/null; then
    # A half-installed kubeadm may not run: then there is none.
    if version=$(kubeadm version -o short 2>/dev/null); then echo "kubeadm $version"; fi
fi

packages_minors | sed 's/^/source /'
if packages_here; then
    # What cannot be said now is asked again before a repository is changed.
    { packages_strangers 2>/dev/null || true; } | sed 's/^/stranger /'
fi
keys_in_force | sort -u | sed 's/^/key /'

for file in "$root"/etc/kubernetes/manifests/*; do
    if [[ -f $file && $file != *.yaml ]]; then echo "stray ${file#"$root"}"; fi
done
if [[ -d $root/etc/kubernetes/tmp ]]; then
    du -sb "$root/etc/kubernetes/tmp" | sed -n 's|^\([0-9]*\).*|leftovers \1|p'
fi
if [[ -f $root/var/lib/kubelet/config.yaml ]]; then
    sed 's/^/kubelet-config /' "$root/var/lib/kubelet/config.yaml"
    echo
fi
echo "runtime $(runtime_puller) $(runtime_socket)"
echo "work $(work_state)"
