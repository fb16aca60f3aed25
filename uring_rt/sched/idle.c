// SPDX-License-Identifier: MIT
/*
 * Which workers run and which sleep.
 *
 * A worker is in one state and, unless it is RUNNING or DETACHED, on one list:
 *
 *	          found nothing            woken, or own completion
 *	RUNNING -----------------> SLEEPING -----------------------> RUNNING
 *	 | ^ |                     (keeps its processor, timers too)
 *	 | | |
 *	 | | +--- hand-off: blocked or computing outside ---> DETACHED
 *	 | |                                                     |
 *	 | +---- gets one ---- WAITING <---- enters the runtime -+
 *	 | |                                                     |
 *	 | +---- its turn ---- PREEMPTED <--- swap (RUNNING)     | in the loop
 *	 |                                                       v
 *	 +--- gives it away ------------------------> SPARE ---> GONE
 *	                                              |   retires
 *	                 hand-off, from another <-----+
 *
 * handoff.c moves processors between workers. Workers without a processor sleep
 * in their own ring, as those with one do, so that their completions are
 * reaped, too; to wake a worker is to kick its ring (ring/).
 *
 * No wake-up is lost. A worker that goes to sleep is listed first, then looks
 * once more at everything for which it could have been woken (look_again), then
 * sleeps. A thread that adds work which no worker is bound to find (to the
 * global queue) adds the work first, then looks at the list. Both sides are
 * sequentially consistent, so one sees the other; and a kick that comes before
 * the sleep ends it. Work in a local queue has an owner that does not sleep
 * while the work is there, so waking another for it is only a matter of speed:
 * urt__wake_hint uses no fence, and the monitor looks every millisecond whether
 * a busy worker's queue waits while another worker sleeps.
 *
 * A sleep also submits requests, which may block the thread for long (an open
 * on a file system that does not answer). Then a kick cannot wake the worker,
 * but its processor can be taken like any other that is held in the kernel.
 *
 * Lock order: handoff_lock, then idle_lock. Neither is held while sleeping.
 */
#include "idle.h"
#include <string.h>

/* ---- lists, under idle_lock -------------------------------------------- */

void urt__list_add(struct urt__worker_list *l, struct urt__worker *w)
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

void urt__list_remove(struct urt__worker_list *l, struct urt__worker *w)
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

/* The worker may bring work from now on. */
void urt__worker_awake(struct urt__worker *w)
{
	w->hopeless = false;
	urt__rt.epoch++;
}

/* Adds the counts of a worker without a slot in the page to the last slot. */
static void tell_counts(struct urt__worker *w)
{
	const uint64_t *own;
	uint64_t *told, *to;

	if (urt__likely(!w->own_stats))
		return;
	own = w->own_stats[0].counter;
	told = w->own_stats[1].counter;
	to = urt__stats_slot(urt__rt.stats_page, urt__rt.stats_page->slots - 1)
		     ->counter;
	for (unsigned i = 0; i < URT__STAT_COUNT + URT__STATS_OPS +
					 URT__TIME_COUNT * URT__TIME_CELLS;
	     i++) {
		uint64_t now = __atomic_load_n(&own[i], __ATOMIC_RELAXED);

		__atomic_store_n(&to[i], to[i] + now - told[i],
				 __ATOMIC_RELAXED);
		told[i] = now;
	}
}

/* The monitor sleeps while all workers do; see watch/pause.c. */
static void wake_monitor(void)
{
	urt__fence();
	if (urt__unlikely(atomic_load(&urt__rt.monitor_asleep)))
		urt__rt.monitor_wake();
}

/* ---- a program in which nothing can happen any more -------------------- */

/*
 * Whether every worker sleeps with nothing in flight, and nothing else of the
 * runtime can bring work. With idle_lock held.
 */
static bool all_hopeless(void)
{
	unsigned n = atomic_load(&urt__rt.nr_workers);

	if (atomic_load(&urt__rt.global_len) ||
	    atomic_load(&urt__rt.blocking) || atomic_load(&urt__rt.stop))
		return false;
	for (unsigned i = 0; i < n; i++) {
		struct urt__worker *w = atomic_load(&urt__rt.worker[i]);

		if (urt__state(w) != URT__W_GONE && !w->hopeless)
			return false;
	}
	return true;
}

