// SPDX-License-Identifier: MIT
/*
 * The monitor: a thread that watches over the workers (Go's sysmon).
 *
 * It never runs coroutines. At each look it finds the workers that are outside
 * the runtime and have made no progress since the last look, by their counts of
 * switches and enters:
 *
 *   its thread sleeps    it blocks in libc, in a page fault, or in
 *                        io_uring_enter: its processor goes to another thread
 *                        at once (sched/handoff.c)
 *   its thread computes  workers that sleep are given its due timers, its
 *                        completions and the coroutines that only it could run.
 *                        If something still waits, and the coroutine has used up
 *                        its slice of CPU time, its processor goes to another
 *                        thread, and a signal stops the coroutine where that
 *                        is safe (preempt.c), or it yields at its next call.
 *                        A thread that computes in the kernel, for a large
 *                        read, continues next to the other one
 *
 * So a coroutine that blocks keeps others waiting for one to two looks, and one
 * that computes, for its slice and one to two looks. A thread without a CPU
 * uses up no slice.
 *
 * A slice is 2 ms, and 1 ms for a coroutine that was preempted before; no
 * coroutine is preempted while none waits. A look comes every 1 ms while a
 * worker is awake; every 0.5 ms while a coroutine is preempted, or runs on
 * beyond its slice; every 50 us shortly after a thread blocked and lost its
 * processor, since coroutines that block come in crowds. When all sleep, looks
 * become rarer, up to 4 ms, and end after some: an idle program makes no system
 * calls. The first worker that wakes wakes the monitor (monitor_asleep: each
 * side writes its own word, then reads the other's).
 *
 * Where workers wake often but compute little, looks would find them asleep
 * again and again. A worker that wakes while all others sleep has left nothing
 * undone, so it puts off the next look, by the timer on which the monitor
 * dozes: up to DOZE_NS from now, if less than half of that is left. So a worker
 * that stays awake is looked at within DOZE_NS all the same: nobody puts off a
 * look while another worker is awake, and the worker itself does so only when
 * it wakes. The timer is always set, so a race changes only the time of the
 * look. At 1,000 requests a second, each second or third wake makes a call of
 * 0.3 us, and the monitor does not run; before, it looked 330 times a second.
 *
 * If the kernel reports threads that go to sleep (told.c), their processors
 * need not wait for a look.
 *
 * A thread that has lost its processor needs no looks of its own: the monitor
 * polls its ring, in an epoll instance, for completions. At the looks for
 * others, it finds the threads that blocked and now compute (preempt.c).
 *
 * If only the program's own threads could still end a deadlock, the end of the
 * last of them causes no event. So the monitor then wakes a worker from time to
 * time, which looks again (idle.c). Each pause is twice as long as the last
 * one, so that a program that really waits for such a thread uses no CPU, and
 * the report comes before the deadlock is twice as old as it was when that
 * thread ended.
 *
 * The monitor also keeps spare threads (spares.c), prints the scheduler trace,
 * and makes the report on SIGQUIT (report.c).
 *
 * It must not wait for anything that others can hold for long, since no other
 * thread serves the rings of blocked threads. Its helper (helper.c) does the
 * work that takes malloc's locks or the lock of the address space.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "watch.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#undef errno

#define TICK_NS		   1000000
#define HOG_TICK_NS	   500000
#define CROWD_TICK_NS	   50000
#define CROWD_NS	   2000000 /* after the hand-off of a blocked thread */
#define SLICE_NS	   2000000 /* of CPU time, while others wait */
#define HOG_SLICE_NS	   1000000 /* ... if it was preempted before */
#define SLOW_NS		   10000   /* between two switches */
#define COMPUTING_NS	   50000   /* ... */
#define READ_EACH_NS	   100000  /* one CPU time of those without one */
#define COMPUTED_NS	   100000  /* of CPU time, without a processor */
#define LINGER		   12	   /* looks while all sleep, before it does */
#define LINGER_TICK_MAX_NS 4000000
#define DOZE_NS		   3000000
#define DOZE_MAX_NS	   100000000 /* until a look that is not put off */
#define DOUBT_NS	   100000000 /* until the first look again */

