/*
 * What no daemon can be faster than: event_floor SCRIPT. Watches this domain's backends, and starts
 * the script for each whose state is 2, asking and recording nothing else. Prints "ready".
 */
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

extern char **environ;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

int main(int argc, char **argv)
{
    struct xs_handle *xs = xs_open(0);
    char *script[] = { argv[1], "add", NULL };

    if (argc != 2 || !xs || !xs_watch(xs, "backend", "backend"))
        fail("event_floor");
    /* Nobody waits for the scripts. */
    signal(SIGCHLD, SIG_IGN);
    puts("ready");
    fflush(stdout);
    for (;;) {
        unsigned length;
        char **event = xs_read_watch(xs, &length), *path, *state, *name;
        pid_t pid;

        if (!event)
            fail("xs_read_watch");
        path = event[XS_WATCH_PATH];
        name = strrchr(path, '/');
        state = name && !strcmp(name, "/state") ? xs_read(xs, XBT_NULL, path, &length) : NULL;
        if (state && !strcmp(state, "2")) {
            *name = 0;
            setenv("XENBUS_PATH", path, 1);
            if (posix_spawn(&pid, argv[1], NULL, NULL, script, environ))
                fail(argv[1]);
        }
        free(state);
        free(event);
    }
}
