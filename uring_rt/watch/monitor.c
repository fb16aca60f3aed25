// SPDX-License-Identifier: MIT
/*
 * The monitor: a thread that watches over the workers (Go's sysmon).
 *
 * It never runs coroutines. Each TICK it looks whether a worker has been in
 * one coroutine since the last look, by the count of its switches, and if so,
 * the longer it is stuck the more it does:
 *
 *   a tick, and another worker sleeps   what waits where only the stuck worker
 *                                       would look is exposed to the sleeper
 *   a time slice                        the coroutine shall yield at its next
 *                                       call, and a signal drains the ring and
 *                                       preempts it where that is safe; if the
 *                                       thread is blocked in a system call, its
 *                                       processor goes to a spare worker
 *   the signal was handled in vain      so it does if it could not be preempted
 *
 * A worker without a processor, in a long call, is only sent signals while its
 * ring has something for it.
 *
 * A time slice is 10 ms, and 2 ms for a coroutine that was preempted before:
 * light work beside it is then late by 2 ms and not by 10. A tick is 1 ms while
 * there is such a one, or a sleeper to give work to, else 10 ms. When all
 * workers have slept for a while the monitor sleeps without end, so an idle
 * program makes no system calls; the first worker that wakes wakes it
 * (monitor_asleep; both sides set, fence, look).
 *
 * Where only the program's own threads could still end a deadlock, nothing
 * happens when the last of them ends. So the monitor then wakes a worker now and
 * then, which looks again (idle.c); each time after twice as long, so that a
 * program that really waits for such a thread uses no CPU, and the report comes
 * before the deadlock is twice as old as it was when that thread ended.
 *
 * It also makes the spare threads, prints the scheduler trace, and on SIGQUIT
 * stops the world and reports it.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "watch.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#undef errno

#define TICK_NS	      10000000
#define SHORT_TICK_NS 1000000
#define SLICE_NS      10000000
#define LATE_NS	      100000000 /* the signal should have been handled */
#define LINGER	      10	/* ticks that all sleep before it sleeps, too */
#define DOUBT_NS      100000000 /* until it looks again for the first time */

struct urt__debug urt__debug;

/* What was seen of a worker. */
struct seen {
	uint64_t switches;
	int64_t since_ns; /* when they last changed */
	bool exposed, signalled, stall_said;
};

static struct seen seen[URT__WORKERS_MAX];
static pthread_t thread;
static _Atomic uint32_t bell; /* futex; rung to end a sleep */
static atomic_bool stopping, quitting;

static void ring_bell(void)
{
	atomic_fetch_add(&bell, 1);
	syscall(SYS_futex, &bell, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL,
		NULL, 0);
}

static void wake(void)
{
	if (atomic_exchange(&urt__rt.monitor_asleep, 0))
		ring_bell();
}

