# title: a vif on a bridge, by Debian's `vif-bridge` script and then without any script: the same pings, the same end state
# sides: xdevd
any_guest
mac=00:16:3e:0b:00:01
must "each script is watched" on_driver '/lab/witness on'
for config in scripts native; do
  must "the daemon is started, config $config" daemon_with $config
  must "forget what ran" on_driver '/lab/witness forget'
  must "$config: attach" attach_vif br1 $mac
  must "$config: it is connected" connected vif 0
  must "$config: it is a port of its bridge" on_driver "[ -e /sys/class/net/br1/brif/vif$GUEST_ID.0 ]"
  pings_both_ways $mac 1
  end_state vif 0 > "$STATE/vif.$config"
  must "$config: detach" detach_vif 0
  must "$config: no trace of it in the store" removed vif 0
  nothing_left
  scripts_ran | tee "$STATE/ran.$config"
done
# That the witness sees what there is to see.
for action in online offline; do
  must "with scripts: vif-bridge $action" grep -q "^vif-bridge $action .*/vif/$GUEST_ID/0$" "$STATE/ran.scripts"
done
must "without: no script ran" [ ! -s "$STATE/ran.native" ]
same "the end state is the same" "$(cat "$STATE/vif.scripts")" "$(cat "$STATE/vif.native")"
must "as it was" as_it_was
