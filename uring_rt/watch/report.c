// SPDX-License-Identifier: MIT
/*
 * Reports of failures: deadlock, SIGQUIT, stack overflow, leaks.
 *
 * A parked coroutine takes its own backtrace: the reporter switches to it, and
 * it runs backtrace(3) in the commit that every resumed coroutine runs first,
 * and switches back (urt__visit). So the unwinder sees an ordinary stack, and
 * no second way of walking stacks is needed. This works only for parked
 * coroutines while nothing else runs. Coroutines that run are stopped by a
 * signal, in whose handler their thread takes the backtrace.
 */
#define _GNU_SOURCE
#include "../wait/pool.h"
#include "../base/sys.h"
#include "../exec/preempt.h"
#include "watch.h"
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#undef errno

#define FRAMES_MAX  32
#define REPORT_MAX  100
#define VISIT_NEEDS 6144 /* bytes of stack, for the unwinder */

static struct sigaction old_segv, old_quit;
static pid_t run_pid; /* the process whose run it is */

/* ---- names and backtraces ---------------------------------------------- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

const char *urt__report_name(const struct urt_coro *c, char *buf, size_t size)
{
	void *fn = c->scope ? (void *)(uintptr_t)c->scope_fn
			    : (void *)(uintptr_t)c->fn;
	unsigned long long id = c->id;
	char name[96];
	uintptr_t offset;
	Dl_info info;

	if (urt__symbol(fn, name, sizeof(name), &offset))
		snprintf(buf, size, "coroutine %llu (%s)", id, name);
	else if (dladdr(fn, &info) && info.dli_fname)
		snprintf(buf, size, "coroutine %llu (%s+%#tx)", id,
			 base_name(info.dli_fname),
			 (char *)fn - (char *)info.dli_fbase);
	else
		snprintf(buf, size, "coroutine %llu (%p)", id, fn);
	return buf;
}

/* A frame has the address after its call, which may be the next function's. */
static void print_frame(int i, void *pc)
{
	Dl_info info = { 0 };
	uintptr_t offset;
	char name[96];

	if (!dladdr(pc, &info) || !info.dli_fname)
		urt__print("\t#%d %p\n", i, pc);
	else if (urt__symbol((char *)pc - 1, name, sizeof(name), &offset))
		urt__print("\t#%d %s+%#tx (%s+%#tx)\n", i, name, offset + 1,
			   base_name(info.dli_fname),
			   (char *)pc - (char *)info.dli_fbase);
	else
		urt__print("\t#%d %s+%#tx (addr2line -f -e %s %#tx)\n", i,
			   base_name(info.dli_fname),
			   (char *)pc - (char *)info.dli_fbase, info.dli_fname,
			   (char *)pc - (char *)info.dli_fbase);
}

void urt__report_backtrace(void)
{
	void *pc[FRAMES_MAX];
	int n = backtrace(pc, FRAMES_MAX);

	for (int i = 1; i < n; i++)
		print_frame(i - 1, pc[i]);
}

/*
 * If a coroutine runs when the world is stopped, only its own thread can take
 * its backtrace: in the signal handler, which then keeps the thread there.
 * Frames of the handler lie above the interrupted program counter.
 */
static struct {
	void *pc[FRAMES_MAX];
	int first, n;
} interrupted[URT__WORKERS_MAX];

void urt__report_interrupted(const struct urt__worker *w, const void *context)
{
	void **pc = interrupted[w->index].pc;
	int n = backtrace(pc, FRAMES_MAX), first = 0;

	while (first < n && (uintptr_t)pc[first] != urt__context_pc(context))
		first++;
	interrupted[w->index].first = first < n ? first : 0;
	interrupted[w->index].n = n;
}

static void print_interrupted(const struct urt__worker *w)
{
	int first = interrupted[w->index].first;

	if (atomic_load(&w->parked_signal) != URT__FROZEN)
		return; /* its thread could not be reached */
	for (int i = first; i < interrupted[w->index].n; i++)
		print_frame(i - first, interrupted[w->index].pc[i]);
}

static void backtrace_visited(void *arg)
{
	(void)arg;
	urt__report_backtrace();
}

/* ---- all coroutines ---------------------------------------------------- */

struct list {
	struct urt__worker *w; /* to visit with; NULL: no backtraces */
	unsigned n;
	bool leaks; /* also those that ended and were not joined */
};

