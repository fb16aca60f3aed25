// SPDX-License-Identifier: MIT
/*
 * Handing a processor from one worker to another, and serving a worker whose
 * thread is stuck.
 *
 * A thread that runs a coroutine can get stuck at any moment: it blocks in
 * libc, faults on a page, waits in io_uring_enter because a file system does
 * not answer, computes, or has no CPU. Others then need what the thread holds:
 * the processor with its queue and its timers, the requests that are queued in
 * its ring, and the completions in that ring. Another thread can take all of
 * this while the stuck one stays away.
 *
 * Keeping a worker out. The owner accesses all of this with plain stores
 * whenever it is inside the runtime. Another thread, the taker, under the
 * worker's handoff_lock, sets URT__ATT_REVOKE, makes the whole process fence by
 * membarrier(2), and reads `where`. The owner, on its way into the runtime,
 * sets `where` to IN and then reads attention; on its way out it sets `where`
 * (release) last. So either the taker sees IN and gives up, or the owner sees
 * REVOKE and waits for the lock before it uses anything. Under the lock, with
 * REVOKE set and `where` not IN, the taker owns the whole worker. The fence
 * costs the taker some microseconds for each stuck coroutine, and the owner
 * nothing: that is why entering the runtime is two plain instructions. Entering
 * the kernel counts as leaving the runtime: around io_uring_enter `where` is
 * KERNEL or ASLEEP, and the owner comes back as it does from a coroutine.
 *
 * Once the processor is taken, REVOKE stays set, and the lock alone keeps the
 * owner out from then on: rescuing its ring needs no fence.
 *
 * The taker takes the processor (urt__handoff) from a blocked thread, or from
 * one that computes and cannot be preempted. In the owner's place it submits
 * requests, reaps completions, requests cancellations and fires timers
 * (urt__worker_relieve while the worker has its processor, urt__worker_rescue
 * when it has none). One thing remains bound to the owner: the kernel completes
 * requests in flight in the task that submitted them. It does so while that
 * thread sleeps, or at its next tick, and completions appear in the ring's
 * memory; but while the thread sleeps uninterruptibly (state D), they have to
 * wait.
 *
 * A worker that has lost its processor continues as an ordinary thread with the
 * coroutine that it runs. When the coroutine enters the runtime, the worker
 * takes the processor of a sleeping worker, or waits to be given one
 * (look_round gives; the waiting ones go first). The coroutine stays on its
 * thread all the time, since in a call like urt_mutex_unlock it may hold
 * pthread locks.
 *
 * Preemption is a hand-off, too (urt__proc_swap). A preempted coroutine may
 * have addresses of its thread's variables in its registers. So it stays on its
 * thread, which runs nothing else: the thread stops, gives its processor to a
 * spare, and waits until its turn comes. So no other coroutine can block the
 * thread, and no state of the thread needs to be saved. Rejected: running other
 * coroutines on that thread meanwhile (one that blocks there stops the
 * preempted one, forever if it waits for the preempted one; C++'s guards of
 * static objects take the second initialisation for a recursion); migrating it
 * with a thread-local block of its own (private to glibc). A preemption costs
 * two kernel switches, and each preempted coroutine occupies a thread.
 */
#include "idle.h"
#include <errno.h>
#undef errno

/* ---- giving and taking ------------------------------------------------- */

/* With idle_lock held. */
static void give(struct urt__worker *to, struct urt__proc *p)
{
	URT_BUG_ON(to->proc || !p);
	to->proc = p;
	urt__probe_given(to);
	urt__worker_awake(to);
	urt__set_state(to, URT__W_RUNNING);
}

/* With idle_lock held: the worker becomes a spare without noticing. */
bool urt__take_from_sleeper(struct urt__worker *w)
{
	struct urt__worker *from = urt__rt.idle.head;

	if (!from)
		return false;
	urt__list_remove(&urt__rt.idle, from);
	URT_BUG_ON(w->proc || !from->proc);
	w->proc = from->proc;
	urt__probe_given(w);
	from->proc = NULL;
	urt__set_state(from, URT__W_SPARE);
	urt__list_add(&urt__rt.spare, from);
	from->hopeless = !from->ring.inflight;
	return true;
}

/* Gives w's processor to the first worker on the list. By w's own thread. */
static bool give_first(struct urt__worker *w, struct urt__worker_list *l)
{
	struct urt__worker *to;

	urt__lock(&urt__rt.idle_lock);
	to = l->head;
	if (to) {
		urt__list_remove(l, to);
		give(to, w->proc);
		w->proc = NULL;
		urt__set_state(w, URT__W_DETACHED);
	}
	urt__unlock(&urt__rt.idle_lock);
	if (to)
		urt__ring_kick(&to->ring);
	return to;
}

