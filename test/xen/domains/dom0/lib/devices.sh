# Devices as the toolstack sees them. A device is named KIND ID, e.g. vbd 51728 or vif 0.

# disk_id xvdb: the number of a virtual disk without partitions.
disk_id() {
  local letter
  printf -v letter %d "'${1#xvd}"
  echo $((202 * 256 + (letter - 97) * 16))
}

backend_of() { echo "$STORE/backend/$1/$GUEST_ID/$2"; }
frontend_of() { echo "/local/domain/$GUEST_ID/device/$(frontend_kind "$1")/$2"; }
frontend_kind() { case $1 in qdisk) echo vbd ;; *) echo "$1" ;; esac; }

# disk_spec xvdb TARGET [SCRIPT]: what xl takes for a disk that the driver domain serves. The target takes the rest of
# the line, so it comes last.
disk_spec() { echo "format=raw,vdev=$1,access=rw,backend=$DRIVER,${3:+script=$3,}target=$2"; }
qcow2_spec() { echo "format=qcow2,vdev=$1,access=rw,backend=$DRIVER,target=$2"; }
vif_spec() { echo "backend=$DRIVER,bridge=$1,mac=$2"; }

# The toolstack's commands are bounded here: each of their own limits is far below this.
toolstack() { timeout 90 xl "$@"; }

attach_disk() { toolstack block-attach "$GUEST_ID" "$(disk_spec "$@")"; }
attach_qcow2() { toolstack block-attach "$GUEST_ID" "$(qcow2_spec "$@")"; }
detach_disk() { toolstack block-detach "$GUEST_ID" "$1"; }
attach_vif() { toolstack network-attach "$GUEST_ID" "backend=$DRIVER" "bridge=$1" "mac=$2"; }
detach_vif() { toolstack network-detach "$GUEST_ID" "$1"; }

# connected KIND ID: the script, or QEMU, said so, and both ends are in state 4.
connected() {
  lab wait -t 20 "$(backend_of "$1" "$2")/hotplug-status" =connected &&
    lab wait -t 20 "$(backend_of "$1" "$2")/state" =4 &&
    lab wait -t 20 "$(frontend_of "$1" "$2")/state" =4
}

# removed KIND ID: no trace of the device in the store.
removed() {
  lab wait -t 20 "$(backend_of "$1" "$2")" gone &&
    lab wait -t 5 "$(frontend_of "$1" "$2")" gone &&
    lab wait -t 5 "/libxl/$GUEST_ID/device/$(frontend_kind "$1")/$2" gone
}

# domain_gone DOMID
domain_gone() { lab wait -t 60 "/local/domain/$1" gone; }

disk_in_guest() { on_guest "[ -b /dev/$1 ]"; }
no_disk_in_guest() { on_guest "for _ in 1 2 3 4 5; do [ -e /sys/block/$1 ] || exit 0; sleep 1; done; exit 1"; }

# grep_node PATH PATTERN: the node's value has the pattern in it.
grep_node() { xenstore-read "$1" | grep -e "$2"; }
