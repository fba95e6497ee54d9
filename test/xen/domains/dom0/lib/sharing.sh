# Two guests, and storage that the driver domain knows under more than one name.

# try_disk xvdb TARGET [SCRIPT]: as attach_disk, where it is to be refused. What xl itself says is recorded, not judged:
# the stock toolstack does not wait for the script of a driver domain.
try_disk() {
  attach_disk "$@" && echo "xl block-attach said nothing" || echo "xl block-attach failed"
}

# is_busy VDEV PATTERN: the disk was refused, for a reason that has the pattern in it.
is_busy() {
  local backend
  backend=$(backend_of vbd "$(disk_id "$1")")
  lab wait -t 20 "$backend/hotplug-status" =busy && grep_node "$backend/hotplug-error" "$2"
}

# serves VDEV TARGET: the guest has its disk, and the bytes are those of the target.
serves() {
  must "$1 of $GUEST is connected" connected vbd "$(disk_id "$1")"
  bytes_both_ways "$1" "$2"
}

# served VDEV TARGET [SCRIPT]: it is attached, and the guest has it.
served() {
  must "$2 is attached to $GUEST" attach_disk "$@"
  must "it is connected" connected vbd "$(disk_id "$1")"
}

# refused VDEV TARGET PATTERN [SCRIPT]: it is attached, refused, and can be taken away.
refused() {
  try_disk "$1" "$2" "$4"
  must "$2 is refused to $GUEST, as it is busy" is_busy "$1" "$3"
  taken_away "$1"
}

# taken_away VDEV
taken_away() {
  must "$1 of $GUEST is detached" detach_disk "$1"
  must "no trace of it in the store" removed vbd "$(disk_id "$1")"
  must "$GUEST has no $1 any more" no_disk_in_guest "$1"
}
