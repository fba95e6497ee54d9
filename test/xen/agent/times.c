/*
 * lab times: runs a command and prints, in seconds since boot, when it was started and when each condition first held
 * ("-" if it never did). The watches are armed before the command starts, so nothing is missed.
 * Exit 0: all held; 1: not all in time; 3: the command failed.
 */
#include "lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONDITIONS_MAX 8

int times_main(int argc, char **argv) {
  double limit = lab_limit(&argc, &argv, 30), at[CONDITIONS_MAX] = {0};
  struct xs_handle *store = lab_open();
  int count = 0, next = 1;
  for (; next + 1 < argc && strcmp(argv[next], "--") && count < CONDITIONS_MAX; next += 2, count++) {
    char token[16];
    snprintf(token, sizeof token, "%d", count);
    if (!xs_watch(store, argv[next], token)) {
      perror("lab times");
      return 2;
    }
  }
  if (next + 1 >= argc || strcmp(argv[next], "--")) return 2;
  while (lab_events(store, 0)) continue; /* the events that arming a watch causes */

  double start = lab_now(), deadline = start + limit;
  pid_t child = fork();
  if (child == 0) {
    dup2(2, 1); /* the line with the times is the only output */
    execvp(argv[next + 1], argv + next + 1);
    _exit(127);
  }
  int held = 0;
  while (held < count && lab_events(store, deadline)) {
    double seen = lab_now();
    for (int i = 0; i < count; i++) {
      if (at[i] == 0 && lab_holds(store, argv[1 + 2 * i], argv[2 + 2 * i])) {
        at[i] = seen;
        held++;
      }
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  printf("%.6f", start);
  for (int i = 0; i < count; i++) {
    if (at[i] == 0) printf(" -");
    else printf(" %.6f", at[i]);
  }
  printf("\n");
  if (!WIFEXITED(status) || WEXITSTATUS(status)) return 3;
  return held == count ? 0 : 1;
}
