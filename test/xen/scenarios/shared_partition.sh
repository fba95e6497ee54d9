# title: a disk and its partition for two guests, in both orders: the second is refused, the first keeps its disk; two partitions for two guests
must "there are partitions" on_driver "/lab/partitions on"
overlap() {
  local first=$1 second=$2 seen=$3
  any_guest
  served xvdb "$first"
  any_guest second
  refused xvdb "$second" .
  any_guest
  bytes_both_ways xvdb "$seen"
  taken_away xvdb
  # So it was not refused for good.
  any_guest second
  served xvdb "$second"
  taken_away xvdb
}
overlap /dev/ram0 /dev/ram0p1 /dev/ram0
overlap /dev/ram0p1 /dev/ram0 /dev/ram0p1
any_guest
served xvdb /dev/ram0p1
any_guest second
served xvdb /dev/ram0p2
bytes_both_ways xvdb /dev/ram0p2
any_guest
bytes_both_ways xvdb /dev/ram0p1
taken_away xvdb
any_guest second
taken_away xvdb
must "the partitions go" on_driver "/lab/partitions off"
