// SPDX-License-Identifier: MIT
/*
 * Blocking calls that io_uring has no operation for, on a bounded pool of
 * threads (libuv's way, and tokio's).
 *
 * A job lies on its coroutine's stack. The coroutine parks; a thread of the
 * pool takes the job, runs it and readies the coroutine by the global queue.
 * Detached jobs are on the heap, and no coroutine waits for them here.
 *
 * A job that no thread has begun can be taken back, at the deadline or
 * cancellation of its coroutine (uv_cancel). One that has begun cannot: the
 * kernel or a library may use the coroutine's memory. So a coroutine waits in
 * state JOB, which a timer or a canceller may claim, until a thread takes the
 * job out of the queue: that turns the wait into the next one, a firm one that
 * only the thread ends (urt__wait_harden). Both are a compare-and-swap of the
 * park word, also where the run has one processor and other claims are plain
 * stores, because the thread holds no processor.
 *
 * Invariants:
 *   J1 a job is in the queue, or being run, or its coroutine has continued: it
 *   enters the queue under the lock, which is released when the coroutine has
 *   parked (as an object's lock, this one is held across the switch), and
 *   leaves the queue under the lock; J2 after a thread has taken a job out, it
 *   touches the job only if it won the claim; J3 a coroutine whose wait was
 *   ended takes the lock before it continues, so that its job is then neither
 *   queued nor held by a thread.
 *
 * The pool grows by one thread when there are as many jobs as idle threads, up
 * to the bound; beyond that jobs queue. A thread is started before its job is
 * queued, so that the caller gets the error if none can be started. A thread
 * that has been idle for IDLE_NS ends, unless a job is announced by then: its
 * caller has been told that there is a thread.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "../sched/context.h"
#include "pool.h"
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#undef errno

#define IDLE_S 5

struct job {
	struct job *next, *prev; /* in the queue */
	bool queued;		 /* it is there */
	int64_t (*fn)(void *);
	void *arg;
	int64_t result;
	struct urt_coro *coro; /* NULL: detached, and these two unused */
	uint64_t seq;	       /* of its wait; of the firm one, once begun */
	void (*dropped)(void *arg); /* of a detached one; see pool.h */
};

/* All but the futexes under the lock, which is never held while a job runs. */
static struct {
	uint32_t lock;
	_Atomic uint32_t work; /* futex: a job came, or the end */
	_Atomic uint32_t gone; /* futex: a thread has ended */
	struct job *head, *tail;
	unsigned queued; /* jobs in the queue, or about to be */
	unsigned threads, idle, max;
	bool closing;
} pool;

/* False: no job came for that long. */
static bool futex_wait(_Atomic uint32_t *word, uint32_t seen, time_t seconds)
{
	struct timespec ts = { .tv_sec = seconds };

	return !syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen,
			seconds ? &ts : NULL, NULL, 0) ||
	       *urt_errno_location() != ETIMEDOUT;
}

static void futex_wake(_Atomic uint32_t *word, int n)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

/* ---- the queue, with the lock held ---- */

static void push(struct job *job)
{
	job->next = NULL;
	job->prev = pool.tail;
	if (pool.tail)
		pool.tail->next = job;
	else
		pool.head = job;
	pool.tail = job;
	job->queued = true;
	atomic_fetch_add_explicit(&pool.work, 1, memory_order_relaxed);
}

static void unlink_job(struct job *job)
{
	if (job->prev)
		job->prev->next = job->next;
	else
		pool.head = job->next;
	if (job->next)
		job->next->prev = job->prev;
	else
		pool.tail = job->prev;
	job->queued = false;
	pool.queued--;
}

/* Begins and returns the oldest job whose coroutine still waits for it. */
static struct job *take(void)
{
	struct job *job;

	while ((job = pool.head)) {
		unlink_job(job);
		if (!job->coro || urt__wait_harden(job->coro, &job->seq))
			return job;
	}
	return NULL;
}

/* ---- a thread ---- */

/* From urt__ready on, the coroutine may continue, and job may be gone. Order:
 * `blocking` prevents a deadlock report until the coroutine is queued. */
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

/* False: no job came for that long, or the run ends. */
static bool wait_for_work(void)
{
	bool in_time = true;

	while (!pool.head && !pool.closing && (in_time || pool.queued)) {
		/* With the lock, so that no later job is missed. */
		uint32_t seen = atomic_load(&pool.work);

		pool.idle++;
		urt__unlock(&pool.lock);
		in_time = futex_wait(&pool.work, seen, IDLE_S);
		urt__lock(&pool.lock);
		pool.idle--;
	}
	return pool.head;
}

static void *thread_main(void *arg)
{
	struct urt_context *volatile *context = urt__context_slot();
	int64_t result;
	struct job *job;

	(void)arg;
	urt__lock(&pool.lock);
	do {
		while ((job = take())) {
			urt__unlock(&pool.lock);
			/* Works for the coroutine, which stays where it is. */
			*context = job->coro ? job->coro->context : NULL;
			result = job->fn(job->arg);
			*context = NULL;
			finish(job, result);
			urt__lock(&pool.lock);
		}
	} while (wait_for_work());
	pool.threads--;
	atomic_fetch_add(&pool.gone, 1);
	urt__unlock(&pool.lock);
	futex_wake(&pool.gone, INT_MAX);
	return NULL;
}

