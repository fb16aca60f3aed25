// SPDX-License-Identifier: MIT
/*
 * The monitor's look at the workers.
 *
 * It finds the workers that are outside the runtime and have made no progress
 * since the last look, by their counts of switches and enters:
 *
 *   its thread sleeps    it blocks in libc, in a page fault, or in
 *                        io_uring_enter: its processor goes to another thread
 *                        at once (sched/handoff.c)
 *   it makes call after  at its next call, others go first. It only loses its
 *   call, in the runtime processor if it makes no further call before it has
 *   or in the kernel     used up a slice, as during one large read
 *   its thread computes  workers that sleep are given its due timers, its
 *                        completions and the coroutines that only it could run.
 *                        If something still waits, and the coroutine has used up
 *                        its slice of CPU time, its processor goes to another
 *                        thread, and a signal stops the coroutine where that
 *                        is safe (preempt.c), or it yields at its next call
 *
 * A worker that has got on may be no better: its coroutines may block in turn,
 * each for less than a look. If its thread sleeps now, and has used less than
 * half of the time since the last look, its processor goes to another thread at
 * once.
 *
 * So a coroutine that blocks keeps others waiting for one to two looks, and one
 * that computes, for its slice and one to two looks. A thread without a CPU
 * uses up no slice. A slice is 2 ms, and 1 ms for a coroutine that was preempted
 * before; no coroutine is preempted while none waits.
 *
 * A look reads counts that may be old, so it decides nothing by itself: it asks
 * (attention, a signal), or it calls functions of sched/ that first make sure
 * that the worker is outside the runtime. A wrong guess only costs time.
 *
 * If the kernel reports threads that go to sleep (told.c), their processors
 * need not wait for a look.
 *
 * A thread that has lost its processor needs no looks of its own: the monitor
 * polls its ring, in an epoll instance, for completions and kicks. Once there is
 * nothing to do for the ring, the thread is quiet, and a look passes it over: next
 * to 3,000 blocked threads looks took some 8 ms when they read all rings. At
 * the looks for others, some at a time, it finds the threads that blocked and
 * now compute (preempt.c).
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "watch.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#undef errno

#define HOG_TICK_NS   500000  /* to the next look, while a coroutine hogs */
#define CROWD_TICK_NS 50000   /* ... */
#define CROWD_NS      2000000 /* after the hand-off of a blocked thread */
#define SLICE_NS      2000000 /* of CPU time, while others wait */
#define HOG_SLICE_NS  1000000 /* ... if it was preempted before */
#define SLOW_NS	      10000   /* between two switches */
#define COMPUTING_NS  50000   /* ... */
#define READ_EACH_NS  100000  /* one CPU time of those without one */
#define COMPUTED_NS   100000  /* of CPU time, without a processor */
#define QUIET_EACH    16u     /* looks at quiet ones, of many */

/* The last observation of a worker: one cache line, since thousands may be
 * blocked. */
struct seen {
	URT__ALIGNED uint64_t progress; /* its switches and enters */
	int64_t since_ns;		/* when that last changed */
	uint64_t switches;		/* alone ... */
	uint64_t sleeps;  /* ... and how often it had slept then */
	int64_t cpu_ns;	  /* its thread's CPU time then; 0: not known */
	int64_t still_ns; /* the same at a look that could not read its state */
	int64_t read_ns;  /* without a processor: when cpu_ns was read */
	bool asked;	  /* it was asked to yield since then */
	bool others_ran;  /* it had been asked before, and others ran then */
	bool stall_said;
	int polled; /* the thread whose ring is in the epoll instance, and has
		       had no completions since; or 0 */
};

static struct seen seen[URT__WORKERS_MAX];
static_assert(sizeof(struct seen) == URT__CACHELINE, "one line");
static int detached = -1; /* epoll: rings of workers without a processor */
static int64_t handed_ns; /* of the last hand-off of a blocked thread */

