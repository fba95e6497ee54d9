/* What the lab's small programs share: xenstore access, the clock, conditions on a node. */
#ifndef LAB_H
#define LAB_H

#include <stdbool.h>
#include <xenstore.h>

/* Seconds since boot. All times that the lab reports come from dom0's clock by this function. */
double lab_now(void);

/* Opens the store or ends the program with status 2. */
struct xs_handle *lab_open(void);

/* The value of a node as a string (binary safe by `length`, which may be NULL); NULL if there is none. Caller frees. */
char *lab_read(struct xs_handle *store, const char *path, unsigned *length);

/* Waits until a watch event is there and takes all that are queued. False when `deadline` has passed. */
bool lab_events(struct xs_handle *store, double deadline);

/* Whether a node is as wanted: "there", "gone", or "=VALUE". */
bool lab_holds(struct xs_handle *store, const char *path, const char *condition);

/* Parses a leading `-t SECONDS` and moves argc/argv to what follows it. */
double lab_limit(int *argc, char ***argv, double otherwise);

int agent_main(int argc, char **argv);
int run_main(int argc, char **argv);
int wait_main(int argc, char **argv);
int times_main(int argc, char **argv);
int ended_main(int argc, char **argv);

/* Where dom0 and an agent meet, relative to the agent's domain. */
#define LAB_READY "data/lab/ready"     /* "1" once the agent listens */
#define LAB_COMMAND "data/lab/command" /* "SEQUENCE SHELL TEXT", written by dom0 */
#define LAB_ANSWER "data/lab/answer"   /* "SEQUENCE STATUS BYTES\n" and the first part of the output */
#define LAB_OUTPUT "data/lab/output"   /* output/1, output/2, …: the other parts */

/* A node of an unprivileged domain may hold 2048 bytes. */
#define LAB_PART 1900
#define LAB_OUTPUT_MAX (LAB_PART * 150)

#endif
