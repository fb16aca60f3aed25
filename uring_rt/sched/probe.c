// SPDX-License-Identifier: MIT
/*
 * How long coroutines that could run wait for their turn, measured in every
 * program at all times (Go: /sched/latencies).
 *
 * Timing each coroutine would cost two reads of the clock per switch, ten times
 * the cost of the switch. So each processor follows one at a time. Every EVERY
 * looks round (of 64 switches) the worker is armed: it passes over a random
 * number of coroutines that become runnable, since the first after a look round
 * is not typical, and marks the next with the time. When that one runs, its
 * wait is added to the counters page. Armed and following are bits in a word
 * that the switch and urt__ready read anyway (URT__TELL_*), so they cost
 * nothing while they are clear. While a coroutine is followed, each switch
 * costs some instructions more; so the next one is followed only after PAUSE
 * times as many rounds as this one waited.
 *
 * Not measured: coroutines that are readied without a processor (by plain
 * threads, or workers that have lost theirs), and joiners to which an end
 * switches at once. Processors that look round often are overrepresented.
 *
 * A followed coroutine can move to another processor, by a thief or through the
 * global queue. The worker that moves it follows it from then on, or clears its
 * mark (ready_ns = 0) if it already follows another one: a mark that stayed
 * would count as a wait much later. The processor that it left sees in ready_ns
 * that following is over. A worker that is given a processor also follows that
 * processor's coroutine before it runs anything (urt__probe_given). Control
 * blocks are never unmapped, so reading ready_ns is safe.
 */
#include "sched.h"

#define EVERY 16u
#define SKIP  16u /* readies to pass over, at most; power of two */
#define PAUSE 32u

static void set_bits(struct urt__worker *w, uint32_t want)
{
	const uint32_t all = URT__TELL_ARMED | URT__TELL_FOLLOW;
	uint32_t change = (urt__telling(w) & all) ^ want;

	if (change)
		__atomic_fetch_xor(&w->tracing, change, __ATOMIC_RELAXED);
}

static int64_t ready_ns(const struct urt_coro *c)
{
	return atomic_load_explicit(&c->ready_ns, memory_order_relaxed);
}

static struct urt_coro *followed(const struct urt__proc *p)
{
	return atomic_load_explicit(&p->probe, memory_order_relaxed);
}

static void follow(struct urt__worker *w, struct urt_coro *c)
{
	w->proc->probe_rounds = 0;
	w->proc->probe_in = 0;
	atomic_store_explicit(&w->proc->probe, c, memory_order_relaxed);
	set_bits(w, URT__TELL_FOLLOW);
}

static void pause_probing(struct urt__worker *w)
{
	struct urt__proc *p = w->proc;

	p->probe_in = EVERY + PAUSE * p->probe_rounds;
	atomic_store_explicit(&p->probe, NULL, memory_order_relaxed);
	set_bits(w, 0);
}

void urt__probe_look(struct urt__worker *w)
{
	struct urt__proc *p = w->proc;
	struct urt_coro *c = followed(p);

	if (c && ready_ns(c)) {
		p->probe_rounds++;
		p->probe_in = 0;
		set_bits(w, URT__TELL_FOLLOW);
	} else if (c) {
		pause_probing(w);
	} else {
		p->probe_skip = urt__random(w) % SKIP;
		p->probe_in = EVERY;
		set_bits(w, URT__TELL_ARMED);
	}
}

void urt__probe_ready(struct urt__worker *w, struct urt_coro *c)
{
	struct urt__proc *p = w->proc;

	if (!p || followed(p) || p->probe_skip--)
		return;
	atomic_store_explicit(&c->ready_ns, urt__clock_ns(),
			      memory_order_relaxed);
	follow(w, c);
}

void urt__probe_run(struct urt__worker *w, struct urt_coro *c)
{
	int64_t since_ns = ready_ns(c);

	if (!since_ns)
		return;
	atomic_store_explicit(&c->ready_ns, 0, memory_order_relaxed);
	urt__count_time(w->stats, URT__TIME_READY, urt__clock_ns() - since_ns);
	if (w->proc && followed(w->proc) == c)
		pause_probing(w);
}

void urt__probe_moved(struct urt__worker *w, struct urt_coro *c)
{
	struct urt_coro *old = followed(w->proc);

	if (old == c || !ready_ns(c))
		return;
	if (old && ready_ns(old))
		atomic_store_explicit(&c->ready_ns, 0, memory_order_relaxed);
	else
		follow(w, c);
}
