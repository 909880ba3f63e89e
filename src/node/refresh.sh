# Refreshes the list of every source that points at a Kubernetes repository. That a key there proves its repository no more is an answer, with
# the keys that are in force: the caller renews it.
unfit() {
    say "$1"
    keys_in_force | sort -u | sed 's/^/key /'
    echo unfit
    exit 0
}
files=$(packages_sources)
[[ -n $files ]] || refused "no $packages_manager source of this node points at a Kubernetes repository" \
    "(…/core:/stable:/v1.N/$packages_format/)"
while IFS= read -r file; do
    packages_refresh "$file" unfit
done <<<"$files"
