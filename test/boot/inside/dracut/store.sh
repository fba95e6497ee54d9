#!/bin/sh
# The store, and the toolstack's wishes, before anything that needs them.
/lab/store.sh
/lab/early.sh &
