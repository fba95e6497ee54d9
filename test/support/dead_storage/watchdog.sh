#!/bin/sh
# Ends a test's file system, whatever becomes of the test: when its standard input ends, which it does with
# the test's process, and after a time at the latest. Arguments: the connection's number, the mount point,
# the directory that it and nothing else is in, seconds.
timeout "$4" cat > /dev/null
control=/sys/fs/fuse/connections
if [ ! -e "$control/$1/abort" ]; then
  control="$3/control"
  mkdir -p "$control" && mount -i -t fusectl fusectl "$control"
fi
echo 1 > "$control/$1/abort"
[ "$control" = /sys/fs/fuse/connections ] || umount -i -l "$control"
umount -i -l "$2"
for kind in lookup getattr read all held; do
  rm -f "$3/silenced/$kind"
done
for directory in "$3/control" "$3/silenced" "$2" "$3"; do
  [ ! -d "$directory" ] || rmdir "$directory"
done
