// SPDX-License-Identifier: MIT
/* The ring of events, which a reader copies while it is written (base/trace.h). */
#include "../../uring_rt/base/trace.h"
#include "explore.h"

#define EVENTS 2u

static struct urt__trace_page *page;

static void small_page(void)
{
	page = explore_alloc(urt__trace_size(1, EVENTS));
	urt__trace_init(page, 1, EVENTS);
	explore_name(page, urt__trace_size(1, EVENTS), "page");
}

static void writes(void)
{
	for (uint64_t i = 1; i <= 3; i++) {
		struct urt__trace_event e = { .ns = i, .coro = i, .arg = i };

		urt__trace_write(page, 0, &e);
	}
}

static void reads(void)
{
	struct urt__trace_event e[EVENTS];
	struct urt__trace_shape shape = urt__trace_shape(page);
	uint64_t tail = 0, lost = 0;

	for (int i = 0; i < 2; i++) {
		unsigned n = urt__trace_read(page, &shape, 0, &tail, e, EVENTS,
					     &lost);

		for (unsigned j = 0; j < n; j++) {
			CHECK(e[j].ns == (int64_t)e[j].coro);
			CHECK(e[j].coro == e[j].arg && e[j].arg);
			CHECK(e[j].coro == tail - n + j + 1);
		}
		CHECK(lost <= tail);
	}
}

SCENARIO(trace_read_against_write,
	 "An event that is read is whole, and has its number.",
	 .setup = small_page, .thread = { writes, reads });
