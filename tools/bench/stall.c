// SPDX-License-Identifier: MIT
/*
 * `urt bench stall`: the matrix of ClickHouse/silk (its docs/work-stealing.md).
 * Some messages carry a busy loop, at moments that are a Poisson process for
 * each connection, and the rest want to be answered meanwhile. The load is
 * what the loops alone would take of the server's CPUs if all came in time:
 *
 *	connections x loops a second and connection x length / CPUs
 *
 * Below 1 (64 %) the question is who waits behind a loop, above it (160 %)
 * what becomes of the messages without one. They are reported apart: an event
 * loop delays both alike, a scheduler that preempts can favour either.
 * Connections are counted per CPU, as there: 64 of them, or 16 above 1.
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
		.connections = b->with * t->workers,
		.threads = t->workers,
		.not_on_cpu = t->cpu,
		.warm_ns = WARM_NS,
		.ns = FOR_NS,
		.loop_hz = b->loop.hz,
		.loop_ns = b->loop.ns,
		.stop = t->stop,
	};
	const struct histogram *of[] = { &r.plain, &r.loop };
	int err = messages_load(&p, &r);

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

#define STALL(title, connections, ns, hz)                              \
	{                                                              \
		.name = title, .figures = FIGURES, .client = stall,    \
		.with = connections, .loop = { ns, hz }, .epoll = true \
	}

const struct bench bench_stall[] = {
	STALL("stall-64-1ms", 64, 1000000, 10),
	STALL("stall-64-100us", 64, 100000, 100),
	STALL("stall-160-1ms", 16, 1000000, 100),
	STALL("stall-160-100us", 16, 100000, 1000),
	{ 0 },
};
