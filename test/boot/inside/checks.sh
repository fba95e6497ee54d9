# Checks, each a line that the host reads: "@passed WHAT" or "@failed WHAT", and why.

# It is a serial line: nothing else writes to it.
say() { echo "$*" >/dev/ttyS1; }

# must WHAT COMMAND...: a check without which the others make no sense.
must() {
	check "$@" || poweroff -f -f
}

# check WHAT COMMAND...
check() {
	what=$1
	shift
	if "$@" >/run/lab-output 2>&1; then
		say "@passed $what"
	else
		say "@failed $what (status $?)"
		sed 's/^/    /' /run/lab-output >/dev/ttyS1
		evidence >/dev/ttyS1 2>&1
		return 1
	fi
}

# eventually SECONDS COMMAND...: the machine's own seconds, of which idle ones cost nothing.
eventually() {
	left=$(($1 * 5))
	shift
	until "$@" >/run/lab-try 2>&1; do
		left=$((left - 1))
		if [ "$left" -le 0 ]; then
			echo "not in time: $*: $(cat /run/lab-try)"
			return 1
		fi
		sleep 0.2
	done
}

not() { ! "$@"; }
is() { [ "$1" = "$2" ] || { echo "it is \"$1\", expected \"$2\""; return 1; }; }
# The program, whatever name it was called by; not this script.
daemons() { pidof xdevd; }
node_is() { is "$(node "$1" "$2" "$3")" "$4"; }
connected() { node_is "$1" "$2" hotplug-status connected; }
gone() { not xs exists "$(backend "$1" "$2")"; }
no_daemon() { not daemons; }

# loops_of FILE: the loop devices that have it.
loops_of() { losetup -n -O NAME -j "$1"; }
no_loop() { is "$(loops_of "$1")" ""; }

# serves DEVID FILE: the disk's block device has the file's bytes.
serves() {
	device=$(node vbd "$1" node) || device=$(loops_of "$2")
	[ -b "$device" ] || { echo "its block device is \"$device\""; return 1; }
	cmp "$2" "$device"
}

# make_image FILE: 1 MB that no other file has.
make_image() { head -c 1048576 /dev/urandom >"$1"; }

# What is of interest when something has failed.
evidence() {
	xs ls /local/domain/1/backend | sed 's/^/    store: /'
	tail -n 12 /var/log/xen/*.log 2>/dev/null | sed 's/^/    log: /'
	more_evidence | sed 's/^/    /'
}
more_evidence() { :; }

# Files of the package, and what is made for it or by it, wherever they are.
traces() {
	find / -xdev \( -path /lab -o -path /proc \) -prune \
		-o \( -iname '*xdevd*' -o -name 'xldevd.log*' \) -print
	find /run /dev -iname '*xdevd*'
}
