// SPDX-License-Identifier: MIT
/*
 * Results of `urt stat` as rows: one for each interval (-I), one for each value
 * (-x), for scripts.
 */
#define _GNU_SOURCE
#include "../lib/text.h"
#include "figures.h"
#include <inttypes.h>

/* ---- intervals ---- */

void stat_print_interval(FILE *f, const struct stat_result *r, bool heading)
{
	if (r->options->nr_events) {
		stat_print_events_interval(f, r, heading);
		return;
	}
	if (heading) {
		fprintf(f, "#%11s", "time s");
		for (const struct figure *row = figures; row->name; row++)
			if (row->column)
				fprintf(f, " %13s", row->column);
		fputc('\n', f);
	}
	fprintf(f, "%12.6f", (r->start_ns + r->wall_ns) / 1e9);
	for (const struct figure *row = figures; row->name; row++) {
		char buf[32] = "n/a";

		if (!row->column)
			continue;
		if (!row->lacks(r))
			text_grouped(figure_get(r, row), buf);
		fprintf(f, " %13s", buf);
	}
	fputc('\n', f);
	fflush(f);
}

/* ---- -x ---- */

struct csv {
	FILE *f;
	const struct stat_result *r;
	bool interval;
};

/* [time,]value,unit,figure,rung,per operation */
static void csv_line(const char *name, void *arg)
{
	const struct csv *c = arg;
	const char *x = c->r->options->separator;
	char why[256];
	double n;

	if (c->r->options->interval_ns && c->interval)
		fprintf(c->f, "%.9f%s", (c->r->start_ns + c->r->wall_ns) / 1e9,
			x);
	else if (c->r->options->interval_ns)
		fprintf(c->f, "summary%s", x);
	if (!stat_figure(c->r, name, &n, why)) {
		fprintf(c->f, "<not counted>%s%s%s%s%s%s\n", x,
			stat_figure_unit(name), x, name, x, x);
		return;
	}
	fprintf(c->f, "%.0f%s%s%s%s%s%s%s", n, x, stat_figure_unit(name), x,
		name, x, stat_figure_rung(c->r, name), x);
	if (c->r->ops > 0)
		fprintf(c->f, "%.6g", n / c->r->ops);
	fputc('\n', c->f);
}

void stat_print_csv(FILE *f, const struct stat_result *r, bool interval)
{
	struct csv c = { f, r, interval };

	stat_each_figure(r, csv_line, &c);
	fflush(f);
}