struct urt__debug urt__debug;

/* The last observation of a worker. */
struct seen {
	uint64_t progress; /* its switches and enters */
	int64_t since_ns;  /* when that last changed */
	uint64_t switches; /* alone ... */
	uint64_t sleeps;   /* ... and how often it had slept then */
	int64_t cpu_ns;	   /* its thread's CPU time then; 0: not known */
	int64_t read_ns;   /* without a processor: when that was read */
	bool stall_said;
	bool polled; /* its ring is in the epoll instance */
};

static struct seen seen[URT__WORKERS_MAX];
static pthread_t thread;
static int bell = -1;	  /* eventfd; rung to end a sleep */
static int detached = -1; /* epoll: rings of workers without a processor */
static int alarm_fd = -1; /* timerfd, ends a doze; -1: there are no dozes */
static _Atomic int64_t doze_until_ns;
static atomic_bool stopping, quitting;
static int64_t handed_ns;    /* of the last hand-off of a blocked thread */
static uint64_t seen_sleeps; /* of all workers, when all slept */

/* Workers without a processor whose threads are in no list, found by a look; of
 * these, the ones that compute (preempt.c). Whether a coroutine runs on beyond
 * its slice, with a processor or without. */
static struct {
	unsigned detached, astray;
	bool hogs;
} found, last_found;

void urt__monitor_look(void)
{
	uint64_t one = 1;

	if (write(bell, &one, sizeof(one)) < 0)
		return; /* full: it rings already */
}

void urt__monitor_quit(void)
{
	atomic_store(&quitting, true);
	urt__monitor_look();
}

static void hear(unsigned index, int tid, int64_t ran_ns, int64_t ns);

/* Sleeps until the bell rings, a detached ring has completions, or ns have
 * passed. Handles the kernel's reports meanwhile. */
static void sleep_for(int64_t ns)
{
	bool dozes = atomic_load(&urt__rt.monitor_asleep) == URT__M_DOZES;
	int64_t until_ns = ns == INT64_MAX ? ns : urt__clock_ns() + ns;
	struct pollfd p[] = {
		{ .fd = bell, .events = POLLIN },
		{ .fd = detached, .events = POLLIN },
		{ .fd = urt__told_socket(), .events = POLLIN },
		{ .fd = urt__told_fd(), .events = POLLIN },
		{ .fd = dozes ? alarm_fd : -1, .events = POLLIN },
	};
	struct epoll_event e[16];
	uint64_t rung;
	int n;

	do {
		struct timespec ts = { ns / 1000000000, ns % 1000000000 };

		n = ppoll(p, URT__ARRAY_LEN(p), ns == INT64_MAX ? NULL : &ts,
			  NULL);
		if (n > 0 && p[3].revents) {
			urt__told_read(hear);
			urt__spares_look(urt__clock_ns());
		}
		if (ns != INT64_MAX)
			ns = until_ns - urt__clock_ns();
	} while (n == 1 && p[3].revents && ns > 0 && !dozes);
	if (n <= 0)
		return;
	if (p[2].revents)
		urt__told_offered();
	if (p[0].revents && read(bell, &rung, sizeof(rung)) < 0)
		return;
	if (!p[1].revents)
		return;
	/* Each ring once: the look that follows handles it. */
	n = epoll_wait(detached, e, URT__ARRAY_LEN(e), 0);
	for (int i = 0; i < n; i++)
		seen[e[i].data.u32].polled = false;
}

/* Ends sleep_for when the worker's ring has completions. EPOLLONESHOT: the ring
 * stays in the instance, disarmed. */
static void poll_detached(unsigned i, const struct urt__worker *w)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLONESHOT,
				 .data.u32 = i };

	if (seen[i].polled)
		return;
	if (epoll_ctl(detached, EPOLL_CTL_MOD, w->ring.fd, &e) &&
	    epoll_ctl(detached, EPOLL_CTL_ADD, w->ring.fd, &e))
		return;
	seen[i].polled = true;
}

