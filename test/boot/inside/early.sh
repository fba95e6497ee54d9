#!/bin/sh
# In the initramfs, in the background: a disk that the toolstack wants served from there, and the
# guest that connects to it. Not done where no disk is listed.
. /lab/env.sh
. /lab/devices.sh

grep -qs '^[0-9]' /etc/xdevd/initramfs.conf || exit 0
attach_disk 51712 /dev/vdb
until [ "$(node vbd 51712 hotplug-status)" = connected ]; do
	sleep 0.1
done
guest_connects vbd 51712
