# title: a disk of which the driver domain itself has a part mounted, or swaps on it, is refused; afterwards it is served
any_guest
must "there are partitions" on_driver "/lab/partitions on"
must "the driver domain mounts one" on_driver "mke2fs -q /dev/ram0p1 && mount -t ext4 /dev/ram0p1 /mnt"
refused xvdb /dev/ram0 mounted
refused xvdb /dev/ram0p1 mounted
served xvdb /dev/ram0p2
taken_away xvdb
must "what is mounted is as it was" on_driver "echo text > /mnt/file && sync && umount /mnt && mount -t ext4 /dev/ram0p1 /mnt && cat /mnt/file"
must "it is unmounted" on_driver "umount /mnt"
served xvdb /dev/ram0
bytes_both_ways xvdb /dev/ram0
taken_away xvdb
must "the driver domain swaps on one" on_driver "mkswap /dev/ram0p2 && swapon /dev/ram0p2"
refused xvdb /dev/ram0 swap
refused xvdb /dev/ram0p2 swap
must "it swaps no more" on_driver "swapoff /dev/ram0p2"
served xvdb /dev/ram0
bytes_both_ways xvdb /dev/ram0
taken_away xvdb
must "the partitions go" on_driver "/lab/partitions off"
must "a volume" on_driver "/lab/volume volume /dev/ram0 0 32768"
must "the driver domain mounts it" on_driver "mke2fs -q /dev/mapper/volume && mount -t ext4 /dev/mapper/volume /mnt"
refused xvdb /dev/ram0 mounted
must "it is unmounted" on_driver "umount /mnt && /lab/volume volume"
served xvdb /dev/ram0
taken_away xvdb