/*
 * All workers were hopeless at the given epoch. A plain thread may still bring
 * work; one that did so and has ended before the threads are counted has
 * changed the epoch. The end of a plain thread causes no event, so the monitor
 * has a worker look again.
 */
static void deadlock(uint64_t epoch)
{
	bool same;

	if (urt__rt.other_threads()) {
		/* The monitor may have begun its long sleep without it. */
		if (!atomic_exchange(&urt__rt.doubt, true))
			wake_monitor();
		return;
	}
	urt__lock(&urt__rt.idle_lock);
	same = urt__rt.epoch == epoch && all_hopeless();
	urt__unlock(&urt__rt.idle_lock);
	if (same)
		urt__rt.deadlock();
}

/* ---- sleeping ---------------------------------------------------------- */

/* Counts how long it took until w runs in place of a blocked thread. */
static URT__COLD void count_told(struct urt__worker *w)
{
	struct urt__stats_slot *s = urt__stats_slot(urt__rt.stats_page, 0);
	int64_t ns = urt__clock_ns() - w->told_ns;

	w->told_ns = 0;
	__atomic_add_fetch(&s->told[urt__time_cell(ns > 0 ? ns : 0)], 1,
			   __ATOMIC_RELAXED);
}

/* Looks for any work for which a worker listed as asleep would have been woken.
 * Its processor may be gone by now. */
static bool look_again(const struct urt__worker *w)
{
	if (atomic_load(&urt__rt.global_len) || atomic_load(&urt__rt.stop) ||
	    atomic_load(&w->inbox) || atomic_load(&urt__rt.waiting.len) ||
	    atomic_load(&urt__rt.preempted.len))
		return true;
	for (unsigned i = 0; urt__shared && i < urt__rt.nr_procs; i++)
		if (atomic_load(&urt__rt.proc[i]->overdue) &&
		    urt__runq_len(&urt__rt.proc[i]->runq))
			return true;
	return false;
}

/*
 * Lists w in state s. False: w wants a processor, and has taken a sleeping
 * worker's instead. A worker that waits for a processor looks for a sleeper's
 * under the lock under which it is listed, so a worker that falls asleep later
 * sees it on the list.
 */
static bool list_asleep(struct urt__worker *w, struct urt__worker_list *l,
			enum urt__worker_state s, int64_t timeout_ns)
{
	bool wants = s == URT__W_WAITING || s == URT__W_PREEMPTED, hopeless;
	uint64_t epoch;

	urt__lock(&urt__rt.idle_lock);
	if (wants && urt__take_from_sleeper(w)) {
		urt__set_state(w, URT__W_RUNNING);
		urt__unlock(&urt__rt.idle_lock);
		return false;
	}
	urt__set_state(w, s);
	w->hopeless = !w->ring.inflight && timeout_ns == INT64_MAX && !wants;
	urt__list_add(l, w);
	tell_counts(w);
	hopeless = w->hopeless && all_hopeless();
	epoch = urt__rt.epoch;
	urt__unlock(&urt__rt.idle_lock);
	if (hopeless)
		deadlock(epoch);
	return true;
}

/*
 * Lists w, waits in the ring unless there is work after all, and takes w off
 * the list if no other thread did. In every state w checks its inbox: another
 * thread may have reaped the kick for it while w was in the kernel. w reaps
 * completions only when it is off the list: until then another thread may be
 * taking its processor.
 */
