# Virtual TPMs: each is known by its uuid.

vtpm_uuid() { printf '01234567-89ab-cdef-0123-%012d' "$1"; }

attach_vtpm() { toolstack vtpm-attach "$GUEST_ID" "backend=$DRIVER" "uuid=$1"; }
detach_vtpm() { toolstack vtpm-detach "$GUEST_ID" "$1"; }

# vtpm_connected ID: both ends are in state 4.
vtpm_connected() {
  lab wait -t 20 "$(backend_of vtpm "$1")/state" =4 && lab wait -t 20 "$(frontend_of vtpm "$1")/state" =4
}

# tpm COMMAND...: what the guest's /dev/tpm0 answers.
tpm() { on_guest "/lab/tpm $*"; }

# vtpm_process server|swtpm [UUID]: sets PID to the one process of that kind.
vtpm_process() {
  PID=$(on_driver "/lab/vtpm_process $1 $GUEST_ID $2")
  [[ $PID =~ ^[0-9]+$ ]] || { echo "processes: ${PID:-none}"; return 1; }
}

# works_as_tpm: two random numbers that differ; a PCR that can be extended and read.
works_as_tpm() {
  local random before after
  random=$(tpm random random) || { echo "$random"; return 1; }
  [ "$(sort -u <<< "$random" | wc -l)" = 2 ] || { echo "random numbers: $random"; return 1; }
  ! grep -v '^80010000001c000000000010' <<< "$random" || return 1
  before=$(tpm pcr) && tpm extend && after=$(tpm pcr) && [ "$before" != "$after" ] && [ ${#after} = 124 ]
}

# within MILLISECONDS COMMAND...: it succeeds, and takes no longer.
within() {
  local limit=$1 start=${EPOCHREALTIME/./} took
  shift
  "$@" || return 1
  took=$(((${EPOCHREALTIME/./} - start) / 1000))
  echo "it took $took ms" | tee -a "$STATE/took"
  [ "$took" -le "$limit" ]
}

# zombies: domains that are dead and cannot go, since somebody has their memory mapped.
no_zombies() { ! xl list | grep -e '(null)' -e '---s*d- '; }
