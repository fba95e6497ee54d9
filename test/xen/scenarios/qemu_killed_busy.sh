# title: QEMU is killed (SIGKILL) while the guest reads and writes: what was under way is lost to the guest, and nothing is left of the disk
# sides: xdevd
any_guest
disk=xvdb image=/images/busy.qcow2
backend=$(backend_of qdisk "$(disk_id $disk)") frontend=$(frontend_of qdisk "$(disk_id $disk)")
must "an image is made" make_image $image
must "it is attached" attach_qcow2 $disk $image
must "it is connected" connected qdisk "$(disk_id $disk)"
must "one QEMU" qemu_of_guest
# Stopped first, so that there are requests that nobody answers.
must "QEMU stops, the guest writes, QEMU is killed" on_driver "kill -STOP $QEMU"
on_guest "(dd if=/dev/zero of=/dev/$disk bs=64k count=16 oflag=direct; echo \$? > /tmp/dd-ended) > /dev/null 2>&1 &"
sleep 1
must "it is killed" on_driver "kill -9 $QEMU"
must "hotplug-error is there" lab wait -t 20 "$backend/hotplug-error" there
must "the guest sees the end (frontend state 6)" lab wait -t 20 "$frontend/state" =6
must "the guest's dd still waits" on_guest "[ ! -e /tmp/dd-ended ]"
must "the disk is detached" detach_disk $disk
must "no trace of it in the store" removed qdisk "$(disk_id $disk)"
nothing_left
# Its kernel waits for the lost requests for ever when the disk is removed, and follows the store no more.
must "the guest is destroyed" toolstack destroy "$GUEST_ID"
must "the guest is gone" domain_gone "$GUEST_ID"
must "the image is sound" on_driver "qemu-img check -q $image"
