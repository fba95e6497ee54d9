# title: by requests only: a file disk, a qcow2 image and a vif attached, used and detached; a request that cannot be done
# sides: xdevd
any_guest
disk=xvdb target=/images/disk7.img image=/images/requested.qcow2 mac=00:16:3e:0e:00:01
no_request() { [ -z "$(xenstore-list "/hotplug/domain/$DRIVER_ID/vbd/$GUEST_ID" 2> /dev/null)" ]; }
daemon_is_present() {
  for _ in $(seq 20); do
    [ -z "$(xenstore-read "/hotplug/domain/$DRIVER_ID/daemon")" ] || return 0
    sleep 0.5
  done
  return 1
}
must "the driver domain is granted requests" ours request setup "$DRIVER"
must "its daemon takes them" daemon_is_present
must "a disk is asked for, and attached" \
  ours request attach disk "$GUEST" "$(disk_spec $disk $target)"
must "it is connected" connected vbd "$(disk_id $disk)"
must "there is a request for it" grep_node "/hotplug/domain/$DRIVER_ID/vbd/$GUEST_ID/$(disk_id $disk)/state" connected
must "xl lists it" grep -q "^$(disk_id $disk) .* 4 .* $(backend_of vbd "$(disk_id $disk)")" <(xl block-list "$GUEST_ID")
bytes_both_ways $disk $target
must "a vif is asked for, and attached" ours request attach vif "$GUEST" "backend=$DRIVER" bridge=br0 "mac=$mac"
must "it is connected" connected vif 0
pings_both_ways $mac 0
must "an image is made" make_image $image
must "it is asked for, and attached; the driver domain chooses QEMU for it" \
  ours request attach disk "$GUEST_ID" "$(qcow2_spec xvdc $image)"
must "it is connected" connected qdisk "$(disk_id xvdc)"
reads_seed xvdc $image
writes_image xvdc
must "the vif is given back" ours request detach vif "$GUEST" 0
must "the image is given back" ours request detach disk "$GUEST" xvdc
must "the disk is given back, by the usual command" ours block-detach "$GUEST" $disk
must "no trace of the disk in the store" removed vbd "$(disk_id $disk)"
must "no trace of the image in the store" removed qdisk "$(disk_id xvdc)"
must "no trace of the vif in the store" removed vif 0
must "the guest has no disk any more" no_disk_in_guest $disk
must "there is no request any more" no_request
nothing_left
image_has_all $image
must "what cannot be done fails with status 13, and the reason is told" \
  fails_with 13 nosuch.img request attach disk "$GUEST" "$(disk_spec $disk /images/nosuch.img)"
must "no trace of it in the store" removed vbd "$(disk_id $disk)"
must "no request is left of it" no_request
