#!/bin/bash
# Takes the lab into the initramfs.

check() { return 0; }
depends() { return 0; }

install() {
	mkdir -p "$initdir/lab"
	cp -a /lab/bin /lab/lib /lab/*.sh "$initdir/lab/"
	inst_multiple cat grep mkdir mknod sleep
	inst_hook pre-udev 10 "$moddir/store.sh"
	inst_hook pre-pivot 90 "$moddir/bottom.sh"
}
