// SPDX-License-Identifier: MIT
/* Deadlines and cancellation (wait.h); coroutines and sleep upon them. */
#include "wait.h"
#include <stdlib.h>
#undef errno

static void deadline_passed(struct urt__timer *t)
{
	struct urt__wait *w = urt__container_of(t, struct urt__wait, timer);

	w->abort(w, -ETIME);
}

int urt__wait_begin(struct urt__wait *w, void (*abort)(struct urt__wait *, int),
		    int64_t deadline_ns)
{
	struct urt__worker *worker = urt__worker();
	struct urt_coro *self = worker ? worker->current : NULL;

	if (urt__unlikely(!self))
		return -EPERM;
	if (urt__unlikely(self->cancelled && abort))
		return -ECANCELED;
	w->coro = self;
	w->abort = abort;
	w->result = 0;
	w->timer.index = 0;
	w->timer.fire = deadline_passed;
	if (deadline_ns != URT_NEVER &&
	    urt__timers_add(&worker->proc->timers, &w->timer, deadline_ns))
		return -ENOMEM;
	if (abort)
		self->wait = w;
	return 0;
}

int urt__wait_end(struct urt__wait *w)
{
	w->coro->wait = NULL;
	if (w->timer.index)
		urt__timers_del(&urt__worker()->proc->timers, &w->timer);
	return w->result;
}

/* ---- coroutines -------------------------------------------------------- */

int urt_go(urt_fn *fn, void *arg)
{
	struct urt__worker *w = urt__worker();

	if (!w || !w->current)
		return -EPERM;
	return urt__spawn(w, fn, arg, true) ? 0 : -EAGAIN;
}

struct urt_coro *urt_spawn(urt_fn *fn, void *arg)
{
	struct urt__worker *w = urt__worker();

	if (!w || !w->current)
		return NULL;
	return urt__spawn(w, fn, arg, false);
}

struct join {
	struct urt__wait wait;
	struct urt_coro *target;
};

static void commit_join(struct urt__worker *w, void *arg)
{
	struct join *j = arg;
	struct urt_coro *none = NULL;

	(void)w;
	if (!atomic_compare_exchange_strong_explicit(
		    &j->target->joiner, &none, j->wait.coro,
		    memory_order_acq_rel, memory_order_acquire))
		urt__ready(j->wait.coro); /* it ended in the meantime */
}

static void join_abort(struct urt__wait *w, int err)
{
	struct join *j = urt__container_of(w, struct join, wait);
	struct urt_coro *self = w->coro;

	if (!atomic_compare_exchange_strong_explicit(&j->target->joiner, &self,
						     NULL, memory_order_acq_rel,
						     memory_order_relaxed))
		return;
	w->result = err;
	urt__ready_last(w->coro);
}

int urt_join(struct urt_coro *c)
{
	struct join j = { .target = c };
	int err = 0;

	if (!urt__current())
		return -EPERM;
	if (atomic_load_explicit(&c->joiner, memory_order_acquire) !=
	    URT__DONE) {
		err = urt__wait_begin(&j.wait, join_abort, URT_NEVER);
		if (err)
			return err;
		urt__park(URT__R_JOIN, commit_join, &j);
		err = urt__wait_end(&j.wait);
	}
	if (!err)
		urt__coro_free(urt__worker(), c);
	return err;
}

int urt_cancel(struct urt_coro *c)
{
	if (!urt__current())
		return -EPERM;
	c->cancelled = true;
	if (c->wait)
		c->wait->abort(c->wait, -ECANCELED);
	return 0;
}

struct urt_coro *urt_self(void)
{
	return urt__current();
}

uint64_t urt_id(const struct urt_coro *c)
{
	return c->id;
}

/* ---- time -------------------------------------------------------------- */

int64_t urt_now(void)
{
	return urt__clock_ns();
}

int64_t urt_after(int64_t ns)
{
	int64_t now_ns = urt__clock_ns();

	return ns > URT_NEVER - now_ns ? URT_NEVER : now_ns + ns;
}

static void sleep_abort(struct urt__wait *w, int err)
{
	if (w->result)
		return;
	w->result = err;
	urt__ready_last(w->coro);
}

int urt_sleep_until(int64_t deadline_ns)
{
	struct urt__wait w;
	int err = urt__wait_begin(&w, sleep_abort, deadline_ns);

	if (err)
		return err;
	urt__park(URT__R_SLEEP, NULL, NULL);
	err = urt__wait_end(&w);
	return err == -ETIME ? 0 : err;
}

int urt_sleep(int64_t ns)
{
	return urt_sleep_until(urt_after(ns));
}

/* ---- errno ------------------------------------------------------------- */

URT__NOINLINE int *urt_errno_location(void)
{
	return __errno_location();
}
