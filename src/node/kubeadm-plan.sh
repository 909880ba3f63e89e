# TARGET FLAGS…: kubeadm's own forecast, as it prints it.
target=$1
shift
command -v kubeadm >/dev/null || refused "there is no kubeadm on this node"
notes=$(mktemp)
trap 'rm -f "$notes"' EXIT
if kubeadm upgrade plan "v$target" -o json "$@" 2>"$notes"; then
    tail -n 8 "$notes" | sed 's/^/note /'
else
    status=$?
    kubeadm_objects "$notes" "kubeadm upgrade plan v$target" || failed "kubeadm upgrade plan v$target failed (exit $status)"
fi
