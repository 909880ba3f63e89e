# FOLDER NAME NODE KEEP LIMIT: a snapshot of this node's etcd by that name, unless a whole one is there; then the oldest of NODE go until KEEP are
# left. No program in etcd's container may take longer than LIMIT seconds.
folder=$1 name=$2 node=$3 keep=$4 limit=$5
numbers "$keep" "$limit"
file=$root$folder/$name
etcd_here
exec 9<"$root$etcd_data"
flock -w 60 9 || contended "another snapshot of this node's etcd has been in the making for 60 s"
part=$etcd_data/k8s-upgrade-snapshot-$$.db moved=$root$folder/.k8s-upgrade-snapshot.new
tidy() { rm -f -- "$root$etcd_data"/k8s-upgrade-snapshot-* "$moved"; }
# One that was killed could not.
tidy
trap tidy EXIT

kind=other
if [[ -f $file ]]; then snapshot_kind "$file"; fi
if [[ $kind != whole ]]; then
    etcd_room "$folder"
    enter_etcd "$limit"
    etcd_client
    # Most members answer to this, and this one catches up with them first.
    said=$("${in_etcd[@]}" "${client[@]}" --command-timeout=30s --write-out=json get k8s-upgrade 2>&1) ||
        unreachable "etcd does not answer: ${said:0:300}"
    [[ $said =~ \"revision\":([0-9]+) ]] || failed "etcd's answer has no revision: ${said:0:300}"
    before=${BASH_REMATCH[1]}
    say "taking a snapshot of etcd, $((etcd_bytes >> 20)) MiB"
    said=$("${in_etcd[@]}" "${client[@]}" snapshot save "$part" 2>&1) || failed "etcdctl has saved no snapshot: ${said:0:300}"
    # Whoever etcd runs as: it holds every Secret of the cluster.
    if [[ ! -O $root$part ]]; then chown 0:0 -- "$root$part"; fi
    chmod 0600 -- "$root$part"
    said=$("${in_etcd[@]}" etcdutl --write-out=json snapshot status "$part" 2>&1) ||
        failed "etcdutl finds the snapshot unsound: ${said:0:300}"
    [[ $said =~ \"hash\":([0-9]+),\"revision\":([0-9]+) ]] || failed "etcdutl's answer has no hash: ${said:0:300}"
    hash=${BASH_REMATCH[1]} revision=${BASH_REMATCH[2]}
    numbers "$before" "$revision"
    ((revision >= before)) || failed "the snapshot is of revision $revision, and etcd was at $before when it began"
    snapshot_kind "$root$part"
    [[ $kind == whole ]] || failed "the snapshot does not end with the hash of what it holds"
    # Off etcd's disk, and by its name once it is whole where it stays.
    install -d -m 0700 -- "${moved%/*}"
    mv -f -- "$root$part" "$moved"
    sync -- "$moved"
    mv -f -- "$moved" "$file"
    sync -- "${file%/*}"
    echo "made $revision $hash"
fi
bytes=$(stat -c %s -- "$file")

kept=1
listed=$(find "$root$folder" -mindepth 1 -maxdepth 1 -type f -printf '%T@ %f\n' | sort -rn)
while read -r _ old; do
    # None but those that were named here, of this node: a copy of another control plane's is somebody's.
    if [[ $old != "$name" && $old =~ ^k8s-upgrade-[0-9]+\.[0-9]+\.[0-9]+-[0-9a-f]{8}-(.+)\.db$ && ${BASH_REMATCH[1]} == "$node" ]]; then
        kept=$((kept + 1))
        if ((kept > keep)); then
            say "deleting the snapshot $old: $keep are kept"
            rm -f -- "$root$folder/$old"
        fi
    fi
done <<<"$listed"
echo "snapshot $bytes $folder/$name"
