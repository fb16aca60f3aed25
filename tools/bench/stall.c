// SPDX-License-Identifier: MIT
/*
 * `urt bench stall`: the matrix of load/messages.h. Messages with and without a
 * loop are reported apart: an event loop delays both alike, a scheduler that
 * preempts can favour either.
 */
#define _GNU_SOURCE
#include "../load/messages.h"
#include "bench.h"
#include <errno.h>

#define WARM_NS (300 * NS_PER_MS)
#define FOR_NS	(1500 * NS_PER_MS)

static int stall(const struct target *t, const struct bench *b, double *figures)
{
	static struct messages_result r;
	struct messages_plan p = {
		.port = t->port,
		.not_on_cpu = t->cpu,
		.warm_ns = WARM_NS,
		.ns = FOR_NS,
		.stop = t->stop,
	};
	const struct histogram *of[] = { &r.plain, &r.loop };
	int err = messages_stall(&stall_cases[b->with], &p, t->workers, &r);

	*figures++ = r.rate;
	for (int i = 0; i < 2; i++) {
		*figures++ = histogram_percentile(of[i], 0.5);
		*figures++ = histogram_percentile(of[i], 0.99);
		*figures++ = histogram_percentile(of[i], 0.999);
		*figures++ = of[i]->max;
	}
	return err;
}

#define LATE(what)                                        \
	{                                                 \
		.name = what, .unit = "us", .scale = 1e-3 \
	}
#define FIGURES                                                               \
	{                                                                     \
		{ .name = "answers",                                          \
		  .unit = "1/s",                                              \
		  .scale = 1,                                                 \
		  .more = true },                                             \
			LATE("without: p50"), LATE("without: p99"),           \
			LATE("without: p99.9"), LATE("without: max"),         \
			LATE("with a loop: p50"), LATE("with a loop: p99"),   \
			LATE("with a loop: p99.9"), LATE("with a loop: max"), \
	}

/* By the index of its case. */
#define STALL(title, nth)                                           \
	{                                                           \
		.name = title, .figures = FIGURES, .client = stall, \
		.with = nth, .epoll = true                          \
	}

const struct bench bench_stall[] = {
	STALL("stall-64-1ms", 0),
	STALL("stall-64-100us", 1),
	STALL("stall-160-1ms", 2),
	STALL("stall-160-100us", 3),
	{ 0 },
};
