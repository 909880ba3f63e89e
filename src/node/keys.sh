# The SSH user's authorized_keys. A line is a key's if one of its words is the key's base64; comments and blank lines are nobody's.
mark=k8s-upgrade-key

# USER: sets home, owner and file. A link is followed: what is replaced is what it points to.
find_keys() {
    local entry uid gid
    entry=$(getent passwd "$1") || refused "this node has no user $1"
    IFS=: read -r _ _ uid gid _ home _ <<<"$entry"
    owner=$uid:$gid home=$root$home file=$home/.ssh/authorized_keys
    if [[ -L $file ]]; then file=$(readlink -f -- "$file"); fi
    new=$file.k8s-upgrade
}

# One at a time: who reads, edits and replaces a file must be alone with it.
lock_keys() {
    install -d -m 0700 "$state"
    exec 9>"$state/keys.lock"
    flock -w 30 9 || contended "somebody else is editing $file"
}

# [FILE]: the one that is edited, unless another is named.
lines() { if [[ -e ${1:-$file} ]]; then cat -- "${1:-$file}"; fi; }
# BASE64 [FILE]: the file has that key. The answer is a word: a reader that was killed gives none, which is no "no".
has_key() {
    local there
    there=$(lines "${2:-}" | awk -v key="$1" '
        /^[ \t]*#/ { next }
        { sub(/\r$/, ""); for (i = 1; i <= NF; i++) if ($i == key) found = 1 }
        END { print found ? "yes" : "no" }') || failed "${2:-$file} cannot be searched for a key"
    [[ $there == yes ]]
}
count() { lines | awk '!/^[ \t]*(#|$)/ { n++ } END { print n + 0 }'; }

# Standard input is what the file is to be, with the owner, mode and labels that it had. put_keys may follow once all who wrote it have
# ended well: a pipe's reader cannot tell a writer that was killed from one that is done.
stage_keys() {
    rm -f -- "$new"
    if [[ -e $file ]]; then
        cp -a -- "$file" "$new"
    else
        if [[ ! -d ${file%/*} ]]; then install -d -m 0700 -o "${owner%:*}" -g "${owner#*:}" -- "${file%/*}"; fi
        install -m 0600 -o "${owner%:*}" -g "${owner#*:}" -- /dev/null "$new"
    fi
    cat >"$new"
}
# What was staged takes the file's place, whole or not at all.
put_keys() {
    sync -- "$new"
    mv -f -- "$new" "$file"
    sync -- "${file%/*}"
}
