# title: a driver domain of kernel modules, busybox and xdevd, no shell scripts, no Xen packages: it serves a disk and a vif
# sides: xdevd
any_guest
must "the minimal driver domain starts" start_minimal
disk=xvdb target=/images/disk1.img mac=00:16:3e:0d:00:01
md5_of_disk() { on_guest "dd if=/dev/$disk bs=64k count=16 iflag=direct 2> /dev/null | md5sum"; }
must "a disk is attached" attach_disk $disk $target
must "it is connected" connected vbd "$(disk_id $disk)"
written=$(on_guest "head -c 1048576 /dev/urandom > /tmp/out &&
  dd if=/tmp/out of=/dev/$disk bs=64k oflag=direct conv=fsync 2> /dev/null && md5sum < /tmp/out")
same "the guest reads what it wrote" "$written" "$(md5_of_disk)"
must "detach" detach_disk $disk
must "no trace of it in the store" removed vbd "$(disk_id $disk)"
must "the guest has no disk any more" no_disk_in_guest $disk
must "another file is attached" attach_disk $disk /images/disk2.img
must "it is connected" connected vbd "$(disk_id $disk)"
must "what was written is not in that one" [ "$(md5_of_disk)" != "$written" ]
must "detach" detach_disk $disk
must "no trace of it in the store" removed vbd "$(disk_id $disk)"
must "the first is attached again" attach_disk $disk $target
must "it is connected" connected vbd "$(disk_id $disk)"
same "it has what the guest wrote" "$written" "$(md5_of_disk)"
must "a vif is attached" attach_vif br0 $mac
must "it is connected" connected vif 0
name=$(on_guest "/lab/interface_of $mac")
must "the guest has its interface" on_guest "ip addr add 10.0.0.2/24 dev $name && ip link set $name up"
must "the driver domain answers the guest" on_guest "ping -c 3 -W 5 -A 10.0.0.1 || ping -c 2 -W 5 10.0.0.1"
must "the vif is detached" detach_vif 0
must "no trace of it in the store" removed vif 0
must "the disk is detached" detach_disk $disk
must "no trace of it in the store" removed vbd "$(disk_id $disk)"
nothing_left_in_store
must "it shuts down" toolstack shutdown -w "$DRIVER_ID"
must "it is gone" domain_gone "$DRIVER_ID"
begin_side xdevd
