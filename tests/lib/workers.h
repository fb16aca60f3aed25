/* SPDX-License-Identifier: MIT */
/* Shared by the suites of runs with several workers. */
#ifndef URT_TEST_WORKERS_H
#define URT_TEST_WORKERS_H

#include "../../uring_rt/base/stats.h"
#include "../../uring_rt/sched/sched.h"
#include "test.h"

/* Runs fn(arg) on this number of workers; expects success. */
void run_on(unsigned workers, urt_fn *fn, void *arg);
/* The sum of a counter over all workers of the run. */
uint64_t counter(enum urt__stat);
/* The same, in a mapping of a counters page. */
uint64_t counter_in(const struct urt__stats_page *, enum urt__stat);
/* Sleeps until the counter is n or more. Call it in a coroutine. */
void wait_for_count(enum urt__stat, uint64_t n);
/* Lets others run until the coroutine is parked for this reason, and can be woken. */
void until_parked(const struct urt_coro *, enum urt__reason);
/* Whether coroutines are preempted by signal here. */
bool can_preempt(void);
/* Whether a thread lost its processor in this run, so that two threads ran at
 * once even with one worker. The order that one thread keeps may then be
 * broken. */
bool was_handed_off(void);
/* CPU time of the process. */
int64_t cpu_ns(void);

#endif
