# Our own commands of the toolstack, in dom0. Bounded as xl's are: their own limits are far below this.
ours() { timeout 90 /lab/xdevd "$@"; }

# fails_with STATUS PATTERN COMMAND...: our command ends with this status, with one line that has the pattern in it.
fails_with() {
  local wanted=$1 pattern=$2 said status
  shift 2
  said=$(ours "$@" 2>&1)
  status=$?
  printf '%s\nstatus %s\n' "$said" "$status"
  [ "$status" = "$wanted" ] && [ "$(wc -l <<< "$said")" = 1 ] && grep -q -e "$pattern" <<< "$said"
}
