// SPDX-License-Identifier: MIT
/*
 * Start and stop of a run.
 *
 * The workers' threads are in threads.c. Rings are destroyed, with the control
 * blocks of the workers, only when all threads have ended, since until then any
 * of them may kick any other.
 *
 * The end: urt__rt.stop is set and all workers are kicked. Loops return at
 * their next look, coroutines that enter the runtime leave forever, the monitor
 * continues preempting those that compute. Each worker cancels and reaps the
 * requests in flight in its ring before its thread ends. Then these end, in the
 * order in which nothing uses them any more: the helper, the monitor, plain
 * threads' requests, the thread pool's jobs, rings, stacks.
 */
#define _GNU_SOURCE
#include "../wait/io.h"
#include "../wait/fds.h"
#include "../wait/lend.h"
#include "../wait/pool.h"
#include "../wait/thread.h"
#include "../base/sys.h"
#include "../net/signal.h"
#include "../sched/context.h"
#include "watch.h"
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#undef errno

static atomic_bool running;

/* Closes a descriptor that was opened for a coroutine which the run's end
 * stopped before it learnt the number. */
static void close_opened(struct urt_coro *c, void *arg)
{
	(void)arg;
	if (c->opening)
		urt__io_close_opened(c);
}

static void workers_free(void)
{
	for (unsigned i = 0; i < urt__rt.nr_workers; i++) {
		if (urt__rt.worker[i]->registered)
			urt__ring_unregister(&urt__rt.worker[i]->ring);
		urt__worker_destroy(urt__rt.worker[i]);
	}
	urt__lend_close();
	for (unsigned i = 0; i < urt__rt.nr_workers; i++)
		free(urt__rt.worker[i]);
	for (unsigned i = 0; i < urt__rt.nr_procs; i++)
		urt__proc_free(urt__rt.proc[i]);
}

static void coro_ended(struct urt_coro *c)
{
	urt__coro_ended(c);
	if (!(c->at_end & URT__END_RUN))
		return;
	urt__stop();
	urt__abandon(urt__worker());
}

static void pages_close(void)
{
	if (!urt__rt.stats_page)
		return;
	urt__trace_close(urt__rt.trace, urt__rt.trace_fd);
	urt__stats_close(urt__rt.stats_page, urt__rt.stats_fd);
	urt__rt.stats_page = NULL;
}

/*
 * In a forked child: gives up the descriptors and reservations of the parent's
 * run. Stacks that were in use stay: the child may run on one, and read any.
 */
static void run_forget(void)
{
	for (unsigned i = 0; i < urt__rt.nr_workers; i++)
		urt__ring_forget(&urt__rt.worker[i]->ring);
	for (unsigned i = 0; i < URT__CLASSES; i++)
		urt__stacks_forget(&urt__rt.stacks[i]);
	urt__fds_close();
	pages_close();
}

/*
 * A forked child has no runtime: the rings are the parent's and are not mapped
 * in the child. So its calls return -EPERM until it starts a run of its own.
 */
static void forget_in_child(void)
{
	if (atomic_exchange(&running, false)) {
		urt__signals_forget();
		urt__report_close();
		urt__preempt_close();
		run_forget();
	}
	urt__tls_worker = NULL;
	urt__shared = false;
	urt__monitor_forget();
	urt__behalf_forget();
	urt__blocking_forget();
	urt__lend_forget();
	urt__trace_forget();
	urt__context_forget();
	urt__threads_forget();
}

static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, forget_in_child);
}

/* Files and buffers that every ring registers, also those of later workers. */
static int keep_registered(const struct urt_options *o)
{
	size_t files = o->nr_files * sizeof(*o->files);
	size_t buffers = o->nr_buffers * sizeof(*o->buffers);

	urt__rt.files = urt__sys_alloc(files + !files);
	urt__rt.buffers = urt__sys_alloc(buffers + !buffers);
	if (!urt__rt.files || !urt__rt.buffers)
		return urt__because(-ENOMEM, "out of memory");
	if (files)
		memcpy(urt__rt.files, o->files, files);
	if (buffers)
		memcpy(urt__rt.buffers, o->buffers, buffers);
	urt__rt.nr_files = o->nr_files;
	urt__rt.nr_buffers = o->nr_buffers;
	return 0;
}

static void runtime_init(const struct urt_options *o, unsigned f)
{
	struct urt__runtime *rt = &urt__rt;
	size_t end = offsetof(struct urt__runtime, nr_workers);

	/* Most of it are slots of workers that never existed. */
	memset(rt->worker, 0, rt->nr_workers * sizeof(*rt->worker));
	memset(rt, 0, offsetof(struct urt__runtime, worker));
	memset((char *)rt + end, 0, sizeof(*rt) - end);
	rt->stats_fd = rt->trace_fd = -1;
	rt->other_threads = urt__report_other_threads;
	rt->deadlock = urt__report_deadlock;
	rt->stack_left = urt__report_stack_left;
	rt->coro_ended = coro_ended;
	rt->may_preempt = urt__may_preempt;
	rt->widen = urt__helper_widen;
	rt->features = f;
	rt->ring_entries = o->ring_entries;
	rt->max_coroutines = o->max_coroutines;
	rt->nr_procs = o->workers;
	rt->stack_size[0] = o->stack_size;
	for (unsigned i = 1; i < URT__CLASSES; i++)
		rt->stack_size[i] = (size_t)URT__STACK_MIN << 2 * (i - 1);
	rt->membarrier =
		f & URT__F_MEMBARRIER &&
		!urt__sys_membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
	urt__shared = o->workers > 1;
	urt__exceptions_open();
	urt__check_open();
	urt__spares_reset();
}

