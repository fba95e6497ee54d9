# What must hold, and what is told when it does not.

# must WHAT COMMAND...: runs the command; if it fails, the scenario ends here and has failed.
must() {
  local what=$1 output=$STATE/output status
  shift
  # Not in a subshell: the command may set variables.
  "$@" > "$output" 2>&1
  status=$?
  if [ "$status" = 0 ]; then
    echo "ok: $what"
    return
  fi
  echo "FAIL: $what"
  echo "$*: status $status"
  cat "$output"
  exit 1
}

# same WHAT A B: both texts must be there and equal.
same() {
  if [ -n "$2" ] && [ "$2" = "$3" ]; then
    echo "ok: $1"
    return
  fi
  echo "FAIL: $1"
  printf '%s\n' "one side: $2" "the other: $3"
  exit 1
}

# tell_all: the state of the store and of the driver domain, for whoever reads why a scenario failed.
tell_all() {
  echo "-- $STORE/backend"
  xenstore-ls -f "$STORE/backend" 2>&1 | grep -v -e /feature- -e /multi-queue | sed "s|$STORE/||"
  if [ -n "$GUEST_ID" ]; then
    echo "-- $GUEST: frontends"
    xenstore-ls -f "/local/domain/$GUEST_ID/device" 2>&1 | grep -e /state -e /backend
  fi
  echo "-- daemon log"
  on_driver 'tail -n 40 /var/log/daemon.log; tail -n 10 /var/log/xen/xen-hotplug.log; tail -n 10 /var/log/xen/q*.log'
  echo "-- driver domain"
  xenstore-ls -f "$STORE/device-model" 2> /dev/null | sed "s|$STORE/||"
  on_driver 'ps -o pid,ppid,stat,args | grep -v "\[" | tail -n 20; losetup -a; dmesg | tail -n 8; xenstore-ls error 2>/dev/null'
}
