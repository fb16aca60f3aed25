// SPDX-License-Identifier: MIT
/*
 * Counting semaphore. A post goes to the coroutine that has waited longest, if
 * one waits, without touching the count: no other can take it in between, so no
 * waiter starves. For short critical sections, where that costs a switch each,
 * a mutex is better.
 */
#include "../wait/thread.h"
#include "waiter.h"
#undef errno

void urt_sem_init(struct urt_sem *s, uint32_t count)
{
	*s = (struct urt_sem)URT_SEM_INIT(count);
}

struct call {
	struct urt_sem *sem;
	int64_t deadline_ns;
};

static int64_t wait_behalf(void *arg)
{
	struct call *c = arg;

	return urt_sem_wait(c->sem, c->deadline_ns);
}

static int64_t post_behalf(void *arg)
{
	urt_sem_post(arg);
	return 0;
}

int urt_sem_wait(struct urt_sem *s, int64_t deadline_ns)
{
	struct urt__worker *w = urt__enter(true);
	struct urt__waiter self;
	int ret = 0;

	if (urt__unlikely(!w))
		return urt__behalf(wait_behalf,
				   &(struct call){ s, deadline_ns });
	urt__obj_lock(&s->lock);
	if (s->count) {
		s->count--;
		urt__obj_unlock(&s->lock);
	} else {
		ret = urt__waiter_park(w, &self, &s->waiters, false, &s->lock,
				       URT__R_SEM, 0, deadline_ns);
	}
	urt__leave();
	return ret;
}

bool urt_sem_trywait(struct urt_sem *s)
{
	bool taken;

	if (!urt__enter_often())
		return false;
	urt__obj_lock(&s->lock);
	taken = s->count;
	s->count -= taken;
	urt__obj_unlock(&s->lock);
	urt__leave();
	return taken;
}

void urt_sem_post(struct urt_sem *s)
{
	struct urt__waiter *w;

	if (urt__unlikely(!urt__enter_often())) {
		URT_MISTAKE_ON(
			urt__behalf(post_behalf, s) == -EPERM,
			"urt_sem_post by a thread while no run is going on");
		return;
	}
	urt__obj_lock(&s->lock);
	w = urt__waitq_claim(&s->waiters, 0);
	if (!w)
		s->count++;
	urt__obj_unlock(&s->lock);
	if (w)
		urt__ready(w->coro);
	urt__leave();
}
