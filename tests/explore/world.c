// SPDX-License-Identifier: MIT
/* A run for scenarios; see world.h. */
#include "world.h"
#include "../../uring_rt/base/sys.h"
#include "../../uring_rt/wait/fds.h"
#include "kernel.h"
#include <string.h>
#undef errno

#define STACK_SIZE (64u * 1024)

static _Atomic unsigned nr_done;

bool world_other_threads, world_no_slots;

static bool other_threads(void)
{
	return world_other_threads;
}

static void deadlock(void)
{
	explore_fail("the runtime reports a deadlock");
}

static void ended(struct urt_coro *c)
{
	urt__coro_ended(c);
}

static bool may_preempt(void)
{
	return true;
}

static void no_monitor(void)
{
}

static void stacks(unsigned max)
{
	struct urt__runtime *rt = &urt__rt;

	rt->max_coroutines = max;
	rt->stack_size[0] = STACK_SIZE;
	for (unsigned i = 1; i < URT__CLASSES; i++)
		rt->stack_size[i] = STACK_SIZE << i;
	k_stack_stride = STACK_SIZE + 16 * 1024;
	CHECK(!urt__stacks_init(&rt->stacks[0], STACK_SIZE, max, true));
}

static void worker(unsigned i, struct urt__proc *p)
{
	struct urt__worker *w = urt__sys_alloc_lines(sizeof(*w));

	CHECK(!urt__worker_init(w, i, p));
	w->tid = i;
	urt__rt.worker[i] = w;
	urt__rt.nr_workers = i + 1;
	explore_name(w, sizeof(*w), "worker %u", i);
}

void world(unsigned procs, unsigned spares)
{
	struct urt__runtime *rt = &urt__rt;
	int fd;

	memset(rt, 0, sizeof(*rt));
	rt->stats_fd = rt->trace_fd = -1;
	rt->other_threads = other_threads;
	rt->deadlock = deadlock;
	rt->coro_ended = ended;
	rt->monitor_wake = rt->widen = no_monitor;
	rt->may_preempt = may_preempt;
	rt->features = URT__FEATURES_ALL;
	rt->ring_entries = 8;
	rt->membarrier = true;
	rt->nr_procs = procs;
	urt__shared = procs > 1;
	stacks(8);
	CHECK(!urt__stats_open(&rt->stats_page, &rt->stats_fd,
			       world_no_slots ? 1 : procs + spares + 1));
	CHECK(!urt__trace_open(&rt->trace, &fd, 1 + procs + spares,
			       urt__reason_names, URT__R_COUNT));
	CHECK(!urt__fds_open(NULL, 0));
	for (unsigned i = 0; i < procs; i++) {
		rt->proc[i] = urt__proc_new(i);
		explore_name(rt->proc[i], sizeof(*rt->proc[i]), "processor %u",
			     i);
	}
	for (unsigned i = 0; i < procs + spares; i++)
		worker(i, i < procs ? rt->proc[i] : NULL);
}

struct urt_coro *world_coro(unsigned worker, urt_fn *fn, void *arg)
{
	struct urt__worker *w = urt__rt.worker[worker];
	struct urt__spawn s = { .fn = fn,
				.arg = arg,
				.deadline_ns = URT_NEVER,
				.detached = false };
	struct urt_coro *c = urt__spawn(w, &s);

	CHECK(c);
	urt__ready_new(w, c);
	explore_name(c, sizeof(*c), "coroutine %u", (unsigned)c->number);
	return c;
}

static void loop(unsigned i)
{
	urt__tls_worker = urt__rt.worker[i];
	k_take_signals();
	urt__worker_loop(urt__tls_worker);
}

void world_worker_0(void)
{
	loop(0);
}

void world_worker_1(void)
{
	loop(1);
}

void world_worker_2(void)
{
	loop(2);
}

void world_done(unsigned n)
{
	if (atomic_fetch_add(&nr_done, 1) + 1 < n)
		return;
	urt__enter(false);
	urt__stop();
	urt__leave();
}

unsigned urt__locks_held(void);
unsigned urt__locks_held(void)
{
	return 0;
}
