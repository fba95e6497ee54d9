# title: the guest shuts down with a disk and a vif
any_guest
disk=xvdb target=/images/disk3.img mac=00:16:3e:05:00:01
must "a disk is attached" attach_disk $disk $target
must "a vif is attached" attach_vif br0 $mac
must "the disk is connected" connected vbd "$(disk_id $disk)"
must "the vif is connected" connected vif 0
bytes_both_ways $disk $target
pings_both_ways $mac 0
must "the guest shuts down" toolstack shutdown -w "$GUEST_ID"
must "the guest is gone" domain_gone "$GUEST_ID"