static int procs_new(void)
{
	for (unsigned i = 0; i < urt__rt.nr_procs; i++) {
		urt__rt.proc[i] = urt__proc_new(i);
		if (!urt__rt.proc[i])
			return urt__because(-ENOMEM, "out of memory");
	}
	return 0;
}

/* Runs the first coroutine until it returns. */
static int run_first(const struct urt__spawn *s)
{
	struct urt__worker *w = urt__worker();
	struct urt_coro *c = urt__spawn(w, s);

	if (!c)
		return urt__because(-ENOMEM,
				    "no memory for the first coroutine");
	c->parent = 0;
	c->at_end |= URT__END_RUN;
	urt__ready_new(w, c);
	urt__worker_loop(w);
	return 0;
}

/* Starts and ends all threads of a run; frees workers and processors. */
static int run_workers(const struct urt__spawn *first,
		       const struct urt_options *o)
{
	int err = procs_new();

	if (err)
		goto out_procs;
	err = urt__threads_start();
	if (err)
		goto out_workers;
	err = urt__helper_start();
	if (err) {
		urt__because_thread(err, "the monitor's helper");
		goto out_workers;
	}
	err = urt__monitor_start();
	if (err) {
		urt__because_thread(err, "the monitor");
		urt__helper_stop();
		goto out_workers;
	}
	urt__stats_send(urt__rt.stats_fd);
	urt__report_know_threads();
	urt__blocking_open(o->max_blocking);
	urt__behalf_open();
	err = run_first(first);
	if (err)
		urt__stop();
	urt__threads_join();
	urt__helper_stop();
	urt__monitor_stop();
	urt__threads_join(); /* a spare that was made meanwhile */
	urt__behalf_close(); /* before the jobs, which may wait for that */
	urt__blocking_close();
	if (urt__debug.leak)
		urt__report_leaks();
out_workers:
	urt__stop();
	urt__threads_join();
	if (urt__worker())
		urt__worker_end(urt__worker());
	urt__coro_each(close_opened, NULL);
out_procs:
	workers_free();
	return err;
}

/* Pages that other processes read. */
static int pages_open(const struct urt_options *o)
{
	struct urt__runtime *rt = &urt__rt;
	unsigned workers = o->workers + URT__SLOTS_MAX;
	int err;

	err = urt__stats_open(&rt->stats_page, &rt->stats_fd, workers);
	if (err)
		return err == -EMFILE
			       ? urt__because(err, "too many open descriptors "
						   "(ulimit -n)")
			       : urt__because_space(err, "the counters page");
	err = urt__trace_open(&rt->trace, &rt->trace_fd, 1 + workers,
			      urt__reason_names, URT__R_COUNT);
	urt__outside_fill(urt__stats_outside(rt->stats_page));
	if (!err)
		return 0;
	urt__stats_close(rt->stats_page, rt->stats_fd);
	return urt__because_space(err, "the trace rings");
}

/* For coroutines that did not finish. */
static void drop_context(struct urt_coro *c, void *arg)
{
	(void)arg;
	if (c->context)
		urt__context_drop(c);
}

static int run(const struct urt__spawn *first, const struct urt_options *o)
{
	struct urt__runtime *rt = &urt__rt;
	unsigned f;
	int err = urt__options_features(&f);

	if (err || (err = urt__options_debug()) ||
	    (err = urt__options_switches()))
		return err;
	runtime_init(o, f);
	err = pages_open(o);
	if (err)
		return err;
	err = urt__stacks_init(&rt->stacks[0], o->stack_size, o->max_coroutines,
			       f & URT__F_GUARD_INSTALL);
	if (err) {
		urt__because_space(err, "the stacks");
		goto out_pages;
	}
	if (rt->stacks[0].max < o->max_coroutines)
		urt__because_fewer(rt->stacks[0].max, o->max_coroutines);
	err = urt__fds_open(o->files, o->nr_files);
	if (err) {
		urt__because_space(err, "the table of descriptors");
		goto out_stacks;
	}
	err = keep_registered(o);
	if (err)
		goto out_fds;
	urt__preempt_open();
	urt__threads_unblock();
	urt__report_open();
	err = run_workers(first, o);
	if (rt->contexts)
		urt__coro_each(drop_context, NULL);
	urt__signals_close();
	urt__report_close();
	urt__preempt_close();
	urt__threads_restore();
out_fds:
	free(rt->files);
	free(rt->buffers);
	urt__fds_close();
out_stacks:
	for (unsigned i = 0; i < URT__CLASSES; i++)
		urt__stacks_destroy(&rt->stacks[i]);
out_pages:
	pages_close();
	return err;
}

int urt_run_with(urt_fn *fn, void *arg, const struct urt_options *options)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct urt_options o = options ? *options : (struct urt_options){ 0 };
	struct urt__spawn first = {
		.fn = fn, .arg = arg, .deadline_ns = URT_NEVER, .detached = true
	};
	int err = urt__options_check(&o), cancel_state;

	if (err)
		return err;
	pthread_once(&once, watch_forks);
	if (atomic_exchange(&running, true))
		return urt__because(-EBUSY,
				    "a run is going on in this process");
	/* The end of the thread would end all coroutines that it runs. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	err = run(&first, &o);
	urt__shared = false;
	atomic_store(&running, false);
	pthread_setcancelstate(cancel_state, NULL);
	return err;
}

int urt_run(urt_fn *fn, void *arg)
{
	return urt_run_with(fn, arg, NULL);
}
