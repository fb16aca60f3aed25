// SPDX-License-Identifier: MIT
/*
 * Plain threads that use the runtime: see thread.h. The request lies on the
 * thread's stack, is posted to the workers, and a coroutine carries it out; the
 * thread sleeps on a futex meanwhile.
 *
 * Invariant: a request is on the list from before it is posted until it is done
 * or the run ends, so that the end of the run finds all that wait. Workers have
 * stopped by then, so no thread touches a request that is given up.
 */
#define _GNU_SOURCE
#include "thread.h"
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#undef errno

struct request {
	struct urt__post post;
	int64_t (*fn)(void *);
	void *arg;
	int64_t result;
	_Atomic uint32_t done;	     /* futex */
	struct request *next, *prev; /* lock */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_open;
static struct request *requests;

static void list_remove(struct request *r)
{
	if (r->prev)
		r->prev->next = r->next;
	else
		requests = r->next;
	if (r->next)
		r->next->prev = r->prev;
}

/* The thread may return at once, so r is not touched after done is set; the
 * futex call on memory that has been reused causes a spurious wake-up at
 * worst. */
static void finish(struct request *r, int64_t result)
{
	_Atomic uint32_t *done = &r->done;

	list_remove(r);
	r->result = result;
	atomic_store_explicit(done, 1, memory_order_release);
	syscall(SYS_futex, done, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL,
		0);
}

static void carry_out(void *arg)
{
	struct request *r = arg;
	int64_t result = r->fn(r->arg);

	pthread_mutex_lock(&lock);
	finish(r, result);
	pthread_mutex_unlock(&lock);
}

static void could_not(struct urt__post *p)
{
	pthread_mutex_lock(&lock);
	finish(urt__container_of(p, struct request, post), -EAGAIN);
	pthread_mutex_unlock(&lock);
}

int64_t urt__behalf(int64_t (*fn)(void *), void *arg)
{
	struct request r = { .fn = fn, .arg = arg };

	r.post.fn = carry_out;
	r.post.arg = &r;
	r.post.failed = could_not;
	pthread_mutex_lock(&lock);
	if (!is_open) {
		pthread_mutex_unlock(&lock);
		return -EPERM;
	}
	r.next = requests;
	if (r.next)
		r.next->prev = &r;
	requests = &r;
	urt__post(&r.post); /* under the lock: the run cannot end meanwhile */
	pthread_mutex_unlock(&lock);
	while (!atomic_load_explicit(&r.done, memory_order_acquire))
		syscall(SYS_futex, &r.done, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0,
			NULL, NULL, 0);
	return r.result;
}

void urt__behalf_open(void)
{
	pthread_mutex_lock(&lock);
	is_open = true;
	pthread_mutex_unlock(&lock);
}

void urt__behalf_close(void)
{
	pthread_mutex_lock(&lock);
	is_open = false;
	while (requests)
		finish(requests, -ECANCELED);
	pthread_mutex_unlock(&lock);
}

void urt__behalf_forget(void)
{
	is_open = false;
	requests = NULL;
	pthread_mutex_init(&lock, NULL);
}
