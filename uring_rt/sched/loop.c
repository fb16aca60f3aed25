// SPDX-License-Identifier: MIT
/*
 * The worker's loop, on the thread's own stack: it looks round at the ring, the
 * timers and the global queue, steals, and sleeps in the ring (idle.c). A
 * switch leads here only when there is nothing to run, or every TICKS switches.
 *
 * Fairness. The ring is entered at least every ENTER_NS while coroutines run,
 * so that a busy worker does not starve its own waits. The clock is read here,
 * not at each switch. If coroutines are slow between two switches, TICKS
 * switches take long; then the monitor asks for a look round at each of its own
 * looks (URT__ATT_LOOK), and if they compute, each switch leads here. A
 * preempted coroutine gets its turn when the others have run for
 * URT__HOG_TURN_NS, or when there are no others. queue.c explains the order of
 * choice.
 */
#define _GNU_SOURCE
#include "queue.h"
#include <string.h>

#define CLOCK_TICKS 1024u  /* switches between reads of the clock, at most */
#define ENTER_NS    100000 /* between enters, at most, while there is work */
#define WAIT_NS	    200000 /* others may take from a queue that waits so long */
#define OLDEST_NS   500000 /* between turns of the oldest, if others are slow */
#define SPINS	    20

void urt__worker_drain(struct urt__worker *w)
{
	if (atomic_load_explicit(&w->inbox, memory_order_relaxed))
		urt__inbox_run(w);
	if (urt__ring_queued(&w->ring) || urt__ring_has_work(&w->ring))
		urt__ring_enter(&w->ring, 0);
}

/* Enters the ring without waiting, and reaps; false: the processor was lost. */
static bool enter_ring(struct urt__worker *w)
{
	bool lost = urt__worker_submit(w);

	urt__ring_reap(&w->ring);
	return !lost;
}

/*
 * Gives the processor to a worker that waits for one, if it is that worker's
 * turn. Workers with a preempted coroutine have their turn when the others have
 * run for URT__HOG_TURN_NS: they had used up a time slice, so it is fair that
 * they wait as long, and light work stays quick while heavy work runs. Workers
 * that come back from a blocking call take turns with the queue, as they may
 * block again and again.
 */
static void give_turns(struct urt__worker *w)
{
	struct urt__proc *p = w->proc;

	if (urt__unlikely(
		    atomic_load_explicit(&w->hogging, memory_order_relaxed))) {
		atomic_store_explicit(&w->hogging, false, memory_order_relaxed);
		p->hogged_ns = urt__clock_ns();
	}
	if (urt__unlikely(atomic_load_explicit(&urt__rt.preempted.len,
					       memory_order_relaxed)) &&
	    urt__clock_ns() - p->hogged_ns > URT__HOG_TURN_NS &&
	    urt__proc_give_turn(w))
		return;
	if (urt__likely(!atomic_load_explicit(&urt__rt.waiting.len,
					      memory_order_relaxed)))
		return;
	p->passed = !p->passed || !urt__proc_has_queue(p);
	if (p->passed && !urt__proc_give(w))
		p->passed = false; /* it is still ours */
}

unsigned urt__worker_fire(struct urt__worker *w, int64_t now_ns, bool first)
{
	int64_t late_ns = -1;
	unsigned n;

	w->due = first;
	n = urt__timers_run(&w->proc->timers, now_ns, &late_ns);
	w->due = false;
	if (late_ns >= 0)
		urt__count_time(w->stats, URT__TIME_TIMER, late_ns);
	return n;
}

/*
 * Coroutines whose timers fire run before all that are queued, the last of them
 * first: each queued one may block, or compute for a slice.
 */
static void run_timers(struct urt__worker *w)
{
	bool first = urt__proc_has_queue(w->proc);

	urt__count_add(w->stats, URT__STAT_TIMERS,
		       urt__worker_fire(w, w->now_ns, first));
}

/*
 * Work that one worker can do in time stays on that worker: a woken worker
 * comes late, the more so if other programs have the CPUs, and finds a cold
 * cache. So others may take from this queue, and one is woken for it, only when
 * the queue has not been empty for WAIT_NS, or when the monitor sees it waiting
 * at two looks or behind one coroutine.
 */
