#!/bin/sh
# xdevd-plugin: {"name":"in-shell","version":"1","api":1,"kinds":["vbd"],"carrier":"process"}
# Says that a device is connected, and nothing more: with printf, dd and od.
PATH=/usr/bin:/bin
text() { printf '\\%03o%s' $((160 + ${#1})) "$1"; }
say() {
  length=$(printf "$1" | wc -c)
  printf "\\000\\000$(printf '\\%03o\\%03o' $((length / 256)) $((length % 256)))$1"
}
say "\\204$(text type)$(text hello)$(text contract)\\001$(text name)$(text in-shell)$(text operations)\\222$(text add)$(text remove)"
while set -- $(dd bs=1 count=4 2>/dev/null | od -An -v -tu1); [ $# = 4 ]; do
  body=$(dd bs=1 count=$(($3 * 256 + $4)) 2>/dev/null | od -An -v -tx1 | tr -d ' \n')
  # The key "call" and a number behind it; the type "call" has a key behind it.
  hex=$(echo "$body" | sed -nE 's/.*a463616c6c([0-7][0-9a-f]|cc..|cd....).*/\1/p' | sed 's/../& /g')
  call=
  for byte in $hex; do call="$call$(printf '\\%03o' "0x$byte")"; done
  case $body in
    *a96f7065726174696f6ea3616464*) # "operation": "add"
      adding=$call
      say "\\205$(text type)$(text request)$(text request)\\001$(text call)$call$(text capability)$(text nodes.write)$(text arguments)\\221\\201$(text hotplug-status)$(text connected)" ;;
    *a96f7065726174696f6e*) say "\\202$(text type)$(text done)$(text call)$call" ;;
    *a57265706c79*) say "\\202$(text type)$(text done)$(text call)$adding" ;;
  esac
done
