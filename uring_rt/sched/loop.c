// SPDX-License-Identifier: MIT
/*
 * The worker's loop, on the thread's own stack: it looks round at the ring, the
 * timers and the global queue, steals, and sleeps in the ring (idle.c). A
 * switch leads here only when there is nothing to run, or every TICKS switches.
 *
 * Fairness. The ring is entered at least every ENTER_NS while coroutines run,
 * so that a busy worker does not starve its own waits. The clock is read here
 * only; where coroutines compute between two switches, TICKS of these take
 * long, and the monitor asks for a look round at each of its own
 * (URT__ATT_LOOK). A preempted coroutine has its turn when the others have run
 * for URT__HOG_TURN_NS, or when there are no others. The order of choice is
 * explained in queue.c.
 */
#define _GNU_SOURCE
#include "queue.h"
#include <string.h>

#define CLOCK_TICKS 1024u  /* the clock is read at least so often */
#define ENTER_NS    100000 /* at least so often while there is work */
#define WAIT_NS	    200000 /* a queue has waited: others may take of it */
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
 * Whether a worker that waits for a processor is to have this one. Those whose
 * coroutine was preempted, when the others have run for URT__HOG_TURN_NS: they had used
 * up a time slice; that they now wait for as long is fair, and keeps light work quick
 * while heavy work runs. Those that come back from a blocking call, in turn with the
 * queue, as they may block again and again.
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
	struct urt__proc *p = w->proc;
	unsigned fresh = p->fresh_len, n;
	int64_t late_ns = -1;

	w->due = first;
	n = urt__timers_run(&p->timers, now_ns, &late_ns);
	w->due = false;
	if (p->fresh_len > fresh)
		p->due_left += p->fresh_len - fresh;
	if (late_ns >= 0)
		urt__count_time(w->stats, URT__TIME_TIMER, late_ns);
	return n;
}

/*
 * Sleepers whose time has come run before all that is queued, the last of them
 * first: what is queued may block, or compute, each for its slice.
 */
static void run_timers(struct urt__worker *w)
{
	bool first = urt__proc_has_queue(w->proc);

	urt__count_add(w->stats, URT__STAT_TIMERS,
		       urt__worker_fire(w, w->now_ns, first));
}

/*
 * Work that one worker can do alone in time stays on that worker: a woken one
 * comes late, the more so where other programs have the CPUs, and finds a cold
 * cache. So others may take what is queued here, and one is woken for it, when
 * the queue has not been empty for WAIT_NS; or when the monitor sees it waiting
 * at two looks, or behind one coroutine.
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

/* Timers, ring, inbox and global queue, while there may be coroutines to run. The
 * processor may be gone after it. */
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
	    !(p->tick % CLOCK_TICKS)) {
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
	/* The oldest must not wait forever. A single one goes first, but not
	 * before `next`, nor where each look begins with the queue. */
	if (p->fresh_len > 1 || (p->fresh_len && !p->due_left &&
				 (p->next || urt__pace(w) != URT__QUICK))) {
		urt__fresh_to_runq(p, 1);
		urt__fresh_share(p);
	}
	give_turns(w);
}

/* Half of another's queue, from a random one on; one of them to run now. */
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
 * Where coroutines run for long, what is counted in switches elsewhere (STREAK, each
 * second look) would take long: so at each look, which the monitor asks for in time,
 * in turn those whose timers have fired and the oldest in the queue.
 */
static struct urt_coro *choose_slow(struct urt__worker *w)
{
	struct urt__proc *p = w->proc;
	struct urt_coro *c;

	if (p->due_left)
		urt__proc_look_soon(p);
	if (p->due_left && p->looks++ % 2 == 0)
		return urt__fresh_take(p);
	c = urt__take_queued(p);
	if (c && p->next) {
		urt__runq_put(p, p->next);
		p->next = NULL;
	}
	return c;
}

/* Something to run, in the order of choice. */
static struct urt_coro *choose(struct urt__worker *w)
{
	struct urt_coro *c = NULL;

	if (urt__unlikely(urt__pace(w) != URT__QUICK))
		c = choose_slow(w);
	else if (!w->proc->next && w->proc->looks++ % 2)
		c = urt__take_queued(w->proc);
	if (!c)
		c = urt__take_local(w->proc);
	if (!c && urt__shared)
		c = steal(w);
	return c;
}

/* There is nothing but preempted coroutines. They will run for long: all else
 * first. NULL, without a processor: one of these has it. */
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
 * Before it sleeps a worker looks for a while for work to steal, for the work
 * of a busy program comes in bursts and waking a thread is dear. One spins for
 * all; others go to sleep, and no sleeper is woken while one worker looks.
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

		/* It may have been told to where it slept with a processor
		 * that was taken: then it must not be listed as a spare, or
		 * it is given a processor and leaves with it. */
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
