// SPDX-License-Identifier: MIT
/*
 * Who runs: workers asleep and awake, and processors that change hands.
 *
 * A worker is in one state and, but for RUNNING and DETACHED, on one list:
 *
 *	          found nothing            woken, or own completion
 *	RUNNING -----------------> SLEEPING -----------------------> RUNNING
 *	   |  ^                    (keeps its processor, timers too)
 *	   |  |
 *	   |  +--- gets one --- WAITING <--- enters the runtime --- DETACHED
 *	   |                       ^                                    ^
 *	   |                       | preempted coroutines left          |
 *	   +--- gives it away --- SPARE       handoff, while it runs ---+
 *
 * All of them sleep in their own ring and nowhere else, so that completions
 * are reaped whoever waits for them; who is sent for is kicked (ring/).
 *
 * No wake-up is lost. A worker that goes to sleep is listed first, then looks
 * once more at everything it could have been woken for (look_again), then
 * sleeps. Who makes work that nobody is bound to find (the global queue) adds
 * it first, then looks at the list. Both sides are sequentially consistent, so
 * one sees the other; and a kick that comes before the sleep ends it. Work in
 * a local queue has an owner who does not sleep while it is there, so waking
 * another for it is only a matter of speed: urt__wake_hint uses no fence, and
 * the monitor looks every millisecond whether a busy worker's queue waits
 * beside a sleeping worker.
 *
 * Taking a processor away (urt__proc_handoff). The owner uses it with plain
 * stores whenever it is inside the runtime. The taker, under the worker's
 * handoff_lock, sets URT__ATT_REVOKE, makes the whole process fence by
 * membarrier(2), and looks at in_rt. The owner sets in_rt and then looks at
 * attention. So either the taker sees in_rt and gives up, or the owner sees
 * REVOKE, goes to urt__enter_slow and waits there for the lock. The fence costs
 * the taker some microseconds, once a stuck coroutine, and the owner nothing:
 * that is why entering the runtime is two plain instructions.
 *
 * A coroutine that lost its processor goes on on its thread as an ordinary
 * thread (it sits in a computation, or in a system call) and takes a processor
 * again when it enters the runtime: one of a sleeping worker, or it waits to be
 * given one. It stays on its thread all the time, since in a call like
 * urt_mutex_unlock it may hold pthread locks.
 *
 * Lock order: handoff_lock, then idle_lock. Neither is held while sleeping.
 */
#include "sched.h"
#include <errno.h>
#undef errno

/* ---- lists, under idle_lock -------------------------------------------- */

static void list_add(struct urt__worker_list *l, struct urt__worker *w)
{
	w->list_next = NULL;
	w->list_prev = l->tail;
	if (l->tail)
		l->tail->list_next = w;
	else
		l->head = w;
	l->tail = w;
	atomic_fetch_add(&l->len, 1);
}

static void list_remove(struct urt__worker_list *l, struct urt__worker *w)
{
	if (w->list_prev)
		w->list_prev->list_next = w->list_next;
	else
		l->head = w->list_next;
	if (w->list_next)
		w->list_next->list_prev = w->list_prev;
	else
		l->tail = w->list_prev;
	atomic_fetch_sub(&l->len, 1);
}

static enum urt__worker_state state(const struct urt__worker *w)
{
	return atomic_load_explicit(&w->state, memory_order_acquire);
}

static void set_state(struct urt__worker *w, enum urt__worker_state s)
{
	atomic_store_explicit(&w->state, s, memory_order_release);
}

/* With idle_lock held: it may bring something now. */
static void awake(struct urt__worker *w)
{
	w->hopeless = false;
	urt__rt.epoch++;
}

/* ---- sleeping ---------------------------------------------------------- */

/*
 * Whether every worker sleeps with nothing to come and nothing else will bring
 * something. With idle_lock held.
 */
static bool all_hopeless(void)
{
	unsigned n = atomic_load(&urt__rt.nr_workers);

	if (atomic_load(&urt__rt.global_len) ||
	    atomic_load(&urt__rt.blocking) || atomic_load(&urt__rt.stop))
		return false;
	for (unsigned i = 0; i < n; i++) {
		struct urt__worker *w = atomic_load(&urt__rt.worker[i]);

		if (state(w) != URT__W_GONE && !w->hopeless)
			return false;
	}
	return true;
}

/* What a worker that is listed as asleep would have been woken for. Its
 * processor may be gone by now. */
