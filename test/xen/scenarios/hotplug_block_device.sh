# title: hot attach and detach of a block device (RAM disk) by Debian's `block` script
any_guest
disk=xvdb target=/dev/ram1
must "attach" attach_disk $disk $target
must "the disk is connected" connected vbd "$(disk_id $disk)"
bytes_both_ways $disk $target
must "detach" detach_disk $disk
must "no trace of it in the store" removed vbd "$(disk_id $disk)"
must "the guest has no disk any more" no_disk_in_guest $disk
