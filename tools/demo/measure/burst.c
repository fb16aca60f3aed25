// SPDX-License-Identifier: MIT
/*
 * Light requests during a burst of CPU (claim 6): an open loop of `/` at a low
 * rate, and once a second, on a connection of its own, a request that burns 200
 * ms. The server has one CPU, so the only difference is whether it runs other
 * requests meanwhile. The loop is open, because a closed one would send nothing
 * while the server is frozen, and so not measure that.
 */
#include "stage.h"
#include <string.h>

#define LIGHT_PER_S	  1000
#define LIGHT_CONNECTIONS 32
#define BURST_PATH	  "/cpu?ms=200"
#define BURST_EVERY_NS	  NS_PER_S
/* The first burst is due a fifth of a period after the connections are open. */
#define WARM_UP_NS (100 * NS_PER_MS)

/* Runs for the time of this number of bursts, with or without making them. */
static void record(struct stage *s, struct demo_burst *b, bool bursts)
{
	int64_t begin = now_ns(), cpu = stage_cpu_ns(s->load);

	__atomic_store_n(&s->shared->recording, 1, __ATOMIC_RELAXED);
	stage_wait(s, s->lab->demo->options.bursts * BURST_EVERY_NS);
	/* If other programs use the CPUs, a burst may take longer than the
	 * experiment. */
	if (!bursts || stage_wait_longer(s, &s->shared->bursts, 0))
		stage_wait_longer(s, &s->shared->latency.count, 0);
	__atomic_store_n(&s->shared->recording, 0, __ATOMIC_RELAXED);
	if (!bursts) {
		b->without = s->shared->latency;
		return;
	}
	b->load_cpu =
		(double)(stage_cpu_ns(s->load) - cpu) / (now_ns() - begin);
	b->latency = s->shared->latency;
	memcpy(b->phase, s->shared->phase, sizeof(b->phase));
	b->errors = s->shared->errors;
	b->bursts = s->shared->bursts;
	b->burst_ns =
		b->bursts ? s->shared->burst_sum_ns / (double)b->bursts : 0;
}

static void measure(struct lab *lab, struct demo_burst *b, bool bursts)
{
	struct load_options o = { .path = "/",
				  .connections = LIGHT_CONNECTIONS,
				  .rate = LIGHT_PER_S,
				  .burst_path = bursts ? BURST_PATH : NULL,
				  .burst_every_ns = BURST_EVERY_NS };
	struct stage s;

	if (stage_begin(&s, lab, &b->outcome, b->model,
			lab->demo->server_cpu)) {
		stage_load(&s, &o);
		if (stage_connected(&s) && stage_wait(&s, WARM_UP_NS))
			record(&s, b, bursts);
	}
	stage_end(&s);
}

void demo_measure_burst(struct lab *lab, struct demo_burst *b)
{
	if (demo_has_bounds(lab->demo))
		measure(lab, b, false);
	if (!demo_has_bounds(lab->demo) || demo_ok(&b->outcome))
		measure(lab, b, true);
	if (demo_ok(&b->outcome) && (!b->latency.count || !b->bursts))
		stage_failed(&b->outcome, "no %s was answered",
			     b->bursts ? "light request" : "burst");
	if (demo_stop)
		b->outcome.status = DEMO_NOT_RUN;
}
