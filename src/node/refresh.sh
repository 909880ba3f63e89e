# [PATTERN]: refreshes the list of every source that points at a Kubernetes repository; where none does, of whatever else offers kubeadm. PATTERN
# is how the settings write its URL, with {minor} in it. That a key there proves its repository no more is an answer, with the keys that are in
# force and the URLs of that source: the caller renews it.
packages_pattern=${1:-}
unfit() {
    say "$1"
    keys_in_force | sort -u | sed 's/^/key /'
    while read -r url of; do
        if [[ $root$of == "$file" ]]; then echo "unfit $url"; fi
    done <<<"$places"
    exit 0
}
places=$(packages_minors | cut -d ' ' -f 2-)
if [[ -z $places ]]; then places=$(packages_strangers); fi
files=
while read -r _ file; do
    if [[ -n $file && -f $root$file && $'\n'$files != *$'\n'"$root$file"$'\n'* ]]; then files+=$root$file$'\n'; fi
done <<<"$places"
[[ -n $files ]] || refused "no $packages_manager source of this node points at a Kubernetes repository" \
    "(…/core:/stable:/v1.N/$packages_format/)"
while IFS= read -r file; do
    if [[ -n $file ]]; then packages_refresh "$file" unfit; fi
done <<<"$files"
