# BASE MINOR TARGET: the repository of that minor, its key and its list proved before they replace the former ones.
base=$1 minor=$2 target=$3
url=$base/core:/stable:/v$minor/deb
keyring=/etc/apt/keyrings/kubernetes-apt-keyring.gpg
list=/etc/apt/sources.list.d/kubernetes.list
# Beside the real ones, so that a rename is atomic; under names that apt reads only when told to. The sandbox of apt must be able
# to read the key: no private folder.
new_keyring=/etc/apt/keyrings/kubernetes-apt-keyring.new.gpg
new_list=/etc/apt/kubernetes.new.list
armored=$(mktemp)
trap 'rm -f "$armored" "$root$new_keyring" "$root$new_list"' EXIT

command -v curl >/dev/null || refused "curl is missing on this node (apt-get install curl)"
command -v gpg >/dev/null || refused "gpg is missing on this node (apt-get install gnupg)"
status=0
code=$(curl -fsSL --retry 3 --connect-timeout 10 --max-time 60 -o "$armored" -w '%{http_code}' "$url/Release.key") || status=$?
case $status in
0) ;;
22)
    case $code in
    429 | 5*) unreachable "the repository is out of service: $url/Release.key answers $code" ;;
    *) refused "the repository has no v$minor: $url/Release.key answers $code" ;;
    esac
    ;;
*) unreachable "the repository cannot be reached: $url/Release.key (curl exit $status)" ;;
esac
install -d -m 0755 "$root/etc/apt/keyrings" "$root/etc/apt/sources.list.d"
gpg --batch --yes --dearmor -o "$root$new_keyring" <"$armored" || refused "what $url/Release.key gives is no OpenPGP key"
[[ -s $root$new_keyring ]] || refused "what $url/Release.key gives is no OpenPGP key"
chmod 0644 "$root$new_keyring"
printf 'deb [signed-by=%s] %s/ /\n' "$root$new_keyring" "$url" >"$root$new_list"
chmod 0644 "$root$new_list"

say "proving the repository of v$minor"
update_list "$root$new_list"
offer=$(apt-cache madison -o Dir::Etc::sourcelist="$root$new_list" -o Dir::Etc::sourceparts=- kubeadm)
grep -qF -- " $target-" <<<"$offer" || refused "the repository $url does not offer kubeadm $target"

# It works: put it in force, and take out every other entry of the same repository.
printf 'deb [signed-by=%s] %s/ /\n' "$keyring" "$url" >"$root$new_list"
mv -f -- "$root$new_keyring" "$root$keyring"
mv -f -- "$root$new_list" "$root$list"
while IFS= read -r file; do
    if [[ -z $file || $file == "$root$list" ]]; then continue; fi
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
done <<<"$(kubernetes_sources)"
update_list "$root$list"
[[ -n $(offered kubeadm "$target") ]] || failed "kubeadm $target is still not offered after the refresh"
say "the repository is at v$minor"
