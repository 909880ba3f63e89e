# Refreshes the list of every source that points at a Kubernetes repository.
files=$(kubernetes_sources)
[[ -n $files ]] || refused "no apt source of this node points at a Kubernetes repository (…/core:/stable:/v1.N/deb/)"
while IFS= read -r file; do
    update_list "$file"
done <<<"$files"
