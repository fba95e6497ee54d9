# title: a TPM under which the daemon, the process that serves it, and swtpm are killed
# sides: xdevd
# limit: 240
uuid=$(vtpm_uuid 3)
any_guest
must "a TPM is attached" attach_vtpm "$uuid"
must "it is connected" vtpm_connected 0
must "it works" works_as_tpm
pcr=$(tpm pcr)
must "the daemon is killed" on_driver '/lab/daemon kill'
same "the guest goes on, with the same PCR" "$pcr" "$(tpm pcr)"
must "the daemon is started again" on_driver '/lab/daemon start; /lab/daemon settle'
same "the guest goes on, with the same PCR" "$pcr" "$(tpm pcr)"

must "there is one swtpm" vtpm_process swtpm "$uuid"
swtpm=$PID
must "there is one process that serves it" vtpm_process server
server=$PID
must "swtpm is stopped" on_driver "kill -STOP $swtpm"
must "the guest begins a command" on_guest "(/lab/tpm extend > /tmp/said 2>&1; echo \$? > /tmp/status) > /dev/null 2>&1 & sleep 1"
must "what serves it is killed" on_driver "kill -9 $server"
must "the command ends with an error" on_guest "for _ in 1 2 3 4 5 6; do [ -s /tmp/status ] && break; sleep 0.5; done
  cat /tmp/said /tmp/status; grep -qx 1 /tmp/status"
must "swtpm goes on" on_driver "kill -CONT $swtpm"
another() { for _ in $(seq 20); do vtpm_process server && [ "$PID" != "$server" ] && return; sleep 0.5; done; return 1; }
must "another process serves it" another
must "the guest goes on" tpm random
# The command that was under way was in swtpm by then: it may have been done, and is not done twice.
must "PCRs are kept" on_guest "[ \$(/lab/tpm pcr | tail -c 65) != $(printf '%064d' 0) ]"
must "it works" works_as_tpm

must "swtpm is stopped" on_driver "kill -STOP $swtpm"
must "the guest begins a command" on_guest "(/lab/tpm random > /tmp/said 2>&1; echo \$? > /tmp/status2) > /dev/null 2>&1 & sleep 1"
must "swtpm is killed" on_driver "kill -9 $swtpm"
must "the command ends with an error" on_guest "for _ in 1 2 3 4 5 6; do [ -s /tmp/status2 ] && break; sleep 0.5; done
  grep -qx 1 /tmp/status2"
must "the device says why" lab wait -t 20 "$(backend_of vtpm 0)/hotplug-status" =error
must "in words" grep_node "$(backend_of vtpm 0)/hotplug-error" swtpm
cat "$STATE/output"
must "the guest has no TPM any more" on_guest "for _ in 1 2 3 4 5 6 7 8; do [ -c /dev/tpm0 ] || exit 0; sleep 0.5; done; exit 1"
must "no other swtpm was started" on_driver "[ -z \"\$(/lab/vtpm_process swtpm 0 $uuid)\" ]"
must "it is detached" detach_vtpm 0
must "no trace of it in the store" removed vtpm 0
nothing_left
must "it is attached anew" attach_vtpm "$uuid"
must "it is connected" vtpm_connected 0
must "it works" works_as_tpm

must "there is one swtpm" vtpm_process swtpm "$uuid"
must "swtpm is stopped" on_driver "kill -STOP $PID"
must "the guest begins a command" on_guest "(/lab/tpm random; echo \$? > /tmp/status3) > /dev/null 2>&1 & sleep 1"
must "it is detached, within two seconds" within 2000 detach_vtpm 0
cat "$STATE/output"
must "the command has ended" on_guest "for _ in 1 2 3 4 5 6; do [ -s /tmp/status3 ] && exit; sleep 0.5; done; exit 1"
must "no trace of it in the store" removed vtpm 0
