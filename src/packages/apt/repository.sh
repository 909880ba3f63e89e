# A source of packages and its key, each a file of apt; repository.sh of the node's scripts puts them to use.
packages_key=/etc/apt/keyrings/kubernetes-apt-keyring.gpg
packages_source=/etc/apt/sources.list.d/kubernetes.list
# Beside the real ones, so that a rename is atomic; under names that apt reads only when told to. The sandbox of apt must be able
# to read the key: no private folder.
packages_new_key=/etc/apt/keyrings/kubernetes-apt-keyring.new.gpg
packages_new_source=/etc/apt/kubernetes.new.list

# The keyrings by which apt proves what it has of a Kubernetes repository now.
packages_keyrings() {
    local file entries
    while IFS= read -r file; do
        case $file in
        '') continue ;;
        *.sources) entries=$(awk 'BEGIN { RS = "" } /\/core:\/stable:\/v[0-9]/' "$file") ;;
        *) entries=$(grep -E '^[^#]*/core:/stable:/v[0-9]' "$file") ;;
        esac
        sed -nE 's/.*[Ss]igned-[Bb]y[=:][[:space:]]*([^][:space:]]+).*/\1/p' <<<"$entries" | tr ',' '\n'
    done <<<"$(packages_sources)"
}

# URL KEY SOURCE: writes a source of it that trusts that key alone, beside those in force.
packages_propose() {
    printf 'deb [signed-by=%s] %s/ /\n' "$2" "$1" >"$3"
    chmod 0644 "$3"
}

# PACKAGE: its versions in the list of that source alone.
packages_proposed() { packages_available "$1" -o Dir::Etc::sourcelist="$root$packages_new_source" -o Dir::Etc::sourceparts=-; }

# URL: the new key and source are put in force, and every other entry of the same repository is taken out.
packages_adopt() {
    local file rest
    printf 'deb [signed-by=%s] %s/ /\n' "$packages_key" "$1" >"$root$packages_new_source"
    mv -f -- "$root$packages_new_key" "$root$packages_key"
    mv -f -- "$root$packages_new_source" "$root$packages_source"
    while IFS= read -r file; do
        if [[ -z $file || $file == "$root$packages_source" ]]; then continue; fi
        case $file in
        *.sources) rest=$(awk 'BEGIN { RS = ""; ORS = "\n\n" } !/\/core:\/stable:\/v[0-9]/' "$file") ;;
        *) rest=$(grep -vE '^[^#]*/core:/stable:/v[0-9]' "$file" || true) ;;
        esac
        say "taking the former entry out of ${file#"$root"}"
        if [[ -n ${rest//[[:space:]]/} || $file == */sources.list ]]; then
            printf '%s\n' "$rest" >"$file.new"
            chmod --reference="$file" "$file.new"
            mv -f -- "$file.new" "$file"
        else
            rm -f -- "$file"
        fi
    done <<<"$(packages_sources)"
}
