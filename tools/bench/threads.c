// SPDX-License-Identifier: MIT
/* The micro-benchmarks in POSIX threads; see micro.c. */
#define _GNU_SOURCE
#include "bench.h"
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

static void *thread_yielder(void *arg)
{
	for (long i = 0; i < *(long *)arg; i++)
		sched_yield();
	return NULL;
}

double thread_yield(long n)
{
	long each = n / 2;
	pthread_t t;

	pthread_create(&t, NULL, thread_yielder, &each);
	thread_yielder(&each);
	pthread_join(t, NULL);
	return 2 * each;
}

static void *thread_nothing(void *arg)
{
	return arg;
}

double thread_spawn_join(long n)
{
	for (long i = 0; i < n; i++) {
		pthread_t t;

		pthread_create(&t, NULL, thread_nothing, NULL);
		pthread_join(t, NULL);
	}
	return n;
}

struct pipes {
	int to[2], from[2];
};

static void *thread_ponger(void *arg)
{
	struct pipes *p = arg;
	int64_t v;

	while (read(p->to[0], &v, 8) == 8 && write(p->from[1], &v, 8) == 8)
		;
	return NULL;
}

double thread_pingpong(long n)
{
	struct pipes p;
	pthread_t t;
	int64_t v = 0;

	if (pipe(p.to) || pipe(p.from))
		return 0;
	pthread_create(&t, NULL, thread_ponger, &p);
	for (long i = 0; i < n; i++)
		if (write(p.to[1], &v, 8) != 8 || read(p.from[0], &v, 8) != 8)
			break;
	close(p.to[1]);
	pthread_join(t, NULL);
	return n;
}

static void *thread_locker(void *arg)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

	for (long i = 0; i < *(long *)arg; i++) {
		pthread_mutex_lock(&mutex);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

double thread_mutex(long n)
{
	long each = n / 64;
	pthread_t t[64];

	for (int i = 0; i < 64; i++)
		pthread_create(&t[i], NULL, thread_locker, &each);
	for (int i = 0; i < 64; i++)
		pthread_join(t[i], NULL);
	return each * 64;
}
