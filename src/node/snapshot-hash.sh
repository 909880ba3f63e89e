# PATH: size, age and hash of a file, and whether it is a whole etcd snapshot: `etcdctl snapshot save` ends it with the sha256 of all before.
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

# etcd's own file begins with a page of bbolt, whose magic stands behind the page's head.
kind=other
if [[ $(od -An -tx1 -j16 -N4 -- "$file" 2>/dev/null | tr -d ' \n') == edda0ced ]]; then
    kind=torn
    if ((bytes % 512 == 32)); then
        own=$(head -c -32 -- "$file" | sha256sum)
        last=$(tail -c 32 -- "$file" | od -An -v -tx1 | tr -d ' \n')
        if [[ ${own%% *} == "$last" ]]; then kind=whole; fi
    fi
fi
echo "snapshot $bytes $at $kind ${sum%% *}"