bool urt__proc_give(struct urt__worker *w)
{
	return give_first(w, &urt__rt.waiting);
}

bool urt__proc_give_turn(struct urt__worker *w)
{
	return give_first(w, &urt__rt.preempted);
}

/* By the owner, or with the owner kept out. */
static bool has_work(struct urt__proc *p)
{
	return urt__proc_has_queue(p) || atomic_load(&urt__rt.global_len) ||
	       urt__timers_next(&p->timers) <= urt__clock_ns();
}

/*
 * The worker that continues with the processor p; with idle_lock held. First
 * the workers that wait for a processor, whose coroutines continue at once. But
 * these may soon block again, so between two such workers a spare one looks
 * round and runs other work.
 */
static struct urt__worker *successor(struct urt__proc *p)
{
	struct urt__worker_list *l = &urt__rt.waiting;
	struct urt__worker *to;

	if (l->head && !(p->passed && urt__rt.spare.tail && has_work(p))) {
		p->passed = true;
		to = l->head;
	} else {
		l = &urt__rt.spare;
		to = l->tail; /* the warmest */
	}
	if (to)
		urt__list_remove(l, to);
	return to;
}

/* In the timeline, the calling coroutine does not run from here until
 * trace_go_on. */
static URT__COLD void trace_stop(struct urt__worker *w)
{
	atomic_store_explicit(&w->current->reason, URT__R_PREEMPTED,
			      memory_order_relaxed);
	urt__tell_switch(w, false, NULL);
}

static URT__COLD void trace_go_on(struct urt__worker *w)
{
	struct urt_coro *self = w->current;

	__atomic_store_n(&w->current, NULL, __ATOMIC_RELAXED);
	urt__tell_switch(w, false, self);
	__atomic_store_n(&w->current, self, __ATOMIC_RELAXED);
}

/* Gives w's processor to another worker; false: none is available. */
static bool give_up(struct urt__worker *w)
{
	struct urt__worker *to;

	urt__lock(&urt__rt.idle_lock);
	to = successor(w->proc);
	if (to) {
		w->proc->hogged_ns = urt__clock_ns();
		give(to, w->proc);
		w->proc = NULL;
		urt__set_state(w, URT__W_DETACHED);
	}
	urt__unlock(&urt__rt.idle_lock);
	if (to)
		urt__ring_kick(&to->ring);
	return to;
}

void urt__proc_swap(struct urt__worker *w)
{
	if (w->proc && !give_up(w))
		return;
	/* The coroutine does yield. The flag may also mean that the run ends,
	 * which acquire checks. */
	atomic_fetch_and(&w->word.attention, ~URT__ATT_YIELD);
	atomic_store_explicit(&w->hogging, false, memory_order_relaxed);
	if (urt__telling(w))
		trace_stop(w);
	atomic_store_explicit(&w->current->reason, URT__R_PREEMPTED,
			      memory_order_relaxed);
	urt__count(w->stats, URT__STAT_PREEMPTIONS);
	urt__proc_acquire_turn(w);
	atomic_store_explicit(&w->current->reason, URT__R_RUNNABLE,
			      memory_order_relaxed);
	atomic_store_explicit(&w->hogging, true, memory_order_relaxed);
	if (urt__telling(w))
		trace_go_on(w);
}

/* ---- keeping a worker out ---------------------------------------------- */

static enum urt__where where(const struct urt__worker *w)
{
	/* Acquire; partner: the release on the way out of the runtime. */
	return atomic_load_explicit(&w->word.where, memory_order_acquire);
}

/* Whether w has a processor that can be taken. */
static bool is_takeable(const struct urt__worker *w)
{
	enum urt__worker_state s = urt__state(w);

	return s == URT__W_RUNNING ||
	       (s == URT__W_SLEEPING && urt__ring_submitting(&w->ring));
}

/*
 * If the worker is outside the runtime and has a processor, keeps it out, runs
 * fn(from, told_ns), and returns the result; else returns false. If fn took the
 * processor away, REVOKE stays set, so that the owner notices.
 */
