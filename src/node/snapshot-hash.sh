# PATH: size and hash of a file.
path=$1
[[ $path == /* ]] || refused "the snapshot's path is not absolute: $path"
if [[ ! -f $root$path ]]; then
    echo absent
    exit 0
fi
sum=$(sha256sum <"$root$path")
echo "snapshot $(stat -c %s -- "$root$path") ${sum%% *}"
