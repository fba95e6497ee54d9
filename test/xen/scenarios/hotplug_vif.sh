# title: hot attach and detach of a vif by Debian's `vif-bridge` script, twice
any_guest
mac=00:16:3e:03:00:01
for round in first second; do
  must "$round attach" attach_vif br1 $mac
  must "the vif is connected" connected vif 0
  must "it is a port of its bridge" on_driver "[ -e /sys/class/net/br1/brif/vif$GUEST_ID.0 ]"
  pings_both_ways $mac 1
  must "$round detach" detach_vif 0
  must "no trace of it in the store" removed vif 0
  nothing_left
done
