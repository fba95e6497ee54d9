#!/bin/sh
# Serves the disks that /etc/xdevd/initramfs.conf lists, before the root file system is mounted. The
# daemon that is started later finds what was done in /run/xdevd.

modprobe -q xen-blkback
modprobe -q xen-gntdev

while read -r domid disk; do
	case "$domid" in
	'' | '#'*) continue ;;
	any) guest=--any-guest ;;
	*) guest=$domid ;;
	esac
	if /usr/sbin/xdevd block-attach "$guest" "$disk" --serve --timeout 30 </dev/null; then
		info "xdevd: served $disk to $domid"
	else
		warn "xdevd: $disk is not served to $domid"
	fi
done </etc/xdevd/initramfs.conf
