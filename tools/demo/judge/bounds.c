// SPDX-License-Identifier: MIT
/*
 * The bounds of our own model, against the same service without coroutines (the
 * raw loop on io_uring) and against epoll; `urt demo --bounds` makes the
 * measurements for them. A ratio of rates has an interval from the rounds
 * (lib/shift.h, of the logarithms); its bound holds if the interval reaches the
 * bound. The others are counts, and a percentile of 10^5 requests, which are
 * compared directly. If other programs used the CPUs, no bound is judged, since
 * a wide interval reaches any bound.
 */
#define _GNU_SOURCE
#include "judge.h"
#include "../../lib/shift.h"
#include <math.h>
#include <string.h>

#define FEW 0.01 /* switches or calls a request that count as none */

static const struct model *own(void)
{
	return model_of(ROLE_COROUTINES);
}

/* The row of GET / at full load on 64 connections. */
static const struct demo_row *full(const struct demo *d, const struct model *m)
{
	return demo_row(d, m, "/", DEMO_LOADS_CONNS);
}

/* ---- each of them ---- */

static void rate(const struct demo *d, struct demo_bound *b)
{
	const struct demo_row *raw = full(d, model_of(ROLE_RING_LOOP));
	const struct demo_row *r = full(d, own());
	double logs[2][DEMO_ROUNDS_MAX];
	struct shift s;

	if (!raw || !r)
		return;
	for (unsigned i = 0; i < raw->nr_rounds; i++)
		logs[0][i] = log(raw->round[i].rps);
	for (unsigned i = 0; i < r->nr_rounds; i++)
		logs[1][i] = log(r->round[i].rps);
	s = shift_of(logs[0], raw->nr_rounds, logs[1], r->nr_rounds);
	b->value = exp(s.shift);
	b->low = exp(s.low);
	b->high = exp(s.high);
	b->samples = r->nr_rounds;
}

static void calls_at_full_load(const struct demo *d, struct demo_bound *b)
{
	const struct demo_row *r = full(d, own());

	if (!r || !d->counted)
		return;
	b->value = ROW_MEDIAN(r, syscalls);
	b->low = INFINITY;
	b->high = -INFINITY;
	for (unsigned i = 0; i < r->nr_rounds; i++) {
		b->low = fmin(b->low, r->round[i].syscalls);
		b->high = fmax(b->high, r->round[i].syscalls);
	}
	b->samples = r->nr_rounds;
}

/* The worst ratio to epoll over the loads with the same rate for both. */
static void against_epoll(const struct demo *d, struct demo_bound *b,
			  size_t offset)
{
	b->low = INFINITY;
	for (unsigned i = 0; d->counted && i < d->options.loads->len; i++) {
		const struct demo_row *r = demo_load(d, own(), i);
		const struct demo_row *e =
			demo_load(d, model_of(ROLE_CALLBACKS), i);
		double ratio;

		if (!r || !e || r->rate != e->rate)
			continue;
		ratio = fmax(demo_median(r, offset), FEW) /
			fmax(demo_median(e, offset), FEW);
		b->value = b->samples++ ? fmax(b->value, ratio) : ratio;
		b->low = fmin(b->low, ratio);
	}
	b->high = b->value;
	if (!b->samples)
		b->low = NAN;
}

static void switches_by_load(const struct demo *d, struct demo_bound *b)
{
	against_epoll(d, b, offsetof(struct demo_sample, switches));
}

static void calls_by_load(const struct demo *d, struct demo_bound *b)
{
	against_epoll(d, b, offsetof(struct demo_sample, syscalls));
}

static void memory(const struct demo *d, struct demo_bound *b,
		   enum model_role role)
{
	const struct demo_hold *h = demo_hold(d, model_of(role), 0);

	if (!h)
		return;
	b->value = h->process_bytes / h->waiting;
	b->samples = h->waiting;
}

static void memory_with_buffer(const struct demo *d, struct demo_bound *b)
{
	memory(d, b, ROLE_COROUTINES);
}

static void memory_lent(const struct demo *d, struct demo_bound *b)
{
	memory(d, b, ROLE_LENT);
}

static void late(const struct demo *d, struct demo_bound *b)
{
	const struct demo_burst *m = demo_burst(d, own());

	if (!m || !m->without.count)
		return;
	b->value = demo_ms(&m->latency, 0.999) - demo_ms(&m->without, 0.999);
	b->samples = m->latency.count;
}

/* ---- all of them ---- */

static const struct {
	const char *name, *unit;
	void (*measure)(const struct demo *, struct demo_bound *);
	double limit;
	bool at_least;
} bounds[BOUNDS] = {
	{ "requests/s at full load, of uring-loop's", "times", rate, 0.97,
	  true },
	{ "system calls a request at full load", "", calls_at_full_load, 0.06,
	  false },
	{ "kernel switches, of epoll's, worst load", "times", switches_by_load,
	  1.05, false },
	{ "system calls, of epoll's, worst load", "times", calls_by_load, 1,
	  false },
	{ "waiting connection, process", "bytes", memory_with_buffer, 6000,
	  false },
	{ "the same, coroutine-lent", "bytes", memory_lent, 6000, false },
	{ "p99.9 during CPU bursts, above without", "ms", late, 2, false },
};

static bool is_kept(const struct demo_bound *b)
{
	if (b->at_least) /* the interval reaches it */
		return b->high >= b->limit;
	return b->value <= b->limit;
}

void judge_bounds(struct demo *d)
{
	for (unsigned i = 0; i < BOUNDS; i++) {
		struct demo_bound *b = &d->bound[i];

		*b = (struct demo_bound){ .name = bounds[i].name,
					  .unit = bounds[i].unit,
					  .limit = bounds[i].limit,
					  .at_least = bounds[i].at_least,
					  .value = NAN,
					  .low = NAN,
					  .high = NAN };
		bounds[i].measure(d, b);
		b->verdict = isnan(b->value) || d->others > DEMO_OTHERS
				     ? CLAIM_NOT_MEASURED
			     : is_kept(b) ? CLAIM_HOLDS
					  : CLAIM_FAILS;
	}
}
