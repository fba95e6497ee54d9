/* lab: the programs that the lab's domains are driven with, in one static binary. */
#include "lab.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
  if (argc >= 2) {
    if (!strcmp(argv[1], "agent")) return agent_main(argc - 1, argv + 1);
    if (!strcmp(argv[1], "run")) return run_main(argc - 1, argv + 1);
    if (!strcmp(argv[1], "wait")) return wait_main(argc - 1, argv + 1);
    if (!strcmp(argv[1], "times")) return times_main(argc - 1, argv + 1);
    if (!strcmp(argv[1], "ended")) return ended_main(argc - 1, argv + 1);
    if (!strcmp(argv[1], "now")) return printf("%.6f\n", lab_now()) < 0;
  }
  fputs("usage: lab agent\n"
        "       lab run [-t SECONDS] DOMID SHELL-TEXT\n"
        "       lab wait [-t SECONDS] PATH there|gone|=VALUE\n"
        "       lab times [-t SECONDS] {PATH there|gone|=VALUE}... -- COMMAND...\n"
        "       lab ended PID...\n"
        "       lab now\n",
        stderr);
  return 2;
}
