# What kubeadm says of the certificates on this control plane, as it prints it; it reads them, and changes nothing.
command -v kubeadm >/dev/null || refused "there is no kubeadm on this node"
notes=$(mktemp)
trap 'rm -f "$notes"' EXIT
status=0
said=$(timeout --foreground 60 kubeadm certs check-expiration -o json 2>"$notes") || status=$?
if ((status != 0)) && grep -q 'unknown shorthand flag' "$notes"; then
    # Before 1.30 it has only a table.
    status=0
    said=$(timeout --foreground 60 kubeadm certs check-expiration 2>"$notes") || status=$?
fi
if ((status != 0)); then
    tail -n 8 "$notes" >&2
    failed "kubeadm certs check-expiration failed (exit $status)"
fi
printf '%s\n' "${said:0:65536}"
