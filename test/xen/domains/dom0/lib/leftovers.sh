# After every scenario: nothing may be left of its devices.

# list_leftovers: one line each, as told by the store and by the driver domain itself.
list_leftovers() {
  local kind guest
  for kind in $(xenstore-list "$STORE/backend" 2> /dev/null); do
    for guest in $(xenstore-list "$STORE/backend/$kind"); do
      echo "backend directory $kind of guest $guest: $(xenstore-list "$STORE/backend/$kind/$guest" | tr '\n' ' ')"
    done
  done
  for guest in $(xenstore-list "$STORE/libxl" 2> /dev/null); do
    echo "node libxl/$guest of the driver domain"
  done
  for guest in $(xenstore-list "$STORE/device-model" 2> /dev/null); do
    echo "node device-model/$guest of the driver domain"
  done
  on_driver /lab/leftovers
}

# nothing_left: waits a little, since a removal goes on after the toolstack's command has returned.
nothing_left() {
  local found deadline=$((SECONDS + 5))
  while found=$(list_leftovers); [ -n "$found" ]; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      printf '%s\n' "$found" | sed 's/^/LEAK: /'
      exit 1
    fi
    sleep 0.3
  done
  echo "ok: nothing is left behind"
}
