# Read by all that is run in the machine. The store as domain 0 has it is nobody's but the lab's own.
LAB=/lab
STORE=/run/lab-store

as_toolstack() {
	XENSTORED_RUNDIR=$STORE XENSTORED_PATH=$STORE/socket LD_LIBRARY_PATH=$LAB/lib "$@"
}
xs() { as_toolstack "$LAB/bin/xenstore" "$@"; }
fakedom() { as_toolstack "$LAB/bin/fakedom" "$@"; }
