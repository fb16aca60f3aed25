// SPDX-License-Identifier: MIT
/* Processors and workers: how they begin and end. */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "context.h"
#include "sched.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RING_TRIES   40 /* a second in all, with the pauses below */
#define RING_MIN     32 /* entries */
#define PATIENT_WITH 4	/* tries with the requested number of entries */

struct urt__proc *urt__proc_new(unsigned index)
{
	struct urt__proc *p = urt__sys_alloc_lines(sizeof(*p));

	if (!p)
		return NULL;
	memset(p, 0, sizeof(*p));
	urt__timers_init(&p->timers, urt__timer_live, urt__timer_fire,
			 urt__timer_soon);
	p->last_id = (uint64_t)index << 48;
	return p;
}

void urt__proc_free(struct urt__proc *p)
{
	if (p)
		urt__timers_destroy(&p->timers);
	free(p);
}

/* Sets its counters up. 0 or -ENOMEM. See tell_counts in idle.c. */
static int slot_init(struct urt__worker *w)
{
	if (w->index + 1 < urt__rt.stats_page->slots) {
		w->stats = urt__stats_slot(urt__rt.stats_page, w->index);
		return 0;
	}
	w->own_stats = urt__sys_alloc_lines(2 * sizeof(*w->own_stats));
	if (!w->own_stats)
		return -ENOMEM;
	memset(w->own_stats, 0, 2 * sizeof(*w->own_stats));
	w->stats = w->own_stats;
	return 0;
}

static void thread_is(struct urt__worker *w, int tid)
{
	atomic_store_explicit(&w->tid, tid, memory_order_relaxed);
	__atomic_store_n(&w->stats->tid, tid, __ATOMIC_RELAXED);
}

static_assert(offsetof(struct urt__ring, sq_khead) == 0 &&
		      offsetof(struct urt__ring, sq_ktail) == sizeof(void *),
	      "where struct urt__word says");

/* For a BPF program; see struct urt__word. */
static void tell_word(struct urt__worker *w)
{
	w->stats->word = (uintptr_t)&w->word;
	w->stats->word_tls =
		(char *)&urt__tls_worker - (char *)__builtin_thread_pointer();
}

void urt__worker_settle(struct urt__worker *w)
{
	w->context = urt__context_slot();
	urt__exceptions_enter(w);
	thread_is(w, gettid());
	tell_word(w);
	urt__san_thread(&w->loop_san);
	urt__ring_settle(&w->ring);
}

void urt__worker_leave(struct urt__worker *w)
{
	thread_is(w, 0);
	urt__ring_leave(&w->ring);
}

/*
 * A ring counts as locked memory of the user, and the kernel uncharges it some
 * time after the ring was closed: so a run right after another one may fail for
 * a moment. This tries again for a while, then with a smaller ring.
 */
static int ring_open(struct urt__worker *w, unsigned entries, bool patient)
{
	for (unsigned i = 0;; i++) {
		struct timespec pause = { 0, 1000000 << (i < 5 ? i : 5) };
		int err = urt__ring_init(&w->ring, entries, urt__rt.features,
					 w->stats);

		if (err != -ENOMEM || !patient || i == RING_TRIES)
			return err;
		nanosleep(&pause, NULL);
		if (i >= PATIENT_WITH && entries > RING_MIN)
			entries /= 2;
	}
}

int urt__worker_init(struct urt__worker *w, unsigned index, struct urt__proc *p)
{
	unsigned entries = urt__rt.ring_entries;
	int err;

	memset(w, 0, sizeof(*w));
	w->index = w->word.index = index;
	w->word.ring = offsetof(struct urt__worker, ring);
	w->proc = p;
	w->state = p ? URT__W_RUNNING : URT__W_DETACHED;
	w->word.where = URT__IN;
	w->random = 2463534242u + index * 668265263u;
	err = slot_init(w);
	if (err)
		return err;
	urt__trace_look(w);
	w->context = urt__context_slot();
	urt__exceptions_enter(w);
	thread_is(w, gettid());
	tell_word(w);
	urt__san_thread(&w->loop_san);
	if (!p && entries > URT__SPARE_RING)
		entries = URT__SPARE_RING;
	err = ring_open(w, entries, p);
	if (err) {
		free(w->own_stats);
		return err;
	}
	err = urt__ring_register(&w->ring, urt__rt.files, urt__rt.nr_files,
				 urt__rt.buffers, urt__rt.nr_buffers);
	w->registered = !err;
	if (!err || !p)
		return 0; /* a spare does not need them */
	urt__worker_destroy(w);
	return err;
}

void urt__worker_destroy(struct urt__worker *w)
{
	urt__ring_destroy(&w->ring);
	free(w->own_stats);
}

void urt__stop(void)
{
	unsigned n;

	atomic_store(&urt__rt.stop, true);
	n = atomic_load(&urt__rt.nr_workers);
	for (unsigned i = 0; i < n; i++) {
		struct urt__worker *w = atomic_load(&urt__rt.worker[i]);

		atomic_fetch_or(&w->word.attention, URT__ATT_YIELD);
		urt__ring_kick(&w->ring);
	}
	if (atomic_load(&urt__rt.monitor_asleep))
		urt__rt.monitor_wake();
}
