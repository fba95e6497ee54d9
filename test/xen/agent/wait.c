/* lab wait: until a node is as wanted (exit 0) or the time is up (exit 1). */
#include "lab.h"

#include <stdio.h>

int wait_main(int argc, char **argv) {
  double deadline = lab_limit(&argc, &argv, 30);
  if (argc != 3) return 2;
  deadline += lab_now();
  struct xs_handle *store = lab_open();
  if (!xs_watch(store, argv[1], "wait")) {
    perror("lab wait");
    return 2;
  }
  do {
    if (lab_holds(store, argv[1], argv[2])) return 0;
  } while (lab_events(store, deadline));
  return 1;
}