static bool while_out(struct urt__worker *from,
		      bool (*fn)(struct urt__worker *, int64_t),
		      int64_t told_ns)
{
	bool done = false, gone = false;

	if (!urt__rt.membarrier)
		return false;
	urt__lock(&from->handoff_lock);
	if (is_takeable(from)) {
		atomic_fetch_or(&from->word.attention, URT__ATT_REVOKE);
		urt__membarrier();
		if (where(from) != URT__IN) {
			done = fn(from, told_ns);
			gone = urt__state(from) == URT__W_DETACHED;
		}
		if (!gone)
			atomic_fetch_and(&from->word.attention,
					 ~URT__ATT_REVOKE);
	}
	urt__unlock(&from->handoff_lock);
	return done;
}

static bool hand_over(struct urt__worker *from, int64_t told_ns)
{
	enum urt__worker_state s;
	struct urt__worker *to = NULL;

	urt__lock(&urt__rt.idle_lock);
	s = urt__state(from); /* it may have been woken, or have lost its
				 processor, by now */
	if (s == URT__W_RUNNING || s == URT__W_SLEEPING)
		to = successor(from->proc);
	if (to) {
		if (urt__trace_wanted())
			urt__trace_handoff(from, to);
		if (s == URT__W_SLEEPING)
			urt__list_remove(&urt__rt.idle, from);
		if (atomic_load(&from->hogging))
			from->proc->hogged_ns = urt__clock_ns();
		give(to, from->proc);
		to->told_ns = told_ns;
		from->proc = NULL;
		from->hopeless = false;
		urt__set_state(from, URT__W_DETACHED);
	}
	urt__unlock(&urt__rt.idle_lock);
	if (to)
		urt__ring_kick(&to->ring);
	return to;
}

bool urt__handoff(unsigned index, int64_t told_ns)
{
	struct urt__worker *from;

	if (index >= atomic_load(&urt__rt.nr_workers))
		return false;
	from = atomic_load(&urt__rt.worker[index]);
	if (!while_out(from, hand_over, told_ns))
		return false;
	__atomic_add_fetch(&from->stats->counter[URT__STAT_HANDOFFS], 1,
			   __ATOMIC_RELAXED);
	if (told_ns)
		__atomic_add_fetch(
			&from->stats->counter[URT__STAT_HANDOFFS_TOLD], 1,
			__ATOMIC_RELAXED);
	return true;
}

/* ---- standing in for a worker ------------------------------------------ */

/*
 * A kick is a completion, too. If a worker is woken, or given a processor,
 * before it sleeps in the kernel, a thread that reaps in its place may reap the
 * kick, and the worker would never wake. So this kicks it again; but not while
 * it still submits requests, or each look would kick it: then a later look does
 * so.
 */
static void kick_again(struct urt__worker *w)
{
	if (w->ring.kicked && where(w) == URT__ASLEEP &&
	    !urt__ring_submitting(&w->ring)) {
		w->ring.kicked = false;
		urt__ring_kick(&w->ring);
	}
}

/* With the worker kept out. A worker in the kernel may hold the ring's lock
 * there: then only its completions can be handled without waiting for it. */
static void serve_ring(struct urt__worker *w)
{
	urt__serving = w;
	if (where(w) == URT__OUT) {
		struct urt__ring_loan loan = urt__ring_borrow(&w->ring);

		if (atomic_load(&w->inbox))
			urt__inbox_run(w);
		urt__ring_serve(&w->ring);
		urt__ring_return(&w->ring, loan);
	} else {
		urt__ring_reap(&w->ring);
		kick_again(w);
	}
	urt__serving = NULL;
	__atomic_add_fetch(&w->stats->counter[URT__STAT_RESCUES], 1,
			   __ATOMIC_RELAXED);
}

bool urt__some_wait(void)
{
	return atomic_load(&urt__rt.global_len) ||
	       atomic_load(&urt__rt.waiting.len) ||
	       atomic_load(&urt__rt.preempted.len);
}

static bool relieve(struct urt__worker *w, int64_t told_ns)
{
	struct urt__proc *p;

	if (urt__state(w) != URT__W_RUNNING)
		return false; /* others can take a sleeper's processor */
	p = w->proc;
	w->relieved = true;
	urt__serving = w;
	urt__worker_fire(w, urt__clock_ns(), true);
	urt__serving = NULL;
	if (urt__ring_stranded(&w->ring) || atomic_load(&w->inbox) ||
	    w->ring.kicked)
		serve_ring(w);
	if (atomic_load(&urt__rt.idle.len) && urt__proc_has_queue(p)) {
		urt__proc_expose(w);
		atomic_store(&p->overdue, true);
		urt__wake_one();
	}
	return urt__proc_has_queue(p) || urt__some_wait();
}

bool urt__worker_relieve(struct urt__worker *w)
{
	return while_out(w, relieve, 0);
}