/* Workers without a processor whose threads are in no list, found by a look; of
 * these, the ones that compute (preempt.c). Whether a coroutine runs on beyond
 * its slice, with a processor or without. */
static struct {
	unsigned detached, astray;
	bool hogs;
} found;
static unsigned last_detached; /* found by the look before */

/* ---- a thread that blocks ---------------------------------------------- */

/* The state of its thread, 'S', 'D', 'R', ...; 0: it cannot be read. */
static char thread_state(const struct urt__worker *w)
{
	char path[48], buf[256], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", w->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	buf[n > 0 ? n : 0] = '\0';
	p = strrchr(buf, ')');
	return p ? p[2] : 0;
}

/*
 * Whether its thread sleeps in the kernel: state S or D, not R. If no descriptor
 * is left, or there is no /proc, a thread that has used no CPU since the last
 * look is taken for one that sleeps, although it may lack a CPU: then another
 * thread continues with its processor, which only costs time.
 */
static bool is_blocked(const struct urt__worker *w, struct seen *s)
{
	char state = thread_state(w);
	int64_t cpu_ns, last_ns = s->still_ns;

	if (state)
		return state == 'S' || state == 'D';
	cpu_ns = urt__worker_cpu_ns(w);
	s->still_ns = cpu_ns;
	return cpu_ns == last_ns;
}

static bool hand_off(struct urt__worker *w, int64_t now_ns, int64_t told_ns)
{
	if (!atomic_load(&urt__rt.spare.len) &&
	    !atomic_load(&urt__rt.waiting.len))
		urt__spares_look(now_ns);
	return urt__handoff(w->index, told_ns);
}

/* A coroutine that blocks is no hog: a signal under way has no effect. */
static void hand_off_blocked(struct urt__worker *w, int64_t now_ns,
			     int64_t told_ns)
{
	if (hand_off(w, now_ns, told_ns) && !told_ns)
		handed_ns = now_ns;
	atomic_store_explicit(&w->hogging, false, memory_order_relaxed);
	atomic_store_explicit(&w->preempt, 0, memory_order_relaxed);
}

void urt__look_hear(unsigned index, int tid, int64_t ran_ns, int64_t ns)
{
	struct urt__worker *w;

	if (index >= atomic_load(&urt__rt.nr_workers))
		return;
	w = atomic_load(&urt__rt.worker[index]);
	__atomic_add_fetch(&w->stats->counter[URT__STAT_TOLD], 1,
			   __ATOMIC_RELAXED);
	if (atomic_load(&w->tid) == tid && urt__worker_cpu_ns(w) == ran_ns)
		hand_off_blocked(w, urt__clock_ns(), ns);
}

/* ---- a thread that computes --------------------------------------------- */

/* It makes call after call: at the next one, others go first. */
static void ask_caller(struct urt__worker *w, struct seen *s)
{
	s->asked = true;
	urt__ask_to_yield(w);
}

/* Its thread computes, or has no CPU. To look into its queue and ring, the
 * monitor must keep it out of the runtime, which interrupts all CPUs that the
 * program uses (30 us on a virtual one). So it does that only if a worker could
 * run what it finds. */
