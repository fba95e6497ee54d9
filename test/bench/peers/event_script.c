/*
 * The hotplug script of the event benchmark: tells REPORT, a pipe, when it was started, in ns of
 * CLOCK_MONOTONIC, and does what its daemon expects of it. To be linked statically: nothing is to
 * be loaded before main().
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xenstore.h>

static bool set(struct xs_handle *xs, const char *name, const char *value)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", getenv("XENBUS_PATH"), name);
    return xs_write(xs, XBT_NULL, path, value, strlen(value));
}

int main(int argc, char **argv)
{
    struct timespec t;
    struct xs_handle *xs;
    char line[32];
    int report, length;

    clock_gettime(CLOCK_MONOTONIC, &t);
    if (argc != 2 || strcmp(argv[1], "add"))
        return 0;
    report = open(REPORT, O_WRONLY);
    length = sprintf(line, "%lld\n", t.tv_sec * 1000000000LL + t.tv_nsec);
    if (report < 0 || write(report, line, length) != length)
        return 1;
    xs = xs_open(0);
    return !xs || !set(xs, "physical-device", "7:0") || !set(xs, "hotplug-status", "connected");
}
