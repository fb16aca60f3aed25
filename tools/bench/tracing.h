/* SPDX-License-Identifier: MIT */
/* urt bench --tracing: the cost of counting. */
#ifndef URT_BENCH_TRACING_H
#define URT_BENCH_TRACING_H

#include <stdbool.h>

enum event { SYSCALL, SWITCH, YIELD, EVENTS };

/* rounds: 0: as many as fit into less than a minute. ours: without other tools.
 * A signal ends the rounds; the results so far are printed. */
void bench_tracing(long rounds, bool ours, bool json);

/* tracing_loops.c: urt bench --tracing-loops FEWER FD: runs all loops with 1/FEWER of the
 * events, and prints the times to fd. */
int bench_tracing_loops(long fewer, int fd);

#endif
