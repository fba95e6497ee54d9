#!/bin/sh
# In the initramfs, before the root is switched: what the store has of the disk by then.
. /lab/env.sh

xs ls /local/domain/1/backend >"$STORE/at-switch" 2>&1
