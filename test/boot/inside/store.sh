#!/bin/sh
# Starts xenstored, as Xen has it running before a driver domain boots: in the initramfs. The
# working directory is how it finds its own when the root is switched.
. /lab/env.sh

mkdir -p "$STORE/domains"
cd "$STORE" || exit 1
XENSTORED_RUNDIR=. XENSTORED_PATH=./socket XENSTORED_SHIM_LIFETIME=100000 \
	LD_LIBRARY_PATH=$LAB/lib LD_PRELOAD=$LAB/lib/xenstored-shim.so \
	"$LAB/bin/xenstored" --no-fork </dev/null >"$STORE/log" 2>&1 &
tries=0
until fakedom ping 2>/dev/null; do
	tries=$((tries + 1))
	if [ "$tries" -gt 300 ]; then
		echo "lab: no store: $(cat "$STORE/log")" >/dev/console
		exit 1
	fi
	sleep 0.1
done
. /lab/devices.sh
make_domain 1
make_domain 7
# Where a driver domain's programs look for a store: theirs is that of domain 1.
mkdir -p /run/xenstored
ln -sf "$STORE/domain-1.sock" /run/xenstored/socket
# What the service scripts look for in a guest of Xen.
mkdir -p /dev/xen
[ -e /dev/xen/xenbus ] || mknod /dev/xen/xenbus c 1 3