static void see_to_busy(struct urt__worker *w, struct seen *s, int64_t now_ns)
{
	bool hog = atomic_load(&w->hogging), asked;
	int64_t cpu_ns, slice_ns;

	if (now_ns - s->since_ns < HOG_TICK_NS)
		return;
	if (atomic_load(&urt__rt.stop)) { /* its coroutine must leave forever */
		urt__preempt_signal(w, true);
		return;
	}
	asked = urt__is_asked_to_yield(w);
	if (atomic_load(&w->word.where) != URT__OUT)
		ask_caller(w, s);
	cpu_ns = urt__worker_cpu_ns(w);
	if (!s->cpu_ns)
		s->cpu_ns = cpu_ns - (now_ns - s->since_ns);
	slice_ns = hog ? HOG_SLICE_NS : SLICE_NS;
	if (cpu_ns - s->cpu_ns < slice_ns) {
		if (atomic_load(&urt__rt.idle.len)) /* they could run it */
			urt__worker_relieve(w);
		return;
	}
	ask_caller(w, s); /* whoever may wait: relieve cannot tell if it has
			     just made another call */
	if (!urt__some_wait() && !urt__worker_relieve(w))
		return;
	switch (atomic_load(&w->word.where)) {
	case URT__IN:
		return;
	case URT__OUT:
		atomic_store(&w->hogging, true);
		atomic_store_explicit(&w->astray_ns, now_ns,
				      memory_order_relaxed);
		/* At each look until the hand-off succeeds, although that drops
		 * a signal under way: the signal would need a spare, too. */
		urt__preempt_soon(w);
		break;
	default: /* it makes call after call, or one that copies much */
		if (!asked)
			return;
		break;
	}
	if (hand_off(w, now_ns, 0))
		urt__worker_rescue(w);
}

/* ---- a thread without a processor --------------------------------------- */

/* Ends a pause when the worker's ring has completions; a kick is one, too.
 * EPOLLONESHOT: the ring stays in the instance, disarmed. */
static void poll_detached(unsigned i, const struct urt__worker *w)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLONESHOT,
				 .data.u32 = i };

	if (epoll_ctl(detached, EPOLL_CTL_MOD, w->ring.fd, &e) &&
	    epoll_ctl(detached, EPOLL_CTL_ADD, w->ring.fd, &e))
		return;
	seen[i].polled = atomic_load(&w->tid);
}

void urt__look_ring(void)
{
	struct epoll_event e[16];
	int n = epoll_wait(detached, e, URT__ARRAY_LEN(e), 0);

	/* Each ring once: the look that follows handles it. */
	for (int i = 0; i < n; i++) {
		seen[e[i].data.u32].polled = 0;
		atomic_store(&urt__rt.quiet[e[i].data.u32], false);
	}
}

/*
 * Its thread may have blocked, and may compute now without a processor. Its
 * clock is read less often if there are more such threads, so that thousands of
 * blocked threads cost no more than a few.
 */
static void see_to_astray(struct urt__worker *w, struct seen *s, int64_t now_ns)
{
	int64_t cpu_ns;

	if (now_ns - s->read_ns < READ_EACH_NS * last_detached)
		return;
	cpu_ns = urt__worker_cpu_ns(w);
	if (s->read_ns && cpu_ns - s->cpu_ns > COMPUTED_NS) {
		atomic_store_explicit(&w->astray_ns, now_ns,
				      memory_order_relaxed);
		if (!urt__preempt_is_due(w))
			urt__preempt_soon(w);
	}
	s->cpu_ns = cpu_ns;
	s->read_ns = now_ns;
}

static bool is_hogging(const struct urt__worker *w)
{
	return atomic_load_explicit(&w->hogging, memory_order_relaxed);
}

static void say_stall(struct urt__worker *w, struct seen *s, int64_t stuck_ns)
{
	struct urt_coro *c;
	char name[128];

	if (!urt__debug.stall_ns || stuck_ns < urt__debug.stall_ns ||
	    s->stall_said)
		return;
	c = __atomic_load_n(&w->current, __ATOMIC_RELAXED);
	if (!c)
		return;
	s->stall_said = true;
	urt__print("uring_rt: stall: %s has run on worker %u for %lld ms "
		   "without a switch\n",
		   urt__report_name(c, name, sizeof(name)), w->index,
		   (long long)stuck_ns / 1000000);
	atomic_store(&w->stalled, true);
	urt__preempt_signal(w, false);
}

