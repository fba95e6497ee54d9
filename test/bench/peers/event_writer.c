/*
 * The kernel's part in the event benchmark: event_writer REPORT. Reads the path of a backend's state
 * from its standard input, writes 2 to it, waits until the script has told by the pipe REPORT when
 * it was started, and prints how long after the write's beginning that was, in microseconds; 0 when
 * there was no script in 2 seconds. Then the next line. Prints "ready" before all that.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xenstore.h>

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

int main(int argc, char **argv)
{
    struct xs_handle *xs = xs_open(0);
    /* For writing too: so it does not end when a script does. */
    int report = argc == 2 ? open(argv[1], O_RDWR | O_NONBLOCK) : -1;
    char path[256], line[64];

    if (!xs || report < 0)
        fail("event_writer");
    setlinebuf(stdout);
    puts("ready");
    while (fgets(path, sizeof(path), stdin)) {
        struct pollfd ready = { .fd = report, .events = POLLIN };
        struct timespec start;
        ssize_t length;

        path[strcspn(path, "\n")] = 0;
        /* Of a script that came late, which nobody waits for any more. */
        while (read(report, line, sizeof(line)) > 0)
            ;
        clock_gettime(CLOCK_MONOTONIC, &start);
        if (!xs_write(xs, XBT_NULL, path, "2", 1))
            fail(path);
        if (poll(&ready, 1, 2000) <= 0) {
            printf("0\n");
            continue;
        }
        length = read(report, line, sizeof(line) - 1);
        if (length <= 0)
            fail("read");
        line[length] = 0;
        printf("%.3f\n", (atoll(line) - start.tv_sec * 1000000000LL - start.tv_nsec) / 1e3);
    }
    return 0;
}
