# title: daemon killed (SIGKILL) and restarted while a disk and a vif are connected; then detach
any_guest
disk=xvdb target=/images/disk5.img mac=00:16:3e:07:00:01
must "a disk is attached" attach_disk $disk $target
must "a vif is attached" attach_vif br0 $mac
must "the disk is connected" connected vbd "$(disk_id $disk)"
must "the vif is connected" connected vif 0
must "the daemon is killed" on_driver '/lab/daemon kill'
bytes_both_ways $disk $target
must "the daemon is started again" on_driver '/lab/daemon start; /lab/daemon settle'
# It must leave alone what is connected: no second loop device, no second run of a script.
same "one loop device" 1 "$(on_driver 'losetup -a | wc -l')"
bytes_both_ways $disk $target
pings_both_ways $mac 0
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
