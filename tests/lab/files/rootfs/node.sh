#!/bin/bash
# Runs once at boot of a lab node: what nspawn does not give, but a kubelet needs.
# /etc/lab-node sets ADDRESS, GATEWAY and ROUTES ("NET VIA" a line).
set -euo pipefail

# the kubelet and runc write to every hierarchy (bind: of a populated one, only the
# mount may be changed)
findmnt -rn -o TARGET,FSTYPE | while read -r target type; do
	case $type in
	cgroup | cgroup2) mount -o remount,bind,rw "$target" ;;
	esac
done
if [ "$(stat -f -c %T /sys/fs/cgroup)" = tmpfs ]; then mount -o remount,bind,rw /sys/fs/cgroup; fi
mount --make-rshared /

# shellcheck source=/dev/null
. /etc/lab-node
ip link set lo up
ip link set host0 up
ip address replace "$ADDRESS/24" dev host0
ip route replace default via "$GATEWAY"
while read -r net via; do
	if [ -n "$net" ]; then ip route replace "$net" via "$via"; fi
done <<<"$ROUTES"
echo 1 >/proc/sys/net/ipv4/ip_forward
