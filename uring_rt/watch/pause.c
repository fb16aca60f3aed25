// SPDX-License-Identifier: MIT
/*
 * How long the monitor pauses between two looks.
 *
 * A look comes every 1 ms while a worker is awake; every 0.5 ms while a
 * coroutine is preempted, or runs on beyond its slice; every 50 us shortly
 * after a thread blocked and lost its processor, since coroutines that block
 * come in crowds. When all sleep, looks become rarer, up to 4 ms, and end after
 * some: an idle program makes no system calls. The first worker that wakes
 * wakes the monitor (monitor_asleep: each side writes its own word, then reads
 * the other's). Invariant: while monitor_asleep is URT__M_SLEEPS, each worker
 * that is awake has yet to read it, or has rung the bell.
 *
 * Where workers wake often but compute little, looks would find them asleep
 * again and again. A worker that wakes while all others sleep has left nothing
 * undone, so it puts off the next look, by the timer on which the monitor
 * dozes: up to DOZE_NS from now, if less than half of that is left. So a worker
 * that stays awake is looked at within DOZE_NS all the same: nobody puts off a
 * look while another worker is awake, and the worker itself does so only when
 * it wakes. The timer is always set, so a race changes only the time of the
 * look. At 1,000 requests a second, each second or third wake makes a call of
 * 0.3 us, and the monitor does not run; else it would look 330 times a second.
 *
 * If only the program's own threads could still end a deadlock, the end of the
 * last of them causes no event. So the monitor then wakes a worker from time to
 * time, which looks again (idle.c). Each pause is twice as long as the last
 * one, so that a program that really waits for such a thread uses no CPU, and
 * the report comes before the deadlock is twice as old as it was when that
 * thread ended.
 */
#include "../base/sys.h"
#include "watch.h"
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define TICK_NS		   1000000
#define LINGER		   12 /* looks while all sleep, before it does */
#define LINGER_TICK_MAX_NS 4000000
#define DOZE_NS		   3000000
#define DOZE_MAX_NS	   100000000 /* until a look that is not put off */
#define DOUBT_NS	   100000000 /* until the first look again */

static int alarm_fd = -1; /* timerfd, ends a doze; -1: there are no dozes */
static _Atomic int64_t doze_until_ns;
static unsigned lingered;    /* looks since all sleep */
static uint64_t seen_sleeps; /* of all workers, when all slept */

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

/* Spares the look at the state of each of thousands of blocked threads. */
static bool is_quiet(unsigned i)
{
	return atomic_load(&urt__rt.quiet[i]) && !urt__debug.stall_ns;
}

bool urt__all_asleep(void)
{
	unsigned n = atomic_load(&urt__rt.nr_workers);

	if (atomic_load(&urt__rt.stop))
		return false;
	for (unsigned i = 0; i < n; i++)
		if (!is_quiet(i) && !is_asleep(atomic_load(&urt__rt.worker[i])))
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
		if (!is_quiet(i) && w != self && !is_asleep(w))
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

/* ---- a deadlock in doubt ----------------------------------------------- */

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

/* ---- the pause --------------------------------------------------------- */

int64_t urt__pause_ns(void)
{
	int64_t ns = urt__look_soon_ns();

	if (!ns && !urt__all_asleep())
		ns = TICK_NS;
	if (ns) {
		lingered = 0;
		return ns;
	}
	if (++lingered < LINGER) {
		if (they_come_and_go() && !urt__debug.sched_ns)
			return doze();
		ns = (int64_t)TICK_NS << (lingered - 1);
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

void urt__pause_end(void)
{
	atomic_store(&urt__rt.monitor_asleep, URT__M_LOOKS);
	look_again(urt__clock_ns());
}

int urt__pause_alarm(void)
{
	return atomic_load(&urt__rt.monitor_asleep) == URT__M_DOZES ? alarm_fd
								    : -1;
}

void urt__pause_open(void)
{
	urt__rt.monitor_wake = wake;
	alarm_fd = urt__sys_timerfd();
}

void urt__pause_close(void)
{
	memset(&doubt, 0, sizeof(doubt));
	lingered = 0;
	seen_sleeps = 0;
	if (alarm_fd >= 0)
		close(alarm_fd);
	alarm_fd = -1;
}
