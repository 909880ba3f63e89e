echo "boot-id $(boot_id)"
echo "kernel $(uname -r)"

if command -v dpkg-query >/dev/null; then
    # dpkg-query ends with 1 when it does not know one of the names: an answer.
    known=$(dpkg-query -W -f='${Package} ${db:Status-Abbrev}\t${Version}\n' kubeadm kubelet kubectl containerd containerd.io 2>/dev/null) || [[ $? == 1 ]]
    while IFS=$'\t' read -r name_letters version; do
        read -r name letters <<<"$name_letters"
        if [[ -n $version ]]; then echo "package $name ${letters// /} $version"; fi
    done <<<"$known"
    apt-mark showhold | sed 's/^/hold /'
    dpkg --audit | sed 's/^/audit /'
fi

for path in /var/cache/apt /usr /etc/kubernetes /var/lib/etcd; do
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

for file in "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/*.list "$root"/etc/apt/sources.list.d/*.sources; do
    if [[ -f $file ]]; then
        # The name of a file is no part of a sed script, which may run commands.
        sed -nE '/^[[:space:]]*#/d; s|.*/core:/stable:/v([0-9]+\.[0-9]+)/.*|\1|p' "$file" |
            while IFS= read -r minor; do echo "source $minor ${file#"$root"}"; done
    fi
done

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
echo "work $(work_state)"
