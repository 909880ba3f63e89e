# TARGET apply|node FLAGS…: kubeadm's own upgrade of this node. It may run again after any end: what is done already it skips.
target=$1 verb=$2
shift 2
now=$(kubeadm version -o short)
[[ $now == "v$target" ]] || failed "kubeadm on this node is $now, not v$target: its package comes first"

# Every run leaves a copy of etcd's data and of the manifests; the newest of each kind stays as evidence.
leftovers=$root/etc/kubernetes/tmp
for kind in 'kubeadm-backup-etcd-*' 'kubeadm-backup-manifests-*' 'kubeadm-upgraded-manifests*'; do
    if [[ ! -d $leftovers ]]; then continue; fi
    find "$leftovers" -mindepth 1 -maxdepth 1 -type d -name "$kind" -printf '%T@ %p\n' | sort -n | head -n -1 | cut -d ' ' -f 2- |
        while IFS= read -r old; do
            say "removing the leftover ${old#"$root"}"
            rm -rf -- "$old"
        done
done
if [[ -d $root/var/lib/etcd ]]; then
    size=$(du -sm "$root/var/lib/etcd" | cut -f 1)
    numbers "$size"
    need_space /etc/kubernetes/tmp "$((size + 200))"
fi

# For a way back: as the kubelet was configured at its former release. Once its package is at the target, it no longer is.
if ! at_version kubelet "$target"; then
    former=$(packages_state kubelet)
    former=${former#* } copy=$state/former-${former%%-*}
    if [[ ! -d $copy ]]; then
        rm -rf -- "$state"/former-*
        mkdir -p -- "$copy.new"
        for file in "${kubelet_files[@]}"; do
            if [[ -e $root/var/lib/kubelet/$file ]]; then cp -p -- "$root/var/lib/kubelet/$file" "$copy.new/$file"; fi
        done
        sync
        mv -- "$copy.new" "$copy"
    fi
fi

case $verb in
apply) command=(kubeadm upgrade apply "v$target" -y "$@") ;;
node) command=(kubeadm upgrade node "$@") ;;
*) failed "kubeadm upgrade $verb is not known" ;;
esac
# kubeadm names its copies by the second, and fails where such a one is there already: a run may follow another within one.
while compgen -G "$leftovers/kubeadm-*-$(date +%Y-%m-%d-%H-%M-%S)" >/dev/null; do sleep 0.1; done
say "${command[*]}"
status=0
"${command[@]}" || status=$?
((status == 0)) || failed "kubeadm upgrade $verb failed (exit $status)"
