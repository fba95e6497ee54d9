# title: daemon killed, the toolstack detaches a disk meanwhile; the daemon comes back and finishes
any_guest
disk=xvdb target=/images/disk6.img
must "a disk is attached" attach_disk $disk $target
must "the disk is connected" connected vbd "$(disk_id $disk)"
bytes_both_ways $disk $target
must "the daemon is killed" on_driver '/lab/daemon kill'
detach_disk $disk & detaching=$!
must "the guest lets go" lab wait -t 20 "$(backend_of vbd "$(disk_id $disk)")/state" =6
must "the daemon is started again" on_driver '/lab/daemon start'
must "the toolstack's detach ends well" wait $detaching
must "no trace of it in the store" removed vbd "$(disk_id $disk)"
