# NAME: what the runtime has under that name, from whatever registry.
socket=$(runtime_socket)
case $(runtime_puller) in
crictl) list=$(crictl --runtime-endpoint "unix://$socket" images -v | sed -nE 's/^Repo(Tags|Digests): //p') || unreachable "the container runtime at $socket lists no images" ;;
ctr) list=$(ctr -n k8s.io images ls -q) || unreachable "the container runtime at $socket lists no images" ;;
*) refused "no crictl is on this node: the runtime at $socket cannot be asked for its images" ;;
esac
while IFS= read -r image; do
    name=${image##*/}
    name=${name%%[@:]*}
    if [[ $name == "$1" ]]; then echo "image $image"; fi
done <<<"$list"