/* Until the bell has rung since `rung`, or for ns. */
static void sleep_for(uint32_t rung, int64_t ns)
{
	struct timespec ts = { ns / 1000000000, ns % 1000000000 };

	syscall(SYS_futex, &bell, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, rung,
		ns == INT64_MAX ? NULL : &ts, NULL, 0);
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

static void hand_off(struct urt__worker *w)
{
	if (!atomic_load(&urt__rt.spare.len))
		urt__worker_add(NULL);
	else if (urt__proc_handoff(w))
		__atomic_add_fetch(&w->stats->counter[URT__STAT_HANDOFFS], 1,
				   __ATOMIC_RELAXED);
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

static void see_to_stuck(struct urt__worker *w, struct seen *s, int64_t ns)
{
	bool blocked;

	if (!s->exposed && atomic_load(&urt__rt.idle.len)) {
		s->exposed = true;
		if (urt__worker_expose(w))
			urt__wake_one();
	}
	if (ns < (atomic_load(&w->hogging) ? URT__HOG_SLICE_NS : SLICE_NS))
		return;
	atomic_fetch_or(&w->attention, URT__ATT_YIELD);
	if (atomic_load(&w->in_rt))
		return;
	blocked = is_blocked(w);
	if (blocked || (s->signalled && !atomic_load(&w->preempt)) ||
	    ns > LATE_NS)
		hand_off(w);
	if (!blocked || urt__ring_stranded(&w->ring) ||
	    atomic_load(&w->inbox)) {
		urt__preempt_signal(w, !blocked);
		s->signalled = true;
	}
}

static void look_at(struct urt__worker *w, struct seen *s, int64_t now_ns)
{
	uint64_t switches = __atomic_load_n(
		&w->stats->counter[URT__STAT_SWITCHES], __ATOMIC_RELAXED);
	enum urt__worker_state state = atomic_load(&w->state);

	if (state == URT__W_DETACHED && !atomic_load(&w->in_rt)) {
		say_stall(w, s, now_ns - s->since_ns);
		if (atomic_load(&urt__rt.stop)) /* it shall leave for ever */
			urt__preempt_signal(w, true);
		else if (urt__ring_stranded(&w->ring) || atomic_load(&w->inbox))
			urt__preempt_signal(w, false);
		return;
	}
	if (state != URT__W_RUNNING || switches != s->switches) {
		*s = (struct seen){ switches, now_ns, false, false, false };
		return;
	}
	say_stall(w, s, now_ns - s->since_ns);
	see_to_stuck(w, s, now_ns - s->since_ns);
}

/* ---- all of them ------------------------------------------------------- */

static bool is_asleep(struct urt__worker *w)
{
	switch (atomic_load(&w->state)) {
	case URT__W_SLEEPING:
	case URT__W_SPARE:
	case URT__W_GONE:
		return true;
	default:
		return false;
	}
}

static bool all_asleep(void)
{
	unsigned n = atomic_load(&urt__rt.nr_workers);

	for (unsigned i = 0; i < n; i++)
		if (!is_asleep(atomic_load(&urt__rt.worker[i])))
			return false;
	return true;
}

static void look_at_all(int64_t now_ns)
{
	unsigned n = atomic_load(&urt__rt.nr_workers);

	for (unsigned i = 0; i < n; i++)
		look_at(atomic_load(&urt__rt.worker[i]), &seen[i], now_ns);
	/* What came while nobody could be woken. */
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

/* ---- SIGQUIT ----------------------------------------------------------- */

void urt__monitor_quit(void)
{
	atomic_store(&quitting, true);
	ring_bell();
}

/* All worker threads stand still in their signal handlers, as far as they can
 * be reached within a second. */
static void stop_the_world(void)
{
	unsigned n = atomic_load(&urt__rt.nr_workers), still;
	const struct timespec ms = { 0, 1000000 };

	for (unsigned i = 0; i < n; i++)
		urt__preempt_freeze(atomic_load(&urt__rt.worker[i]));
	for (int tries = 0; tries < 1000; tries++) {
		still = 0;
		for (unsigned i = 0; i < n; i++) {
			struct urt__worker *w = urt__rt.worker[i];

			still +=
				atomic_load(&w->parked_signal) == URT__FROZEN ||
				atomic_load(&w->state) == URT__W_GONE;
		}
		if (still == n)
			return;
		nanosleep(&ms, NULL);
	}
}

static void quit(void)
{
	static struct urt__worker pseudo;
	struct itimerspec patience = { .it_value = { 5, 0 } };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL,
			       .sigev_signo = SIGQUIT };
	sigset_t quit_only;
	timer_t timer;

	/* Should the report hang, on a lock of a thread that stands still, the
	 * process dies all the same. */
	signal(SIGQUIT, SIG_DFL);
	sigemptyset(&quit_only);
	sigaddset(&quit_only, SIGQUIT);
	pthread_sigmask(SIG_UNBLOCK, &quit_only, NULL);
	if (!timer_create(CLOCK_MONOTONIC, &ev, &timer))
		timer_settime(timer, 0, &patience, NULL);
	urt__print("SIGQUIT: coroutines of process %d\n", getpid());
	stop_the_world();
	urt__san_thread(&pseudo.loop_san);
	urt__tls_worker = &pseudo;
	urt__report_all(&pseudo);
	kill(getpid(), SIGQUIT);
}

/* ---- the thread -------------------------------------------------------- */

/* A worker to give work to, or a coroutine to be preempted again soon. */
static bool need_short_ticks(void)
{
	unsigned n = atomic_load(&urt__rt.nr_workers);

	if (atomic_load(&urt__rt.idle.len))
		return true;
	for (unsigned i = 0; i < n; i++)
		if (atomic_load(&urt__rt.worker[i]->hogging))
			return true;
	return false;
}

/* A deadlock, but for threads of the program's: when to look again. */
static struct {
	int64_t ns;	   /* how long it waits with that */
	int64_t until_ns;  /* 0: it does not wait */
	uint64_t switches; /* of all workers, when the doubt began */
} doubt;

static uint64_t all_switches(void)
{
	unsigned n = atomic_load(&urt__rt.nr_workers);
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += __atomic_load_n(
			&urt__rt.worker[i]->stats->counter[URT__STAT_SWITCHES],
			__ATOMIC_RELAXED);
	return sum;
}

static int64_t long_sleep_ns(void)
{
	int64_t ns = urt__debug.sched_ns ? urt__debug.sched_ns : INT64_MAX;
	int64_t now_ns = urt__clock_ns();
	uint64_t switches;

	if (!atomic_load(&urt__rt.doubt))
		return ns;
	switches = all_switches();
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

/* Who is woken finds nothing, and has the same doubt again or none. */
static void look_again(int64_t now_ns)
{
	if (!doubt.until_ns || now_ns < doubt.until_ns)
		return;
	doubt.until_ns = 0;
	doubt.ns *= 2;
	if (atomic_exchange(&urt__rt.doubt, false))
		urt__wake_one();
}

/* How long to sleep; INT64_MAX: until somebody wakes. */
static int64_t tick_ns(unsigned *lingered)
{
	if (!all_asleep()) {
		*lingered = 0;
		return need_short_ticks() ? SHORT_TICK_NS : TICK_NS;
	}
	if (++*lingered < LINGER)
		return TICK_NS;
	/* Partner: a worker that wakes changes its state, fences, and looks at
	 * monitor_asleep. */
	atomic_store(&urt__rt.monitor_asleep, 1);
	urt__fence();
	if (!all_asleep()) {
		atomic_store(&urt__rt.monitor_asleep, 0);
		return TICK_NS;
	}
	return long_sleep_ns();
}

static void *monitor_main(void *arg)
{
	unsigned lingered = 0;

	(void)arg;
	while (!atomic_load(&stopping)) {
		uint32_t rung = atomic_load(&bell);
		int64_t ns = tick_ns(&lingered);

		if (atomic_load(&stopping))
			break;
		if (atomic_load(&quitting))
			quit();
		sleep_for(rung, ns);
		atomic_store(&urt__rt.monitor_asleep, 0);
		look_at_all(urt__clock_ns());
		look_again(urt__clock_ns());
		trace(urt__clock_ns());
	}
	return NULL;
}

void urt__monitor_forget(void)
{
	atomic_store(&quitting, false);
}

int urt__monitor_start(void)
{

	memset(seen, 0, sizeof(seen));
	memset(&doubt, 0, sizeof(doubt));
	atomic_store(&stopping, false);
	urt__rt.monitor_wake = wake;
	return urt__sys_thread(&thread, NULL, monitor_main, NULL);
}

void urt__monitor_stop(void)
{
	atomic_store(&stopping, true);
	ring_bell();
	pthread_join(thread, NULL);
}
