# The minimal driver domain: an image of `npm run minimal-domain` as it is, with nothing of the lab in it but two bridges
# and image files. It has no agent, so what it does is seen from the store, the guests and its console.

# start_minimal: DRIVER, DRIVER_ID and STORE are then its own; the guest stays as it is.
start_minimal() {
  local console
  begin_side minimal
  console=/var/log/xen/console/guest-$DRIVER.log
  rm -f "$console"
  # Without that, the kernel allows its first file system half of the memory.
  DRIVER_ID=$(KERNEL_OPTIONS=rootfstype=ramfs create_domain "$DRIVER" 256 minimal.img driver_domain=1) || return 1
  STORE=/local/domain/$DRIVER_ID
  for _ in $(seq 120); do
    grep -q 'serving domain' "$console" 2> /dev/null && return 0
    sleep 0.5
  done
  tail -n 30 "$console"
  return 1
}

# nothing_left_in_store: as nothing_left, as far as it can be seen from outside.
nothing_left_in_store() {
  local kind
  for kind in vbd vif; do
    must "no backend directory of kind $kind" [ -z "$(xenstore-list "$STORE/backend/$kind/$GUEST_ID" 2> /dev/null)" ]
  done
  must "no node below libxl" [ -z "$(xenstore-list "$STORE/libxl" 2> /dev/null)" ]
}
