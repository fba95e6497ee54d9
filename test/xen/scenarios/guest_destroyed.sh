# title: the guest is destroyed with a disk and a vif in use
any_guest
disk=xvdb target=/images/disk4.img mac=00:16:3e:06:00:01
must "a disk is attached" attach_disk $disk $target
must "a vif is attached" attach_vif br0 $mac
must "the disk is connected" connected vbd "$(disk_id $disk)"
must "the vif is connected" connected vif 0
bytes_both_ways $disk $target
pings_both_ways $mac 0
# It reads and writes until it is no more. The agent's answer is not waited for.
must "the guest keeps its disk busy" \
  on_guest "(while :; do dd if=/dev/$disk of=/dev/$disk bs=64k count=64 oflag=direct; done) > /dev/null 2>&1 &"
must "the guest is destroyed" toolstack destroy "$GUEST_ID"
must "the guest is gone" domain_gone "$GUEST_ID"
