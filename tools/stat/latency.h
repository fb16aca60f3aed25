/* SPDX-License-Identifier: MIT */
/* `urt stat --latency` and `--errors`: system calls as in strace -c -w. */
#ifndef URT_STAT_LATENCY_H
#define URT_STAT_LATENCY_H

#include "../measure/counter.h"
#include "../lib/tool.h"

struct stat_latency;

/* All so far, to be freed. */
struct stat_latency *stat_latency_read(struct counter *);
void stat_latency_free(struct stat_latency *);

/* by_errors: those that fail, most first; else all, by their time. */
void stat_latency_print(FILE *, const struct stat_latency *, bool by_errors);
void stat_latency_json(struct json *, const struct stat_latency *);

#endif
