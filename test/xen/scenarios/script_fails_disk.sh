# title: a block script fails without a word: toolstack and guest see it
any_guest
disk=xvdb
backend=$(backend_of vbd "$(disk_id $disk)")
attach_disk $disk anything block-refuses && echo "xl block-attach said nothing" || echo "xl block-attach failed"
must "hotplug-status is error" lab wait -t 20 "$backend/hotplug-status" =error
must "hotplug-error tells why" grep_node "$backend/hotplug-error" .
must "the backend is closed (state 6)" lab wait -t 20 "$backend/state" =6
must "the guest sees the end (frontend state 6)" \
  lab wait -t 20 "$(frontend_of vbd "$(disk_id $disk)")/state" =6
must "the guest has no disk" no_disk_in_guest $disk
must "the toolstack removes it" detach_disk $disk
must "no trace of it in the store" removed vbd "$(disk_id $disk)"
