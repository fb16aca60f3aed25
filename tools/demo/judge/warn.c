// SPDX-License-Identifier: MIT
/* Warnings that a reader must know before believing a figure. */
#define _GNU_SOURCE
#include "judge.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Rounds that differ by more than this mean that the machine was disturbed. */
#define WIDE 0.25

static void warn(struct demo *d, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void warn(struct demo *d, const char *format, ...)
{
	va_list ap;

	d->warning =
		realloc(d->warning, (d->nr_warnings + 1) * sizeof(*d->warning));
	if (!d->warning)
		abort();
	va_start(ap, format);
	if (vasprintf(&d->warning[d->nr_warnings++], format, ap) < 0)
		abort();
	va_end(ap);
}

static void judge_row(struct demo *d, struct demo_row *r)
{
	double load_cpu = ROW_MEDIAN(r, load_cpu);
	char title[96];

	d->most_load_cpu = fmax(d->most_load_cpu, load_cpu);
	if (demo_load_was_limit(r))
		warn(d,
		     "%s, %s: the load generator was the bottleneck (%.0f %% of "
		     "its CPU, the server %.0f %%): the server can do more",
		     r->model->name, demo_row_title(r, title), load_cpu * 100,
		     demo_server_cpu(r) * 100);
	if (r->counts.lost)
		warn(d, "%s on %s: %llu events lost", r->model->name, r->path,
		     (unsigned long long)r->counts.lost);
}

static void judge_seconds(struct demo *d)
{
	for (unsigned i = 0; i < d->nr_seconds; i++) {
		const struct demo_second *m = &d->second[i];

		if (demo_ok(&m->outcome) && demo_second_unexplained(m))
			warn(d,
			     "%s: urt load and wrk measure different rates, "
			     "and neither a generator at its limit nor the "
			     "server's CPU time explains that",
			     m->model->name);
	}
}

void judge_warnings(struct demo *d)
{
	unsigned rows = 0, wide = 0;

	if (d->others > DEMO_OTHERS)
		warn(d,
		     "the CPUs were not free: other programs used %.2f of %ld CPUs on "
		     "average; times and rates are worse than they could be, "
		     "and perhaps counts per request, too",
		     d->others, d->host.cpus);
	d->most_load_cpu = NAN;
	for (unsigned i = 0; i < d->nr_rows; i++) {
		struct demo_row *r = &d->row[i];

		if (!demo_ok(&r->outcome) || !r->nr_rounds)
			continue;
		judge_row(d, r);
		rows++;
		wide += ROW_SPREAD(r, rps) > WIDE;
	}
	judge_seconds(d);
	if (wide)
		warn(d,
		     "in %u of %u rows of GET a round lies more than %.0f %% "
		     "from the median: something else ran on this machine or its "
		     "host",
		     wide, rows, WIDE * 100);
}
