# title: an attach by xdevd in dom0 that the driver domain cannot do tells why, and leaves nothing
# sides: xdevd
any_guest
disk=xvdb
must "a file that is not there: status 13, with the reason" \
  fails_with 13 nosuch.img block-attach "$GUEST_ID" "$(disk_spec $disk /images/nosuch.img)"
must "no trace of it in the store" removed vbd "$(disk_id $disk)"
must "the guest has no disk" no_disk_in_guest $disk
nothing_left
must "a bridge that is not there: status 13, with the reason" \
  fails_with 13 nosuch network-attach "$GUEST_ID" "backend=$DRIVER" bridge=nosuch mac=00:16:3e:0c:00:02
must "no trace of it in the store" removed vif 0
nothing_left
must "the number can be used again" \
  ours block-attach "$GUEST_ID" "$(disk_spec $disk /images/disk8.img)" --wait connected
must "it is connected" connected vbd "$(disk_id $disk)"
bytes_both_ways $disk /images/disk8.img
must "it is detached" ours block-detach "$GUEST_ID" $disk
must "no trace of it in the store" removed vbd "$(disk_id $disk)"