static void look_at_detached(unsigned i, struct urt__worker *w, int64_t now_ns)
{
	struct seen *s = &seen[i];
	bool polled = s->polled == atomic_load(&w->tid);

	say_stall(w, s, now_ns - s->since_ns);
	if (atomic_load(&urt__rt.stop)) /* its coroutine must leave forever */
		urt__preempt_signal(w, true);
	if (!polled || !atomic_load(&urt__rt.quiet[i])) {
		urt__worker_rescue(w);
		if (!polled)
			poll_detached(i, w);
	}
	see_to_astray(w, s, now_ns);
	found.detached++;
	if (now_ns - atomic_load_explicit(&w->astray_ns, memory_order_relaxed) <
	    URT__ASTRAY_NS) {
		found.astray++;
		found.hogs |= is_hogging(w);
		atomic_store(&urt__rt.quiet[i], false);
	}
}

/* ---- each worker -------------------------------------------------------- */

static uint64_t progress_of(const struct urt__worker *w)
{
	uint64_t n = urt__counted(w->stats, URT__STAT_SWITCHES);

	/* Not while a coroutine runs: it may make a long row of calls. */
	if (!__atomic_load_n(&w->current, __ATOMIC_RELAXED))
		n += urt__counted(w->stats, URT__STAT_ENTERS);
	return n;
}

/* A sleeping worker need not make progress, unless it fell asleep while it was
 * submitting its requests. */
static bool has_to_get_on(const struct urt__worker *w,
			  enum urt__worker_state state)
{
	return state == URT__W_RUNNING ||
	       (state == URT__W_SLEEPING && urt__ring_submitting(&w->ring));
}

/*
 * If a worker makes progress, but slowly, and has not slept, its coroutines
 * compute. Those that they wake and await must not lie in its queue for many
 * switches (loop.c).
 */
static void note_pace(struct urt__worker *w, const struct seen *last,
		      const struct seen *now)
{
	int64_t ns = now->since_ns - last->since_ns;
	int64_t n = now->switches - last->switches;
	enum urt__pace pace = URT__QUICK;

	if (n > 0 && last->since_ns && now->sleeps == last->sleeps)
		pace = ns > COMPUTING_NS * n ? URT__COMPUTING
		       : ns > SLOW_NS * n    ? URT__SLOW
					     : URT__QUICK;
	if (pace != URT__QUICK)
		atomic_fetch_or(&w->word.attention, URT__ATT_LOOK);
	if (pace != urt__pace(w))
		atomic_store(&w->pace, pace);
}

/*
 * If a worker's coroutines are slow, each may block for a short time, one after
 * another: then each look finds progress. So the thread's clock tells whether it
 * has mostly been blocked since the last look; if it is now, too, its processor
 * goes to another thread at once.
 */
static bool blocks_in_turn(const struct urt__worker *w, struct seen *last,
			   struct seen *now)
{
	if (urt__pace(w) == URT__QUICK ||
	    atomic_load(&w->word.where) != URT__OUT)
		return false;
	now->cpu_ns = urt__worker_cpu_ns(w);
	return last->cpu_ns &&
	       (now->cpu_ns - last->cpu_ns) * 2 <
		       now->since_ns - last->since_ns &&
	       is_blocked(w, now);
}

static void see_to_stuck(struct urt__worker *w, struct seen *s, int64_t now_ns)
{
	if (atomic_load(&w->word.where) == URT__IN) {
		if (now_ns - s->since_ns > HOG_TICK_NS)
			ask_caller(w, s);
		return;
	}
	if (atomic_load(&urt__rt.stop) &&
	    atomic_load(&w->word.where) == URT__OUT)
		urt__preempt_signal(w, true); /* its coroutine must leave
						 forever */
	else if (is_blocked(w, s))
		hand_off_blocked(w, now_ns, 0);
	else
		see_to_busy(w, s, now_ns);
}

