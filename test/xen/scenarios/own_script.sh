# title: a block script of somebody's own that keeps a mapping by name: a second guest is refused, and the first keeps its disk
script=block-map
runs() { on_driver "grep -c '^$1 $(backend_of vbd "$(disk_id xvdb)" | sed "s|$STORE/||")\$' /run/block-map-ran"; }
# each_undone_once: it is run for a removal exactly as often as for an addition.
each_undone_once() { same "$GUEST: as many removals as additions" "$(runs add)" "$(runs remove)"; }
must "no runs are noted" on_driver ": > /run/block-map-ran"
any_guest
served xvdb map:left $script
any_guest second
refused xvdb map:left . $script
same "the script was not run for it" "0 0" "$(runs add) $(runs remove)"
any_guest
bytes_both_ways xvdb /dev/mapper/left
# Which disk that is a part of only the script knows: what it did is undone at once.
any_guest second
refused xvdb map:of-left . $script
each_undone_once
must "its mapping is gone" on_driver "[ ! -e /dev/mapper/of-left ]"
any_guest
bytes_both_ways xvdb /dev/mapper/left
any_guest second
served xvdb map:right $script
bytes_both_ways xvdb /dev/mapper/right
taken_away xvdb
each_undone_once
any_guest
bytes_both_ways xvdb /dev/mapper/left
taken_away xvdb
same "one addition, one removal" "1 1" "$(runs add) $(runs remove)"
any_guest second
served xvdb map:left $script
taken_away xvdb
each_undone_once
