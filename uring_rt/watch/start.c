// SPDX-License-Identifier: MIT
/*
 * Start and stop of a run.
 *
 * The calling thread is the first worker; the others are threads of their own,
 * one for each further processor, one spare, and later spares that the monitor
 * asks for. A thread that is no longer needed ends; its worker, ring and all,
 * is vacant then until another thread is needed. Rings are destroyed, with the
 * control blocks of the workers, only when all threads have ended, since until
 * then any of them may kick any other.
 *
 * The end: urt__rt.stop is set and all are kicked. Loops return at their next
 * look, coroutines that enter the runtime leave forever, the monitor continues
 * preempting those that compute. Each worker cancels and reaps what is in
 * flight in its ring before its thread ends. Then, in this order, nothing uses
 * them any more: the monitor, the thread pool's jobs, plain threads' requests,
 * rings, stacks.
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
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#undef errno

static atomic_bool running;

/* ---- workers ----------------------------------------------------------- */

static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t threads[URT__WORKERS_MAX]; /* of all but the first */
static bool joined[URT__WORKERS_MAX];	    /* it has ended, and no more */
static unsigned nr_joined;
static sigset_t callers_mask; /* of urt_run's caller */
static sigset_t workers_mask; /* the same, less the runtime's own signal */

struct birth {
	struct urt__worker *worker;
	unsigned index;
	bool again; /* the worker has had a thread before */
	struct urt__proc *proc;
	sem_t ready;
	int err;
};

/* On its own thread, which will be the ring's. */
static int worker_begin(struct urt__worker *w, unsigned index,
			struct urt__proc *p)
{
	int err = urt__worker_init(w, index, p);

	if (err)
		return err;
	urt__signal_stack_enter(w);
	urt__tls_worker = w;
	urt__check_enter(w);
	atomic_store(&urt__rt.worker[index], w);
	atomic_store(&urt__rt.nr_workers, index + 1);
	if (atomic_load(&urt__rt.contexts)) /* listed before: see context.c */
		__atomic_fetch_or(&w->tracing, URT__TELL_CONTEXT,
				  __ATOMIC_SEQ_CST);
	return 0;
}

/* On a thread that takes the place of one that has ended. */
static void worker_begin_again(struct urt__worker *w)
{
	urt__worker_settle(w);
	urt__signal_stack_enter(w);
	urt__tls_worker = w;
	urt__check_enter(w);
	atomic_store(&w->state, URT__W_DETACHED);
}

static void worker_end(struct urt__worker *w)
{
	bool retires = !atomic_load(&urt__rt.stop);

	if (!retires)
		urt__ring_drain(&w->ring);
	if (!retires && w->registered)
		urt__ring_unregister(&w->ring);
	urt__worker_leave(w);
	urt__signal_stack_leave(w);
	urt__check_leave();
	urt__tls_worker = NULL;
	urt__worker_vacate(w);
}

static void *worker_main(void *arg)
{
	struct birth *b = arg;
	struct urt__worker *w = b->worker;

	pthread_sigmask(SIG_SETMASK, &workers_mask, NULL);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	if (b->again)
		worker_begin_again(w);
	else
		b->err = worker_begin(w, b->index, b->proc);
	if (b->err) {
		sem_post(&b->ready);
		return NULL;
	}
	sem_post(&b->ready);
	urt__worker_loop(w);
	worker_end(w);
	return NULL;
}

/* The last birth failed because no thread could be created; threads_lock. */
static bool no_thread;

/* Makes the thread and waits until it has begun. */
static int birth(struct birth *b, pthread_t *t)
{
	int err;

	sem_init(&b->ready, 0, 0);
	err = urt__sys_thread(t, NULL, worker_main, b);
	no_thread = err;
	if (!err) {
		while (sem_wait(&b->ready))
			;
		err = b->err;
		if (err)
			pthread_join(*t, NULL);
	}
	sem_destroy(&b->ready);
	return err;
}

static int worker_add(struct urt__proc *p)
{
	struct birth b = { .index = atomic_load(&urt__rt.nr_workers),
			   .proc = p };
	pthread_t t;
	int err;

	if (b.index == urt__rt.nr_procs + URT__SPARES_MAX)
		return -EUSERS;
	b.worker = urt__sys_alloc_lines(sizeof(*b.worker));
	if (!b.worker)
		return -ENOMEM;
	err = birth(&b, &t);
	if (!err)
		threads[b.index] = t;
	else
		free(b.worker);
	return err;
}

/* For a worker whose thread has ended; it is vacant again if no thread can be
 * created. */
static int worker_add_again(struct urt__worker *w)
{
	struct birth b = { .worker = w, .index = w->index, .again = true };
	pthread_t t;
	int err;

	if (!joined[w->index])
		pthread_join(threads[w->index], NULL);
	err = birth(&b, &t);
	joined[w->index] = err;
	if (err)
		urt__worker_vacate(w);
	else
		threads[w->index] = t;
	return err;
}

