// SPDX-License-Identifier: MIT
/* See warn.h. */
#include "warn.h"
#include <math.h>

/* The generator had hardly a CPU to spare while the server had. */
#define BUSY	    0.85
#define SERVER_BUSY 0.9
/* Rounds further apart than this tell of a disturbed machine. */
#define WIDE 0.25

static double server_cpu(const struct demo_row *r)
{
	return r->cpu_ns / (r->seconds * 1e9);
}

bool demo_load_was_limit(const struct demo_row *r)
{
	return ROW_MEDIAN(r, load_cpu) > BUSY && server_cpu(r) < SERVER_BUSY;
}

static unsigned warn_row(FILE *f, const struct demo_row *r, const char *before,
			 const char *after)
{
	unsigned n = 0;

	if (demo_load_was_limit(r)) {
		fprintf(f,
			"%s%s on %s, %ld connections: the load generator was "
			"the bottleneck (%.0f %% of its CPU, the server %.0f "
			"%%): the server can do more%s",
			before, r->model->name, r->path, r->connections,
			ROW_MEDIAN(r, load_cpu) * 100, server_cpu(r) * 100,
			after);
		n++;
	}
	if (r->counts.lost) {
		fprintf(f, "%s%s on %s: %llu events lost%s", before,
			r->model->name, r->path,
			(unsigned long long)r->counts.lost, after);
		n++;
	}
	return n;
}

unsigned demo_warnings(FILE *f, const struct demo *d, const char *before,
		       const char *after)
{
	unsigned n = 0, rows = 0, wide = 0;

	for (unsigned i = 0; i < d->nr_rows; i++) {
		const struct demo_row *r = &d->row[i];

		if (!demo_ok(&r->outcome) || !r->nr_rounds)
			continue;
		n += warn_row(f, r, before, after);
		rows++;
		wide += ROW_SPREAD(r, rps) > WIDE;
	}
	if (wide) {
		fprintf(f,
			"%sin %u of %u rows of GET a round lies more than %.0f "
			"%% from the median: something else ran on this "
			"machine%s",
			before, wide, rows, WIDE * 100, after);
		n++;
	}
	return n;
}

double demo_load_cpu(const struct demo *d)
{
	double most = NAN;

	for (unsigned i = 0; i < d->nr_rows; i++)
		if (demo_ok(&d->row[i].outcome) && d->row[i].nr_rounds)
			most = fmax(most, ROW_MEDIAN(&d->row[i], load_cpu));
	return most;
}
