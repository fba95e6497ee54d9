# The minimal driver domain: an image of `npm run minimal-domain` as it is, with nothing of the lab in it but two bridges
# and image files. It has no agent, so what it does is seen from the store, the guests and its console.

# start_minimal [MEGABYTES [IMAGE [PATTERN]]]: DRIVER, DRIVER_ID and STORE are then its own; the guest stays as it is. The
# pattern is what its console says when it serves.
start_minimal() {
  local console image=${2:-minimal} pattern=${3:-serving domain}
  begin_side "$image"
  console=/var/log/xen/console/guest-$DRIVER.log
  rm -f "$console"
  # Without that, the kernel allows its first file system half of the memory.
  DRIVER_ID=$(KERNEL_OPTIONS=rootfstype=ramfs create_domain "$DRIVER" "${1:-128}" "$image.img" driver_domain=1) || return 1
  STORE=/local/domain/$DRIVER_ID
  for _ in $(seq 120); do
    grep -q -e "$pattern" "$console" 2> /dev/null && return 0
    sleep 0.5
  done
  tail -n 30 "$console"
  return 1
}

# serves_with MEGABYTES IMAGE PATTERN: the image boots with so much memory, and serves a disk to a guest. Nothing of it
# is there afterwards.
serves_with() {
  local status=1
  begin_side "$2"
  any_guest || return 1
  if start_minimal "$@"; then
    attach_disk xvdb /images/disk1.img && connected vbd "$(disk_id xvdb)" &&
      on_guest 'dd if=/dev/xvdb of=/dev/null bs=64k iflag=direct 2> /dev/null' &&
      detach_disk xvdb && removed vbd "$(disk_id xvdb)" && status=0
  fi
  xl destroy "$DRIVER"
  # One that lost its disk's other end is of no further use.
  [ "$status" = 0 ] || xl destroy "$GUEST"
  return "$status"
}

# least_memory IMAGE PATTERN: prints with how many megabytes it serves, and with 4 fewer not; found by halving.
least_memory() {
  local fails=24 works=128 middle
  serves_with "$works" "$@" > /dev/null 2>&1 || return 1
  while [ $((works - fails)) -gt 4 ]; do
    middle=$(((works + fails) / 8 * 4))
    if serves_with "$middle" "$@" > /dev/null 2>&1; then works=$middle; else fails=$middle; fi
  done
  echo "$works"
}

# nothing_left_in_store: as nothing_left, as far as it can be seen from outside.
nothing_left_in_store() {
  local kind
  for kind in vbd vif; do
    must "no backend directory of kind $kind" [ -z "$(xenstore-list "$STORE/backend/$kind/$GUEST_ID" 2> /dev/null)" ]
  done
  must "no node below libxl" [ -z "$(xenstore-list "$STORE/libxl" 2> /dev/null)" ]
}
