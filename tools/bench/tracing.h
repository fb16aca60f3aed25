/* SPDX-License-Identifier: MIT */
/* urt bench --tracing: what counting costs. */
#ifndef URT_BENCH_TRACING_H
#define URT_BENCH_TRACING_H

/* rounds: 0: as many as fit into less than a minute. ours: without other tools.
 * A signal ends the rounds; their results until then are printed. */
void bench_tracing(long rounds, bool ours, bool json);

/* urt bench --tracing-loops FEWER FD: all loops, with that many times fewer
 * events; the times are printed to fd. */
int bench_tracing_loops(long fewer, int fd);

#endif
