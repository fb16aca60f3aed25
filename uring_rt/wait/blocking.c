// SPDX-License-Identifier: MIT
/*
 * Blocking calls that io_uring has no operation for, on a bounded pool of
 * threads (libuv's way, and tokio's).
 *
 * A job lies on its coroutine's stack. The coroutine parks; a pool thread takes
 * the job, runs it and readies the coroutine by the global queue. The kernel or
 * a library may use the coroutine's memory while it runs, so the wait is firm:
 * no deadline and no cancellation ends it. Detached jobs are on the heap, and
 * nobody waits for them here.
 *
 * The pool grows by one thread when there are as many jobs as idle threads, up
 * to the bound; beyond that jobs queue. A thread that has been idle for IDLE_NS ends. All
 * under one mutex, which is never held while a job runs.
 *
 * The park is published before the job is: by the commit, on the context that
 * runs next.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "../sched/context.h"
#include "wait.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#undef errno

#define IDLE_NS 5000000000

struct job {
	struct job *next;
	int64_t (*fn)(void *);
	void *arg;
	int64_t result;
	struct urt_coro *coro; /* NULL: detached, and these two unused */
	uint64_t seq;
	void (*dropped)(void *arg); /* of a detached one; see wait.h */
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t work;  /* a job, or the end */
	pthread_cond_t ended; /* threads became 0 */
	struct job *head, *tail;
	unsigned queued; /* jobs that nobody has begun */
	unsigned threads, idle, max;
	bool closing;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The coroutine may go on, and job be gone, from urt__ready on. Order:
 * `blocking` keeps the deadlock report away until it is queued. */
static void finish(struct job *job, int64_t result)
{
	struct urt_coro *c = job->coro;

	if (!c) {
		free(job);
		return;
	}
	job->result = result;
	URT_BUG_ON(!urt__claim(c, job->seq));
	urt__ready(c);
	atomic_fetch_sub(&urt__rt.blocking, 1);
}

static struct job *take(void)
{
	struct job *job = pool.head;

	if (!job)
		return NULL;
	pool.queued--;
	pool.head = job->next;
	if (!pool.head)
		pool.tail = NULL;
	return job;
}

/* False: nothing came for so long. With the lock held. */
static bool wait_for_work(void)
{
	struct timespec ts;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += IDLE_NS / 1000000000;
	pool.idle++;
	while (!pool.head && !pool.closing && !err)
		err = pthread_cond_timedwait(&pool.work, &pool.lock, &ts);
	pool.idle--;
	return pool.head;
}

/* The coroutine, and with it its context, stays where it is meanwhile. */
static void *thread_main(void *arg)
{
	struct urt_context *volatile *context = urt__context_slot();
	struct job *job;
	int64_t result;

	(void)arg;
	pthread_mutex_lock(&pool.lock);
	do {
		while ((job = take())) {
			pthread_mutex_unlock(&pool.lock);
			*context = job->coro ? job->coro->context : NULL;
			result = job->fn(job->arg);
			*context = NULL;
			finish(job, result);
			pthread_mutex_lock(&pool.lock);
		}
	} while (wait_for_work());
	if (!--pool.threads)
		pthread_cond_broadcast(&pool.ended);
	pthread_mutex_unlock(&pool.lock);
	return NULL;
}

/* With the lock held. No thread at all is the caller's to handle. Signals are
 * the program's own threads' business. */
static void grow(void)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (!urt__sys_thread(&t, &attr, thread_main, NULL))
		pool.threads++;
	pthread_attr_destroy(&attr);
}

/* False: there is no thread, not even one. */
static bool enqueue(struct job *job)
{
	bool queued;

	pthread_mutex_lock(&pool.lock);
	if (pool.queued >= pool.idle && pool.threads < pool.max)
		grow();
	queued = pool.threads;
	if (queued) {
		job->next = NULL;
		if (pool.tail)
			pool.tail->next = job;
		else
			pool.head = job;
		pool.tail = job;
		pool.queued++;
		pthread_cond_signal(&pool.work);
	}
	pthread_mutex_unlock(&pool.lock);
	return queued;
}

/* The coroutine is parked by now. */
static void commit_job(struct urt__worker *w, void *arg)
{
	(void)w;
	if (!enqueue(arg))
		finish(arg, -EAGAIN);
}

int64_t urt_blocking(int64_t (*fn)(void *), void *arg)
{
	struct job job = { .fn = fn, .arg = arg };
	struct urt__worker *w = urt__enter(true);

	if (!w)
		return fn(arg);
	job.coro = w->current;
	urt__wait_begin(w, URT__FIRM, URT_NEVER, &job.seq);
	urt__count(w->stats, URT__STAT_BLOCKING);
	atomic_fetch_add(&urt__rt.blocking, 1);
	urt__park(w, URT__R_BLOCKING, URT__WAITING, commit_job, &job);
	urt__leave();
	return job.result;
}

int urt__blocking_start(int64_t (*fn)(void *), void *arg,
			void (*dropped)(void *))
{
	struct urt__worker *w = urt__enter(false);
	struct job *job;
	int err = 0;

	if (!w)
		return -EPERM;
	job = urt__sys_alloc(sizeof(*job));
	if (job) {
		*job = (struct job){ .fn = fn, .arg = arg, .dropped = dropped };
		urt__count(w->stats, URT__STAT_BLOCKING);
	}
	if (!job || !enqueue(job)) {
		err = job ? -EAGAIN : -ENOMEM;
		free(job);
	}
	urt__leave();
	return err;
}

void urt__blocking_open(unsigned max)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&pool.work, &attr);
	pthread_cond_init(&pool.ended, &attr);
	pthread_condattr_destroy(&attr);
	pool.max = max;
	pool.closing = false;
}

/* Jobs that nobody has begun are dropped: their coroutines never go on. Those
 * that are running are waited for, since they use their coroutine's stack. */
void urt__blocking_close(void)
{
	struct job *job;

	pthread_mutex_lock(&pool.lock);
	while ((job = take())) {
		if (job->coro)
			continue;
		job->dropped(job->arg);
		free(job);
	}
	pool.closing = true;
	pthread_cond_broadcast(&pool.work);
	while (pool.threads)
		pthread_cond_wait(&pool.ended, &pool.lock);
	pthread_mutex_unlock(&pool.lock);
	pthread_cond_destroy(&pool.work);
	pthread_cond_destroy(&pool.ended);
}

unsigned urt__blocking_threads(void)
{
	unsigned n;

	pthread_mutex_lock(&pool.lock);
	n = pool.threads;
	pthread_mutex_unlock(&pool.lock);
	return n;
}

void urt__blocking_forget(void)
{
	pthread_mutex_init(&pool.lock, NULL);
	pool.threads = pool.idle = pool.queued = 0;
	pool.head = pool.tail = NULL;
}
