# Refreshes the list of every source that points at a Kubernetes repository.
files=$(packages_sources)
[[ -n $files ]] || refused "no $packages_manager source of this node points at a Kubernetes repository" \
    "(…/core:/stable:/v1.N/$packages_format/)"
while IFS= read -r file; do
    packages_refresh "$file"
done <<<"$files"
