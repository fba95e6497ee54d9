# What is checked under every init, whose own file brings start_it, stop_it, restart_it, running and
# options.

# A disk in a file, by Debian's script, which does more besides.
disk_by_script() {
	make_image /var/tmp/disk
	check "a disk in a file: attached by a hotplug script" attach_and_wait 51728 /var/tmp/disk
	check "... it has the file's bytes" serves 51728 /var/tmp/disk
	check "... what the script mounted is seen by all" mountpoint -q /mnt/lab
	check "... what it wrote to /run and /var is there" \
		ls /run/lab-script-ran /var/lib/lab-script-ran
	check "... the module that it loaded is loaded" ls -d /sys/module/dummy
	umount /mnt/lab
}

# attach_and_wait DEVID FILE
attach_and_wait() {
	attach_disk "$1" "$2" &&
		eventually 60 connected vbd "$1" && guest_connects vbd "$1"
}

# detach_and_wait DEVID FILE
detach_and_wait() {
	detach vbd "$1" && eventually 60 gone vbd "$1" && eventually 5 no_loop "$2"
}

# An interface on a bridge, by Debian's script. The interface is what the kernel's backend would make.
interface_by_script() {
	ip link add xenbr0 type bridge
	ip link set xenbr0 up
	ip link add vif7.0 type dummy
	check "an interface: attached by vif-bridge" attach_interface
	check "... it is on the bridge" eventually 5 on_bridge
	check "... and off again, detached" detach_interface
	ip link del xenbr0
	ip link del vif7.0 2>/dev/null
}

attach_interface() {
	back=$(backend vif 0)
	front=$(frontend vif 0)
	# The one node of a guest's that the toolstack lets the backend write.
	xs write "$front/mtu" "" && xs chmod "$front/mtu" "n$GUEST" "w$DRIVER" || return 1
	attach vif 0 "$back/script" /etc/xen/scripts/vif-bridge "$back/bridge" xenbr0 \
		"$back/mac" 00:16:3e:01:02:03 "$back/handle" 0 "$back/type" vif &&
		eventually 60 connected vif 0 && guest_connects vif 0
}
on_bridge() { ip -o link show dev vif7.0 | grep 'master xenbr0'; }
detach_interface() {
	detach vif 0 && eventually 60 gone vif 0 && not on_bridge
}

# The disk that the initramfs has served.
disk_of_initramfs() {
	check "the initramfs: the one-shot served its disk before the root was mounted" \
		grep 'hotplug-status = "connected"' "$STORE/at-switch"
	check "... with its block device" grep "physical-device = \"$(major_minor /dev/vdb)\"" \
		"$STORE/at-switch"
	check "... the daemon of the system serves it on" detach_of_one_shot
}
major_minor() { stat -c '%t:%T' "$1"; }
detach_of_one_shot() {
	node_is vbd 51712 hotplug-status connected && detach vbd 51712 && eventually 60 gone vbd 51712
}

# The daemon is ended, and devices stay.
stop_and_start() {
	check "stop: it succeeds" stop_it
	check "... no process is left" eventually 5 no_daemon
	check "... it is said not to run" not running
	check "... the disk stays connected" still_there
	check "start: it runs" start_it
	check "... and is said to" eventually 60 running
	check "... the disk is connected as before" still_there
}
still_there() { connected vbd 51728 && node_is vbd 51728 state 4 && serves 51728 /var/tmp/disk; }

disk_natively() {
	make_image /var/tmp/native
	rm -f /run/lab-script-ran
	options "--config /lab/native.toml"
	check "native: the daemon starts with it" restart_it
	check "... a disk in a file is attached" attach_and_wait 51744 /var/tmp/native
	check "... it has the file's bytes" serves 51744 /var/tmp/native
	check "... no script was run" not ls /run/lab-script-ran
	check "... detached, nothing of it is left" detach_and_wait 51744 /var/tmp/native
	options ""
	check "... the daemon starts without it" restart_it
}

# forty_at_once WHAT: guests that boot together, each with a disk in a file. Whoever does not find room waits
# for it: none is told of an error.
FORTY=$(seq 20 59)
forty_at_once() {
	began=$(date +%s)
	each_of_forty prepare_guest
	say "@note $1: prepared after $(($(date +%s) - began)) s"
	began=$(date +%s)
	check "$1: forty guests boot at once" all_of_forty_together attach_own
	check "... each has its disk" eventually 300 each_of_forty has_own
	say "@note $1: connected after $(($(date +%s) - began)) s"
	check "... none was told of an error" each_of_forty not_in_error
	check "... each is served its own file" each_of_forty serves_own
	check "... and they go together" all_of_forty_together detach_own
	check "... nothing of them is left" eventually 300 each_of_forty own_is_gone
}
# each_of_forty COMMAND: for one after the other, up to the first for which it fails.
each_of_forty() {
	for GUEST in $FORTY; do
		"$@" || { failed=$GUEST GUEST=7; echo "guest $failed"; return 1; }
	done
	GUEST=7
}
# all_of_forty_together COMMAND: for all at the same time.
all_of_forty_together() {
	rm -f /run/lab-failed
	for GUEST in $FORTY; do
		("$@" || echo "$GUEST" >>/run/lab-failed) &
	done
	GUEST=7
	wait
	not cat /run/lab-failed
}
own_file() { echo "/var/tmp/guest-$GUEST"; }
prepare_guest() { make_domain "$GUEST" && make_image "$(own_file)"; }
attach_own() { attach_disk 51712 "$(own_file)"; }
has_own() { connected vbd 51712; }
not_in_error() { node_is vbd 51712 hotplug-error ""; }
serves_own() { serves 51712 "$(own_file)"; }
detach_own() { detach vbd 51712; }
own_is_gone() { gone vbd 51712 && no_loop "$(own_file)"; }

# The package once more, as a newer one, while a disk is connected.
upgrade() {
	before=$(daemons)
	# While it lists a disk, the package has a new initramfs made, which takes minutes here.
	sed -i '/^[0-9]/d' /etc/xdevd/initramfs.conf
	check "upgrade: dpkg installs a newer package" dpkg -i /lab/newer.deb
	check "... another daemon runs" eventually 60 another_than "$before"
	check "... the disk is connected as before" still_there
	check "... detached, nothing of it is left" detach_and_wait 51728 /var/tmp/disk
}
# The package of the full binary takes its place while a disk is connected, and it takes that one's.
replace() {
	check "replaced: a disk is attached" attach_and_wait 51728 /var/tmp/disk
	replace_by /lab/full.deb bun
	replace_by /lab/newer.deb quickjs
	check "... purging the full one takes nothing away" dpkg -P xdevd-full
	check "... the disk is connected as before" still_there
	check "... detached, nothing of it is left" detach_and_wait 51728 /var/tmp/disk
}
# replace_by PACKAGE RUNTIME
replace_by() {
	before=$(daemons)
	check "... by $(basename "$1")" dpkg -i "$1"
	check "... another daemon runs" eventually 60 another_than "$before"
	check "... on $2" sh -c "xdevd --version --json | grep $2"
	check "... the disk is connected as before" still_there
}
another_than() { running && pid=$(daemons) && [ "$pid" != "$1" ]; }

purge() {
	check "purge: dpkg takes the package away" dpkg -P xdevd
	check "... no process is left" eventually 5 no_daemon
	check "... no file is left" no_traces
}
no_traces() { is "$(traces)" ""; }
