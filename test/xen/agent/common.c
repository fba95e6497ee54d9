#include "lab.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double lab_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct xs_handle *lab_open(void) {
  struct xs_handle *store = xs_open(0);
  if (!store) {
    perror("lab: xs_open");
    exit(2);
  }
  return store;
}

char *lab_read(struct xs_handle *store, const char *path, unsigned *length) {
  unsigned ignored;
  return xs_read(store, XBT_NULL, path, length ? length : &ignored);
}

bool lab_events(struct xs_handle *store, double deadline) {
  for (;;) {
    bool any = false;
    char **event;
    while ((event = xs_check_watch(store))) {
      free(event);
      any = true;
    }
    if (any) return true;
    double left = deadline - lab_now();
    if (left <= 0) return false;
    struct pollfd fd = {.fd = xs_fileno(store), .events = POLLIN};
    if (poll(&fd, 1, (int)(left * 1000) + 1) < 0 && errno != EINTR) return false;
  }
}

bool lab_holds(struct xs_handle *store, const char *path, const char *condition) {
  char *value = lab_read(store, path, NULL);
  bool holds;
  if (!strcmp(condition, "there")) holds = value != NULL;
  else if (!strcmp(condition, "gone")) holds = value == NULL && errno == ENOENT;
  else if (condition[0] == '=') holds = value && !strcmp(value, condition + 1);
  else {
    fprintf(stderr, "lab: a condition is there, gone or =VALUE, not %s\n", condition);
    exit(2);
  }
  free(value);
  return holds;
}

double lab_limit(int *argc, char ***argv, double otherwise) {
  if (*argc < 3 || strcmp((*argv)[1], "-t")) return otherwise;
  double limit = atof((*argv)[2]);
  *argc -= 2;
  *argv += 2;
  return limit;
}
