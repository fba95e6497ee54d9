# request COMMAND ARGUMENT...: a toolstack that knows requests only, see test/xen/request/main.ts.
request() { BUN_BE_BUN=1 timeout 90 /lab/xdevd /lab/request.js "$@"; }
