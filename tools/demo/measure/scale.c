// SPDX-License-Identifier: MIT
/*
 * Requests that only burn CPU, answered by a server on one CPU and by one that
 * may use all (claim 7). The work of a request is fixed (models/http.c), so
 * requests per second are CPUs in use. The load generator shares one of the
 * CPUs: a few hundred requests a second cost it nothing that could be seen.
 */
#include "stage.h"
#include <math.h>
#include <string.h>

#define CPU_PATH   "/cpu?ms=5"
#define PER_CPU	   8 /* connections: enough for each to have work */
#define WARM_UP_NS (150 * NS_PER_MS)

static double rate(struct demo *d, struct demo_scale *m, int cpu)
{
	struct load_options o = { .path = CPU_PATH,
				  .connections = PER_CPU * d->host.cpus };
	uint64_t before;
	double rps = 0;
	int64_t begin;
	struct stage s;

	if (stage_begin(&s, d, &m->outcome, m->model, cpu)) {
		stage_load(&s, &o);
		if (stage_connected(&s) && stage_wait(&s, WARM_UP_NS)) {
			before = s.shared->completed;
			begin = now_ns();
			if (stage_wait(&s, d->options.seconds * NS_PER_S))
				rps = (s.shared->completed - before) * 1e9 /
				      (now_ns() - begin);
		}
	}
	stage_end(&s);
	if (demo_ok(&m->outcome) && !rps)
		stage_failed(&m->outcome, "no request was answered");
	return rps;
}

static void measure_round(struct demo *d, struct demo_scale *m)
{
	double one, all = 0;

	one = rate(d, m, d->server_cpu);
	if (demo_ok(&m->outcome) && !demo_stop)
		all = rate(d, m, -1);
	if (!demo_ok(&m->outcome) || demo_stop)
		return;
	m->one[m->nr_rounds] = one;
	m->all[m->nr_rounds++] = all;
}

void demo_measure_scale(struct demo *d, struct demo_scale *m)
{
	if (d->host.cpus < 2) {
		m->outcome.status = DEMO_SKIPPED;
		strcpy(m->outcome.reason, "there is only one CPU");
		return;
	}
	measure_round(d, m);
	if (demo_stop) /* a round that was cut short does not count */
		m->outcome.status = m->nr_rounds ? DEMO_OK : DEMO_NOT_RUN;
}

const struct demo_scale *demo_scale(const struct demo *d,
				    const struct model *model)
{
	for (unsigned i = 0; i < d->nr_scales; i++)
		if (demo_ok(&d->scale[i].outcome) && d->scale[i].nr_rounds &&
		    d->scale[i].model == model)
			return &d->scale[i];
	return NULL;
}

static double median(double *v, unsigned n)
{
	sort_doubles(v, n);
	return (v[(n - 1) / 2] + v[n / 2]) / 2;
}

double demo_scale_median(const struct demo_scale *m, bool all)
{
	double v[DEMO_ROUNDS_MAX];

	memcpy(v, all ? m->all : m->one, sizeof(v));
	return m->nr_rounds ? median(v, m->nr_rounds) : NAN;
}

double demo_speedup(const struct demo_scale *m)
{
	double v[DEMO_ROUNDS_MAX];

	if (!m || !m->nr_rounds)
		return NAN;
	for (unsigned i = 0; i < m->nr_rounds; i++)
		v[i] = m->all[i] / m->one[i];
	return median(v, m->nr_rounds);
}
