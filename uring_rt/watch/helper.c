// SPDX-License-Identifier: MIT
/*
 * The monitor's helper: a thread for work that may have to wait for memory, or
 * for the kernel.
 *
 * Making a thread takes malloc's locks and, a dozen times, the lock of the
 * address space; giving memory back takes the latter, too. Other threads may
 * hold that lock for long: an mmap of 256 MB with MAP_POPULATE holds it for 100
 * ms. If the monitor waited for it, no thread would serve the rings of blocked
 * threads meanwhile. So the monitor asks the helper for both, and goes on.
 * Workers ask it for more room for descriptors, which takes 20 ms (wait/fds.c).
 * The helper has the monitor look again when a spare is ready or memory has been
 * given back.
 *
 * The helper sleeps unless it is asked for something.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "../wait/fds.h"
#include "watch.h"
#include <pthread.h>
#include <semaphore.h>

static pthread_t thread;
static sem_t asked;
static atomic_bool ending;
static atomic_bool descriptors; /* more room for them is asked for */
static atomic_uint spares;	/* to be made; 0: all are made */
static _Atomic int64_t tidy_ns; /* when memory can be given back next;
				   INT64_MAX: it is being given back */

void urt__helper_make(unsigned n)
{
	atomic_store(&spares, n);
	sem_post(&asked);
}

bool urt__helper_makes(void)
{
	return atomic_load(&spares);
}

int64_t urt__helper_tidy(int64_t now_ns)
{
	int64_t at_ns;

	if (urt__pool_is_empty())
		return INT64_MAX;
	at_ns = atomic_load(&tidy_ns);
	if (now_ns < at_ns)
		return at_ns;
	atomic_store(&tidy_ns, INT64_MAX);
	sem_post(&asked);
	return INT64_MAX;
}

void urt__helper_widen(void)
{
	atomic_store(&descriptors, true);
	sem_post(&asked);
}

static void *helper_main(void *arg)
{
	(void)arg;
	for (;;) {
		while (sem_wait(&asked))
			;
		if (atomic_load(&ending))
			return NULL;
		if (atomic_load(&spares)) {
			urt__spares_make(atomic_load(&spares));
			atomic_store(&spares, 0);
		}
		if (atomic_exchange(&descriptors, false))
			urt__fds_widen();
		if (atomic_load(&tidy_ns) == INT64_MAX) {
			atomic_store(&tidy_ns, urt__pool_tidy(urt__clock_ns()));
			urt__monitor_look();
		}
	}
}

int urt__helper_start(void)
{
	atomic_store(&ending, false);
	atomic_store(&descriptors, false);
	atomic_store(&spares, 0);
	atomic_store(&tidy_ns, 0);
	sem_init(&asked, 0, 0);
	return urt__sys_thread(&thread, NULL, helper_main, NULL);
}

void urt__helper_stop(void)
{
	atomic_store(&ending, true);
	sem_post(&asked);
	pthread_join(thread, NULL);
}