static void note_waiting(struct urt__worker *w)
{
	struct urt__proc *p = w->proc;
	int64_t now_ns;

	if (!urt__proc_has_queue(p)) {
		p->waited_ns = 0;
		if (urt__unlikely(atomic_load_explicit(&p->overdue,
						       memory_order_relaxed)))
			atomic_store_explicit(&p->overdue, false,
					      memory_order_relaxed);
		return;
	}
	if (!atomic_load_explicit(&urt__rt.idle.len, memory_order_relaxed))
		return;
	now_ns = urt__clock_ns();
	if (!p->waited_ns)
		p->waited_ns = now_ns;
	if (now_ns - p->waited_ns < WAIT_NS)
		return;
	urt__fresh_share(p);
	atomic_store_explicit(&p->overdue, true, memory_order_relaxed);
	urt__wake_hint();
}

/* If coroutines run for long, limits that are counted in switches or looks take
 * too long, or come too often. */
static bool oldest_has_turn(const struct urt__worker *w)
{
	return urt__pace(w) == URT__QUICK ||
	       w->now_ns - w->proc->oldest_ns >= OLDEST_NS;
}

/* Looks at timers, ring, inbox and global queue, even if coroutines wait to
 * run. The processor may be gone afterwards. */
static void look_round(struct urt__worker *w)
{
	struct urt__proc *p = w->proc;
	bool ring = urt__ring_queued(&w->ring) || urt__ring_has_work(&w->ring);

	urt__trace_look(w);
	if (urt__unlikely(!p->probe_in--))
		urt__probe_look(w);
	if (urt__shared)
		note_waiting(w);
	if (urt__unlikely(atomic_load_explicit(&w->word.attention,
					       memory_order_relaxed)))
		atomic_fetch_and(&w->word.attention,
				 ~(URT__ATT_YIELD | URT__ATT_LOOK));
	if (urt__unlikely(
		    atomic_load_explicit(&w->inbox, memory_order_relaxed)))
		urt__inbox_run(w);
	if (p->timers.len || ring || !w->next_enter_ns ||
	    !(p->tick % CLOCK_TICKS) || urt__pace(w) != URT__QUICK) {
		w->now_ns = urt__clock_ns();
		run_timers(w);
		if (w->next_enter_ns == 0)
			w->next_enter_ns = w->now_ns + ENTER_NS;
		if (ring && w->now_ns >= w->next_enter_ns) {
			w->next_enter_ns = w->now_ns + ENTER_NS;
			if (!enter_ring(w))
				return;
		}
	}
	if (urt__global_waits())
		urt__global_take(w);
	/* The oldest must not wait forever. A single one runs first anyway,
	 * except after `next`, or if each look begins with the queue. */
	if (p->fresh_len > 1 || (p->fresh_len && !p->due_left &&
				 (p->next || urt__pace(w) != URT__QUICK)))
		urt__fresh_age(p, oldest_has_turn(w));
	give_turns(w);
}

/* Takes half of another processor's queue, trying from a random one on; returns
 * one coroutine to run now. */
static struct urt_coro *steal(struct urt__worker *w)
{
	struct urt_coro *got[URT__RUNQ_SIZE / 2];
	unsigned n = urt__rt.nr_procs, first = urt__random(w) % n;

	for (unsigned i = 0; i < n; i++) {
		struct urt__proc *p = urt__rt.proc[(first + i) % n];
		struct urt_coro *probe;
		uint32_t k;

		if (p == w->proc ||
		    !atomic_load_explicit(&p->overdue, memory_order_relaxed))
			continue;
		k = urt__runq_take(&p->runq, got, URT__ARRAY_LEN(got));
		if (!k)
			continue;
		urt__count_add(w->stats, URT__STAT_STEALS, k);
		probe = atomic_load_explicit(&p->probe, memory_order_relaxed);
		for (uint32_t j = 0; probe && j < k; j++)
			if (got[j] == probe)
				urt__probe_moved(w, probe);
		if (urt__unlikely(urt__telling(w) & URT__TELL_EVENTS))
			urt__trace_steal(w, k, (first + i) % n);
		for (uint32_t j = 1; j < k; j++)
			urt__runq_put(w->proc, got[j]);
		return got[0];
	}
	return NULL;
}

/*
 * Where coroutines compute, the loop looks round at each switch: the next one
 * may be long in coming. Those whose timers have fired take turns with the
 * oldest in the queue; without them, that one goes before `next` once in
 * OLDEST_NS.
 */
