/* SPDX-License-Identifier: MIT */
/* A run of the runtime, made by a scenario's setup: processors, workers with
 * rings of the model, and coroutines that are about to run. */
#ifndef EXPLORE_WORLD_H
#define EXPLORE_WORLD_H

#include "../../uring_rt/wait/wait.h"
#include "explore.h"

/* Workers 0 to procs - 1 have a processor each; then come spares. */
void world(unsigned procs, unsigned spares);

/* Makes a coroutine, which is the next to run on that worker's processor. */
struct urt_coro *world_coro(unsigned worker, urt_fn *fn, void *arg);

/* Thread bodies: the worker of that number until the run stops. */
void world_worker_0(void);
void world_worker_1(void);
void world_worker_2(void);

/* Other threads may still bring events, so no deadlock is reported. */
extern bool world_other_threads;
/* The workers have no slots in the page of counters. */
extern bool world_no_slots;

/* Called by each coroutine at its end; the last of n stops the run. */
void world_done(unsigned n);

#endif
