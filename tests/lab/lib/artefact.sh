# shellcheck shell=bash
# The build cache: every artefact is a folder named by a hash of all that it is built from.
# It is built under a temporary name and renamed when complete, so an interrupted build
# is never taken for a good one.

# artefact_path NAME KEY
artefact_path() { echo "$LAB_CACHE/$1/$2"; }

# artefact NAME KEY BUILDER [ARGS…]: makes sure that it exists. BUILDER is called as BUILDER OUT ARGS…
artefact() {
	local name=$1 key=$2 builder=$3 path tmp
	shift 3
	path=$(artefact_path "$name" "$key")
	if [ -d "$path" ]; then
		touch "$path"
		return 0
	fi
	(
		mkdir -p "$LAB_CACHE/tmp" "$LAB_CACHE/$name"
		exec 8>"$LAB_CACHE/tmp/$name.lock"
		flock 8
		[ ! -d "$path" ] || exit 0
		tmp=$LAB_CACHE/tmp/$name
		rm -rf --one-file-system "$tmp"
		mkdir "$tmp"
		if ! "$LAB_SELF" __call "$builder" "$tmp" "$@" >"$tmp.log" 2>&1 8>&-; then
			tail -n 20 "$tmp.log" >&2
			die "building $name failed; the whole output is in $tmp.log" "what was built before stays in $LAB_CACHE" "$LAB_SELF prefetch"
		fi
		mv "$tmp" "$path"
		rm -f "$tmp.log"
		artefact_forget "$name"
	)
}

# Old builds of an artefact go when nobody has used them for a day or two.
artefact_forget() {
	local old
	find "$LAB_CACHE/$1" -mindepth 1 -maxdepth 1 -type d -mtime +1 | while read -r old; do
		if ! grep -qF "$old" /proc/*/mountinfo 2>/dev/null; then
			rm -rf --one-file-system "$old"
		fi
	done
}

# hash_of WORD…: a short hash of words; of files with hash_files FILE…
hash_of() { printf '%s\n' "$@" | sha256sum | cut -c1-16; }
hash_files() { cat "$@" | sha256sum | cut -c1-16; }
