# title: live update of xenstored with a disk and a vif connected; then detach and attach
# sides: xdevd
any_guest
disk=xvdb target=/images/disk6.img mac=00:16:3e:08:00:01
must "a disk is attached" attach_disk $disk $target
must "it is connected" connected vbd "$(disk_id $disk)"
must "a vif is attached" attach_vif br0 $mac
must "it is connected" connected vif 0
before=$(cat /run/xenstored.pid)
must "xenstored is updated" live_update
same "it is the same process" "$before" "$(cat /run/xenstored.pid)"
bytes_both_ways $disk $target
pings_both_ways $mac 0
same "one loop device" 1 "$(on_driver 'losetup -a | wc -l')"
must "the disk is detached" detach_disk $disk
must "no trace of the disk in the store" removed vbd "$(disk_id $disk)"
must "the vif is detached" detach_vif 0
must "no trace of the vif in the store" removed vif 0
nothing_left
must "a disk can be attached again" attach_disk $disk $target
must "it is connected" connected vbd "$(disk_id $disk)"
bytes_both_ways $disk $target
must "it is detached" detach_disk $disk
must "no trace of it in the store" removed vbd "$(disk_id $disk)"
