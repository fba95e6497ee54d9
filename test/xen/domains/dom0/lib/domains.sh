# Domains: the driver domain of a side, its guests, and shell texts that run in them.
# A side is one daemon under test with a driver domain of its own: xdevd or xl.

# begin_side SIDE: names what belongs to it. DRIVER_ID and STORE are empty until the driver domain was started.
begin_side() {
  SIDE=$1
  DRIVER=driver-$SIDE
  STATE=/run/lab/$SIDE
  mkdir -p "$STATE"
  DRIVER_ID=$(cat "$STATE/driver-id" 2> /dev/null)
  STORE=/local/domain/$DRIVER_ID
}

# create_domain NAME MEMORY IMAGE [CONFIG LINE...]: prints the domid. KERNEL_OPTIONS are more of these.
create_domain() {
  local name=$1 memory=$2 image=$3
  shift 3
  {
    echo "name='$name'"
    echo "kernel='/lab/vmlinux'"
    echo "ramdisk='/lab/$image'"
    echo "extra='console=hvc0 loglevel=4 mitigations=off $KERNEL_OPTIONS'"
    echo "memory=$memory"
    echo "vcpus=1"
    echo "on_crash='preserve'"
    printf '%s\n' "$@"
  } > "$STATE/$name.cfg"
  timeout 90 xl create -q "$STATE/$name.cfg" >&2 || return 1
  xl domid "$name"
}

# start_domain NAME MEMORY IMAGE [CONFIG LINE...]: prints the domid once the agent answers.
start_domain() {
  local name=$1 id
  id=$(create_domain "$@") || return 1
  if ! lab wait -t "${AGENT_LIMIT:-60}" "/local/domain/$id/data/lab/ready" =1; then
    echo "$name does not answer; its console begins:" >&2
    head -30 "/var/log/xen/console/guest-$name.log" >&2
    return 1
  fi
  echo "$id"
}

# start_driver MEGABYTES
start_driver() {
  DRIVER_ID=$(start_domain "$DRIVER" "$1" "driver-$SIDE.img" driver_domain=1) || return 1
  echo "$DRIVER_ID" > "$STATE/driver-id"
  STORE=/local/domain/$DRIVER_ID
  on_driver '/lab/daemon settle' || echo "the daemon is not idle or not running"
}

# start_guest NAME [CONFIG LINE...]: GUEST and GUEST_ID are then its name and domid.
start_guest() {
  GUEST=$1-$SIDE
  shift
  GUEST_ID=$(start_domain "$GUEST" 192 guest.img "$@")
}

# any_guest [NAME]: a running guest without devices, shared by the scenarios that only plug and unplug. Those that need
# two call it again to go from one to the other.
any_guest() {
  GUEST=${1:-pool}-$SIDE
  if ! GUEST_ID=$(xl domid "$GUEST" 2> /dev/null); then
    start_guest "${1:-pool}"
  fi
}

# guests: the domids of this side's guests.
guests() {
  xl list | awk -v side="-$SIDE" -v driver="$DRIVER" '$1 ~ side "$" && $1 != driver { print $2 }'
}

on_driver() { lab run "$DRIVER_ID" "$1"; }
on_guest() { lab run "$GUEST_ID" "$1"; }

# live_update: xenstored becomes its own successor, in the same process, when no transaction is open.
live_update() {
  local answer status cmdline
  # It says nothing when all is well.
  answer=$(xenstore-control live-update -t 60 "$(readlink -f "$(command -v xenstored)")" 2>&1)
  status=$?
  cmdline=$(tr '\0' ' ' < "/proc/$(cat /run/xenstored.pid)/cmdline")
  echo "live update: status $status ${answer:+($answer)}; now runs $cmdline"
  [ "$status" = 0 ] && [[ $cmdline == *" -U"* || $cmdline == *--live-update* ]]
}
