# title: a guest that is created with a TPM, and reboots; the TPM exported, deleted and imported again
# sides: xdevd
# limit: 240
uuid=$(vtpm_uuid 6)
must "a guest starts with it" start_guest vtpm "vtpm=['backend=$DRIVER,uuid=$uuid']"
must "it is connected" vtpm_connected 0
must "it works" works_as_tpm
must "something is kept in it" tpm nv-define nv-write
before=$GUEST_ID
must "the guest begins to reboot" on_guest "(sleep 1; busybox reboot -f) > /dev/null 2>&1 &"
must "its old domain is gone" domain_gone "$before"
again() {
  for _ in $(seq 60); do
    GUEST_ID=$(xl domid "$GUEST" 2> /dev/null) && [ "$GUEST_ID" != "$before" ] && break
    sleep 1
  done
  lab wait -t 60 "/local/domain/$GUEST_ID/data/lab/ready" =1
}
must "it is up again" again
must "its TPM is connected" vtpm_connected 0
must "it works" works_as_tpm
same "it has kept what was in it" "c0ffee0123456789" "$(tpm nv-read | grep -o c0ffee0123456789)"
must "the guest is destroyed" toolstack destroy "$GUEST_ID"
must "the guest is gone" domain_gone "$GUEST_ID"
nothing_left
must "the driver domain knows of it, free" on_driver "/lab/xdevd vtpm list | tee /dev/stderr | grep -q '^$uuid .*  -\$'"
must "one is exported, deleted, and imported" on_driver "/lab/xdevd vtpm export $uuid /tmp/vtpm &&
  /lab/xdevd vtpm delete $uuid --yes && /lab/xdevd vtpm import /tmp/vtpm && rm /tmp/vtpm"
any_guest
must "it is attached" attach_vtpm "$uuid"
must "it is connected" vtpm_connected 0
same "it has kept what was in it" "c0ffee0123456789" "$(tpm nv-read | grep -o c0ffee0123456789)"
must "one in use is not exported" on_driver "! /lab/xdevd vtpm export $uuid /tmp/vtpm && [ ! -e /tmp/vtpm ]"
must "it is detached" detach_vtpm 0
