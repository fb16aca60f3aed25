// SPDX-License-Identifier: MIT
/* See workers.h. */
#include "workers.h"
#include <time.h>

void run_on(unsigned workers, urt_fn *fn, void *arg)
{
	struct urt_options o = { .workers = workers };

	ck_assert_msg(!urt_run_with(fn, arg, &o), "%s", urt_why());
}

uint64_t counter_in(const struct urt__stats_page *p, enum urt__stat s)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < p->slots; i++)
		n += urt__counted(urt__stats_slot(p, i), s);
	return n;
}

uint64_t counter(enum urt__stat s)
{
	return counter_in(urt__rt.stats_page, s);
}

void wait_for_count(enum urt__stat s, uint64_t n)
{
	while (counter(s) < n)
		urt_sleep(MS);
}

static bool is_parked(const struct urt_coro *c, enum urt__reason reason)
{
	return atomic_load(&c->reason) == reason &&
	       urt__park_state(atomic_load(&c->park)) != URT__BUSY;
}

void until_parked(const struct urt_coro *c, enum urt__reason reason)
{
	while (!is_parked(c, reason))
		urt_yield();
}

bool was_handed_off(void)
{
	return counter(URT__STAT_HANDOFFS) || counter(URT__STAT_PREEMPTIONS);
}

int64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000 * MS + ts.tv_nsec;
}

bool can_preempt(void)
{
#if __GLIBC_PREREQ(2, 35)
	return !TSANITIZED;
#else
	return false;
#endif
}
