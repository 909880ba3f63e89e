# URL PATTERN MINOR TARGET [FINGERPRINT…]: the repository of that minor, its key and its list proved before they replace the former ones. PATTERN is
# how the settings write the URL, with {minor} in it. A key of a FINGERPRINT is acknowledged, whatever is in force.
url=$1 packages_pattern=$2 minor=$3 target=$4
shift 4
armored=$(mktemp)
trap 'rm -f "$armored" "$root$packages_new_key" "$root$packages_new_source"' EXIT

install -d -m 0755 "$root${packages_key%/*}" "$root${packages_source%/*}"
fetch_key "$url" "$minor" "$armored" "$root$packages_new_key" "$@"
chmod 0644 "$root$packages_new_key"
packages_propose "$url" "$root$packages_new_key" "$root$packages_new_source"

say "proving the repository of v$minor"
packages_refresh "$root$packages_new_source" unfit_key
offer=$(packages_proposed kubeadm)
[[ $'\n'$offer == *$'\n'"$target"-* ]] || hold "the repository $url does not offer kubeadm $target yet"

# It works: put it in force, and take out every other entry of the same repository.
packages_adopt "$url"
packages_refresh "$root$packages_source"
[[ -n $(offered kubeadm "$target") ]] || failed "kubeadm $target is still not offered after the refresh"
say "the repository is at v$minor"
sort -u <<<"$new_keys" | sed 's/^/key /'
