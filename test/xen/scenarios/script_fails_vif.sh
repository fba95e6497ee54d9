# title: `vif-bridge` fails (no such bridge): toolstack and guest see it
any_guest
backend=$(backend_of vif 0)
# What xl itself says is recorded, not judged: stock toolstacks do not wait for the script of a driver domain.
attach_vif nosuch 00:16:3e:08:00:01 && echo "xl network-attach said nothing" || echo "xl network-attach failed"
must "hotplug-status is error" lab wait -t 20 "$backend/hotplug-status" =error
must "hotplug-error tells why" grep_node "$backend/hotplug-error" nosuch
must "the backend is closed (state 6)" lab wait -t 20 "$backend/state" =6
must "the guest sees the end (frontend state 6)" lab wait -t 20 "$(frontend_of vif 0)/state" =6
must "the toolstack removes it" detach_vif 0
must "no trace of it in the store" removed vif 0
