# The toolstack's part, and the kernel backend's, which there is none of without Xen.

DRIVER=1
GUEST=7

# make_domain DOMID
make_domain() {
	fakedom introduce "$1" || return 1
	for part in "" /data; do
		xs write "/local/domain/$1$part" "" || return 1
	done
	xs chmod "/local/domain/$1" n0 "r$1"
	xs chmod "/local/domain/$1/data" "n$1"
	xs write "/local/domain/$1/domid" "$1"
}

backend() { echo "/local/domain/$DRIVER/backend/$1/$GUEST/$2"; }
frontend() { echo "/local/domain/$GUEST/device/$1/$2"; }

# attach KIND DEVID NODE VALUE...: what a toolstack creates, and the kernel's backend as it waits.
attach() {
	kind=$1 devid=$2
	shift 2
	back=$(backend "$kind" "$devid") front=$(frontend "$kind" "$devid")
	xs write "$front" "" && xs chmod "$front" "n$GUEST" "r$DRIVER" &&
		xs write "$back" "" && xs chmod "$back" "n$DRIVER" "r$GUEST" &&
		xs write "$front/state" 1 "$front/backend" "$back" "$front/backend-id" "$DRIVER" \
			"$back/frontend" "$front" "$back/frontend-id" "$GUEST" "$back/online" 1 \
			"$back/state" 1 "$@" && xs write "$back/state" 2
}

# attach_disk DEVID FILE
attach_disk() {
	back=$(backend vbd "$1")
	attach vbd "$1" "$back/params" "$2" "$back/script" /etc/xen/scripts/block "$back/mode" w "$back/type" phy
}

# guest_connects KIND DEVID: the guest, and the kernel's backend with it.
guest_connects() {
	xs write "$(frontend "$1" "$2")/state" 4 "$(backend "$1" "$2")/state" 4
}

# detach KIND DEVID: the toolstack wants it gone, and both ends close.
detach() {
	xs write "$(backend "$1" "$2")/online" 0 "$(frontend "$1" "$2")/state" 6 \
		"$(backend "$1" "$2")/state" 6
}

# node KIND DEVID NAME: a node of the backend's directory.
node() { xs read "$(backend "$1" "$2")/$3" 2>/dev/null; }