/* ---- one worker -------------------------------------------------------- */

/* Whether its thread sleeps in the kernel: state S or D, not R. */
static bool is_blocked(const struct urt__worker *w)
{
	char path[48], buf[256], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", w->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	buf[n > 0 ? n : 0] = '\0';
	p = strrchr(buf, ')');
	return p && (p[2] == 'S' || p[2] == 'D');
}

int64_t urt__worker_cpu_ns(const struct urt__worker *w)
{
	struct timespec ts;

	if (clock_gettime(urt__cpu_clock(atomic_load(&w->tid)), &ts))
		return 0;
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
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

/* The kernel reports that the worker's thread went to sleep. No effect if the
 * thread has run since. */
static void hear(unsigned index, int tid, int64_t ran_ns, int64_t ns)
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

static void say_stall(struct urt__worker *w, struct seen *s, int64_t stuck_ns)
{
	struct urt_coro *c = __atomic_load_n(&w->current, __ATOMIC_RELAXED);
	char name[128];

	if (!c || !urt__debug.stall_ns || stuck_ns < urt__debug.stall_ns ||
	    s->stall_said)
		return;
	s->stall_said = true;
	urt__print("uring_rt: stall: %s has run on worker %u for %lld ms "
		   "without a switch\n",
		   urt__report_name(c, name, sizeof(name)), w->index,
		   (long long)stuck_ns / 1000000);
	atomic_store(&w->stalled, true);
	urt__preempt_signal(w, false);
}

/* Its thread computes, or has no CPU. To look into its queue and ring, the monitor
 * must keep it out of the runtime, which interrupts all CPUs that the program
 * uses (30 us on a virtual one). So it does that only if a worker could run what
 * it finds. */
static void see_to_busy(struct urt__worker *w, struct seen *s, int64_t now_ns)
{
	bool hog = atomic_load(&w->hogging);
	int64_t cpu_ns, slice_ns;

	if (now_ns - s->since_ns < HOG_TICK_NS)
		return;
	if (atomic_load(&urt__rt.stop)) { /* its coroutine must leave forever */
		urt__preempt_signal(w, true);
		return;
	}
	cpu_ns = urt__worker_cpu_ns(w);
	if (!s->cpu_ns)
		s->cpu_ns = cpu_ns - (now_ns - s->since_ns);
	slice_ns = hog ? HOG_SLICE_NS : SLICE_NS;
	if (cpu_ns - s->cpu_ns < slice_ns) {
		if (atomic_load(&urt__rt.idle.len)) /* they could run it */
			urt__worker_relieve(w);
		return;
	}
	if (!urt__some_wait() && !urt__worker_relieve(w))
		return;
	switch (atomic_load(&w->word.where)) {
	case URT__IN:
		urt__ask_to_yield(w);
		return;
	case URT__OUT:
		urt__ask_to_yield(w);
		atomic_store(&w->hogging, true);
		atomic_store_explicit(&w->astray_ns, now_ns,
				      memory_order_relaxed);
		/* At each look until the hand-off succeeds, although that drops
		 * a signal under way: the signal would need a spare, too. */
		urt__preempt_soon(w);
		break;
	default: /* the kernel copies much in one call */
		break;
	}
	if (hand_off(w, now_ns, 0))
		urt__worker_rescue(w);
}

static void see_to_stuck(struct urt__worker *w, struct seen *s, int64_t now_ns)
{
	if (atomic_load(&w->word.where) == URT__IN) {
		/* It makes call after call; at the next one, others go
		 * first. */
		if (now_ns - s->since_ns > SLICE_NS)
			urt__ask_to_yield(w);
		return;
	}
	if (atomic_load(&urt__rt.stop) &&
	    atomic_load(&w->word.where) == URT__OUT)
		urt__preempt_signal(w, true); /* its coroutine must leave
						 forever */
	else if (is_blocked(w))
		hand_off_blocked(w, now_ns, 0);
	else
		see_to_busy(w, s, now_ns);
}

/*
 * Its thread may have blocked, and may compute now without a processor. Its
 * clock is read less often if there are more such threads, so that thousands of
 * blocked threads cost no more than a few.
 */
static void see_to_astray(struct urt__worker *w, struct seen *s, int64_t now_ns)
{
	int64_t cpu_ns;

	if (now_ns - s->read_ns < READ_EACH_NS * last_found.detached)
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

static void look_at_detached(unsigned i, struct urt__worker *w, int64_t now_ns)
{
	say_stall(w, &seen[i], now_ns - seen[i].since_ns);
	if (atomic_load(&urt__rt.stop)) /* its coroutine must leave forever */
		urt__preempt_signal(w, true);
	if (urt__worker_rescue(w))
		poll_detached(i, w);
	see_to_astray(w, &seen[i], now_ns);
	found.detached++;
	if (now_ns - atomic_load_explicit(&w->astray_ns, memory_order_relaxed) <
	    URT__ASTRAY_NS) {
		found.astray++;
		found.hogs |= is_hogging(w);
	}
}

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

		note_pace(w, s, &now);
		*s = now;
		return;
	}
	say_stall(w, s, now_ns - s->since_ns);
	see_to_stuck(w, s, now_ns);
	found.hogs |= is_hogging(w);
}

