#!/bin/bash
# Takes xdevd into the initramfs if /etc/xdevd/initramfs.conf lists a disk to serve from there.

check() {
	grep -Eqs '^[[:space:]]*([0-9]|any[[:space:]])' "${dracutsysrootdir-}/etc/xdevd/initramfs.conf" || return 255
	require_binaries /usr/sbin/xdevd || return 1
	return 0
}

depends() {
	return 0
}

installkernel() {
	instmods xen-blkback xen-gntdev xen-evtchn loop
}

install() {
	inst_binary /usr/sbin/xdevd
	inst_simple /etc/xdevd/initramfs.conf
	inst_simple /etc/xdevd/config.toml
	# $moddir is dracut's.
	# shellcheck disable=SC2154
	inst_hook pre-mount 50 "$moddir/xdevd-serve.sh"
}
