// SPDX-License-Identifier: MIT
/* Coroutines: spawning, joining, cancelling, yielding. */
#include "thread.h"
#include <stdlib.h>
#undef errno

/* Called after enter; calls leave. */
static inline int64_t spawn_here(struct urt__worker *w,
				 const struct urt__spawn *s)
{
	struct urt_coro *c = urt__spawn(w, s);

	if (c) {
		c->parent = w->current->id;
		urt__ready_new(w, c);
	}
	urt__leave();
	return (intptr_t)c;
}

static int64_t spawn_behalf(void *arg)
{
	return spawn_here(urt__enter(false), arg);
}

/* Returns the coroutine as a positive number; 0: no memory is left; or
 * -errno. */
static inline __attribute__((always_inline)) int64_t
spawn(urt_fn *fn, void *arg, const struct urt_spawn_options *o, bool detached)
{
	struct urt__spawn s = { .fn = fn,
				.arg = arg,
				.stack_size = o ? o->stack_size : 0,
				.deadline_ns = URT_NEVER,
				.detached = detached };

	struct urt__worker *w = urt__enter_often();

	if (urt__likely(w))
		return spawn_here(w, &s);
	return urt__behalf(spawn_behalf, &s);
}

int urt_go(urt_fn *fn, void *arg)
{
	return urt_go_with(fn, arg, NULL);
}

int urt_go_with(urt_fn *fn, void *arg, const struct urt_spawn_options *o)
{
	int64_t c = spawn(fn, arg, o, true);

	return c > 0 ? 0 : c < 0 ? (int)c : -EAGAIN;
}

struct urt_coro *urt_spawn(urt_fn *fn, void *arg)
{
	return urt_spawn_with(fn, arg, NULL);
}

struct urt_coro *urt_spawn_with(urt_fn *fn, void *arg,
				const struct urt_spawn_options *o)
{
	int64_t c = spawn(fn, arg, o, false);

	return c > 0 ? (struct urt_coro *)(intptr_t)c : NULL;
}

/*
 * The joiner makes itself known before it parks, and its target may end before
 * its park word says WAITING: then the target's claim fails. So once the word
 * says WAITING, the joiner looks for the end again; one of the two sees the
 * other. The target's control block may belong to another coroutine by then (a
 * cancelled joiner left the target to another joiner, which freed it); the
 * claim of a wait that is over fails.
 */
static void commit_join(struct urt__worker *w, void *arg)
{
	struct urt_coro *target = arg, *self = w->parked, *joiner;

	if (urt__shared)
		urt__fence();
	joiner = atomic_load(&target->joiner);
	if ((joiner == URT__DONE || joiner == URT__ENDING) &&
	    urt__claim(self, urt__park_seq(w->park_word)))
		urt__ready(self);
}

static int join_park(struct urt__worker *w, struct urt_coro *c,
		     enum urt__wait_flags flags, int64_t deadline_ns)
{
	struct urt_coro *self = w->current, *other = NULL;
	uint64_t seq;
	int err = urt__wait_begin(w, flags, deadline_ns, &seq);

	if (err)
		return err;
	atomic_store_explicit(&c->join_seq, seq, memory_order_relaxed);
	if (!atomic_compare_exchange_strong(&c->joiner, &other, self)) {
		/* Otherwise two coroutines join it. */
		URT_MISTAKE_ON(
			other != URT__DONE && other != URT__ENDING,
			"urt_join of a coroutine that another one joins already");
		return 0;
	}
	err = urt__park(w, URT__R_JOIN, URT__WAITING, commit_join, c);
	if (!err)
		return 0;
	/* Give up, unless the target ended first: then the join has
	 * succeeded. */
	other = self;
	return atomic_compare_exchange_strong(&c->joiner, &other, NULL) ? err
									: 0;
}

static inline bool is_done(struct urt_coro *c)
{
	return atomic_load_explicit(&c->joiner, memory_order_acquire) ==
	       URT__DONE;
}

/* The target has a few instructions left between ENDING and DONE. */
static URT__NOINLINE void wait_until_done(struct urt_coro *c)
{
	for (unsigned spins = 1; !is_done(c); spins++) {
		if (spins % 128)
			urt__cpu_relax();
		else
			sched_yield();
	}
}

/* Between enter and leave. */
static int join(struct urt__worker *w, struct urt_coro *c,
		enum urt__wait_flags flags, int64_t deadline_ns)
{
	int err = 0;

	if (!is_done(c))
		err = join_park(w, c, flags, deadline_ns);
	if (!err) {
		if (urt__unlikely(!is_done(c)))
			wait_until_done(c);
		urt__coro_free(urt__worker(), c);
	}
	return err;
}

struct join {
	struct urt_coro *c;
	int64_t deadline_ns;
};

static int64_t join_behalf(void *arg)
{
	struct join *j = arg;

	return urt_join_until(j->c, j->deadline_ns);
}

int urt_join(struct urt_coro *c)
{
	return urt_join_until(c, URT_NEVER);
}

int urt_join_until(struct urt_coro *c, int64_t deadline_ns)
{
	struct urt__worker *w = urt__enter(true);
	int err;

	if (!w)
		return urt__behalf(join_behalf,
				   &(struct join){ c, deadline_ns });
	err = join(w, c, 0, deadline_ns);
	urt__leave();
	return err;
}

static int64_t end_behalf(void *arg)
{
	return urt_end(arg);
}

int urt_end(struct urt_coro *c)
{
	struct urt__worker *w;

	urt_cancel(c);
	w = urt__enter(true);
	if (!w)
		return urt__behalf(end_behalf, c);
	join(w, c, URT__FIRM, URT_NEVER);
	urt__leave();
	return 0;
}

static int64_t cancel_behalf(void *arg)
{
	return urt_cancel(arg);
}

int urt_cancel(struct urt_coro *c)
{
	if (!urt__enter_often())
		return urt__behalf(cancel_behalf, c);
	atomic_store(&c->cancelled, true);
	urt__cancel_fence();
	urt__cancel_marked(c);
	urt__leave();
	return 0;
}

void urt_yield(void)
{
	struct urt__worker *w = urt__enter(false);

	if (!w)
		return;
	urt__yield(w);
	urt__leave();
}

struct urt_coro *urt_self(void)
{
	return urt__current();
}

uint64_t urt_id(const struct urt_coro *c)
{
	return c->id;
}

void urt_preempt_disable(void)
{
	struct urt_coro *self = urt__current();

	if (self)
		self->no_preempt++;
}

void urt_preempt_enable(void)
{
	struct urt_coro *self = urt__current();

	if (!self)
		return;
	URT_MISTAKE_ON(!self->no_preempt,
		       "urt_preempt_enable without urt_preempt_disable");
	self->no_preempt--;
}