/* ---- all of them ------------------------------------------------------- */

static bool is_asleep(const struct urt__worker *w)
{
	switch (atomic_load(&w->state)) {
	case URT__W_SLEEPING:
		return !urt__ring_submitting(&w->ring);
	case URT__W_SPARE:
	case URT__W_GONE:
	case URT__W_WAITING:
	case URT__W_PREEMPTED:
		return true;
	case URT__W_DETACHED: /* its ring is polled */
		return !urt__debug.stall_ns;
	default:
		return false;
	}
}

bool urt__all_asleep(void)
{
	unsigned n = atomic_load(&urt__rt.nr_workers);

	if (atomic_load(&urt__rt.stop))
		return false;
	for (unsigned i = 0; i < n; i++)
		if (!is_asleep(atomic_load(&urt__rt.worker[i])))
			return false;
	return true;
}

/* ---- dozing ------------------------------------------------------------ */

static bool set_alarm(int64_t at_ns)
{
	struct itimerspec t = { .it_value = { at_ns / 1000000000,
					      at_ns % 1000000000 } };

	return alarm_fd >= 0 &&
	       !timerfd_settime(alarm_fd, TFD_TIMER_ABSTIME, &t, NULL);
}

/* The calling worker has woken while the monitor dozes. */
static void put_off(void)
{
	const struct urt__worker *self = urt__worker(), *w;
	int64_t until_ns = atomic_load(&doze_until_ns);
	int64_t now_ns = urt__clock_ns();
	unsigned n = atomic_load(&urt__rt.nr_workers);

	if (until_ns <= now_ns || until_ns - now_ns > DOZE_NS / 2)
		return;
	for (unsigned i = 0; i < n; i++) {
		w = atomic_load(&urt__rt.worker[i]);
		if (w != self && !is_asleep(w))
			return;
	}
	/* One of those that wake at the same time sets the timer. */
	if (atomic_compare_exchange_strong(&doze_until_ns, &until_ns,
					   now_ns + DOZE_NS))
		set_alarm(now_ns + DOZE_NS);
}

/* Upward call of a worker. */
static void wake(void)
{
	if (atomic_load(&urt__rt.monitor_asleep) == URT__M_DOZES)
		put_off();
	else if (atomic_exchange(&urt__rt.monitor_asleep, URT__M_LOOKS))
		urt__monitor_look();
}

/* Whether workers have slept and woken since the last call, more than once. */
static bool they_come_and_go(void)
{
	uint64_t sleeps = urt__counted_by_all(URT__STAT_SLEEPS);
	bool often = sleeps - seen_sleeps > 1;

	seen_sleeps = sleeps;
	return often;
}