static const struct urt__worker *runs_on(const struct urt_coro *c)
{
	unsigned n = atomic_load(&urt__rt.nr_workers);

	for (unsigned i = 0; i < n; i++) {
		struct urt__worker *w = atomic_load(&urt__rt.worker[i]);

		if (w->current == c)
			return w;
	}
	return NULL;
}

static bool can_visit(const struct urt_coro *c)
{
	return urt__park_state(atomic_load(&c->park)) != URT__BUSY &&
	       (char *)c->ctx.sp - (char *)c->stack_lowest > VISIT_NEEDS;
}

static void print_coroutine(struct urt_coro *c, void *arg)
{
	struct list *l = arg;
	uint8_t reason = atomic_load(&c->reason);
	const struct urt__worker *on;
	char name[128];

	if (reason == URT__R_FREE || (reason == URT__R_DEAD && !l->leaks))
		return;
	if (l->n++ >= REPORT_MAX)
		return;
	urt__report_name(c, name, sizeof(name));
	on = l->leaks ? NULL : runs_on(c);
	if (on) {
		urt__print("%s [running on worker %u]\n", name, on->index);
		print_interrupted(on);
		return;
	}
	urt__print("%s [%s]\n", name, urt__reason_names[reason]);
	if (l->w && can_visit(c))
		urt__visit(l->w, c, backtrace_visited, NULL);
}

static void print_all(struct list *l)
{
	urt__coro_each(print_coroutine, l);
	if (l->n > REPORT_MAX)
		urt__print("... and %u more\n", l->n - REPORT_MAX);
}

/* When no other thread runs a coroutine. w: the caller's worker. */
static void report_all(struct urt__worker *w)
{
	struct list l = { .w = w };

	print_all(&l);
}

void urt__report_leaks(void)
{
	struct list l = { .leaks = true };

	urt__print(
		"uring_rt: coroutines that are left at the end of the run:\n");
	print_all(&l);
	if (!l.n)
		urt__print("none\n");
}

/* ---- deadlock ---------------------------------------------------------- */

/* Threads of the program's own. io_uring's are kernel threads in our group,
 * named iou-wrk-N and iou-sqp-N. */
static unsigned count_threads(void)
{
	DIR *d = opendir("/proc/self/task");
	char path[300], comm[16];
	unsigned found = 0;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm",
			 e->d_name);
		f = fopen(path, "re");
		comm[0] = '\0';
		if (f && !fgets(comm, sizeof(comm), f))
			comm[0] = '\0';
		if (f)
			fclose(f);
		found += !!strncmp(comm, "iou-", 4);
	}
	if (!d)
		return UINT_MAX; /* no descriptor left, or no /proc: not
				    known */
	closedir(d);
	return found;
}

/* Workers, the monitor, its helper, and the thread pool. */
static unsigned own_threads(void)
{
	unsigned n = atomic_load(&urt__rt.nr_workers), own = 2;

	for (unsigned i = 0; i < n; i++)
		own += atomic_load(&urt__rt.worker[i]->state) != URT__W_GONE;
	return own + urt__blocking_threads();
}

/* TSan has one or two threads of its own, which look like any other. */
static unsigned sanitizer_threads;

void urt__report_know_threads(void)
{
#ifdef URT__TSAN
	sanitizer_threads = count_threads() - own_threads();
#endif
}

bool urt__report_other_threads(void)
{
	return count_threads() > own_threads() + sanitizer_threads;
}

void urt__report_deadlock(void)
{
	static atomic_flag found = ATOMIC_FLAG_INIT;

	/* One worker falls asleep, and another ends: both may find it. */
	if (atomic_flag_test_and_set(&found))
		return;
	fflush(NULL);
	urt__print("uring_rt: all coroutines are asleep - deadlock\n");
	report_all(urt__worker());
	_exit(2);
}

/* ---- SIGQUIT, on the monitor's thread ---------------------------------- */

/* Stops all worker threads in their signal handlers, as far as they can be
 * reached within a second. */
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

void urt__report_quit(void)
{
	static struct urt__worker pseudo;
	struct itimerspec patience = { .it_value = { 5, 0 } };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL,
			       .sigev_signo = SIGQUIT };
	sigset_t quit_only;
	timer_t timer;

	/* If the report hangs, on a lock of a stopped thread, the process dies
	 * all the same. */
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
	report_all(&pseudo);
	kill(getpid(), SIGQUIT);
}

