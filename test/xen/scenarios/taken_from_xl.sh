# title: `xl devd` served a disk and a vif, and is stopped; xdevd takes both over, runs no script, and undoes them
# sides: xdevd
any_guest
disk=xvdb target=/images/disk3.img mac=00:16:3e:0e:00:01
must "each script is watched" on_driver '/lab/witness on'
must "xl devd serves in place of xdevd" on_driver '/lab/daemon kill; rm -r /run/xdevd; /lab/daemon start-stock; /lab/daemon settle'
must "a disk is attached" attach_disk $disk $target
must "a vif is attached" attach_vif br0 $mac
must "the disk is connected" connected vbd "$(disk_id $disk)"
must "the vif is connected" connected vif 0
bytes_both_ways $disk $target
ran=$(scripts_ran)
must "it is stopped, as its service does it" on_driver '/lab/daemon stop'
must "xdevd is started" on_driver '/lab/daemon start; /lab/daemon settle'
same "it has run no script" "$ran" "$(scripts_ran)"
same "one loop device" 1 "$(on_driver 'losetup -a | wc -l')"
bytes_both_ways $disk $target
pings_both_ways $mac 0
must "the disk is detached" detach_disk $disk
must "no trace of the disk in the store" removed vbd "$(disk_id $disk)"
must "the guest has no disk any more" no_disk_in_guest $disk
must "the vif is detached" detach_vif 0
must "no trace of the vif in the store" removed vif 0
nothing_left
must "the scripts are as they were" on_driver '/lab/witness off'
