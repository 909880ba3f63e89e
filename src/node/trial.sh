# URL PATTERN MINOR TARGET ROLE [FINGERPRINT…] -- [FLAG…]: the target's own kubelet and kubeadm are asked whether they accept this node. They lie in a
# folder of ours while that lasts, and nothing of the node's own is changed. A key of a FINGERPRINT is acknowledged; the flags are kubeadm's.
url=$1 packages_pattern=$2 minor=$3 target=$4 role=$5
shift 5
acknowledged=()
while [[ $1 != -- ]]; do
    acknowledged+=("$1")
    shift
done
shift

trial=$state/trial leftovers=$root/etc/kubernetes/tmp
install -d -m 0700 "$state"
exec 9<"$state"
flock -w 60 9 || contended "another trial has been at work on this node for 60 s"
tidy() {
    local path
    # What a dry run of ours left beside the folder; what stood there before is somebody else's.
    if [[ -f $trial/before ]]; then
        for path in "$leftovers"/kubeadm-upgrade*dryrun* "$leftovers"/kubeadm-kubelet-config*; do
            if [[ -d $path ]] && ! grep -qxF -- "$path" "$trial/before"; then rm -rf -- "$path"; fi
        done
    fi
    rm -rf -- "$trial"
}
# One that was killed could not.
tidy
trap tidy EXIT
install -d -m 0700 "$trial"
need_space /var/lib/k8s-upgrade/trial 400

source=
while read -r of _ file; do
    if [[ $of == "$minor" && -z $source ]]; then source=$root$file; fi
done <<<"$(packages_minors)"
if [[ -z $source ]] && now=$(kubeadm version -o short 2>/dev/null) && [[ $now == "v$minor."* ]]; then
    # A source that nobody knows is taken as it is for a release of the minor version that is installed from it.
    strangers=$(packages_strangers) || failed "what offers kubeadm on this node is not known: its package manager cannot say"
    read -r _ file <<<"$strangers"
    if [[ -n $file && $file != - ]]; then source=$root$file; fi
fi
if [[ -n $source ]]; then
    where="its repository"
    packages_aside "$trial/packages" "$source"
    packages_refresh "$source"
else
    where="the repository $url" source=$trial/source.list
    fetch_key "$url" "$minor" "$trial/key.asc" "$trial/key.gpg" "${acknowledged[@]}"
    packages_propose "$url" "$trial/key.gpg" "$source"
    packages_aside "$trial/packages" "$source"
    packages_refresh "$source" unfit_key
fi
for package in kubeadm kubelet; do
    exact=$(offered "$package" "$target")
    [[ -n $exact ]] || hold "$where does not offer $package $target yet"
    say "fetching $package $exact"
    packages_download_into "$trial" "$package=$exact"
    archive=$(packages_archive "$package" "$exact" "$trial")
    packages_unpack "$archive" "$trial" "./usr/bin/$package" || failed "$package $exact cannot be unpacked"
    rm -f -- "$archive"
done
kubelet=$trial/usr/bin/kubelet kubeadm=$trial/usr/bin/kubeadm
now=$("$kubelet" --version) || refused "kubelet $target does not run on this node"
[[ $now == "Kubernetes v$target" ]] || failed "what its package calls kubelet $target says it is $now"
now=$("$kubeadm" version -o short) || refused "kubeadm $target does not run on this node"
[[ $now == "v$target" ]] || failed "what its package calls kubeadm $target says it is $now"

if [[ -e $root/sys/fs/cgroup/cgroup.controllers ]]; then
    echo "cgroup 2"
elif [[ -d $root/sys/fs/cgroup ]]; then
    echo "cgroup 1"
fi

# As its kubelet runs, and as its files would have it start the next time. A second kubelet is never started: --version ends it once it has read
# its flags.
kubelet_flags
for flag in "${flags[@]}"; do
    case $flag in --fail-cgroupv1=false | --fail-cgroupv1=0) echo "allows-cgroup-1" ;; esac
    if [[ $flag == --feature-gates=* ]]; then
        # --version ends before they are looked at.
        IFS=, read -r -a words <<<"${flag#*=}"
        for word in "${words[@]}"; do
            word=${word%%=*}
            if [[ $word =~ ^[A-Za-z][A-Za-z0-9]{0,127}$ ]]; then echo "gate $word"; fi
        done
    fi
    if [[ $flag == --config-dir=* ]] && grep -qsE '^[[:space:]]*"?failCgroupV1"?:[[:space:]]*false' -- "$root${flag#*=}"/*.conf; then
        echo "allows-cgroup-1"
    fi
done
told=
if ! all=$("$kubelet" "${flags[@]}" --version 2>&1); then
    for flag in "${flags[@]}"; do
        name=${flag%%=*}
        if [[ " $told " == *" $name "* ]] || said=$("$kubelet" "$flag" --version 2>&1); then continue; fi
        [[ $name =~ ^--[a-z][a-z0-9-]{0,127}$ ]] || refused "its kubelet is started with ${name:0:60}, which kubelet $target does not take"
        said=$(grep -m 1 . <<<"$said") || said=
        told+=" $name"
        echo "refuses $name ${said:0:300}"
        flag_lines "$name" | sed 's/^/set /'
    done
    [[ -n $told ]] || refused "kubelet $target does not take all flags of this node's kubelet: ${all:0:300}"
fi

# Its preflight looks at the kernel, the control groups and the runtime of whichever node it runs on.
case $role in
first) command=(upgrade apply "v$target" --dry-run --yes "$@") ;;
*) command=(upgrade node --dry-run "$@") ;;
esac
say "dry run of kubeadm $target"
printf '%s\n' "$leftovers"/kubeadm-upgrade*dryrun* "$leftovers"/kubeadm-kubelet-config* >"$trial/before"
status=0
KUBEADM_UPGRADE_DRYRUN_DIR=$trial/dry-run "$kubeadm" "${command[@]}" >"$trial/printed" 2>"$trial/notes" || status=$?
if ((status != 0)); then
    kubeadm_objects "$trial/notes" "kubeadm ${command[*]}" ||
        refused "kubeadm $target would fail here: its dry run ended with exit $status"
fi
echo tried