static void look_at(unsigned i, struct urt__worker *w, int64_t now_ns)
{
	enum urt__worker_state state = atomic_load(&w->state);
	struct seen *s = &seen[i];
	bool needs_progress = has_to_get_on(w, state);
	uint64_t progress;

	if (state == URT__W_DETACHED) {
		look_at_detached(i, w, now_ns);
		return;
	}
	progress = progress_of(w);
	if (!needs_progress || progress != s->progress) {
		struct seen now = {
			.progress = progress,
			.since_ns = now_ns,
			.switches = urt__counted(w->stats, URT__STAT_SWITCHES),
			.sleeps = urt__counted(w->stats, URT__STAT_SLEEPS) -
				  !needs_progress, /* it is in one */
			.polled = s->polled,
		};

		now.others_ran = s->asked && now.switches - s->switches > 1;
		note_pace(w, s, &now);
		if (blocks_in_turn(w, s, &now))
			hand_off_blocked(w, now_ns, 0);
		*s = now;
		return;
	}
	say_stall(w, s, now_ns - s->since_ns);
	see_to_stuck(w, s, now_ns);
	found.hogs |= is_hogging(w) || s->others_ran;
}

/* ---- all of them ------------------------------------------------------- */

/* Finds queues that were not empty at the last look either, while workers
 * sleep. */
static void look_at_queues(void)
{
	static bool waited[URT__PROCS_MAX];

	for (unsigned i = 0; i < urt__rt.nr_procs; i++) {
		struct urt__proc *p = urt__rt.proc[i];
		bool waits = urt__runq_len(&p->runq) &&
			     atomic_load(&urt__rt.idle.len);

		if (waits && waited[i]) {
			atomic_store(&p->overdue, true);
			urt__wake_one();
		}
		waited[i] = waits;
	}
}

/* Quiet ones have a look in turn, for their threads' clocks (see_to_astray): so
 * a look at thousands costs little more than one at a few. */
static bool has_look(unsigned i, unsigned turn)
{
	return !atomic_load_explicit(&urt__rt.quiet[i], memory_order_relaxed) ||
	       i - turn < QUIET_EACH || urt__debug.stall_ns ||
	       atomic_load_explicit(&urt__rt.stop, memory_order_relaxed);
}

void urt__look(int64_t now_ns)
{
	static unsigned turn;
	unsigned n = atomic_load(&urt__rt.nr_workers);

	last_detached = found.detached;
	memset(&found, 0, sizeof(found));
	turn = turn + QUIET_EACH < n ? turn + QUIET_EACH : 0;
	for (unsigned i = 0; i < n; i++) {
		if (has_look(i, turn))
			look_at(i, atomic_load(&urt__rt.worker[i]), now_ns);
		else
			found.detached++;
	}
	atomic_store_explicit(&urt__astray, found.astray, memory_order_relaxed);
	if (urt__shared)
		look_at_queues();
	urt__spares_look(now_ns);
	/* Work that arrived while no worker could be woken. */
	if (atomic_load(&urt__rt.global_len) && atomic_load(&urt__rt.idle.len))
		urt__wake_one();
}

int64_t urt__look_soon_ns(void)
{
	if (urt__clock_ns() - handed_ns < CROWD_NS)
		return CROWD_TICK_NS;
	if (found.hogs || atomic_load(&urt__rt.preempted.len))
		return HOG_TICK_NS;
	return 0;
}

int urt__look_fd(void)
{
	return detached;
}

int urt__look_open(void)
{
	detached = epoll_create1(EPOLL_CLOEXEC);
	return detached < 0 ? -*__errno_location() : 0;
}

/* At its end, a run clears the parts that it has used, instead of all at the
 * beginning: pages for workers that never existed stay untouched. */
void urt__look_close(void)
{
	memset(seen, 0, atomic_load(&urt__rt.nr_workers) * sizeof(*seen));
	memset(&found, 0, sizeof(found));
	handed_ns = 0;
	if (detached >= 0)
		close(detached);
	detached = -1;
}
