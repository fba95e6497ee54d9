# title: a PVH guest with a disk and a vif is migrated to the host it is on: it goes on with both
# limit: 240
disk=xvdb target=/images/disk1.img mac=00:16:3e:0f:00:01
must "the guest starts" start_guest pvh "type='pvh'" "disk=['$(disk_spec $disk $target)']" "vif=['$(vif_spec br0 $mac)']"
must "the disk is connected" connected vbd "$(disk_id $disk)"
must "the vif is connected" connected vif 0
bytes_both_ways $disk $target
pings_both_ways $mac 0
must "the guest notes something" on_guest "echo noted > /tmp/mark"
source=$GUEST_ID
must "it is migrated" timeout 120 xl migrate -s '' "$GUEST_ID" /lab/slow_receive
must "its source is gone" domain_gone "$source"
must "it has a new domid" [ "$(xl domid "$GUEST")" != "$source" ]
GUEST_ID=$(xl domid "$GUEST")
same "it is the same guest" noted "$(on_guest 'cat /tmp/mark')"
must "the disk is connected" connected vbd "$(disk_id $disk)"
must "the vif is connected" connected vif 0
bytes_both_ways $disk $target
must "the driver domain answers the guest" on_guest "ping -c 3 -W 5 -A 10.0.0.1 || ping -c 2 -W 5 10.0.0.1"
must "the guest is destroyed" toolstack destroy "$GUEST_ID"
must "the guest is gone" domain_gone "$GUEST_ID"
