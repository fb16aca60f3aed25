/* SPDX-License-Identifier: MIT */
/* urt bench --tracing: what counting costs. */
#ifndef URT_BENCH_TRACING_H
#define URT_BENCH_TRACING_H

int bench_tracing(long rounds, bool ours, bool json);

/* urt bench --tracing-loop EVENT N [FD]: one loop, its time printed to fd. */
int bench_tracing_loop(const char *event, const char *count, int fd);

#endif