int urt__worker_add(void)
{
	struct urt__worker *w;
	int err = -ECANCELED;

	pthread_mutex_lock(&threads_lock);
	if (!atomic_load(&urt__rt.stop)) {
		w = urt__vacant_take();
		err = w ? worker_add_again(w) : worker_add(NULL);
	}
	pthread_mutex_unlock(&threads_lock);
	return err;
}

/* The next one that is not joined yet; the first is the calling thread. */
static bool next_thread(pthread_t *t)
{
	bool more;

	pthread_mutex_lock(&threads_lock);
	if (!nr_joined)
		nr_joined = 1;
	while (joined[nr_joined])
		joined[nr_joined++] = false;
	more = nr_joined < atomic_load(&urt__rt.nr_workers);
	if (more)
		*t = threads[nr_joined++];
	pthread_mutex_unlock(&threads_lock);
	return more;
}

static void join_threads(void)
{
	pthread_t t;

	while (next_thread(&t))
		pthread_join(t, NULL);
}

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

/* ---- run --------------------------------------------------------------- */

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
 * run. Stacks stay, as far as they were in use: the child may run on one, and
 * look at any.
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
 * A forked child has no runtime: its ring would be the parent's (and is not
 * mapped in it), so its calls return -EPERM, until it starts a run of its own.
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
	pthread_mutex_init(&threads_lock, NULL);
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

	/* Most of it are places of workers that there never were. */
	memset(rt->worker, 0, rt->nr_workers * sizeof(*rt->worker));
	memset(rt, 0, offsetof(struct urt__runtime, worker));
	memset((char *)rt + end, 0, sizeof(*rt) - end);
	rt->stats_fd = rt->trace_fd = -1;
	rt->other_threads = urt__report_other_threads;
	rt->deadlock = urt__report_deadlock;
	rt->stack_left = urt__report_stack_left;
	rt->coro_ended = coro_ended;
	rt->may_preempt = urt__may_preempt;
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
	nr_joined = 0;
	urt__spares_reset();
}

/* The program may have blocked all signals, to wait for them in a thread. */
static void unblock_signals(void)
{
	sigset_t own;

	sigemptyset(&own);
	sigaddset(&own, SIGURG);
	pthread_sigmask(SIG_UNBLOCK, &own, &callers_mask);
	workers_mask = callers_mask;
	sigdelset(&workers_mask, SIGURG);
}

static void restore_signals(void)
{
	sigset_t own;

	sigemptyset(&own);
	sigaddset(&own, SIGURG);
	if (sigismember(&callers_mask, SIGURG))
		pthread_sigmask(SIG_BLOCK, &own, NULL);
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

/* The calling thread's worker, then those of other threads. */
static int workers_new(void)
{
	struct urt__worker *w = urt__sys_alloc_lines(sizeof(*w));
	int err = w ? worker_begin(w, 0, urt__rt.proc[0]) : -ENOMEM;

	if (err) {
		free(w);
		return urt__because_ring(err);
	}
	pthread_mutex_lock(&threads_lock);
	no_thread = false;
	if (urt__rt.features & URT__F_OPTIONAL_OPS)
		urt__rt.ops = urt__ring_ops(&w->ring);
	for (unsigned i = 1; i < urt__rt.nr_procs && !err; i++)
		err = worker_add(urt__rt.proc[i]);
	pthread_mutex_unlock(&threads_lock);
	if (err)
		return no_thread ? urt__because_thread(err, "a worker")
				 : urt__because_ring(err);
	urt__spare_add();
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

/* Frees all except the objects that the workers use. */
static int run_workers(const struct urt__spawn *first,
		       const struct urt_options *o)
{
	int err = procs_new();

	if (err)
		goto out_procs;
	err = workers_new();
	if (err)
		goto out_workers;
	err = urt__monitor_start();
	if (err) {
		urt__because_thread(err, "the monitor");
		goto out_workers;
	}
	urt__report_know_threads();
	urt__blocking_open(o->max_blocking);
	urt__behalf_open();
	err = run_first(first);
	if (err)
		urt__stop();
	join_threads();
	urt__monitor_stop();
	join_threads();	     /* one that it made meanwhile */
	urt__behalf_close(); /* first: a job may wait for it */
	urt__blocking_close();
	if (urt__debug.leak)
		urt__report_leaks();
out_workers:
	urt__stop();
	join_threads();
	if (urt__worker())
		worker_end(urt__worker());
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

/* Of a run that did not finish. */
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

	if (err || (err = urt__options_debug()))
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
	unblock_signals();
	urt__report_open();
	err = run_workers(first, o);
	if (rt->contexts)
		urt__coro_each(drop_context, NULL);
	urt__signals_close();
	urt__report_close();
	urt__preempt_close();
	restore_signals();
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
	/* The thread's end would be that of all that it runs. */
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
