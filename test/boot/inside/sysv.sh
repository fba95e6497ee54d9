#!/bin/sh
# Under sysvinit and sysv-rc, with the Debian package installed before the boot.
. /lab/env.sh
. /lab/devices.sh
. /lab/checks.sh
. /lab/common.sh

running() { service xdevd status; }
start_it() { service xdevd start; }
stop_it() { service xdevd stop; }
restart_it() { service xdevd restart; }
options() { echo "XDEVD_OPTIONS=\"$1\"" >>/etc/default/xdevd; }
status_is() {
	service xdevd status
	is "$?" "$1"
}

eventually 60 running >/dev/null
must "boot: the daemon was started" running
check "... its pid file names it" is "$(cat /run/xdevd.pid)" "$(daemons)"
disk_of_initramfs
disk_by_script
interface_by_script
disk_natively
started=$(daemons)
check "start: it succeeds when it runs already" start_it
check "... and does nothing" is "$(daemons)" "$started"

kill -KILL "$started"
eventually 5 no_daemon
check "killed: it is said not to run" status_is 3
check "... the disk stays connected" still_there
check "... start succeeds" start_it
check "... the disk is connected as before" still_there
check "... detached, nothing of it is left" detach_and_wait 51728 /var/tmp/disk
check "... attached anew" attach_and_wait 51728 /var/tmp/disk

stop_and_start
upgrade
replace
purge
check "... nothing would start it" not sh -c 'ls -d /etc/rc?.d/*xdevd*'
say "@done"
poweroff -f
