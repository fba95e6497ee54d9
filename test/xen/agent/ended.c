/* lab ended: waits, without looking every now and then, until one of some processes has ended, and prints its pid. */
#include "lab.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>

#define PROCESSES_MAX 8

int ended_main(int argc, char **argv) {
  struct pollfd fds[PROCESSES_MAX];
  int count = argc - 1;
  if (count < 1 || count > PROCESSES_MAX) {
    fprintf(stderr, "lab ended: needs 1 to %d pids\n", PROCESSES_MAX);
    return 2;
  }
  for (int i = 0; i < count; i++) {
    fds[i] = (struct pollfd){.fd = pidfd_open(atoi(argv[i + 1]), 0), .events = POLLIN};
    if (fds[i].fd < 0) return puts(argv[i + 1]) < 0; /* it is gone already */
  }
  while (poll(fds, (nfds_t)count, -1) < 0) continue;
  for (int i = 0; i < count; i++) {
    if (fds[i].revents) return puts(argv[i + 1]) < 0;
  }
  return 1;
}
