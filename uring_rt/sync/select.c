// SPDX-License-Identifier: MIT
/*
 * Select: waits for the first of several channels, as Go's select.go.
 *
 * All channels are locked, in the order of their addresses so that two selects cannot
 * wait for each other. The cases are tried in a random order, and the first one
 * that need not wait is taken, so each ready case has the same chance. If no
 * case is ready, the coroutine goes on the lists of all channels, in that
 * order, too (a channel may be named twice), with one wait: all its waiters
 * have the same sequence number, so a waker that claims one has claimed them
 * all (sched/coro.h), and other wakers fail. The commit releases the locks when
 * the registers are saved. Once woken, the coroutine takes itself off the other
 * lists.
 *
 * A channel may be named by several cases; it is locked once.
 */
#include "../wait/thread.h"
#include "../base/sys.h"
#include "chan.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#undef errno

#define ON_STACK 16

/* `urt dump --leaked` reads the first two fields, and each case's channel. */
struct select {
	struct urt_case *cases;
	size_t n;
	struct urt__waiter *waiter; /* one for each case */
	uint32_t *turn;		    /* the cases in a random order */
	struct urt_chan **order;    /* of locking; each once */
	size_t nr_order;
};

static_assert(offsetof(struct select, n) == 8 &&
		      sizeof(struct urt_case) == 32 &&
		      !offsetof(struct urt_case, chan),
	      "what tools/dump/leaked.c reads");

static int by_address(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t) * (struct urt_chan *const *)a;
	uintptr_t y = (uintptr_t) * (struct urt_chan *const *)b;

	return x < y ? -1 : x > y;
}

static void make_order(struct select *s)
{
	size_t n = 0;

	s->nr_order = 0;
	for (size_t i = 0; i < s->n; i++)
		if (s->cases[i].chan)
			s->order[n++] = s->cases[i].chan;
	if (n > 1)
		qsort(s->order, n, sizeof(*s->order), by_address);
	for (size_t i = 0; i < n; i++)
		if (!i || s->order[i] != s->order[i - 1])
			s->order[s->nr_order++] = s->order[i];
}

static void lock_all(struct select *s)
{
	for (size_t i = 0; i < s->nr_order; i++)
		urt__obj_lock(&s->order[i]->lock);
}

/* The first channel's lock is released last: until then s, on the selector's
 * stack, exists, since the selector must take that lock before it continues. */
static void unlock_all(const struct select *s)
{
	for (size_t i = s->nr_order; i-- > 0;)
		urt__obj_unlock(&s->order[i]->lock);
}

static void commit_select(struct urt__worker *w, void *arg)
{
	(void)w;
	unlock_all(arg);
}

/* Durstenfeld's shuffle, as Go's; Lemire's way from 32 random bits to a number
 * below k + 1. */
static void shuffle(struct urt__worker *w, struct select *s)
{
	for (uint32_t k = 0; k < s->n; k++) {
		uint32_t j = (uint64_t)urt__random(w) * (k + 1) >> 32;

		s->turn[k] = s->turn[j];
		s->turn[j] = k;
	}
}

/* The first case, in the random order, that need not wait, or -1. All are
 * locked. */
static int try_all(struct select *s, struct urt_coro **wake)
{
	for (size_t k = 0; k < s->n; k++) {
		size_t i = s->turn[k];
		struct urt_case *c = &s->cases[i];
		int ret;

		if (!c->chan)
			continue;
		ret = c->op == URT_SEND
			      ? urt__chan_try_send(c->chan, c->elem, wake)
			      : urt__chan_try_recv(c->chan, c->elem, wake);
		if (ret == URT__MUST_WAIT)
			continue;
		c->result = ret;
		return i;
	}
	return -1;
}

static void enlist(struct select *s, struct urt_coro *self, uint64_t seq)
{
	for (size_t k = 0; k < s->n; k++) {
		size_t i = s->turn[k];
		struct urt_case *c = &s->cases[i];
		struct urt__waiter *w = &s->waiter[i];

		w->queue = NULL;
		if (!c->chan)
			continue;
		w->coro = self;
		w->seq = seq;
		w->elem = c->elem;
		urt__waitq_push(c->op == URT_SEND ? &c->chan->senders
						  : &c->chan->receivers,
				w);
	}
}

static int wait_all(struct urt__worker *w, struct select *s,
		    int64_t deadline_ns)
{
	struct urt_coro *self = w->current;
	struct urt__waiter *woken_by;
	uint64_t seq;
	int ret = urt__wait_begin(w, 0, deadline_ns, &seq);

	if (ret) {
		unlock_all(s);
		return ret;
	}
	self->woken_by = NULL;
	enlist(s, self, seq);
	ret = urt__park(w, URT__R_SELECT, URT__WAITING,
			s->nr_order ? commit_select : NULL, s);
	woken_by = self->woken_by;
	lock_all(s);
	for (size_t i = 0; i < s->n; i++)
		if (s->waiter[i].queue)
			urt__waitq_remove(&s->waiter[i]);
	unlock_all(s);
	if (!woken_by)
		return ret;
	s->cases[woken_by - s->waiter].result = ret;
	return woken_by - s->waiter;
}

static int select_run(struct urt__worker *w, struct select *s,
		      int64_t deadline_ns)
{
	struct urt_coro *wake = NULL;
	int i;

	make_order(s);
	lock_all(s);
	shuffle(w, s);
	i = try_all(s, &wake);
	if (i < 0)
		return wait_all(w, s, deadline_ns);
	unlock_all(s);
	if (wake)
		urt__ready(wake);
	return i;
}

struct call {
	struct urt_case *cases;
	size_t n;
	int64_t deadline_ns;
};

static int64_t select_behalf(void *arg)
{
	struct call *c = arg;

	return urt_select(c->cases, c->n, c->deadline_ns);
}

int urt_select(struct urt_case *cases, size_t n, int64_t deadline_ns)
{
	struct urt__waiter waiter[ON_STACK];
	struct urt_chan *order[ON_STACK];
	uint32_t turn[ON_STACK];
	struct select s = { cases, n, waiter, turn, order, 0 };
	struct urt__worker *w;
	void *memory = NULL;
	int ret;

	if (urt__unlikely(!urt__current()))
		return urt__behalf(select_behalf,
				   &(struct call){ cases, n, deadline_ns });
	if (n > ON_STACK) {
		if (n > INT_MAX)
			return -EINVAL;
		memory = urt__sys_alloc(n *
					(sizeof(*s.waiter) + sizeof(*s.order) +
					 sizeof(*s.turn)));
		if (!memory)
			return -ENOMEM;
		s.waiter = memory;
		s.order = (void *)(s.waiter + n);
		s.turn = (void *)(s.order + n);
	}
	w = urt__enter(true);
	ret = select_run(w, &s, deadline_ns);
	urt__leave();
	free(memory);
	return ret;
}
