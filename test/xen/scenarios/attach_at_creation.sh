# title: disk and vif attached at guest creation, both detached while it runs
disk=xvda target=/images/disk0.img mac=00:16:3e:02:00:01
must "the guest starts" start_guest creation \
  "disk=['$(disk_spec $disk $target)']" "vif=['$(vif_spec br0 $mac)']"
must "the disk is connected" connected vbd "$(disk_id $disk)"
must "the vif is connected" connected vif 0
bytes_both_ways $disk $target
pings_both_ways $mac 0
must "the disk is detached" detach_disk $disk
must "no trace of the disk in the store" removed vbd "$(disk_id $disk)"
must "the guest has no disk any more" no_disk_in_guest $disk
must "the vif is detached" detach_vif 0
must "no trace of the vif in the store" removed vif 0
nothing_left
must "the guest is destroyed" toolstack destroy "$GUEST_ID"
must "the guest is gone" domain_gone "$GUEST_ID"
