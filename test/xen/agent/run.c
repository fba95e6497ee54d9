/* lab run: in dom0, runs a shell text in another domain by its agent, prints what it prints, exits as it exits. */
#include "lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One message to xenstored holds 4096 bytes, path included. */
#define TEXT_MAX 3900

int run_main(int argc, char **argv) {
  double limit = lab_limit(&argc, &argv, 60);
  if (argc != 3 || strlen(argv[2]) > TEXT_MAX) {
    fprintf(stderr, "lab run: needs a domid and a shell text of at most %d bytes\n", TEXT_MAX);
    return 2;
  }
  int domid = atoi(argv[1]);
  char command[TEXT_MAX + 100], sequence[40], path[64], answer_path[64];
  snprintf(sequence, sizeof sequence, "%.9f-%d", lab_now(), (int)getpid());
  int size = snprintf(command, sizeof command, "%s %s", sequence, argv[2]);
  snprintf(path, sizeof path, "/local/domain/%d/" LAB_COMMAND, domid);
  snprintf(answer_path, sizeof answer_path, "/local/domain/%d/" LAB_ANSWER, domid);

  struct xs_handle *store = lab_open();
  if (!xs_watch(store, answer_path, "answer") || !xs_write(store, XBT_NULL, path, command, (unsigned)size)) {
    perror("lab run");
    return 125;
  }
  double deadline = lab_now() + limit;
  while (lab_events(store, deadline)) {
    unsigned length;
    char *answer = lab_read(store, answer_path, &length), *head_end;
    char answered[40];
    int status;
    size_t total;
    if (answer && sscanf(answer, "%39s %d %zu", answered, &status, &total) == 3 && !strcmp(answered, sequence) &&
        (head_end = strchr(answer, '\n'))) {
      size_t got = length - (size_t)(head_end + 1 - answer);
      fwrite(head_end + 1, 1, got, stdout);
      for (int part = 1; got < total; part++) {
        snprintf(path, sizeof path, "/local/domain/%d/" LAB_OUTPUT "/%d", domid, part);
        char *more = lab_read(store, path, &length);
        if (!more) break;
        fwrite(more, 1, length, stdout);
        got += length;
        free(more);
      }
      return status;
    }
    free(answer);
  }
  fprintf(stderr, "lab run: domain %d did not answer in %.0f s\n", domid, limit);
  return 124;
}
