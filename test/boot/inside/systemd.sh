#!/bin/sh
# Under systemd, with the Debian package installed before the boot.
. /lab/env.sh
. /lab/devices.sh
. /lab/checks.sh
. /lab/common.sh

show() { systemctl show --value -p "$1" xdevd; }
running() { systemctl is-active xdevd; }
start_it() { systemctl start xdevd; }
stop_it() { systemctl stop xdevd; }
restart_it() { systemctl restart xdevd; }
options() { echo "XDEVD_OPTIONS=\"$1\"" >>/etc/default/xdevd; }
more_evidence() {
	systemctl status --no-pager xdevd
	journalctl --no-pager -n 15 -u xdevd
}
restarted() { [ "$(show MainPID)" != "$1" ] && [ "$(show MainPID)" != 0 ] && running; }
confined() {
	grep -x 'NoNewPrivs:.1' "/proc/$(show MainPID)/status" &&
		grep -x 'Seccomp:.2' "/proc/$(show MainPID)/status"
}

eventually 60 running >/dev/null
must "boot: the service is active" running
check "... systemd was told that it is ready" grep . <<END
$(show StatusText)
END
check "... of type notify" is "$(show Type)" notify
check "... the main process is the daemon" is "$(show MainPID)" "$(daemons)"
check "... confined as the unit says" confined
say "@note $(systemd-analyze security --no-pager xdevd.service | tail -n 1)"
disk_of_initramfs
disk_by_script
interface_by_script
disk_natively
forty_at_once "by scripts"
options "--config /lab/native.toml"
restart_it
forty_at_once "natively"
options ""
restart_it

mkdir -p /etc/systemd/system/xdevd.service.d
printf '[Service]\nWatchdogSec=6\n' >/etc/systemd/system/xdevd.service.d/lab.conf
systemctl daemon-reload
restart_it
stopped=$(show MainPID)
sleep 20
check "watchdog: a daemon that is well is left alone" is "$(show MainPID)" "$stopped"
kill -STOP "$stopped"
check "watchdog: a daemon that is stopped is replaced" eventually 200 restarted "$stopped"
check "... its process is gone" not kill -0 "$stopped"
check "... systemd says that it was the watchdog" \
	sh -c 'journalctl -u xdevd --no-pager | grep -i watchdog'
check "... the disk is connected as before" still_there
rm -r /etc/systemd/system/xdevd.service.d
systemctl daemon-reload

killed=$(show MainPID)
kill -KILL "$killed"
check "killed: it is started anew" eventually 60 restarted "$killed"
check "... the disk is connected as before" still_there
check "... detached, nothing of it is left" detach_and_wait 51728 /var/tmp/disk
check "... attached anew" attach_and_wait 51728 /var/tmp/disk

stop_and_start
upgrade
replace
purge
check "install: dpkg does it on a system that runs" dpkg -i /lab/newer.deb
check "... it is enabled" systemctl is-enabled xdevd
check "... it was started" eventually 60 running
say "@done"
systemctl poweroff --force --force
