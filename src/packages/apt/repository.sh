# A source of packages and its key, each a file of apt; repository.sh of the node's scripts puts them to use.
packages_key=/etc/apt/keyrings/kubernetes-apt-keyring.gpg
packages_source=/etc/apt/sources.list.d/kubernetes.list
# Beside the real ones, so that a rename is atomic; under names that apt reads only when told to. The sandbox of apt must be able
# to read the key: no private folder.
packages_new_key=/etc/apt/keyrings/kubernetes-apt-keyring.new.gpg
packages_new_source=/etc/apt/kubernetes.new.list

# The keyrings by which apt proves what it has of a Kubernetes repository now.
packages_keyrings() { apt_entries | awk '$1 != "-" && $4 != "-" { print $4 }' | tr ',' '\n' | sort -u; }

# KEYRING URL: such a source, in one line. apt would take a percent sign for the beginning of one character.
apt_line() { printf 'deb [signed-by=%s] %s/ /\n' "$1" "${2//%/%25}"; }

# URL KEY SOURCE: writes a source of it that trusts that key alone, beside those in force.
packages_propose() {
    apt_line "$2" "$1" >"$3"
    chmod 0644 "$3"
}

# PACKAGE: its versions in the list of that source alone.
packages_proposed() { packages_available "$1" -o Dir::Etc::sourcelist="$root$packages_new_source" -o Dir::Etc::sourceparts=-; }

# URL: the new key and source are put in force, and every other entry of a Kubernetes repository is taken out.
packages_adopt() {
    local files file entries rest minor from to of cut
    apt_line "$packages_key" "$1" >"$root$packages_new_source"
    mv -f -- "$root$packages_new_key" "$root$packages_key"
    mv -f -- "$root$packages_new_source" "$root$packages_source"
    files=$(packages_sources) || return
    entries=$(apt_entries) || return
    while IFS= read -r file; do
        if [[ -z $file || $file == "$root$packages_source" ]]; then continue; fi
        cut=
        while read -r minor from to _ _ of; do
            if [[ $minor != - && $root$of == "$file" ]]; then cut+="$from $to "; fi
        done <<<"$entries"
        rest=$(awk -v cut="$cut" '
            BEGIN { count = split(cut, lines) }
            { for (i = 1; i < count; i += 2) if (NR >= lines[i] + 0 && NR <= lines[i + 1] + 0) next; print }' "$file")
        say "taking the former entry out of ${file#"$root"}"
        if [[ -n ${rest//[[:space:]]/} || $file == */sources.list ]]; then
            printf '%s\n' "$rest" >"$file.new"
            chmod --reference="$file" "$file.new"
            mv -f -- "$file.new" "$file"
        else
            rm -f -- "$file"
        fi
    done <<<"$files"
}
