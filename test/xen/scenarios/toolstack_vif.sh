# title: a vif attached by `xdevd network-attach` in dom0 is listed and detached by `xl`; one attached by `xl`, by xdevd
any_guest
mac=00:16:3e:0c:00:01
lists_are_equal() {
  same "$1: xl and xdevd list the same" "$(xl network-list "$GUEST_ID")" "$(ours network-list "$GUEST_ID")"
  must "$1: it is in the list" grep -q "^0 .* $mac .* $(backend_of vif 0)" <(xl network-list "$GUEST_ID")
}
must "xdevd attaches, and waits for the guest" \
  ours network-attach "$GUEST_ID" "backend=$DRIVER" bridge=br0 "mac=$mac" --wait connected
must "it is connected" connected vif 0
lists_are_equal "attached by xdevd"
pings_both_ways $mac 0
must "xl detaches" detach_vif 0
must "no trace of it in the store" removed vif 0
nothing_left
must "xl attaches" attach_vif br0 $mac
must "it is connected" connected vif 0
lists_are_equal "attached by xl"
pings_both_ways $mac 0
must "xdevd detaches, by the MAC address" ours network-detach "$GUEST" $mac
must "no trace of it in the store" removed vif 0
