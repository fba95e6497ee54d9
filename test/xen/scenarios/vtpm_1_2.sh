# title: a TPM 1.2, with which all of the kernel works: sysfs, random numbers
# sides: xdevd
uuid=$(vtpm_uuid 5)
any_guest
must "one is made in the driver domain" on_driver "/lab/xdevd vtpm create $uuid --version 1.2"
must "it is attached" attach_vtpm "$uuid"
must "it is connected" vtpm_connected 0
must "the kernel knows what it is" on_guest "for _ in 1 2 3 4; do [ -e /sys/class/tpm/tpm0/caps ] && break; sleep 0.5; done
  cat /sys/class/tpm/tpm0/caps; grep -q 'TCG version: 1.2' /sys/class/tpm/tpm0/caps"
must "it reads the PCRs" on_guest "head -n 3 /sys/class/tpm/tpm0/pcrs; grep -c '^PCR-' /sys/class/tpm/tpm0/pcrs | grep -qx 24"
must "it gets random numbers from it" on_guest "cat /sys/class/misc/hw_random/rng_available
  echo tpm-rng-0 > /sys/class/misc/hw_random/rng_current
  [ \$(dd if=/dev/hwrng bs=16 count=1 2> /dev/null | od -An -tx1 | wc -w) = 16 ] &&
  [ \"\$(dd if=/dev/hwrng bs=16 count=1 2> /dev/null | od -An -tx1)\" != \"\$(dd if=/dev/hwrng bs=16 count=1 2> /dev/null | od -An -tx1)\" ]"
must "it is detached" detach_vtpm 0
must "no trace of it in the store" removed vtpm 0
