#!/bin/sh
# Stands in for QEMU: what it does with the store for the disks and file systems of one guest
# (hw/xen/xen-bus.c), and what a test tells it by files beside it.
here=$(dirname "$0")
guest=$2
echo "$*" > "$here/arguments"
echo $$ >> "$here/pids"
for signal in HUP TERM; do
  # shellcheck disable=SC2064
  trap "echo $signal >> '$here/signals'; [ -e '$here/ignores-$signal' ] || exit 0" "$signal"
done
if [ -e "$here/fails" ]; then cat "$here/fails" >&2; exit 1; fi
while [ -e "$here/hangs" ]; do sleep 0.05; done
xenstore-write "device-model/$guest/state" running

mine=
while :; do
  for kind in qdisk 9pfs qusb; do
    for devid in $(xenstore-list "backend/$kind/$guest" 2>/dev/null); do
      at=backend/$kind/$guest/$devid
      front=$(xenstore-read "$(xenstore-read "$at/frontend" 2>/dev/null)/state" 2>/dev/null)
      state=$(xenstore-read "$at/state" 2>/dev/null)
      online=$(xenstore-read "$at/online" 2>/dev/null)
      case " $mine " in
      *" $at "*)
        case "$online $state $front" in
        ?" 2 "[34]) xenstore-write "$at/state" 4 ;;
        "0 5 "*) xenstore-write "$at/state" 6 ;;
        esac
        ;;
      *)
        # It creates only what is online and Initialising.
        if [ "$online $state" = "1 1" ] && ! [ -e "$here/refuses" ]; then
          mine="$mine $at"
          xenstore-write "$at/hotplug-status" connected "$at/state" 2
        fi
        ;;
      esac
    done
  done
  sleep 0.05
done
