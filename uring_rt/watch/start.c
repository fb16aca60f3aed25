// SPDX-License-Identifier: MIT
/*
 * Start and stop of a run, and what is said when it goes wrong: io_uring
 * missing or forbidden, stack overflow, deadlock.
 */
#define _GNU_SOURCE
#include "../sched/sched.h"
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#undef errno

#define STACK_DEFAULT	     (128 * 1024)
#define STACK_MIN	     (16 * 1024)
#define COROUTINES_DEFAULT   (2u << 20)
#define RING_ENTRIES_DEFAULT 256
#define RING_ENTRIES_MAX     4096
#define SIGNAL_STACK_SIZE    (64 * 1024)

static const char *const reason_names[] = {
#define X(symbol, name, counter) name,
	URT__REASONS(X)
#undef X
};

static atomic_bool running;
static char why[256] = "no run has failed";

const char *urt_why(void)
{
	return why;
}

static int because(int err, const char *text)
{
	snprintf(why, sizeof(why), "%s", text);
	return err;
}

static int because_io_uring(int err)
{
	int disabled = 0;
	FILE *f = fopen("/proc/sys/kernel/io_uring_disabled", "re");

	if (f) {
		if (fscanf(f, "%d", &disabled) != 1)
			disabled = 0;
		fclose(f);
	}
	if (err == -ENOSYS)
		return because(err, "this kernel has no io_uring (Linux 6.1 or "
				    "later is needed)");
	if (err == -EPERM && disabled)
		return because(err, "io_uring is switched off: as root, run "
				    "`sysctl kernel.io_uring_disabled=0`");
	if (err == -EPERM || err == -EACCES)
		return because(err,
			       "io_uring is forbidden here, probably by a "
			       "container's seccomp profile: with Docker, run "
			       "with `--security-opt seccomp=unconfined` or a "
			       "profile that allows io_uring_*");
	if (err == -ENOMEM)
		return because(err, "io_uring_setup: out of memory, or over "
				    "the limit of locked memory (ulimit -l)");
	snprintf(why, sizeof(why), "io_uring_setup: %s", strerror(-err));
	return err;
}

/* ---- stack overflow ---------------------------------------------------- */

static struct sigaction old_segv;

/*
 * On the signal stack. A hit of a coroutine's guard is named; everything goes
 * on as it would have without us.
 */
static void on_segv(int sig, siginfo_t *info, void *context)
{
	size_t i;

	(void)context;
	if (urt__stack_guard_hit(&urt__rt.stacks, info->si_addr, &i)) {
		struct urt_coro *c = urt__coro_at(i);

		urt__print("uring_rt: coroutine stack overflow: coroutine "
			   "%llu, started with function %p, stack of %zu "
			   "bytes (urt_options.stack_size)\n",
			   (unsigned long long)c->id, (void *)(uintptr_t)c->fn,
			   (size_t)((char *)c - (char *)c->stack_lowest));
	}
	sigaction(sig, &old_segv, NULL);
	if (info->si_code <= 0) /* sent by someone: it will not come again */
		raise(sig);
}

/* The old signal stack goes to *old. NULL: no memory; then no report. */
static void *signal_stack_enter(stack_t *old)
{
	stack_t ss = { .ss_size = SIGNAL_STACK_SIZE };
	struct sigaction sa = { .sa_sigaction = on_segv,
				.sa_flags = SA_SIGINFO | SA_ONSTACK };

	ss.ss_sp = malloc(SIGNAL_STACK_SIZE);
	if (!ss.ss_sp)
		return NULL;
	sigaltstack(&ss, old);
	sigaction(SIGSEGV, &sa, &old_segv);
	return ss.ss_sp;
}

static void signal_stack_leave(void *stack, const stack_t *old)
{
	if (!stack)
		return;
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaltstack(old, NULL);
	free(stack);
}

/* ---- deadlock ---------------------------------------------------------- */

static void print_coroutine(const struct urt_coro *c)
{
	Dl_info info;
	void *fn = (void *)(uintptr_t)c->fn;

	if (dladdr(fn, &info) && info.dli_sname)
		urt__print("coroutine %llu [%s]: started with %s\n",
			   (unsigned long long)c->id, reason_names[c->reason],
			   info.dli_sname);
	else
		urt__print("coroutine %llu [%s]: started with %p\n",
			   (unsigned long long)c->id, reason_names[c->reason],
			   fn);
}

#define REPORT_MAX 100

static void deadlock(void)
{
	unsigned n = 0;

	fflush(NULL);
	urt__print("uring_rt: all coroutines are asleep - deadlock\n");
	for (size_t i = 0; i < urt__rt.stacks.used; i++) {
		struct urt_coro *c = urt__coro_at(i);

		if (c->reason == URT__R_FREE || c->reason == URT__R_DEAD)
			continue;
		if (n++ < REPORT_MAX)
			print_coroutine(c);
	}
	if (n > REPORT_MAX)
		urt__print("... and %u more\n", n - REPORT_MAX);
	_exit(2);
}

