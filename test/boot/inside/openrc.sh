#!/bin/sh
# Under OpenRC, with the binary alone: docs/install.md's instructions for Alpine, as they are there.
. /lab/env.sh
. /lab/devices.sh
. /lab/checks.sh
. /lab/common.sh

running() { rc-service xdevd status; }
start_it() { rc-service xdevd start; }
stop_it() { rc-service xdevd stop; }
restart_it() { rc-service xdevd restart; }
status_is() {
	rc-service xdevd status
	is "$?" "$1"
}
# No daemon runs; the toolstack creates the device meanwhile, and the guest connects.
one_shot() {
	(sleep 2 && attach_disk 51712 /dev/vdb && eventually 60 connected vbd 51712 &&
		guest_connects vbd 51712) &
	busybox sh /lab/one-shot.sh >/run/lab-one-shot 2>&1
	status=$?
	wait
	cat /run/lab-one-shot
	is "$status" 0
}
options() { echo "XDEVD_OPTIONS=\"$1\"" >>/etc/conf.d/xdevd; }

cd /lab || exit 1
files() {
	find / -xdev \( -path /tmp -o -path /mnt -o -path /var \) -prune -o -print | sort
}
# As Alpine has it.
mkdir -p /etc/conf.d
files >/run/lab-before
only_configuration() { is "$(files | comm -13 /run/lab-before -)" "/etc/conf.d/xdevd"; }
check "install: the binary" install -m 755 xdevd-linux-x64 /tmp/xdevd
check "... it is the small one" sh -c '/tmp/xdevd --version --json | grep quickjs'
check "... lays itself out" /tmp/xdevd install --root / --links --service openrc
check "... added to the runlevel" rc-update add xdevd default
must "... started" rc-service xdevd start
check "... it runs" running
check "... its pid file names it" is "$(cat /run/xdevd.pid)" "$(daemons)"
check "... its tools took no other's place" sh -c 'readlink -f /usr/bin/xenstore-read | grep xdevd'
disk_by_script
interface_by_script
disk_natively

killed=$(daemons)
kill -KILL "$killed"
eventually 5 no_daemon
check "killed: it is said to have crashed" status_is 32
check "... the disk stays connected" still_there
check "... restart succeeds" restart_it
check "... the disk is connected as before" still_there
check "... detached, nothing of it is left" detach_and_wait 51728 /var/tmp/disk
check "... attached anew" attach_and_wait 51728 /var/tmp/disk

stop_and_start
stop_it >/dev/null
check "one-shot: the ten lines of the manual serve a disk, word by word" one_shot
check "... it is told" grep -x 'disk served' /run/lab-one-shot
check "... with its block device" node_is vbd 51712 physical-device "$(major_minor /dev/vdb)"

check "runlevel: entering it" openrc default
check "... starts the daemon" eventually 60 running
check "... it serves the disk of the one-shot on" detach_of_one_shot
check "... the disk is connected as before" still_there
check "... detached, nothing of it is left" detach_and_wait 51728 /var/tmp/disk

check "uninstall: taken out of the runlevel" rc-update del xdevd default
check "... stopped" stop_it
check "... taken away" xdevd uninstall --root /
rm -f /tmp/xdevd
check "... changed configuration is all that is left" only_configuration
say "@done"
poweroff -f
