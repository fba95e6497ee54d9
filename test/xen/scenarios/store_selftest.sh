# title: transport self-test on `/dev/xen/xenbus`
# sides: xdevd
output=$(on_driver '/lab/xdevd store selftest')
status=$?
printf '%s\n' "$output"
must "the self-test passes" [ $status = 0 ]
