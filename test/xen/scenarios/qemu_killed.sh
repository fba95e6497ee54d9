# title: QEMU is killed (SIGKILL) three times under an idle disk: guest and toolstack see it, another QEMU serves, detach and attach go on
# sides: xdevd
any_guest
disk=xvdb image=/images/killed.qcow2
backend=$(backend_of qdisk "$(disk_id $disk)") frontend=$(frontend_of qdisk "$(disk_id $disk)")
must "an image is made" make_image $image
must "it is attached" attach_qcow2 $disk $image
must "it is connected" connected qdisk "$(disk_id $disk)"
reads_seed $disk $image
writes_image $disk
must "one QEMU" qemu_of_guest
killed=$QEMU
must "it is killed" on_driver "kill -9 $killed"
must "hotplug-error is there" lab wait -t 20 "$backend/hotplug-error" there
must "it tells why" grep_node "$backend/hotplug-error" QEMU
must "the guest sees the end (frontend state 6)" lab wait -t 20 "$frontend/state" =6
must "what it reads then is an error or nothing, and no waiting for ever" \
  on_guest "[ \$(timeout 10 dd if=/dev/$disk bs=4k count=1 iflag=direct 2> /dev/null | wc -c) = 0 ]"
must "there is another QEMU" another_qemu "$killed"
for time in second third; do
  killed=$QEMU
  must "it is killed the $time time" on_driver "kill -9 $killed"
  must "there is another QEMU" another_qemu "$killed"
done
same "each time there was a longer pause, in seconds" "1 2 4" \
  "$(on_driver "echo \$(sed -n 's/.*device-model.$GUEST_ID: .*started again in \(.*\) s$/\1/p' /var/log/daemon.log)")"
must "a second image is made" make_image $image.2
must "it is attached" attach_qcow2 xvdc $image.2
must "it is connected" connected qdisk "$(disk_id xvdc)"
reads_seed xvdc $image.2
must "one QEMU" qemu_of_guest
# Linux's blkfront does not come back from Closed: the guest has to have it detached and attached again.
must "the first is detached" detach_disk $disk
must "no trace of it in the store" removed qdisk "$(disk_id $disk)"
must "the guest has no $disk any more" no_disk_in_guest $disk
image_has_all $image
must "it is attached again" attach_qcow2 $disk $image
must "it is connected" connected qdisk "$(disk_id $disk)"
reads_seed $disk $image
for one in $disk xvdc; do
  must "$one is detached" detach_disk $one
  must "no trace of it in the store" removed qdisk "$(disk_id $one)"
done
