# title: a TPM 2.0 (`xl vtpm-attach` and `xdevd vtpm-attach`): random numbers, PCRs, what it keeps; unbind and bind; two guests
# sides: xdevd
# limit: 300
uuid=$(vtpm_uuid 1)
any_guest
must "xl attaches" attach_vtpm "$uuid"
must "it is connected" vtpm_connected 0
same "xl and xdevd list the same" "$(xl vtpm-list "$GUEST_ID")" "$(ours vtpm-list "$GUEST_ID")"
must "it works" works_as_tpm
must "something is kept in it" tpm nv-define nv-write
must "what serves it, and swtpm" on_driver "for pid in \$(/lab/vtpm_process server $GUEST_ID) \$(/lab/vtpm_process swtpm 0 $uuid); do
  grep -e ^Name -e ^Uid -e ^CapEff -e ^VmRSS -e ^RssAnon /proc/\$pid/status; grep ^Pss: /proc/\$pid/smaps_rollup; done"
sed 's/^/     /' "$STATE/output"
must "both without capabilities, neither as root" on_driver "for pid in \$(/lab/vtpm_process server $GUEST_ID) \$(/lab/vtpm_process swtpm 0 $uuid); do
  grep -q '^CapEff:.0*\$' /proc/\$pid/status && ! grep -q '^Uid:.0' /proc/\$pid/status || exit 1; done"
on_driver "grep 'vtpm/.* connected after' /var/log/daemon.log" | tail -n 1
must "twenty commands, as the guest sees them" within 20000 tpm random random random random random random random \
  random random random random random random random random random random random random random
cat "$STATE/output" | tail -n 1
must "xdevd detaches, by uuid, within a second" within 1000 ours vtpm-detach "$GUEST_ID" "$uuid"
cat "$STATE/output"
must "no trace of it in the store" removed vtpm 0
nothing_left
must "xdevd attaches it again" ours vtpm-attach "$GUEST" "backend=$DRIVER,uuid=$uuid" --wait connected
must "it is connected" vtpm_connected 0
same "it has kept what was in it" "c0ffee0123456789" "$(tpm nv-read | grep -o c0ffee0123456789)"
same "and PCRs begin anew" "$(printf '%064d' 0)" "$(tpm pcr | tail -c 65)"
must "a PCR is extended" tpm extend
pcr=$(tpm pcr)
must "the guest's driver is unbound" on_guest "echo vtpm-0 > /sys/bus/xen/drivers/vtpm/unbind"
must "so the backend waits for it" lab wait -t 20 "$(backend_of vtpm 0)/state" =2
must "it is bound again" on_guest "echo vtpm-0 > /sys/bus/xen/drivers/vtpm/bind"
must "it is connected" vtpm_connected 0
same "with the same PCR" "$pcr" "$(tpm pcr)"
must "another guest starts" any_guest other
must "it gets a TPM of its own" attach_vtpm "$(vtpm_uuid 2)"
must "it is connected" vtpm_connected 0
must "it works" works_as_tpm
must "it is detached" detach_vtpm 0
must "no trace of it in the store" removed vtpm 0
must "one of the first guest's uuid is refused" fails_with 13 "in use by vtpm/" vtpm-attach "$GUEST_ID" \
  "backend=$DRIVER,uuid=$uuid"
# Its driver had begun before, and waits two minutes for an answer: until then the guest hears of no device.
must "the guest is destroyed" toolstack destroy "$GUEST_ID"
must "it is gone" domain_gone "$GUEST_ID"
any_guest
must "the first one works" works_as_tpm
must "xl detaches, by number, within a second" within 1000 detach_vtpm 0
cat "$STATE/output"
must "no trace of it in the store" removed vtpm 0