static bool look_again(const struct urt__worker *w)
{
	if (atomic_load(&urt__rt.global_len) || atomic_load(&urt__rt.stop) ||
	    atomic_load(&w->inbox) || atomic_load(&urt__rt.waiting.len))
		return true;
	for (unsigned i = 0; urt__shared && i < urt__rt.nr_procs; i++)
		if (urt__runq_len(&urt__rt.proc[i]->runq))
			return true;
	return false;
}

/*
 * All were hopeless at the given epoch. A plain thread may yet bring something;
 * and one that did, and is gone by the time that threads are counted, has
 * changed the epoch. Nobody is told when one ends: the monitor has a worker
 * look again.
 */
static void deadlock(uint64_t epoch)
{
	bool same;

	if (urt__rt.other_threads()) {
		atomic_store(&urt__rt.doubt, true);
		return;
	}
	urt__lock(&urt__rt.idle_lock);
	same = urt__rt.epoch == epoch && all_hopeless();
	urt__unlock(&urt__rt.idle_lock);
	if (same)
		urt__rt.deadlock();
}

/* With idle_lock held: that of a worker that sleeps with one, which becomes a
 * spare without noticing. */
static bool take_from_sleeper(struct urt__worker *w)
{
	struct urt__worker *from = urt__rt.idle.head;

	if (!from)
		return false;
	list_remove(&urt__rt.idle, from);
	w->proc = from->proc;
	from->proc = NULL;
	set_state(from, URT__W_SPARE);
	list_add(&urt__rt.spare, from);
	from->hopeless = !from->ring.inflight && !from->pinned_head;
	return true;
}

static void wake_monitor(void);

/*
 * Lists w in state s, waits in the ring unless there is something after all,
 * and takes w off the list if nobody else did. Who waits for a processor looks
 * for a sleeper's under the lock under which it is listed: a worker that falls
 * asleep later sees it on the list. Completions are reaped only when w is off
 * the list: until then another may be taking its processor.
 */
static void sleep_listed(struct urt__worker *w, struct urt__worker_list *l,
			 enum urt__worker_state s, int64_t timeout_ns)
{
	bool hopeless;
	uint64_t epoch;

	urt__lock(&urt__rt.idle_lock);
	if (s == URT__W_WAITING && take_from_sleeper(w)) {
		set_state(w, URT__W_RUNNING);
		urt__unlock(&urt__rt.idle_lock);
		return;
	}
	set_state(w, s);
	w->hopeless = !w->ring.inflight && timeout_ns == INT64_MAX &&
		      !w->pinned_head && s != URT__W_WAITING;
	list_add(l, w);
	hopeless = w->hopeless && all_hopeless();
	epoch = urt__rt.epoch;
	urt__unlock(&urt__rt.idle_lock);
	if (hopeless)
		deadlock(epoch);
	/* Partner: who adds work, then reads idle.len. */
	urt__fence();
	if (s == URT__W_SLEEPING && look_again(w))
		timeout_ns = 0;
	if (!atomic_load(&urt__rt.stop))
		urt__ring_wait(&w->ring, timeout_ns);
	urt__lock(&urt__rt.idle_lock);
	if (state(w) == s) {
		list_remove(l, w);
		if (s == URT__W_SLEEPING)
			set_state(w, URT__W_RUNNING);
	} else if (s == URT__W_SLEEPING && state(w) == URT__W_SPARE) {
		/* Its processor was taken while it slept. */
		list_remove(&urt__rt.spare, w);
		set_state(w, URT__W_DETACHED);
	}
	awake(w);
	urt__unlock(&urt__rt.idle_lock);
	wake_monitor();
	if (atomic_load(&w->inbox))
		urt__worker_drain(w);
	urt__ring_reap(&w->ring);
}

void urt__idle_sleep(struct urt__worker *w)
{
	int64_t when_ns = urt__timers_next_live(&w->proc->timers);

	if (when_ns != INT64_MAX) {
		when_ns -= urt__clock_ns();
		if (when_ns < 0)
			when_ns = 0;
	}
	sleep_listed(w, &urt__rt.idle, URT__W_SLEEPING, when_ns);
}

void urt__spare_sleep(struct urt__worker *w)
{
	sleep_listed(w, &urt__rt.spare, URT__W_SPARE, INT64_MAX);
}

/* The monitor sleeps while everybody does; see watch/monitor.c. */
static void wake_monitor(void)
{
	urt__fence();
	if (urt__unlikely(atomic_load(&urt__rt.monitor_asleep)))
		urt__rt.monitor_wake();
}

