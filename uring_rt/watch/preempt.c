// SPDX-License-Identifier: MIT
/*
 * The signal that stops a coroutine that has run for too long.
 *
 * It is SIGURG (ignored by default, and Go's choice). It must not end a call
 * early. A signal from another thread ends nanosleep, poll and epoll_wait if
 * the thread is in such a call or about to make it. So a timer that measures
 * the thread's own time in user space sends the signal: the kernel advances
 * that time at a tick that finds the thread in user space, and sends the signal
 * from that tick, never in a call. A timer of all CPU time may expire inside a
 * call; if a completion interrupts that call as well, the kernel does not
 * restart it, since a handler runs. If the tick comes at the instruction that
 * restarts an interrupted call, the handler makes that call (continue_call). On
 * nohz_full CPUs, the kernel measures user time without ticks, so the timer may
 * expire inside a call there.
 *
 * The price is that the signal comes at a tick (1 to 10 ms apart), so nothing
 * depends on it: before that, the monitor has another thread take over the
 * processor.
 *
 * The handler runs on the thread's signal stack. If the thread is outside the
 * runtime (`where`, which only this thread writes), and it is safe (safe.c), the
 * handler makes the interrupted code appear to have called urt__preempt_entry
 * (exec/arch), which stops the coroutine, together with its thread
 * (sched/handoff.c), and restores all registers when it goes on.
 *
 * If it is not safe there, the thread continues, another thread takes over its
 * processor, and the signal comes again at each further tick, until it finds the
 * coroutine where it may be stopped. A thread that lost its processor because it
 * blocked gets the signal, too, once it computes, but goes on: it may soon block
 * again. Many such threads take turns (nap.c).
 *
 * Invariants: the signal is due for one run of a coroutine, which w->preempt
 * names by its number of switches; it stops no later one. A request to freeze
 * (parked_signal) is obeyed wherever the thread is, since it then changes
 * nothing more. A timer is only used for the thread it was opened for: a thread
 * that has ended is noticed (ESRCH), as its tid may be another one's.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "../exec/preempt.h"
#include "watch.h"
#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#undef errno

static bool wanted;   /* URT_PREEMPT does not forbid preemption */
static bool possible; /* ... and the signal can do it */
static struct sigaction old_urg;

/* ThreadSanitizer runs a handler later: its context is not where the thread is. */
#ifdef URT__TSAN
#define INTERRUPTS false
#else
#define INTERRUPTS true
#endif

#ifdef __x86_64__
uint32_t urt__xsave_size __attribute__((visibility("hidden")));
#endif

/* urt__preempt_entry calls it, on the coroutine's stack. The processor may be
 * gone: then the coroutine waits for its turn as a preempted one, not as one
 * that comes back from a blocking call. */
void urt__preempted(void) __attribute__((visibility("hidden")));

void urt__preempted(void)
{
	struct urt__worker *w = urt__worker();
	int saved = *__errno_location();

	urt__kernel_end(w);
	if (urt__rt.stop)
		urt__abandon(w);
	urt__proc_swap(w);
	*__errno_location() = saved;
	urt__leave();
}

int64_t urt__worker_cpu_ns(const struct urt__worker *w)
{
	struct timespec ts;

	if (clock_gettime(urt__cpu_clock(atomic_load(&w->tid)), &ts))
		return 0;
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* ---- the request ------------------------------------------------------- */

bool urt__may_preempt(void)
{
	return wanted && !urt__locks_held();
}

/* What w->preempt is if the signal is due for the coroutine that runs now. */
static uint64_t this_run(const struct urt__worker *w)
{
	return urt__counted(w->stats, URT__STAT_SWITCHES) + 1;
}

bool urt__preempt_is_due(const struct urt__worker *w)
{
	return atomic_load(&w->preempt) == this_run(w);
}

/* The timer of each worker's thread, by the worker's number. The monitor opens
 * and closes them. */
static struct {
	timer_t timer;
	_Atomic int tid; /* of the thread; 0: it has none */
} clocks[URT__WORKERS_MAX];
static unsigned nr_clocks;

/* False: the timer's thread has ended, and another one may have its tid. */
static bool again(unsigned i)
{
	return urt__sys_timer_start(clocks[i].timer) != -ESRCH;
}

static void clock_close(unsigned i)
{
	if (clocks[i].tid)
		timer_delete(clocks[i].timer);
	clocks[i].tid = 0;
}

/* Opens the timer for the thread that the worker has now. */
static bool clock_open(unsigned i, int tid)
{
	struct sigevent e = { .sigev_notify = SIGEV_THREAD_ID,
			      .sigev_signo = SIGURG,
			      .sigev_value.sival_ptr = &urt__rt };

	if (clocks[i].tid == tid)
		return true;
	clock_close(i);
	e._sigev_un._tid = tid;
	if (timer_create(urt__user_clock(tid), &e, &clocks[i].timer))
		return false;
	clocks[i].tid = tid;
	if (nr_clocks <= i)
		nr_clocks = i + 1;
	return true;
}

void urt__preempt_soon(struct urt__worker *w)
{
	int tid = atomic_load(&w->tid);

	if (!possible || !tid || !clock_open(w->index, tid))
		return;
	atomic_store(&w->preempt, this_run(w));
	if (again(w->index))
		return;
	clock_close(w->index);
	if (clock_open(w->index, tid))
		again(w->index);
}

/* Signals the thread now, and ends its nap. */
static void interrupt(struct urt__worker *w)
{
	syscall(SYS_futex, &w->parked_signal, FUTEX_WAKE | FUTEX_PRIVATE_FLAG,
		1, NULL, NULL, 0);
	syscall(SYS_tgkill, getpid(), w->tid, SIGURG);
}

void urt__preempt_signal(struct urt__worker *w, bool also_preempt)
{
	if (also_preempt)
		atomic_store(&w->preempt, this_run(w));
	interrupt(w);
}

void urt__preempt_freeze(struct urt__worker *w)
{
	atomic_store(&w->parked_signal, URT__FREEZE);
	interrupt(w);
}

/* ---- the handler ------------------------------------------------------- */

static bool preempt(struct urt__worker *w, ucontext_t *u)
{
	if (!possible || !urt__is_safe(w, u))
		return false;
	urt__preempt_call(u, (uintptr_t)urt__preempt_entry);
	return true;
}

/*
 * A completion interrupted a call, the kernel returned to the instruction that
 * restarts it, and the tick came just there. After sigreturn(2),
 * restart_syscall(2) would only fail with EINTR; so the handler makes it, under
 * the signal mask of the call. Another handler that runs meanwhile continues on
 * the signal stack.
 */
static bool continue_call(ucontext_t *u)
{
	long ret;

	if (!INTERRUPTS || !urt__context_restarts(u))
		return false;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &u->uc_sigmask, NULL,
		_NSIG / 8);
	ret = syscall(SYS_restart_syscall);
	urt__context_return(u, ret < 0 ? -*urt_errno_location() : ret);
	return true;
}

