# The guest's own view: bytes that arrive, pings that are answered.

# bytes_both_ways xvdb TARGET: what the guest writes is in the target, what the driver domain writes there the guest
# reads. A megabyte each, at different places, all of it random.
bytes_both_ways() {
  local vdev=$1 target=$2 direct= written found
  case $target in /dev/*) direct=direct ;; esac
  written=$(on_guest "head -c 1048576 /dev/urandom > /tmp/out &&
    dd if=/tmp/out of=/dev/$vdev bs=64k oflag=direct 2> /dev/null && md5sum < /tmp/out")
  found=$(on_driver "dd if=$target bs=64k count=16 ${direct:+iflag=direct} 2> /dev/null | md5sum")
  same "$vdev: the driver domain has what the guest wrote" "$written" "$found"
  written=$(on_driver "head -c 1048576 /dev/urandom > /tmp/in &&
    dd if=/tmp/in of=$target bs=64k seek=64 conv=notrunc ${direct:+oflag=direct} 2> /dev/null && md5sum < /tmp/in")
  found=$(on_guest "dd if=/dev/$vdev bs=64k skip=64 count=16 iflag=direct 2> /dev/null | md5sum")
  same "$vdev: the guest has what the driver domain wrote" "$written" "$found"
}

# pings_both_ways MAC BRIDGE_NUMBER: the guest gets an address on its interface; each end answers the other.
pings_both_ways() {
  local mac=$1 net=10.0.$2 name
  name=$(on_guest "/lab/interface_of $mac") || must "the guest has an interface with $mac" false
  must "$name is configured in the guest" \
    on_guest "ip addr flush dev $name; ip addr add $net.2/24 dev $name && ip link set $name up"
  must "$name: the driver domain answers the guest" on_guest "ping -c 3 -W 5 -A $net.1 || ping -c 2 -W 5 $net.1"
  must "$name: the guest answers the driver domain" on_driver "ping -c 2 -W 5 $net.2"
}
