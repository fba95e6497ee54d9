# title: the guest is destroyed with a qcow2 image in use; another one shuts down with it
disk=xvdb image=/images/dying.qcow2
for end in destroy "shutdown -w"; do
  any_guest
  must "an image is made" make_image $image
  must "it is attached" attach_qcow2 $disk $image
  must "it is connected" connected qdisk "$(disk_id $disk)"
  reads_seed $disk $image
  [ "$end" != destroy ] || must "the guest keeps its disk busy" \
    on_guest "(while :; do dd if=/dev/$disk of=/dev/$disk bs=64k count=64 oflag=direct; done) > /dev/null 2>&1 &"
  must "the guest ends: $end" toolstack $end "$GUEST_ID"
  must "the guest is gone" domain_gone "$GUEST_ID"
  nothing_left
  must "qemu-img finds no fault" on_driver "qemu-img check -q $image"
done
