/* SPDX-License-Identifier: MIT */
/*
 * Calls of the runtime by plain threads.
 */
#ifndef URT_WAIT_THREAD_H
#define URT_WAIT_THREAD_H

#include "wait.h"

/*
 * Carries out fn(arg) in a coroutine for a calling plain thread, which blocks
 * until it has returned, and returns its result. -EPERM: there is no run;
 * -ECANCELED: the run ended before. So coroutines are the only kind of waiter,
 * and with one processor objects need no locks.
 */
int64_t urt__behalf(int64_t (*fn)(void *), void *arg);

/* Start and end of a run, between which that works. */
void urt__behalf_open(void);
void urt__behalf_close(void);
/* In a forked child: there is no run. */
void urt__behalf_forget(void);

#endif
