/* SPDX-License-Identifier: MIT */
/* The records of coroutines' contexts; how and why: context.c. */
#ifndef URT_SCHED_CONTEXT_H
#define URT_SCHED_CONTEXT_H

#include "coro.h"

/* The calling thread's otel_thread_ctx_v1. A thread keeps the address. */
struct urt_context **urt__context_slot(void);

/* Gives c, which is new, the context of `from`, if there is one. */
void urt__context_inherit(struct urt_coro *c, const struct urt_coro *from);
/* Takes the context from c, which has ended or ends with the run. */
void urt__context_drop(struct urt_coro *c);

/* In a forked child: nothing is announced. */
void urt__context_forget(void);

#endif