void urt__worker_rescue(struct urt__worker *w)
{
	urt__lock(&w->handoff_lock);
	if (urt__state(w) == URT__W_DETACHED && where(w) != URT__IN &&
	    atomic_load(&w->word.attention) & URT__ATT_REVOKE) {
		if (urt__ring_stranded(&w->ring) || atomic_load(&w->inbox) ||
		    w->ring.kicked)
			serve_ring(w);
		atomic_store(&urt__rt.quiet[w->index],
			     !urt__ring_stranded(&w->ring) &&
				     !atomic_load(&w->inbox) &&
				     (!w->ring.kicked || where(w) == URT__OUT));
	}
	urt__unlock(&w->handoff_lock);
}

/* ---- the owner's side -------------------------------------------------- */

/* Back in the runtime, perhaps without the processor. A worker that slept knows
 * that only under idle_lock: another thread may just be giving it one. */
static void come_back(struct urt__worker *w)
{
	atomic_store_explicit(&w->word.where, URT__IN, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	if (urt__unlikely(atomic_load_explicit(&w->word.attention,
					       memory_order_acquire) &
			  URT__ATT_REVOKE)) {
		urt__lock(&w->handoff_lock);
		atomic_fetch_and(&w->word.attention, ~URT__ATT_REVOKE);
		atomic_store(&urt__rt.quiet[w->index], false);
		urt__unlock(&w->handoff_lock);
	}
}

bool urt__kernel_end(struct urt__worker *w)
{
	come_back(w);
	return !w->proc;
}

void urt__worker_wait(struct urt__worker *w, int64_t timeout_ns)
{
	w->ring.kicked = false; /* its work has been looked at already */
	urt__ring_arm(&w->ring);
	atomic_store_explicit(&w->word.where, URT__ASLEEP,
			      memory_order_release);
	urt__ring_wait(&w->ring, timeout_ns);
	come_back(w);
}

bool urt__worker_submit(struct urt__worker *w)
{
	urt__ring_arm(&w->ring);
	urt__kernel_begin(w);
	urt__ring_wait(&w->ring, 0);
	return urt__kernel_end(w);
}

bool urt__worker_flush(struct urt__worker *w)
{
	urt__kernel_begin(w);
	urt__ring_submit(&w->ring);
	return urt__kernel_end(w);
}

void urt__ask_to_yield(struct urt__worker *w)
{
	atomic_store_explicit(&w->yield_at,
			      urt__counted(w->stats, URT__STAT_SWITCHES),
			      memory_order_relaxed);
	atomic_fetch_or(&w->word.attention, URT__ATT_YIELD);
}

bool urt__is_asked_to_yield(const struct urt__worker *w)
{
	return atomic_load(&w->word.attention) & URT__ATT_YIELD &&
	       atomic_load_explicit(&w->yield_at, memory_order_relaxed) ==
		       urt__counted(w->stats, URT__STAT_SWITCHES);
}

/* Clears the request to yield; whether it was for the coroutine that runs
 * now. */
static bool is_asked(struct urt__worker *w)
{
	atomic_fetch_and(&w->word.attention, ~URT__ATT_YIELD);
	return atomic_load_explicit(&w->yield_at, memory_order_relaxed) ==
	       urt__counted(w->stats, URT__STAT_SWITCHES);
}

void urt__enter_slow(struct urt__worker *w, bool may_suspend)
{
	uint32_t attention = atomic_load(&w->word.attention);

	urt__kernel_end(w);
	if (!w->proc)
		urt__proc_acquire(w);
	if (attention & URT__ATT_LOOK) {
		atomic_fetch_and(&w->word.attention, ~URT__ATT_LOOK);
		urt__proc_look_soon(w->proc);
	}
	if (!may_suspend || !(attention & URT__ATT_YIELD) ||
	    w->current->no_preempt)
		return;
	if (atomic_load(&urt__rt.stop))
		urt__abandon(w);
	if (is_asked(w)) { /* perhaps for one whose timer is due */
		urt__proc_look_soon(w->proc);
		urt__yield(w);
	}
}

static bool others_wait(struct urt__worker *w)
{
	return !w->proc || has_work(w->proc) || urt__some_wait() ||
	       urt__ring_has_work(&w->ring);
}

void urt__stop_if_asked(struct urt__worker *w)
{
	if (!w->current->no_preempt && !atomic_load(&urt__rt.stop) &&
	    urt__rt.may_preempt() && is_asked(w) && others_wait(w))
		urt__proc_swap(w);
}
