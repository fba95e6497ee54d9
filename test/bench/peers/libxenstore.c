/*
 * Work on a store by libxenstore: libxenstore COUNT WATCHES [more]. Prints "name value" lines; the
 * value is microseconds for each piece of work. With `more` also that of a write while there are
 * the watches, none of which is on the node that is written, and that of creating nodes in one
 * directory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xenstore.h>

#define BASE "/bench/c"

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void path_of(char *path, int number) { sprintf(path, BASE "/%d", number); }

int main(int argc, char **argv)
{
    int count = atoi(argv[1]), watches = atoi(argv[2]), i;
    struct xs_handle *xs = xs_open(0);
    char path[64], token[16];
    unsigned length;
    double start;

    if (!xs)
        fail("xs_open");
    for (i = 0; i < 100; i++) {
        path_of(path, i);
        if (!xs_write(xs, XBT_NULL, path, "value", 5))
            fail("write");
    }
    start = now();
    for (i = 0; i < count; i++) {
        char *value;

        path_of(path, i % 100);
        value = xs_read(xs, XBT_NULL, path, &length);
        if (!value)
            fail("read");
        free(value);
    }
    printf("read %.3f\n", (now() - start) / count);
    start = now();
    for (i = 0; i < count; i++) {
        path_of(path, i % 100);
        if (!xs_write(xs, XBT_NULL, path, "value", 5))
            fail("write");
    }
    printf("write %.3f\n", (now() - start) / count);
    start = now();
    for (i = 0; i < count / 20; i++) {
        xs_transaction_t t = xs_transaction_start(xs);
        char *value;

        path_of(path, i % 100);
        value = xs_read(xs, t, path, &length);
        if (!value || !xs_write(xs, t, path, "other", 5) || !xs_transaction_end(xs, t, false))
            fail("transaction");
        free(value);
    }
    printf("transaction %.3f\n", (now() - start) / (count / 20));
    start = now();
    for (i = 0; i < watches; i++) {
        path_of(path, i);
        sprintf(token, "%d", i);
        if (!xs_watch(xs, path, token))
            fail("watch");
    }
    for (i = 0; i < watches; i++) {
        unsigned fields;
        char **event = xs_read_watch(xs, &fields);

        if (!event)
            fail("read_watch");
        free(event);
    }
    printf("watch %.3f\n", (now() - start) / watches);
    if (argc < 4)
        return 0;
    start = now();
    for (i = 0; i < count / 4; i++)
        if (!xs_write(xs, XBT_NULL, BASE "-unwatched", "value", 5))
            fail("write");
    printf("watched %.3f\n", (now() - start) / (count / 4));
    /* Watches go with their connection. */
    xs_close(xs);
    xs = xs_open(0);
    if (!xs)
        fail("xs_open");
    start = now();
    for (i = 0; i < count / 4; i++) {
        sprintf(path, BASE "-many/%d", i);
        if (!xs_mkdir(xs, XBT_NULL, path))
            fail("mkdir");
    }
    printf("create %.3f\n", (now() - start) / (count / 4));
    if (!xs_rm(xs, XBT_NULL, BASE "-many"))
        fail("rm");
    return 0;
}
