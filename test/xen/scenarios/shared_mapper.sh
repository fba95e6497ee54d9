# title: device-mapper devices over a disk for two guests: with the disk itself the second is refused, in both orders; disjoint ones are both served
must "two volumes on one disk" on_driver "/lab/volume one /dev/ram0 0 16384 && /lab/volume two /dev/ram0 16384 16384"
must "one on a volume" on_driver "/lab/volume on-one /dev/mapper/one 0 16384"
any_guest
served xvdb /dev/mapper/one
any_guest second
served xvdb /dev/mapper/two
bytes_both_ways xvdb /dev/mapper/two
any_guest
bytes_both_ways xvdb /dev/mapper/one
any_guest second
taken_away xvdb
refused xvdb /dev/ram0 .
refused xvdb /dev/mapper/on-one .
any_guest
bytes_both_ways xvdb /dev/mapper/one
taken_away xvdb
served xvdb /dev/ram0
any_guest second
refused xvdb /dev/mapper/on-one .
any_guest
bytes_both_ways xvdb /dev/ram0
taken_away xvdb
for name in on-one one two; do must "$name goes" on_driver "/lab/volume $name"; done
