# FOLDER: static pods as their manifests have them, and what is kept of the node's past: kubeadm's copies, the kubelet's former
# configuration, restore cards, and the newest snapshots in FOLDER (empty: none is looked for).
folder=$1

since() { date -u -r "$1" +%Y-%m-%dT%H:%M:%SZ; }
# The first image that a manifest names; - where there is none, or what stands there is no image.
image() {
    local found
    found=$(sed -nE '/^[[:space:]]*(- )?image:[[:space:]]*/{s///;s/["[:space:]]//g;p;q}' "$1")
    if [[ $found =~ ^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}$ ]]; then echo "$found"; else echo -; fi
}

for file in "$root"/etc/kubernetes/manifests/*.yaml; do
    if [[ -f $file ]]; then
        name=${file##*/}
        echo "static-pod $(image "$file") ${name%.yaml}"
    fi
done
# Its member of etcd, as the manifest names it; whoever restores it has put that aside.
for file in "$root"/etc/kubernetes/manifests/etcd.yaml "$root"/root/manifests/etcd.yaml; do
    if [[ -f $file ]]; then
        url=$(sed -nE 's/^ *- --initial-advertise-peer-urls=(https?:[][/A-Za-z0-9.:-]{1,300})$/\1/p' "$file")
        name=$(sed -nE 's/^ *- --name=([a-z0-9.-]{1,253})$/\1/p' "$file")
        if [[ -n $url && -n $name ]]; then echo "peer $url $name"; fi
        break
    fi
done
for copy in "$root"/etc/kubernetes/tmp/kubeadm-backup-manifests-*; do
    for file in "$copy"/*.yaml; do
        if [[ -f $file ]]; then
            # kubeadm moves the file there: its own time is older than the copy's.
            echo "manifest $(image "$file") $(since "$copy") ${file#"$root"}"
        fi
    done
done
for copy in "$root"/etc/kubernetes/tmp/kubeadm-backup-etcd-*; do
    if [[ -d $copy ]]; then echo "etcd-data $(since "$copy") ${copy#"$root"}"; fi
done
for copy in "$state"/former-*; do
    if [[ -d $copy ]]; then echo "former ${copy#"$state"/former-} ${copy#"$root"}"; fi
done

newest=
for card in "$state"/restore-*.txt; do
    if [[ -f $card && (-z $newest || $card -nt $newest) ]]; then newest=$card; fi
done
if [[ -n $newest ]]; then
    echo "card $(since "$newest") ${newest#"$root"}"
    sed 's/^/card-line /' "$newest"
fi

if [[ -n $folder && -d $root$folder ]]; then
    find "$root$folder" -mindepth 1 -maxdepth 1 -type f -printf '%T@ %s %p\n' | sort -rn | sed -n '1,5p' |
        while read -r _ bytes file; do echo "snapshot $bytes $(since "$file") ${file#"$root"}"; done
fi
