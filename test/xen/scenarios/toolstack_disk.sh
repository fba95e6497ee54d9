# title: a disk attached by `xdevd block-attach` in dom0 is listed and detached by `xl`; one attached by `xl`, by xdevd
any_guest
disk=xvdb target=/images/disk8.img
lists_are_equal() {
  same "$1: xl and xdevd list the same" "$(xl block-list "$GUEST_ID")" "$(ours block-list "$GUEST_ID")"
  must "$1: it is in the list" grep -q "^$(disk_id $disk) .* 4 .* $(backend_of vbd "$(disk_id $disk)")" \
    <(xl block-list "$GUEST_ID")
}
must "xdevd attaches, and waits for the guest" \
  ours block-attach "$GUEST_ID" "$(disk_spec $disk $target)" --wait connected
same "so both ends are in state 4" "4 4" "$(echo $(xenstore-read "$(backend_of vbd "$(disk_id $disk)")/state" \
  "$(frontend_of vbd "$(disk_id $disk)")/state"))"
must "it is connected" connected vbd "$(disk_id $disk)"
lists_are_equal "attached by xdevd"
bytes_both_ways $disk $target
must "a second one of this number is refused" \
  fails_with 9 "$(disk_id $disk)" block-attach "$GUEST_ID" "$(disk_spec $disk $target)"
must "xl detaches" detach_disk $disk
must "no trace of it in the store" removed vbd "$(disk_id $disk)"
must "the guest has no disk any more" no_disk_in_guest $disk
nothing_left
must "xl attaches" attach_disk $disk $target
must "it is connected" connected vbd "$(disk_id $disk)"
lists_are_equal "attached by xl"
bytes_both_ways $disk $target
must "xdevd detaches, by the guest's name" ours block-detach "$GUEST" $disk
must "no trace of it in the store" removed vbd "$(disk_id $disk)"
must "the guest has no disk any more" no_disk_in_guest $disk