static int64_t doze(void)
{
	int64_t until_ns = urt__clock_ns() + DOZE_NS;

	atomic_store(&doze_until_ns, until_ns);
	if (!set_alarm(until_ns))
		return DOZE_NS;
	atomic_store(&urt__rt.monitor_asleep, URT__M_DOZES);
	return DOZE_MAX_NS;
}

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

static void look_at_all(int64_t now_ns)
{
	unsigned n = atomic_load(&urt__rt.nr_workers);

	last_found = found;
	memset(&found, 0, sizeof(found));
	for (unsigned i = 0; i < n; i++)
		look_at(i, atomic_load(&urt__rt.worker[i]), now_ns);
	atomic_store_explicit(&urt__astray, found.astray, memory_order_relaxed);
	if (urt__shared)
		look_at_queues();
	urt__spares_look(now_ns);
	/* Work that arrived while no worker could be woken. */
	if (atomic_load(&urt__rt.global_len) && atomic_load(&urt__rt.idle.len))
		urt__wake_one();
}

static void trace(int64_t now_ns)
{
	static int64_t next_ns, begin_ns;
	char line[512];
	size_t len = 0;
	unsigned n = urt__rt.nr_procs;

	if (!begin_ns)
		begin_ns = now_ns;
	if (!urt__debug.sched_ns || now_ns < next_ns)
		return;
	next_ns = now_ns + urt__debug.sched_ns;
	for (unsigned i = 0; i < n && len < sizeof(line) - 16; i++)
		len += snprintf(line + len, sizeof(line) - len, " %u",
				urt__runq_len(&urt__rt.proc[i]->runq));
	urt__print("uring_rt: sched %lld ms: processors=%u idle=%u threads=%u "
		   "spare=%u spinning=%u blocking=%u global=%zu local=[%s ]\n",
		   (long long)(now_ns - begin_ns) / 1000000, n,
		   atomic_load(&urt__rt.idle.len),
		   atomic_load(&urt__rt.nr_workers),
		   atomic_load(&urt__rt.spare.len),
		   atomic_load(&urt__rt.spinning),
		   atomic_load(&urt__rt.blocking),
		   atomic_load(&urt__rt.global_len), line);
}

/* ---- the thread -------------------------------------------------------- */

/* A deadlock, unless a plain thread of the program wakes a coroutine: when to
 * look again. */
static struct {
	int64_t ns;	   /* how long it waits until then */
	int64_t until_ns;  /* the end of that; 0: it does not wait */
	uint64_t switches; /* of all workers, when the doubt began */
} doubt;

uint64_t urt__counted_by_all(enum urt__stat c)
{
	unsigned n = atomic_load(&urt__rt.nr_workers);
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += urt__counted(urt__rt.worker[i]->stats, c);
	return sum;
}

static int64_t long_sleep_ns(void)
{
	int64_t ns = urt__debug.sched_ns ? urt__debug.sched_ns : INT64_MAX;
	int64_t now_ns = urt__clock_ns();
	uint64_t switches;

	if (!atomic_load(&urt__rt.doubt))
		return ns;
	switches = urt__counted_by_all(URT__STAT_SWITCHES);
	if (switches != doubt.switches) { /* it is another one */
		doubt.switches = switches;
		doubt.ns = DOUBT_NS;
		doubt.until_ns = 0;
	}
	if (!doubt.until_ns)
		doubt.until_ns = now_ns + doubt.ns;
	if (doubt.until_ns - now_ns < ns)
		ns = doubt.until_ns - now_ns;
	return ns > 0 ? ns : 0;
}

/* The worker that is woken finds no work, and sets the same doubt again or
 * none. */
static void look_again(int64_t now_ns)
{
	if (!doubt.until_ns || now_ns < doubt.until_ns)
		return;
	doubt.until_ns = 0;
	doubt.ns *= 2;
	if (atomic_exchange(&urt__rt.doubt, false))
		urt__wake_one();
}