/* ---- run --------------------------------------------------------------- */

struct run {
	struct urt__worker worker;
	struct urt__proc proc;
	bool stop;
	urt_fn *fn;
	void *arg;
};

static void first(void *arg)
{
	struct run *run = arg;

	run->fn(run->arg);
	urt__stop(urt__worker());
}

static int check_options(struct urt_options *o)
{
	if (!o->workers)
		o->workers = 1;
	if (!o->stack_size)
		o->stack_size = STACK_DEFAULT;
	if (!o->max_coroutines)
		o->max_coroutines = COROUTINES_DEFAULT;
	if (!o->ring_entries)
		o->ring_entries = RING_ENTRIES_DEFAULT;
	if (o->workers != 1)
		return because(-EINVAL, "urt_options.workers: 1 is all that "
					"this version can do");
	if (o->stack_size < STACK_MIN)
		return because(-EINVAL,
			       "urt_options.stack_size: at least 16384 bytes");
	if (o->ring_entries > RING_ENTRIES_MAX)
		return because(-EINVAL,
			       "urt_options.ring_entries: at most 4096");
	return 0;
}

static int features(unsigned *f)
{
	const char *bad;

	if (!urt__features_wanted(f, &bad))
		return 0;
	snprintf(why, sizeof(why),
		 "URT_FEATURES: no such feature at \"%s\"; write "
		 "-name,-name with names from `urt doctor`",
		 bad);
	return -EINVAL;
}

/*
 * A forked child has no runtime: its ring would be the parent's (and is not
 * mapped in it), so its calls return -EPERM, until it starts a run of its own.
 */
static void forget_in_child(void)
{
	urt__tls_worker = NULL;
	atomic_store(&running, false);
}

static int run_on_this_thread(struct run *run)
{
	stack_t old_stack;
	void *stack = signal_stack_enter(&old_stack);
	int err = -ENOMEM;

	urt__tls_worker = &run->worker;
	if (urt__spawn(&run->worker, first, run, true)) {
		urt__worker_loop(&run->worker);
		urt__ring_drain(&run->worker.ring);
		err = 0;
	}
	urt__tls_worker = NULL;
	signal_stack_leave(stack, &old_stack);
	return err;
}

static int run(struct run *run, struct urt_options *o)
{
	struct urt__runtime *rt = &urt__rt;
	unsigned f;
	int err = features(&f);

	if (err)
		return err;
	memset(rt, 0, sizeof(*rt));
	rt->deadlock = deadlock;
	rt->stats_fd = urt__stats_open(&rt->stats_page, o->workers);
	if (rt->stats_fd < 0)
		return because(rt->stats_fd, "no memory for the counters page");
	err = urt__stacks_init(&rt->stacks, o->stack_size, o->max_coroutines,
			       f & URT__F_GUARD_INSTALL);
	if (err) {
		because(err, "no address space for the stacks (ulimit -v, or "
			     "urt_options.max_coroutines)");
		goto out_stats;
	}
	err = urt__worker_init(&run->worker, &run->proc,
			       urt__stats_slot(rt->stats_page, 0),
			       o->ring_entries, f);
	if (err) {
		because_io_uring(err);
		goto out_stacks;
	}
	run->worker.stop = &run->stop;
	err = run_on_this_thread(run);
	if (err)
		because(err, "no memory for the first coroutine");
	urt__worker_destroy(&run->worker);
out_stacks:
	urt__stacks_destroy(&rt->stacks);
out_stats:
	urt__stats_close(rt->stats_page, rt->stats_fd);
	return err;
}

static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, forget_in_child);
}

int urt_run_with(urt_fn *fn, void *arg, const struct urt_options *options)
{
	struct urt_options o = options ? *options : (struct urt_options){ 0 };
	struct run *r;
	int err = check_options(&o);

	static pthread_once_t once = PTHREAD_ONCE_INIT;

	if (err)
		return err;
	pthread_once(&once, watch_forks);
	if (atomic_exchange(&running, true))
		return because(-EBUSY, "a run is going on in this process");
	err = -ENOMEM;
	r = aligned_alloc(URT__CACHELINE, sizeof(*r));
	if (r) {
		r->stop = false;
		r->fn = fn;
		r->arg = arg;
		err = run(r, &o);
		free(r);
	} else {
		because(err, "out of memory");
	}
	atomic_store(&running, false);
	return err;
}

int urt_run(urt_fn *fn, void *arg)
{
	return urt_run_with(fn, arg, NULL);
}
