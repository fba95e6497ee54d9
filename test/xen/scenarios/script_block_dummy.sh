# title: Xen's own `block-dummy` script, whose target is `dummy:` and a file: attach, detach, twice
any_guest
disk=xvdb target=/images/disk3.img
for time in first second; do
  must "$time: attach" attach_disk $disk dummy:$target block-dummy
  must "$time: it is connected" connected vbd "$(disk_id $disk)"
  bytes_both_ways $disk $target
  must "$time: detach" detach_disk $disk
  must "$time: no trace of it in the store" removed vbd "$(disk_id $disk)"
  nothing_left
done