/* How long to sleep; INT64_MAX: until a worker wakes. */
static int64_t tick_ns(unsigned *lingered)
{
	bool hogs = found.hogs || atomic_load(&urt__rt.preempted.len);
	int64_t ns;

	if (urt__clock_ns() - handed_ns < CROWD_NS)
		return CROWD_TICK_NS;
	if (hogs || !urt__all_asleep()) {
		*lingered = 0;
		return hogs ? HOG_TICK_NS : TICK_NS;
	}
	if (++*lingered < LINGER) {
		if (they_come_and_go() && !urt__debug.sched_ns)
			return doze();
		ns = (int64_t)TICK_NS << (*lingered - 1);
		return ns < LINGER_TICK_MAX_NS ? ns : LINGER_TICK_MAX_NS;
	}
	/* Partner: a worker that wakes changes its state, fences, and looks at
	 * monitor_asleep. This store and the looks at the states have one order
	 * in all threads, and so need no fence. */
	atomic_store(&urt__rt.monitor_asleep, URT__M_SLEEPS);
	if (!urt__all_asleep()) {
		atomic_store(&urt__rt.monitor_asleep, URT__M_LOOKS);
		return TICK_NS;
	}
	ns = long_sleep_ns();
	return ns < urt__spares_linger_ns() ? ns : urt__spares_linger_ns();
}

static void *monitor_main(void *arg)
{
	int64_t tidy_ns = INT64_MAX; /* when memory is to be given back */
	unsigned lingered = 0;

	(void)arg;
	prctl(PR_SET_TIMERSLACK, 1); /* else each look is 50 us late */
	urt__sys_wake_first();
	while (!atomic_load(&stopping)) {
		int64_t ns = tick_ns(&lingered), now_ns = urt__clock_ns();

		if (tidy_ns != INT64_MAX && tidy_ns - now_ns < ns)
			ns = tidy_ns > now_ns ? tidy_ns - now_ns : 0;
		if (atomic_load(&stopping))
			break;
		if (atomic_load(&quitting))
			urt__report_quit();
		sleep_for(ns);
		atomic_store(&urt__rt.monitor_asleep, URT__M_LOOKS);
		tidy_ns = urt__helper_tidy(urt__clock_ns());
		look_at_all(urt__clock_ns());
		look_again(urt__clock_ns());
		trace(urt__clock_ns());
	}
	return NULL;
}

/* At its end, a run clears the parts that it has used, instead of all at the
 * beginning: pages for workers that never existed stay untouched. */
static void leave_nothing(void)
{
	memset(seen, 0, atomic_load(&urt__rt.nr_workers) * sizeof(*seen));
	memset(&doubt, 0, sizeof(doubt));
	memset(&found, 0, sizeof(found));
	handed_ns = 0;
	seen_sleeps = 0;
	if (bell >= 0)
		close(bell);
	if (detached >= 0)
		close(detached);
	if (alarm_fd >= 0)
		close(alarm_fd);
	bell = detached = alarm_fd = -1;
	urt__told_close();
}

void urt__monitor_forget(void)
{
	leave_nothing();
	atomic_store(&quitting, false);
}

int urt__monitor_start(void)
{
	int err;

	atomic_store(&stopping, false);
	urt__rt.monitor_wake = wake;
	bell = urt__sys_eventfd();
	if (bell < 0)
		return bell;
	detached = epoll_create1(EPOLL_CLOEXEC);
	err = detached < 0 ? -*__errno_location() : 0;
	if (!err)
		urt__told_open();
	alarm_fd = urt__sys_timerfd();
	if (!err)
		err = urt__sys_thread(&thread, NULL, monitor_main, NULL);
	if (err)
		leave_nothing();
	return err;
}

void urt__monitor_stop(void)
{
	atomic_store(&stopping, true);
	urt__monitor_look();
	pthread_join(thread, NULL);
	leave_nothing();
}
