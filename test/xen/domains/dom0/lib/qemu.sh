# What QEMU serves in the driver domain: images of its own formats, shares.

# make_image IMAGE: a qcow2 image of 16 MiB with a megabyte of random bytes at 4 MiB.
make_image() {
  on_driver "truncate -s 16M $1.raw && head -c 1048576 /dev/urandom > $1.seed &&
    dd if=$1.seed of=$1.raw bs=64k seek=64 conv=notrunc 2> /dev/null &&
    qemu-img convert -f raw -O qcow2 $1.raw $1 && rm $1.raw"
}

# reads_seed DISK IMAGE, writes_image DISK IMAGE: the guest reads what make_image has put there; what the guest writes
# to the first megabyte is noted, for image_has_all.
reads_seed() {
  same "$1: the guest reads what is in the image" "$(on_driver "md5sum < $2.seed")" \
    "$(on_guest "dd if=/dev/$1 bs=64k skip=64 count=16 iflag=direct 2> /dev/null | md5sum")"
}
writes_image() {
  WRITTEN=$(on_guest "head -c 1048576 /dev/urandom > /tmp/out &&
    dd if=/tmp/out of=/dev/$1 bs=64k oflag=direct conv=fsync 2> /dev/null && md5sum < /tmp/out")
  same "$1: the guest reads what it wrote" "$WRITTEN" \
    "$(on_guest "dd if=/dev/$1 bs=64k count=16 iflag=direct 2> /dev/null | md5sum")"
}

# image_has_all IMAGE: once it is detached, the image is sound, and has what the guest wrote and what was there before.
image_has_all() {
  must "$1: qemu-img finds no fault" on_driver "qemu-img check -q $1"
  must "$1: it can be read" on_driver "qemu-img convert -f qcow2 -O raw $1 $1.raw"
  same "$1 has what the guest wrote" "$WRITTEN" "$(on_driver "head -c 1048576 $1.raw | md5sum")"
  same "$1 has what it had" "$(on_driver "md5sum < $1.seed")" \
    "$(on_driver "dd if=$1.raw bs=64k skip=64 count=16 2> /dev/null | md5sum")"
  must "$1.raw is removed" on_driver "rm $1.raw"
}

# qemu_of_guest: sets QEMU to the process number of the guest's QEMU; there must be one and no more.
qemu_of_guest() {
  QEMU=$(on_driver "/lab/qemus $GUEST_ID")
  [[ $QEMU =~ ^[0-9]+$ ]] || { echo "QEMUs of guest $GUEST_ID: ${QEMU:-none}"; return 1; }
}

# another_qemu OLD: waits until the guest has another QEMU than that, which is ready.
another_qemu() {
  local deadline=$((SECONDS + 40))
  until qemu_of_guest > /dev/null && [ "$QEMU" != "$1" ] &&
    [ "$(xenstore-read "$STORE/device-model/$GUEST_ID/state" 2> /dev/null)" = running ]; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.5
  done
}
