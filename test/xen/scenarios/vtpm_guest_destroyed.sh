# title: the guest is destroyed under a command to its TPM that does not end
# sides: xdevd
uuid=$(vtpm_uuid 4)
any_guest
must "a TPM is attached" attach_vtpm "$uuid"
must "it is connected" vtpm_connected 0
must "it works" works_as_tpm
must "there is one swtpm" vtpm_process swtpm "$uuid"
must "swtpm is stopped" on_driver "kill -STOP $PID"
must "the guest begins a command" on_guest "(/lab/tpm random > /dev/null 2>&1) > /dev/null 2>&1 & sleep 1"
must "the guest is destroyed" toolstack destroy "$GUEST_ID"
must "without a complaint" [ ! -s "$STATE/output" ]
must "the guest is gone" domain_gone "$GUEST_ID"
nothing_left
must "no domain is dead and cannot go" no_zombies
any_guest
must "the TPM is free for another guest" attach_vtpm "$uuid"
must "it is connected" vtpm_connected 0
must "it works" works_as_tpm
must "it is detached" detach_vtpm 0