static struct urt_coro *choose_slow(struct urt__worker *w)
{
	struct urt__proc *p = w->proc;
	struct urt_coro *c;

	if (p->due_left || urt__pace(w) == URT__COMPUTING)
		urt__proc_look_soon(p);
	if (p->due_left && p->looks % 2 == 0) {
		p->looks++;
		return urt__fresh_take(p);
	}
	p->looks &= ~1u;
	if (!p->due_left && !oldest_has_turn(w))
		return NULL;
	p->oldest_ns = w->now_ns;
	c = urt__take_queued(p);
	if (c && p->next) {
		urt__runq_put(p, p->next);
		p->next = NULL;
	}
	return c;
}

/*
 * Something to run, in the order of choice; but one whose timer has fired at
 * every second look: a pair that hands over fills `next` all the time.
 */
static struct urt_coro *choose(struct urt__worker *w)
{
	struct urt_coro *c = NULL;

	if (urt__unlikely(urt__pace(w) != URT__QUICK))
		c = choose_slow(w);
	else if (w->proc->looks++ % 2)
		c = w->proc->next ? NULL : urt__take_queued(w->proc);
	else if (w->proc->due_left)
		c = urt__fresh_take(w->proc);
	if (!c)
		c = urt__take_local(w->proc);
	if (!c && urt__shared)
		c = steal(w);
	return c;
}

/* Only preempted coroutines are left. They will run for long, so the ring is
 * reaped first. NULL, without a processor: one of them has it. */
static struct urt_coro *choose_preempted(struct urt__worker *w)
{
	struct urt_coro *c = NULL;

	if (!atomic_load_explicit(&urt__rt.preempted.len, memory_order_relaxed))
		return NULL;
	if (enter_ring(w))
		c = urt__take_local(w->proc);
	if (!c && w->proc)
		urt__proc_give_turn(w);
	return c;
}

/*
 * Before it sleeps, a worker looks for work to steal for a while: the work of a
 * busy program comes in bursts, and waking a thread is expensive. One worker
 * spins for all: the others go to sleep, and no sleeper is woken meanwhile.
 */
static struct urt_coro *spin(struct urt__worker *w)
{
	struct urt_coro *c = NULL;

	if (!urt__shared || urt__ring_queued(&w->ring) ||
	    atomic_load(&urt__rt.idle.len) + 1 >= urt__rt.nr_procs ||
	    atomic_exchange(&urt__rt.spinning, 1))
		return NULL;
	for (unsigned i = 0; i < SPINS && !c; i++) {
		for (unsigned j = 0; j < 32; j++)
			urt__cpu_relax();
		if (urt__ring_has_work(&w->ring) || urt__global_waits())
			break;
		c = steal(w);
	}
	atomic_store(&urt__rt.spinning, 0);
	return c;
}

/* NULL: the run ends, or the processor is gone. */
static struct urt_coro *find_work(struct urt__worker *w)
{
	struct urt_coro *c;

	while (!atomic_load_explicit(&urt__rt.stop, memory_order_relaxed)) {
		look_round(w);
		if (!w->proc)
			return NULL;
		c = choose(w);
		if (!c)
			c = choose_preempted(w);
		if (!w->proc)
			return NULL;
		if (!c)
			c = spin(w);
		if (c && atomic_load(&urt__rt.global_len))
			urt__wake_hint();
		if (c)
			return c;
		w->next_enter_ns = 0;
		urt__idle_sleep(w);
		if (!w->proc)
			return NULL;
	}
	return NULL;
}

void urt__worker_loop(struct urt__worker *w)
{
	atomic_store(&w->word.where, URT__IN);
	while (!atomic_load_explicit(&urt__rt.stop, memory_order_relaxed)) {
		struct urt_coro *c;

		/* It may have been told to retire while it slept, after its
		 * processor was taken. Then it must not be listed as a spare,
		 * or it may be given a processor, and end with it. */
		if (!w->proc && !atomic_load(&w->retire))
			urt__spare_sleep(w);
		if (atomic_load(&w->retire))
			return;
		if (!w->proc)
			continue;
		c = find_work(w);
		if (!c)
			continue;
		urt__worker_run(w, c);
	}
}
