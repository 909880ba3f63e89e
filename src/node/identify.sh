# What tells whose machine this is: the certificate that the kubelet shows to the API server (public; its key stays where it is), and the
# ids of installation and boot. What is missing is an answer.
config=$root/etc/kubernetes/kubelet.conf

field() { awk -v name="$1:" '$1 == name && NF == 2 { gsub(/["\047]/, "", $2); if ($2 != "") print $2 }' "$config"; }
# Certificates out of a file that may hold the key, too.
certificates() { sed -n '/^-----BEGIN CERTIFICATE-----/,/^-----END CERTIFICATE-----/s/^/certificate /p'; }

# The kubelet reads what stands in the file itself, else the file that is named there.
show_certificate() {
    local inline path
    [[ -f $config ]] || { echo "none /etc/kubernetes/kubelet.conf is not there" && return; }
    inline=$(field client-certificate-data) path=$(field client-certificate)
    if [[ $inline$path == *$'\n'* ]]; then
        echo "none /etc/kubernetes/kubelet.conf names several client certificates"
    elif [[ -n $inline ]]; then
        base64 -d <<<"$inline" 2>/dev/null | head -c 65536 | certificates || echo "none its client-certificate-data is not base64"
    elif [[ -n $path ]]; then
        [[ $path == /* ]] || path=/etc/kubernetes/$path
        if [[ -f $root$path ]]; then head -c 65536 -- "$root$path" | certificates; else echo "none $path is not there"; fi
    else
        echo "none /etc/kubernetes/kubelet.conf names no client certificate"
    fi
}

echo "machine-id $(machine_id)"
echo "boot-id $(boot_id)"
show_certificate
