// SPDX-License-Identifier: MIT
/*
 * The workers' threads. The caller of urt_run is the first worker; the others
 * are threads of their own, one for each further processor, one spare, and
 * later spares that the monitor asks for (spares.c). A thread that is no longer
 * needed ends; its worker, with its ring, is then vacant until another thread
 * is needed.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "watch.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#undef errno

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over these: */
static pthread_t threads[URT__WORKERS_MAX]; /* of all but the first */
static bool joined[URT__WORKERS_MAX];	    /* its thread is joined, and
					       there is no new one */
static unsigned nr_joined;
static bool no_thread;	      /* the last birth failed for want of a thread */
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

/* Runs on the worker's own thread, which the ring is then bound to. */
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

/* Runs on a thread that replaces one that has ended. */
static void worker_begin_again(struct urt__worker *w)
{
	urt__worker_settle(w);
	urt__signal_stack_enter(w);
	urt__tls_worker = w;
	urt__check_enter(w);
	atomic_store(&w->state, URT__W_DETACHED);
}

static void mask_own(int how, sigset_t *old)
{
	sigset_t own;

	sigemptyset(&own);
	sigaddset(&own, SIGURG);
	pthread_sigmask(how, &own, old);
}

void urt__worker_end(struct urt__worker *w)
{
	bool retires = !atomic_load(&urt__rt.stop);

	if (!retires)
		urt__ring_drain(&w->ring);
	if (!retires && w->registered)
		urt__ring_unregister(&w->ring);
	urt__worker_leave(w);
	urt__signal_stack_leave(w);
	urt__check_leave();
	if (w->index) /* a late signal must not reach the program's handler */
		mask_own(SIG_BLOCK, NULL);
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
	urt__worker_end(w);
	return NULL;
}

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

	pthread_mutex_lock(&lock);
	if (!atomic_load(&urt__rt.stop)) {
		w = urt__vacant_take();
		err = w ? worker_add_again(w) : worker_add(NULL);
	}
	pthread_mutex_unlock(&lock);
	return err;
}

/* The next thread that is not joined yet; worker 0's is the calling thread. */
static bool next_thread(pthread_t *t)
{
	bool more;

	pthread_mutex_lock(&lock);
	if (!nr_joined)
		nr_joined = 1;
	while (joined[nr_joined])
		joined[nr_joined++] = false;
	more = nr_joined < atomic_load(&urt__rt.nr_workers);
	if (more)
		*t = threads[nr_joined++];
	pthread_mutex_unlock(&lock);
	return more;
}

void urt__threads_join(void)
{
	pthread_t t;

	while (next_thread(&t))
		pthread_join(t, NULL);
}

int urt__threads_start(void)
{
	struct urt__worker *w = urt__sys_alloc_lines(sizeof(*w));
	int err = w ? worker_begin(w, 0, urt__rt.proc[0]) : -ENOMEM;

	nr_joined = 0;
	if (err) {
		free(w);
		return urt__because_ring(err);
	}
	pthread_mutex_lock(&lock);
	no_thread = false;
	if (urt__rt.features & URT__F_OPTIONAL_OPS)
		urt__rt.ops = urt__ring_ops(&w->ring);
	for (unsigned i = 1; i < urt__rt.nr_procs && !err; i++)
		err = worker_add(urt__rt.proc[i]);
	pthread_mutex_unlock(&lock);
	if (err)
		return no_thread ? urt__because_thread(err, "a worker")
				 : urt__because_ring(err);
	urt__spare_add();
	return 0;
}

void urt__threads_unblock(void)
{
	mask_own(SIG_UNBLOCK, &callers_mask);
	workers_mask = callers_mask;
	sigdelset(&workers_mask, SIGURG);
}

void urt__threads_restore(void)
{
	if (sigismember(&callers_mask, SIGURG))
		mask_own(SIG_BLOCK, NULL);
}

void urt__threads_forget(void)
{
	pthread_mutex_init(&lock, NULL);
}
