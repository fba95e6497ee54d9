# title: xdevd served a disk and a vif, by scripts and then without, and is stopped; `xl devd` goes on, and undoes them
# sides: xdevd
# limit: 240
any_guest
disk=xvdb target=/images/disk4.img mac=00:16:3e:0f:00:01
for config in scripts native; do
  must "xdevd is started, config $config" daemon_with $config
  must "$config: a disk is attached" attach_disk $disk $target
  must "$config: a vif is attached" attach_vif br0 $mac
  must "$config: the disk is connected" connected vbd "$(disk_id $disk)"
  must "$config: the vif is connected" connected vif 0
  must "$config: it is stopped" on_driver '/lab/daemon stop'
  must "$config: xl devd is started" on_driver '/lab/daemon start-stock; /lab/daemon settle'
  same "$config: one loop device" 1 "$(on_driver 'losetup -a | wc -l')"
  bytes_both_ways $disk $target
  pings_both_ways $mac 0
  must "$config: the disk is detached" detach_disk $disk
  must "$config: no trace of the disk in the store" removed vbd "$(disk_id $disk)"
  must "$config: the guest has no disk any more" no_disk_in_guest $disk
  must "$config: the vif is detached" detach_vif 0
  must "$config: no trace of the vif in the store" removed vif 0
  nothing_left
done
must "as it was" as_it_was
