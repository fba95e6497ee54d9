# title: a file disk and a block device, by Debian's `block` script and then without any script: the same bytes, the same end state
# sides: xdevd
any_guest
must "each script is watched" on_driver '/lab/witness on'
for config in scripts native; do
  must "the daemon is started, config $config" daemon_with $config
  must "forget what ran" on_driver '/lab/witness forget'
  for pair in "xvdb /images/disk7.img" "xvdc /dev/ram3"; do
    read -r disk target <<< "$pair"
    must "$config: $target is attached" attach_disk $disk $target
    must "$config: it is connected" connected vbd "$(disk_id $disk)"
    end_state vbd "$(disk_id $disk)" > "$STATE/$disk.$config"
    bytes_both_ways $disk $target
    must "$config: detach" detach_disk $disk
    must "$config: no trace of it in the store" removed vbd "$(disk_id $disk)"
    must "$config: the guest has no disk any more" no_disk_in_guest $disk
    nothing_left
  done
  scripts_ran | tee "$STATE/ran.$config"
done
# That the witness sees what there is to see.
for action in add remove; do
  for disk in xvdb xvdc; do
    must "with scripts: block $action for $disk" grep -q "^block $action .*/$(disk_id $disk)$" "$STATE/ran.scripts"
  done
done
must "without: no script ran" [ ! -s "$STATE/ran.native" ]
for disk in xvdb xvdc; do
  same "$disk: the end state is the same" "$(cat "$STATE/$disk.scripts")" "$(cat "$STATE/$disk.native")"
done
must "as it was" as_it_was
