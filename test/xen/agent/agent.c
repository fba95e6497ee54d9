/*
 * lab agent: the first process of a driver domain or a guest. Runs what dom0 writes, one shell text at a time, and
 * answers with its exit status and output. As process 1 it also reaps the orphans of whatever is tested there, so that
 * a process that is left over is one that really runs.
 */
#include "lab.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* A file, not a pipe: what the command leaves running in the background may keep its output open. */
#define OUTPUT_FILE "/run/lab-output"

static int run_shell(const char *text) {
  pid_t child = fork();
  if (child < 0) return 126;
  if (child == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    int in = open("/dev/null", O_RDONLY);
    int out = open(OUTPUT_FILE, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (in < 0 || out < 0) _exit(126);
    dup2(in, 0);
    dup2(out, 1);
    dup2(out, 2);
    for (int fd = 3; fd < 64; fd++) close(fd);
    execl("/bin/sh", "sh", "-c", text, (char *)NULL);
    _exit(127);
  }
  for (;;) {
    int status;
    pid_t ended = waitpid(-1, &status, 0);
    if (ended == child) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (ended < 0) return 126;
  }
}

static void answer(struct xs_handle *store, const char *sequence, int status) {
  static char output[LAB_OUTPUT_MAX];
  size_t size = 0;
  FILE *file = fopen(OUTPUT_FILE, "r");
  if (file) {
    size = fread(output, 1, sizeof output, file);
    fclose(file);
  }
  char first[LAB_PART + 100];
  int head = snprintf(first, 100, "%s %d %zu\n", sequence, status, size);
  size_t part = size < LAB_PART ? size : LAB_PART;
  memcpy(first + head, output, part);
  if (size > part) xs_rm(store, XBT_NULL, LAB_OUTPUT);
  for (size_t at = part, number = 1; at < size; at += LAB_PART, number++) {
    char path[64];
    snprintf(path, sizeof path, LAB_OUTPUT "/%zu", number);
    size_t left = size - at;
    xs_write(store, XBT_NULL, path, output + at, left < LAB_PART ? left : LAB_PART);
  }
  xs_write(store, XBT_NULL, LAB_ANSWER, first, (unsigned)(head + (int)part));
}

static void obey(struct xs_handle *store) {
  static char done[64];
  char *command = lab_read(store, LAB_COMMAND, NULL);
  if (!command) return;
  char *space = strchr(command, ' ');
  if (space) {
    *space = 0;
    if (strcmp(command, done) && strlen(command) < sizeof done) {
      strcpy(done, command);
      answer(store, done, run_shell(space + 1));
    }
  }
  free(command);
}

int agent_main(int argc, char **argv) {
  (void)argc, (void)argv;
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, NULL);
  int child_ended = signalfd(-1, &children, SFD_NONBLOCK | SFD_CLOEXEC);
  struct xs_handle *store = lab_open();
  if (!xs_watch(store, LAB_COMMAND, "command")) {
    perror("lab agent: xs_watch");
    return 2;
  }
  xs_write(store, XBT_NULL, LAB_READY, "1", 1);
  for (;;) {
    struct pollfd fds[] = {{.fd = xs_fileno(store), .events = POLLIN}, {.fd = child_ended, .events = POLLIN}};
    poll(fds, 2, -1);
    struct signalfd_siginfo info;
    while (read(child_ended, &info, sizeof info) > 0) continue;
    while (waitpid(-1, NULL, WNOHANG) > 0) continue;
    if (fds[0].revents && lab_events(store, 0)) obey(store);
  }
}
