# TARGET apply|node FLAGS…: kubeadm's own upgrade of this node. It may run again after any end: what is done already it skips.
target=$1 verb=$2
shift 2
now=$(kubeadm version -o short)
[[ $now == "v$target" ]] || failed "kubeadm on this node is $now, not v$target: its package comes first"

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

# Every run of kubeadm leaves copies of etcd's data and of the manifests. Of each kind the newest stays, and of those that this upgrade has made, which
# are newer than the copy of the kubelet's configuration, the first: it alone is of before.
leftovers=$root/etc/kubernetes/tmp since=
for copy in "$state"/former-*; do
    if [[ -d $copy ]]; then since=$copy; fi
done
gone=0 freed=0
for kind in 'backup-etcd-[0-9-]+' 'backup-manifests-[0-9-]+' 'upgraded-manifests[0-9]+'; do
    if [[ ! -d $leftovers ]]; then continue; fi
    made=() first=
    listed=$(find "$leftovers" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %f\n' | sort -n)
    while read -r _ old; do
        if [[ $old =~ ^kubeadm-$kind$ ]]; then made+=("$leftovers/$old"); fi
    done <<<"$listed"
    left=${#made[@]}
    for old in "${made[@]}"; do
        left=$((left - 1))
        if ((left == 0)); then break; fi
        if [[ -z $first && -n $since && $old -nt $since ]]; then
            first=$old
            continue
        fi
        size=$(du -sm -- "$old" | cut -f 1)
        numbers "$size"
        rm -rf -- "$old"
        gone=$((gone + 1)) freed=$((freed + size))
    done
done
if ((gone > 0)); then say "removed $gone leftovers of earlier upgrades from /etc/kubernetes/tmp: $freed MiB"; fi
if [[ -d $root/var/lib/etcd ]]; then
    size=$(du -sm "$root/var/lib/etcd" | cut -f 1)
    numbers "$size"
    need_space /etc/kubernetes/tmp "$((size + 200))"
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