/* Signals are the program's own threads' business. */
static bool start_thread(void)
{
	pthread_attr_t attr;
	pthread_t t;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = urt__sys_thread(&t, &attr, thread_main, NULL);
	pthread_attr_destroy(&attr);
	return !err;
}

/* ---- giving it a job ---- */

/*
 * Announces a job, and ensures that a thread will take it, now or later. Call
 * push_locked or not_wanted next. -EAGAIN: there is no thread at all. Until then
 * no thread ends, so that one is there at the push.
 */
static int want_thread(void)
{
	bool grow, none = false;

	urt__lock(&pool.lock);
	grow = pool.queued >= pool.idle && pool.threads < pool.max;
	pool.threads += grow;
	pool.queued++;
	urt__unlock(&pool.lock);
	if (!grow || start_thread())
		return 0;
	urt__lock(&pool.lock);
	none = !--pool.threads;
	pool.queued -= none;
	urt__unlock(&pool.lock);
	return none ? -EAGAIN : 0;
}

static void not_wanted(void)
{
	urt__lock(&pool.lock);
	pool.queued--;
	urt__unlock(&pool.lock);
}

/* Returns with the lock held. */
static void push_locked(struct job *job)
{
	urt__lock(&pool.lock);
	URT_BUG_ON(!pool.threads);
	push(job);
}

static void unlock_and_wake(void)
{
	bool wake = pool.idle;

	urt__unlock(&pool.lock);
	if (wake)
		futex_wake(&pool.work, 1);
}

/* The coroutine is parked by now. */
static void commit_job(struct urt__worker *w, void *arg)
{
	(void)w;
	(void)arg;
	unlock_and_wake();
}

/* Its wait was ended; a thread may have noticed that. */
static void take_back(struct job *job)
{
	urt__lock(&pool.lock);
	if (job->queued)
		unlink_job(job);
	urt__unlock(&pool.lock);
}

static int64_t run_job(struct urt__worker *w, struct job *job)
{
	int err;

	urt__count(w->stats, URT__STAT_BLOCKING);
	atomic_fetch_add(&urt__rt.blocking, 1);
	push_locked(job);
	err = urt__park(w, URT__R_BLOCKING, URT__JOB, commit_job, NULL);
	if (!err)
		return job->result;
	take_back(job);
	atomic_fetch_sub(&urt__rt.blocking, 1);
	return err;
}

int64_t urt_blocking_until(int64_t (*fn)(void *), void *arg,
			   int64_t deadline_ns)
{
	struct job job = { .fn = fn, .arg = arg };
	struct urt__worker *w = urt__enter(true);
	int64_t ret;

	if (!w)
		return fn(arg);
	job.coro = w->current;
	ret = want_thread();
	if (!ret) {
		ret = urt__wait_begin(w, 0, deadline_ns, &job.seq);
		if (ret)
			not_wanted();
		else
			ret = run_job(w, &job);
	}
	urt__leave();
	return ret;
}

int64_t urt_blocking(int64_t (*fn)(void *), void *arg)
{
	return urt_blocking_until(fn, arg, URT_NEVER);
}

/* ---- detached jobs ---- */

int urt__blocking_start(int64_t (*fn)(void *), void *arg,
			void (*dropped)(void *))
{
	struct urt__worker *w = urt__enter(false);
	struct job *job;
	int err;

	if (!w)
		return -EPERM;
	job = urt__sys_alloc(sizeof(*job));
	err = job ? want_thread() : -ENOMEM;
	if (!err) {
		*job = (struct job){ .fn = fn, .arg = arg, .dropped = dropped };
		urt__count(w->stats, URT__STAT_BLOCKING);
		push_locked(job);
		unlock_and_wake();
	} else {
		free(job);
	}
	urt__leave();
	return err;
}

static void drop(struct job *job)
{
	job->dropped(job->arg);
	free(job);
}

void urt__blocking_stop(void *arg)
{
	struct job *job;

	urt__lock(&pool.lock);
	for (job = pool.head; job; job = job->next)
		if (!job->coro && job->arg == arg)
			break;
	if (job)
		unlink_job(job);
	urt__unlock(&pool.lock);
	if (job)
		drop(job);
}

/* ---- start and end of a run ---- */

void urt__blocking_open(unsigned max)
{
	pool.max = max;
	pool.closing = false;
}

/* Drops jobs that no thread has begun (their coroutines never continue), and
 * waits for those that run, since they use their coroutine's stack. */
void urt__blocking_close(void)
{
	struct job *job;
	uint32_t seen;
	bool all;

	urt__lock(&pool.lock);
	pool.closing = true;
	while ((job = take())) {
		urt__unlock(&pool.lock);
		if (!job->coro)
			drop(job);
		urt__lock(&pool.lock);
	}
	pool.queued = 0;
	atomic_fetch_add(&pool.work, 1);
	urt__unlock(&pool.lock);
	futex_wake(&pool.work, INT_MAX);
	do {
		seen = atomic_load(&pool.gone);
		urt__lock(&pool.lock);
		all = !pool.threads;
		urt__unlock(&pool.lock);
		if (!all)
			futex_wait(&pool.gone, seen, 0);
	} while (!all);
}

unsigned urt__blocking_threads(void)
{
	unsigned n;

	urt__lock(&pool.lock);
	n = pool.threads;
	urt__unlock(&pool.lock);
	return n;
}

void urt__blocking_forget(void)
{
	pool.lock = 0;
	pool.threads = pool.idle = pool.queued = 0;
	pool.head = pool.tail = NULL;
}
