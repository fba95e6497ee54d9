# title: two disks and two vifs attached at once, then detached at once
any_guest
attach_all() {
  attach_disk xvdb /images/disk2.img & pids=$!
  attach_disk xvdc /dev/ram2 & pids="$pids $!"
  attach_vif br0 00:16:3e:04:00:00 & pids="$pids $!"
  # xl picks the number of a vif when it starts: two at the very same moment would pick the same.
  lab wait -t 20 "$(backend_of vif 0)" there || return 1
  attach_vif br1 00:16:3e:04:00:01 & pids="$pids $!"
  all_ended
}
detach_all() {
  detach_disk xvdb & pids=$!
  detach_disk xvdc & pids="$pids $!"
  detach_vif 0 & pids="$pids $!"
  detach_vif 1 & pids="$pids $!"
  all_ended
}
all_ended() {
  local pid status=0
  for pid in $pids; do wait "$pid" || status=1; done
  return $status
}
must "all are attached" attach_all
for disk in xvdb xvdc; do must "$disk is connected" connected vbd "$(disk_id $disk)"; done
for number in 0 1; do must "vif $number is connected" connected vif $number; done
bytes_both_ways xvdb /images/disk2.img
bytes_both_ways xvdc /dev/ram2
pings_both_ways 00:16:3e:04:00:00 0
pings_both_ways 00:16:3e:04:00:01 1
must "all are detached" detach_all
for disk in xvdb xvdc; do must "no trace of $disk" removed vbd "$(disk_id $disk)"; done
for number in 0 1; do must "no trace of vif $number" removed vif $number; done
