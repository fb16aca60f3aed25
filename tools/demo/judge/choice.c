// SPDX-License-Identifier: MIT
/*
 * "Node or Go?" in four figures, next to coroutines, and a sentence for each of
 * the article's cases. The sentence gives the ratio of the two, with its spread
 * over the rounds, or that it was measured once; if they differ by less than
 * NO_DIFFERENCE, it says that the figure decides nothing.
 */
#define _GNU_SOURCE
#include "judge.h"
#include "../../lib/tool.h"
#include <math.h>
#include <string.h>

#define NO_DIFFERENCE 1.1

static const enum model_role columns[CHOICE_MODELS] = {
	ROLE_NODE,
	ROLE_NODE_WORKERS,
	ROLE_GO,
	ROLE_COROUTINES,
};

enum { NODE, WORKERS, GO };
enum { CPU, MEMORY, BESIDE, SPEEDUP };

static double cpu_us(const struct demo *d, const struct model *m)
{
	const struct demo_row *r = demo_row(d, m, "/wait", 0);

	return r ? ROW_MEDIAN(r, cpu_ns) / 1e3 : NAN;
}

static double memory_kb(const struct demo *d, const struct model *m)
{
	const struct demo_hold *h = demo_hold(d, m, 0);

	return h ? (h->process_bytes + h->kernel_bytes) / h->waiting / 1e3
		 : NAN;
}

static double p99_ms(const struct demo *d, const struct model *m)
{
	const struct demo_burst *b = demo_burst(d, m);

	return b ? histogram_percentile(&b->latency, 0.99) / 1e6 : NAN;
}

static double speed_up(const struct demo *d, const struct model *m)
{
	return demo_speedup(demo_scale(d, m));
}

static const struct {
	const char *name;
	bool more_is_better;
	double (*value)(const struct demo *, const struct model *);
} rows[CHOICE_ROWS] = {
	[CPU] = { "CPU of a request that waits, us", false, cpu_us },
	[MEMORY] = { "memory of a request that waits, KB", false, memory_kb },
	[BESIDE] = { "p99 during CPU bursts, ms", false, p99_ms },
	[SPEEDUP] = { "CPU work on all CPUs, times one", true, speed_up },
};

/* How far the ratio of two models' CPU time differs between rounds, which are
 * interleaved; other figures are measured once. */
static void spread(const struct demo *d, unsigned row, const struct model *more,
		   const struct model *less, char *to, size_t size)
{
	const struct demo_row *m = demo_row(d, more, "/wait", 0);
	const struct demo_row *l = demo_row(d, less, "/wait", 0);
	double low = INFINITY, high = 0;
	unsigned n = 0;

	if (row == CPU && m && l)
		n = m->nr_rounds < l->nr_rounds ? m->nr_rounds : l->nr_rounds;
	for (unsigned i = 0; i < n; i++) {
		double ratio = m->round[i].cpu_ns / l->round[i].cpu_ns;

		low = fmin(low, ratio);
		high = fmax(high, ratio);
	}
	if (n > 1)
		snprintf(to, size, "%.2f to %.2f in %u rounds", low, high, n);
	else
		snprintf(to, size, "measured once");
}

/* Compares Node and Go by one figure. */
static void decide(const struct demo *d, struct demo_choice *c, unsigned row,
		   const char *case_of, const char *unit, char *to, size_t size)
{
	double node = c->row[row].value[NODE], go = c->row[row].value[GO];
	double ratio = node > go ? node / go : go / node;
	bool go_wins = (go < node) != rows[row].more_is_better;
	const struct model *more = c->model[node > go ? NODE : GO];
	const struct model *less = c->model[node > go ? GO : NODE];
	char rounds[64];

	spread(d, row, more, less, rounds, sizeof(rounds));
	if (isnan(node) || isnan(go))
		snprintf(to, size, "%s: Node and Go were not both measured.",
			 case_of);
	else if (ratio < NO_DIFFERENCE)
		snprintf(to, size,
			 "%s: either; Node %.1f and Go %.1f %s are the same "
			 "within %.0f %%.",
			 case_of, node, go, unit, (NO_DIFFERENCE - 1) * 100);
	else
		snprintf(to, size,
			 "%s: %s; %.1f %s where %s has %.1f (%.1f times; %s).",
			 case_of, go_wins ? "Go" : "Node", go_wins ? go : node,
			 unit, go_wins ? "Node" : "Go", go_wins ? node : go,
			 ratio, rounds);
}

static void add_workers(struct demo_choice *c, char *to, size_t size)
{
	double beside = c->row[BESIDE].value[WORKERS];
	double up = c->row[SPEEDUP].value[WORKERS];
	size_t len = strlen(to);

	if (isnan(beside) || isnan(up))
		return;
	snprintf(to + len, size - len,
		 " Node with the CPU work in worker threads: %.1f ms, and "
		 "%.2f times one CPU.",
		 beside, up);
}

void judge_choice(struct demo *d)
{
	struct demo_choice *c = &d->choice;
	unsigned node_or_go = 0;

	for (unsigned m = 0; m < CHOICE_MODELS; m++)
		c->model[m] = model_of(columns[m]);
	for (unsigned i = 0; i < CHOICE_ROWS; i++) {
		struct demo_choice_row *r = &c->row[i];
		double best = NAN;

		r->name = rows[i].name;
		r->more_is_better = rows[i].more_is_better;
		for (unsigned m = 0; m < CHOICE_MODELS; m++) {
			double v = rows[i].value(d, c->model[m]);

			r->value[m] = v;
			if (isnan(best) || (v < best) != r->more_is_better)
				best = isnan(v) ? best : v;
		}
		r->best = best;
		node_or_go += !isnan(r->value[NODE]) && !isnan(r->value[GO]);
	}
	c->measured = node_or_go;
	decide(d, c, CPU, "Fan-out I/O", "us of CPU for a request that waits",
	       c->sentence[0], sizeof(c->sentence[0]));
	decide(d, c, MEMORY, "Long-lived connections",
	       "KB for each, process and kernel", c->sentence[1],
	       sizeof(c->sentence[1]));
	decide(d, c, BESIDE, "Mixed CPU and I/O",
	       "ms p99 with a 200 ms burst of CPU each second", c->sentence[2],
	       sizeof(c->sentence[2]));
	add_workers(c, c->sentence[2], sizeof(c->sentence[2]));
}