static void sleep_listed(struct urt__worker *w, struct urt__worker_list *l,
			 enum urt__worker_state s, int64_t timeout_ns)
{
	if (list_asleep(w, l, s, timeout_ns)) {
		/* Partner: a thread that adds work, then reads idle.len. */
		urt__fence();
		if (s == URT__W_SLEEPING ? look_again(w)
					 : !!atomic_load(&w->inbox))
			timeout_ns = 0;
		if (!atomic_load(&urt__rt.stop))
			urt__worker_wait(w, timeout_ns);
		urt__lock(&urt__rt.idle_lock);
		if (urt__state(w) == s) {
			urt__list_remove(l, w);
			urt__set_state(w, s == URT__W_SLEEPING
						  ? URT__W_RUNNING
						  : URT__W_DETACHED);
		} else if (s == URT__W_SLEEPING &&
			   urt__state(w) == URT__W_SPARE) {
			/* Its processor was taken while it slept. */
			urt__list_remove(&urt__rt.spare, w);
			urt__set_state(w, URT__W_DETACHED);
		}
		urt__worker_awake(w);
		urt__unlock(&urt__rt.idle_lock);
	}
	if (urt__unlikely(w->told_ns))
		count_told(w);
	wake_monitor();
	if (atomic_load(&w->inbox))
		urt__worker_drain(w);
	urt__ring_reap(&w->ring);
}

void urt__idle_sleep(struct urt__worker *w)
{
	int64_t when_ns = urt__timers_next_live(&w->proc->timers);

	atomic_store_explicit(&w->until_ns, when_ns, memory_order_relaxed);
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

static void acquire(struct urt__worker *w, struct urt__worker_list *l,
		    enum urt__worker_state s)
{
	while (!atomic_load(&urt__rt.stop)) {
		sleep_listed(w, l, s, INT64_MAX);
		if (!w->proc)
			continue;
		/* Its slice begins anew: a signal under way has no effect. */
		atomic_store_explicit(&w->preempt, 0, memory_order_relaxed);
		return;
	}
	if (w->current)
		urt__abandon(w);
}

void urt__proc_acquire(struct urt__worker *w)
{
	acquire(w, &urt__rt.waiting, URT__W_WAITING);
}

void urt__proc_acquire_turn(struct urt__worker *w)
{
	acquire(w, &urt__rt.preempted, URT__W_PREEMPTED);
}

/* ---- waking ------------------------------------------------------------ */

void urt__wake_one(void)
{
	struct urt__worker *w;

	if (!atomic_load(&urt__rt.idle.len) || atomic_load(&urt__rt.spinning))
		return;
	urt__lock(&urt__rt.idle_lock);
	w = urt__rt.idle.tail; /* the warmest */
	if (w) {
		urt__list_remove(&urt__rt.idle, w);
		urt__set_state(w, URT__W_RUNNING);
		urt__worker_awake(w);
	}
	urt__unlock(&urt__rt.idle_lock);
	if (!w)
		return;
	if (urt__worker())
		urt__count(urt__worker()->stats, URT__STAT_WAKES);
	urt__ring_kick(&w->ring);
}

/* ---- threads that come and go ------------------------------------------ */

struct urt__worker *urt__vacant_take(void)
{
	struct urt__worker *w;

	urt__lock(&urt__rt.idle_lock);
	w = urt__rt.vacant.tail;
	if (w)
		urt__list_remove(&urt__rt.vacant, w);
	urt__unlock(&urt__rt.idle_lock);
	return w;
}

bool urt__spare_retire(void)
{
	struct urt__worker *w;

	urt__lock(&urt__rt.idle_lock);
	w = urt__rt.spare.head; /* the coldest */
	while (w && (!w->index || w->ring.inflight || atomic_load(&w->inbox)))
		w = w->list_next;
	if (w) {
		urt__list_remove(&urt__rt.spare, w);
		urt__set_state(w, URT__W_DETACHED);
		urt__worker_awake(w);
		atomic_store(&w->retire, true);
	}
	urt__unlock(&urt__rt.idle_lock);
	if (w)
		urt__ring_kick(&w->ring);
	return w;
}

void urt__worker_vacate(struct urt__worker *w)
{
	uint64_t epoch;
	bool hopeless;

	urt__lock(&urt__rt.idle_lock);
	urt__set_state(w, URT__W_GONE);
	atomic_store(&w->retire, false);
	urt__list_add(&urt__rt.vacant, w);
	tell_counts(w);
	hopeless = all_hopeless();
	epoch = urt__rt.epoch;
	urt__unlock(&urt__rt.idle_lock);
	if (hopeless)
		deadlock(epoch);
}
