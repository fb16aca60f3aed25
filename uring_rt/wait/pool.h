/* SPDX-License-Identifier: MIT */
/*
 * The pool of threads for calls that block.
 */
#ifndef URT_WAIT_POOL_H
#define URT_WAIT_POOL_H

#include "wait.h"

/* Start and end of the thread pool of urt_blocking, of at most max threads. */
void urt__blocking_open(unsigned max);
void urt__blocking_close(void);
void urt__blocking_forget(void);
unsigned urt__blocking_threads(void);

/*
 * Calls fn(arg) on that pool. Only the end of the run waits for it; if fn has
 * not begun by then, dropped(arg) is called instead. 0; -EAGAIN: not even one
 * thread; -ENOMEM; -EPERM: no coroutine. Does not suspend.
 */
int urt__blocking_start(int64_t (*fn)(void *), void *arg,
			void (*dropped)(void *arg));
/* Takes that job back if no thread has begun it, and calls dropped(arg). */
void urt__blocking_stop(void *arg);

#endif
