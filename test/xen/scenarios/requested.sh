# title: by requests only: a file disk, a qcow2 image and a vif attached, used and detached; a request that cannot be done
# sides: xdevd
any_guest
disk=xvdb target=/images/disk7.img image=/images/requested.qcow2 mac=00:16:3e:0e:00:01
must "the driver domain is granted requests" request setup "$DRIVER_ID"
must "its daemon takes them" lab wait -t 20 "/hotplug/domain/$DRIVER_ID/daemon" there
must "a disk is asked for, and attached" \
  request attach-disk "$DRIVER_ID" "$GUEST_ID" "vdev=$disk,format=raw,access=rw,target=$target"
must "it is connected" connected vbd "$(disk_id $disk)"
must "there is a request for it" grep_node "/hotplug/domain/$DRIVER_ID/vbd/$GUEST_ID/$(disk_id $disk)/state" connected
must "xl lists it" grep -q "^$(disk_id $disk) .* 4 .* $(backend_of vbd "$(disk_id $disk)")" <(xl block-list "$GUEST_ID")
bytes_both_ways $disk $target
must "a vif is asked for, and attached" request attach-vif "$DRIVER_ID" "$GUEST_ID" 0 "mac=$mac" bridge=br0
must "it is connected" connected vif 0
pings_both_ways $mac 0
must "an image is made" make_image $image
must "it is asked for, and attached; the driver domain chooses QEMU for it" \
  request attach-disk "$DRIVER_ID" "$GUEST_ID" "vdev=xvdc,format=qcow2,access=rw,target=$image"
must "it is connected" connected qdisk "$(disk_id xvdc)"
reads_seed xvdc $image
writes_image xvdc
for one in "vbd $(disk_id xvdc)" "vbd $(disk_id $disk)" "vif 0"; do
  must "$one is given back" request detach "$DRIVER_ID" "$GUEST_ID" $one
done
must "no trace of the disk in the store" removed vbd "$(disk_id $disk)"
must "no trace of the image in the store" removed qdisk "$(disk_id xvdc)"
must "no trace of the vif in the store" removed vif 0
must "the guest has no disk any more" no_disk_in_guest $disk
must "there is no request any more" [ -z "$(request list "$DRIVER_ID")" ]
nothing_left
image_has_all $image
cannot=$(request attach-disk "$DRIVER_ID" "$GUEST_ID" "vdev=$disk,format=raw,access=rw,target=/images/nosuch.img" 2>&1)
same "what cannot be done fails" 1 $?
must "the reason is told" grep -q nosuch.img <<< "$cannot"
must "no trace of it in the store" removed vbd "$(disk_id $disk)"
must "no request is left of it" [ -z "$(request list "$DRIVER_ID")" ]