void urt__wake_one(void)
{
	struct urt__worker *w;

	if (!atomic_load(&urt__rt.idle.len) || atomic_load(&urt__rt.spinning))
		return;
	urt__lock(&urt__rt.idle_lock);
	w = urt__rt.idle.tail; /* the warmest */
	if (w) {
		list_remove(&urt__rt.idle, w);
		set_state(w, URT__W_RUNNING);
		awake(w);
	}
	urt__unlock(&urt__rt.idle_lock);
	if (!w)
		return;
	if (urt__worker())
		urt__count(urt__worker()->stats, URT__STAT_WAKES);
	urt__ring_kick(&w->ring);
}

/* ---- processors that change hands -------------------------------------- */

void urt__proc_acquire(struct urt__worker *w)
{
	while (!atomic_load(&urt__rt.stop)) {
		sleep_listed(w, &urt__rt.waiting, URT__W_WAITING, INT64_MAX);
		if (state(w) == URT__W_RUNNING)
			return;
	}
	if (w->current)
		urt__abandon(w);
}

static void give(struct urt__worker *to, struct urt__proc *p)
{
	to->proc = p;
	awake(to);
	set_state(to, URT__W_RUNNING);
}

void urt__proc_give(struct urt__worker *w)
{
	struct urt__worker *to;

	urt__lock(&urt__rt.idle_lock);
	to = urt__rt.waiting.head;
	if (to) {
		list_remove(&urt__rt.waiting, to);
		give(to, w->proc);
		w->proc = NULL;
		set_state(w, URT__W_DETACHED);
	}
	urt__unlock(&urt__rt.idle_lock);
	if (to)
		urt__ring_kick(&to->ring);
}

/*
 * Runs fn(from) with the worker kept out of the runtime, if it is out of it and
 * has a processor; what fn returns, or false. REVOKE stays where fn took the
 * processor away, so that the owner notices.
 */
static bool while_out(struct urt__worker *from,
		      bool (*fn)(struct urt__worker *))
{
	bool done = false, gone = false;

	if (!urt__rt.membarrier)
		return false;
	urt__lock(&from->handoff_lock);
	if (state(from) == URT__W_RUNNING) {
		atomic_fetch_or(&from->attention, URT__ATT_REVOKE);
		urt__membarrier();
		/* Acquire; partner: the release in urt__leave. */
		if (!atomic_load_explicit(&from->in_rt, memory_order_acquire)) {
			done = fn(from);
			gone = !from->proc;
		}
		if (!gone)
			atomic_fetch_and(&from->attention, ~URT__ATT_REVOKE);
	}
	urt__unlock(&from->handoff_lock);
	return done;
}

static bool hand_over(struct urt__worker *from)
{
	struct urt__proc *p = from->proc;
	struct urt__worker *to;

	if (!p->next && p->batch_pos == p->batch_len && !p->fresh_len &&
	    !urt__runq_len(&p->runq) && !p->timers.len &&
	    !atomic_load(&urt__rt.global_len))
		return false; /* nobody waits for it */
	urt__lock(&urt__rt.idle_lock);
	to = urt__rt.spare.tail;
	if (to) {
		if (urt__trace_wanted())
			urt__trace_handoff(from, to);
		list_remove(&urt__rt.spare, to);
		from->proc = NULL;
		set_state(from, URT__W_DETACHED);
		give(to, p);
	}
	urt__unlock(&urt__rt.idle_lock);
	if (to)
		urt__ring_kick(&to->ring);
	return to;
}

bool urt__proc_handoff(struct urt__worker *from)
{
	return while_out(from, hand_over);
}

bool urt__worker_expose(struct urt__worker *from)
{
	return while_out(from, urt__proc_expose);
}

void urt__enter_slow(struct urt__worker *w, bool may_suspend)
{
	uint32_t attention;

	urt__lock(&w->handoff_lock);
	attention = atomic_fetch_and(&w->attention, ~URT__ATT_REVOKE);
	urt__unlock(&w->handoff_lock);
	if (!w->proc)
		urt__proc_acquire(w);
	if (!may_suspend || !(attention & URT__ATT_YIELD) ||
	    w->current->no_preempt)
		return;
	if (atomic_load(&urt__rt.stop))
		urt__abandon(w);
	atomic_fetch_and(&w->attention, ~URT__ATT_YIELD);
	urt__yield(w);
}
