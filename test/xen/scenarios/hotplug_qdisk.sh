# title: hot attach and detach of a qcow2 image that QEMU serves (`qdisk`), twice
any_guest
disk=xvdb image=/images/first.qcow2
for round in first second; do
  must "$round: an image is made" make_image $image
  must "$round attach" attach_qcow2 $disk $image
  must "the disk is connected" connected qdisk "$(disk_id $disk)"
  must "one QEMU" qemu_of_guest
  reads_seed $disk $image
  writes_image $disk
  must "$round detach" detach_disk $disk
  must "no trace of it in the store" removed qdisk "$(disk_id $disk)"
  must "the guest has no disk any more" no_disk_in_guest $disk
  nothing_left
  image_has_all $image
done
