# PATH: size, age and hash of a file, and whether it is a whole etcd snapshot.
path=$1
[[ $path == /* ]] || refused "the snapshot's path is not absolute: $path"
if [[ ! -f $root$path ]]; then
    echo absent
    exit 0
fi
file=$root$path
read -r bytes at < <(stat -c '%s %Y' -- "$file")
numbers "$bytes" "$at"
sum=$(sha256sum <"$file")
snapshot_kind "$file"
echo "snapshot $bytes $at $kind ${sum%% *}"
