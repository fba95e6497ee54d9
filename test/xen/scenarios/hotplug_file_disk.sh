# title: hot attach and detach of a file disk by Debian's `block` script, twice
any_guest
disk=xvdb target=/images/disk1.img
for round in first second; do
  must "$round attach" attach_disk $disk $target
  must "the disk is connected" connected vbd "$(disk_id $disk)"
  must "the file is on a loop device" on_driver "losetup -a | grep -q $target"
  bytes_both_ways $disk $target
  must "$round detach" detach_disk $disk
  must "no trace of it in the store" removed vbd "$(disk_id $disk)"
  must "the guest has no disk any more" no_disk_in_guest $disk
  nothing_left
done
