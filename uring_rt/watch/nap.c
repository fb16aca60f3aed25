// SPDX-License-Identifier: MIT
/*
 * Threads without a processor that compute: they take turns.
 *
 * A thread that may not be stopped (safe.c), or that lost its processor because
 * it blocked, continues without one. With many such threads, the kernel would
 * share the CPUs among them and the workers. So if more of them compute than
 * there are processors, and coroutines wait for a processor, or a worker for a
 * CPU, the handler of the signal (preempt.c) makes its thread nap, for so long,
 * up to NAP_MAX_NS, that on average no more of them compute at a time than there
 * are processors. If nobody waits, a nap would only leave CPUs idle. A thread
 * may hold a library's lock during a nap; but without naps, among as many
 * threads, it would have no CPU for as long.
 *
 * The monitor counts these threads (urt__astray). The count may be old: it only
 * changes how long a nap is.
 *
 * Invariant: a nap delays neither the last report nor the end of a run. It
 * waits for parked_signal to leave 0, so a request to freeze prevents or ends
 * it; and once a run ends, each look of the monitor wakes the thread
 * (urt__preempt_signal).
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "watch.h"
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#define USED_MAX_NS 10000000 /* of CPU, between two naps */
#define NAP_MAX_NS  500000000
#define LATE_NS	    50000 /* after its time, a sleeper lacks a CPU */

_Atomic unsigned urt__astray;

/* Whether the worker has been woken, or its timers are due, and its thread has
 * not run since. */
static bool lacks_cpu(const struct urt__worker *w, int64_t now_ns)
{
	if (atomic_load_explicit(&w->word.where, memory_order_relaxed) !=
	    URT__ASLEEP)
		return false;
	switch (atomic_load(&w->state)) {
	case URT__W_RUNNING:
		return true;
	case URT__W_SLEEPING:
		return urt__ring_stranded(&w->ring) ||
		       now_ns - atomic_load_explicit(&w->until_ns,
						     memory_order_relaxed) >
			       LATE_NS;
	default:
		return false;
	}
}

/* Whether coroutines wait for a processor, or a processor for a CPU. */
static bool others_wait(int64_t now_ns)
{
	unsigned n = atomic_load(&urt__rt.nr_workers);

	if (urt__some_wait())
		return true;
	for (unsigned i = 0; i < urt__rt.nr_procs; i++)
		if (urt__runq_len(&urt__rt.proc[i]->runq))
			return true;
	for (unsigned i = 0; i < n; i++)
		if (lacks_cpu(atomic_load(&urt__rt.worker[i]), now_ns))
			return true;
	return false;
}

void urt__nap(struct urt__worker *w)
{
	unsigned n = atomic_load_explicit(&urt__astray, memory_order_relaxed);
	int64_t now_ns = urt__clock_ns(), cpu_ns = urt__worker_cpu_ns(w);
	int64_t used_ns = cpu_ns - w->napped_cpu_ns, ns;
	struct timespec ts;

	w->napped_cpu_ns = cpu_ns;
	atomic_store_explicit(&w->astray_ns, now_ns, memory_order_relaxed);
	if (n <= urt__rt.nr_procs || !others_wait(now_ns) ||
	    atomic_load(&urt__rt.stop))
		return;
	if (used_ns > USED_MAX_NS)
		used_ns = USED_MAX_NS;
	ns = used_ns * (n - urt__rt.nr_procs) / urt__rt.nr_procs;
	if (ns > NAP_MAX_NS)
		ns = NAP_MAX_NS;
	ts = (struct timespec){ 0, ns };
	syscall(SYS_futex, &w->parked_signal, FUTEX_WAIT | FUTEX_PRIVATE_FLAG,
		0, &ts, NULL, 0);
}
