# Our daemon with hotplug scripts and without, and what either leaves.

# daemon_with CONFIG: the daemon is started afresh with a file of the driver domain's /lab/config.
daemon_with() {
  on_driver "/lab/daemon kill; /lab/daemon start $1; /lab/daemon settle"
}

# as_it_was: the scripts are themselves again, and the daemon has no configuration.
as_it_was() {
  on_driver "/lab/witness off; /lab/daemon kill; /lab/daemon start; /lab/daemon settle"
}

scripts_ran() { on_driver '/lab/witness runs'; }

# end_state KIND ID: the nodes of a connected device and what the driver domain has for it. Without what belongs to one
# attachment and no other: our daemon's mark.
end_state() {
  xenstore-ls "$(backend_of "$1" "$2")" | grep -v -e xdevd-attach
  on_driver "/lab/end_state $GUEST_ID"
}