/* ---- signals ----------------------------------------------------------- */

static void report_overflow(const struct urt_coro *c)
{
	char name[128];

	urt__print("uring_rt: coroutine stack overflow: %s, stack of %zu bytes "
		   "(urt_options.stack_size, urt_spawn_with)\n",
		   urt__report_name(c, name, sizeof(name)),
		   (size_t)((const char *)c - (const char *)c->stack_lowest));
	urt__report_backtrace();
}

void urt__report_stack_left(struct urt_coro *c, const void *sp)
{
	size_t index;
	bool guard;
	char name[128];

	/* In a neighbour's stack, beyond the guard; else in no coroutine's
	 * stack. */
	if (urt__stack_find(&urt__rt.stacks[urt__coro_class(c)], sp, &index,
			    &guard)) {
		report_overflow(c);
		abort();
	}
	urt__mistake("%s makes a call from a stack that is not its own",
		     urt__report_name(c, name, sizeof(name)));
}

/* Whether a frame that is larger than the guard faulted beyond it. */
static bool is_below(const struct urt_coro *c, uintptr_t sp)
{
	size_t index;
	bool guard;

	return c && sp < (uintptr_t)c->stack_lowest &&
	       urt__stack_find(&urt__rt.stacks[urt__coro_class(c)], (void *)sp,
			       &index, &guard);
}

/*
 * Runs on the signal stack. Reports a hit of a coroutine's guard, or a stack
 * pointer below it. Then everything continues as it would without this handler.
 */
static void on_segv(int sig, siginfo_t *info, void *context)
{
	const struct urt_coro *c = NULL;
	size_t index;
	bool guard;

	if (info->si_code > 0 &&
	    is_below(urt__current(), urt__context_sp(context)))
		c = urt__current();
	for (unsigned i = 0; i < URT__CLASSES && info->si_code > 0 && !c; i++) {
		struct urt__stacks *s = &urt__rt.stacks[i];

		if (urt__stack_find(s, info->si_addr, &index, &guard) && guard)
			c = (struct urt_coro *)urt__stack_top(s, index) - 1;
	}
	if (c)
		report_overflow(c);
	sigaction(sig, &old_segv, NULL);
	if (info->si_code <= 0) /* sent by a process: it will not come again */
		raise(sig);
}

static void on_quit(int sig)
{
	if (getpid() == run_pid) {
		urt__monitor_quit();
		return;
	}
	/* A forked child that has not yet forgotten the run. */
	sigaction(sig, &old_quit, NULL);
	raise(sig);
}

void urt__report_open(void)
{
	struct sigaction segv = { .sa_sigaction = on_segv,
				  .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct sigaction quit = { .sa_handler = on_quit,
				  .sa_flags = SA_ONSTACK | SA_RESTART };
	void *pc[1];

	run_pid = getpid();
	urt__print_where = urt__report_backtrace;
	backtrace(pc, 1); /* loads the unwinder now, and not in a handler */
	sigfillset(&quit.sa_mask); /* SIGURG must interrupt the coroutine,
				      not this */
	sigaction(SIGSEGV, &segv, &old_segv);
	sigaction(SIGQUIT, NULL, &old_quit);
	if (old_quit.sa_handler == SIG_DFL)
		sigaction(SIGQUIT, &quit, NULL);
}

void urt__report_close(void)
{
	sigaction(SIGSEGV, &old_segv, NULL);
	if (old_quit.sa_handler == SIG_DFL)
		sigaction(SIGQUIT, &old_quit, NULL);
}

/* Without memory there is no signal stack, and so no report. */
void urt__signal_stack_enter(struct urt__worker *w)
{
	stack_t ss = { .ss_size = URT__SIGNAL_STACK };

	if (urt__sys_mmap(&w->signal_stack, URT__SIGNAL_STACK,
			  PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0))
		return;
	ss.ss_sp = w->signal_stack;
	urt__sys_sigaltstack(&ss, &w->old_signal_stack);
}

void urt__signal_stack_leave(struct urt__worker *w)
{
	if (!w->signal_stack)
		return;
	sigaltstack(&w->old_signal_stack, NULL);
	munmap(w->signal_stack, URT__SIGNAL_STACK);
}