/* The world is stopped: this thread does nothing more. */
static void freeze(struct urt__worker *w, const void *context)
{
	atomic_store(&w->parked_signal, URT__FREEZING);
	urt__report_interrupted(w, context);
	atomic_store(&w->parked_signal, URT__FROZEN);
	for (;;)
		syscall(SYS_futex, &w->parked_signal,
			FUTEX_WAIT | FUTEX_PRIVATE_FLAG, URT__FROZEN, NULL,
			NULL, 0);
}

/* Whether it lost its processor as it blocked, and computes since. It may go
 * on until the run ends. */
static bool is_back(const struct urt__worker *w)
{
	return atomic_load(&w->state) == URT__W_DETACHED &&
	       !atomic_load_explicit(&w->hogging, memory_order_relaxed) &&
	       !atomic_load(&urt__rt.stop);
}

/* The coroutine was to be stopped, but must not be at this place. */
static void not_stopped(struct urt__worker *w)
{
	struct urt_coro *c = w->current;

	if (atomic_load(&w->state) == URT__W_DETACHED && c && !c->no_preempt &&
	    !urt__locks_held())
		urt__nap(w);
	if (atomic_load(&clocks[w->index].tid) == atomic_load(&w->tid))
		again(w->index);
}

/* A timer's signal may come when the run's first thread is no longer a
 * worker's. The other threads block the signal at their ends. */
static bool is_ours(const struct urt__worker *w, const siginfo_t *info)
{
	if (info->si_code == SI_TIMER)
		return info->si_value.sival_ptr == &urt__rt;
	return w && info->si_code == SI_TKILL && info->si_pid == getpid();
}

static void on_urg(int sig, siginfo_t *info, void *context)
{
	struct urt__worker *w = urt__worker();
	int saved = *urt_errno_location();
	bool due, restarted;

	if (!is_ours(w, info)) {
		if (old_urg.sa_flags & SA_SIGINFO)
			old_urg.sa_sigaction(sig, info, context);
		else if (old_urg.sa_handler != SIG_DFL &&
			 old_urg.sa_handler != SIG_IGN)
			old_urg.sa_handler(sig);
		return;
	}
	if (!w)
		return;
	if (atomic_load(&w->parked_signal) == URT__FREEZE)
		freeze(w, context);
	if (atomic_load_explicit(&w->word.where, memory_order_relaxed) !=
	    URT__OUT)
		return;
	if (urt__debug.stall_ns && atomic_exchange(&w->stalled, false))
		urt__report_backtrace();
	due = urt__preempt_is_due(w);
	restarted = continue_call(context);
	if (due && (restarted || is_back(w) || !preempt(w, context)))
		not_stopped(w);
	*urt_errno_location() = saved;
}

/* ---- a run ------------------------------------------------------------- */

void urt__preempt_open(void)
{
	const char *s = getenv("URT_PREEMPT");
	struct sigaction sa = { .sa_sigaction = on_urg,
				.sa_flags =
					SA_SIGINFO | SA_ONSTACK | SA_RESTART };

	wanted = !s || strcmp(s, "off") != 0;
	possible = urt__safe_open() && wanted;
	sigfillset(&sa.sa_mask);
	sigaction(SIGURG, &sa, &old_urg);
}

void urt__preempt_close(void)
{
	for (unsigned i = 0; i < nr_clocks; i++)
		clock_close(i);
	nr_clocks = 0;
	sigaction(SIGURG, &old_urg, NULL);
}
