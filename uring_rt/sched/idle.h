/* SPDX-License-Identifier: MIT */
/* Functions that idle.c and handoff.c share: the lists of workers. */
#ifndef URT_SCHED_IDLE_H
#define URT_SCHED_IDLE_H

#include "sched.h"

static inline enum urt__worker_state urt__state(const struct urt__worker *w)
{
	return atomic_load_explicit(&w->state, memory_order_acquire);
}

static inline void urt__set_state(struct urt__worker *w,
				  enum urt__worker_state s)
{
	atomic_store_explicit(&w->state, s, memory_order_release);
}

/* All with idle_lock held. */
void urt__list_add(struct urt__worker_list *, struct urt__worker *);
void urt__list_remove(struct urt__worker_list *, struct urt__worker *);
void urt__worker_awake(struct urt__worker *);
/* Takes the processor of a worker that sleeps with one; false: there is
 * none. */
bool urt__take_from_sleeper(struct urt__worker *);

#endif
