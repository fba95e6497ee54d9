# title: smoke: a disk and a vif, real bytes and pings
# sides: xdevd
# smoke: only
#
# The shortest way through everything: a guest that is created with both, then destroyed.
disk=xvdb target=/images/disk0.img mac=00:16:3e:01:00:01
must "the guest starts" start_guest smoke \
  "disk=['$(disk_spec $disk $target)']" "vif=['$(vif_spec br0 $mac)']"
must "the disk is connected" connected vbd "$(disk_id $disk)"
must "the vif is connected" connected vif 0
bytes_both_ways $disk $target
pings_both_ways $mac 0
must "the guest is destroyed" toolstack destroy "$GUEST_ID"
