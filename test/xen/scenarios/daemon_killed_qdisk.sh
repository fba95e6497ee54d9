# title: daemon killed (SIGKILL) and restarted while a qcow2 image is connected: the same QEMU goes on; then detach
any_guest
disk=xvdb image=/images/kept.qcow2
must "an image is made" make_image $image
must "it is attached" attach_qcow2 $disk $image
must "it is connected" connected qdisk "$(disk_id $disk)"
must "one QEMU" qemu_of_guest
before=$QEMU
must "the daemon is killed" on_driver '/lab/daemon kill'
reads_seed $disk $image
must "the daemon is started again" on_driver '/lab/daemon start; /lab/daemon settle'
must "one QEMU" qemu_of_guest
same "it is the same" "$before" "$QEMU"
writes_image $disk
must "a second image is made" make_image $image.2
must "a second one is attached" attach_qcow2 xvdc $image.2
must "it is connected" connected qdisk "$(disk_id xvdc)"
must "one QEMU for both" qemu_of_guest
same "it is the same" "$before" "$QEMU"
must "the second is detached" detach_disk xvdc
must "no trace of it in the store" removed qdisk "$(disk_id xvdc)"
must "its QEMU still serves the first" qemu_of_guest
reads_seed $disk $image
must "the first is detached" detach_disk $disk
must "no trace of it in the store" removed qdisk "$(disk_id $disk)"
nothing_left
image_has_all $image
