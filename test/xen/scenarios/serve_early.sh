# title: no daemon yet: a ten-line script in the driver domain serves a disk by `--serve`; the daemon that comes adopts it
# sides: xdevd
any_guest
disk=xvdb target=/images/disk9.img
# As after a boot: no daemon, and no journal of one.
must "each script is watched" on_driver '/lab/witness on'
must "there is no daemon" on_driver '/lab/daemon kill; rm -r /run/xdevd'
on_driver "/lab/serve_early $GUEST_ID $disk" > "$STATE/served" 2>&1 & serving=$!
must "the toolstack attaches a disk" attach_disk $disk $target
must "the script ends well" wait $serving
same "and says" "disk served" "$(cat "$STATE/served")"
must "it is connected" connected vbd "$(disk_id $disk)"
must "no process serves it" on_driver '! ps | grep -q "[x]devd"'
bytes_both_ways $disk $target
ran=$(scripts_ran)
must "the daemon is started" on_driver '/lab/daemon start; /lab/daemon settle'
same "it has run no script" "$ran" "$(scripts_ran)"
same "one loop device" 1 "$(on_driver 'losetup -a | wc -l')"
bytes_both_ways $disk $target
must "detach" detach_disk $disk
must "no trace of it in the store" removed vbd "$(disk_id $disk)"
must "the guest has no disk any more" no_disk_in_guest $disk
nothing_left
must "the scripts are as they were" on_driver '/lab/witness off'
