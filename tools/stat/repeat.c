// SPDX-License-Identifier: MIT
/*
 * Several runs of one command (-r): the mean of each figure, and its spread:
 * the standard deviation of the runs, in percent of the mean.
 */
#include "stat.h"
#include <math.h>
#include <string.h>

struct names {
	char name[STAT_NAMES_MAX][64];
	unsigned n;
};

static void add_name(const char *name, void *arg)
{
	struct names *all = arg;

	for (unsigned i = 0; i < all->n; i++)
		if (!strcmp(all->name[i], name))
			return;
	if (all->n < STAT_NAMES_MAX)
		snprintf(all->name[all->n++], 64, "%s", name);
}

struct spread {
	double mean, deviation, min, max;
};

/* False: it is missing in some run. */
static bool spread_of(struct stat_result *const *r, long n, const char *name,
		      struct spread *s)
{
	char why[256];
	double v, squares = 0;

	*s = (struct spread){ .min = INFINITY, .max = -INFINITY };
	for (long i = 0; i < n; i++) {
		if (!stat_figure(r[i], name, &v, why))
			return false;
		s->mean += v / n;
		s->min = fmin(s->min, v);
		s->max = fmax(s->max, v);
	}
	for (long i = 0; i < n; i++) {
		stat_figure(r[i], name, &v, why);
		squares += (v - s->mean) * (v - s->mean);
	}
	s->deviation = n > 1 ? sqrt(squares / (n - 1)) : 0;
	return true;
}

/* Of all runs together, as each may have had another number of operations. */
static double per_op(struct stat_result *const *r, long n, const char *name)
{
	double sum = 0, ops = 0, v;
	char why[256];

	for (long i = 0; i < n; i++)
		if (r[i]->ops > 0 && stat_figure(r[i], name, &v, why)) {
			sum += v;
			ops += r[i]->ops;
		}
	return ops ? sum / ops : 0;
}

static struct names *all_names(struct stat_result *const *r, long n)
{
	static struct names names;

	names.n = 0;
	for (long i = 0; i < n; i++)
		stat_each_figure(r[i], add_name, &names);
	return &names;
}

void stat_print_repeated(FILE *f, struct stat_result *const *r, long n)
{
	struct names *names = all_names(r, n);
	struct spread s;
	double mean = 0;

	for (long i = 0; i < n; i++)
		mean += (double)r[i]->wall_ns / n;
	fputs("\n urt stat:", f);
	for (char **a = r[0]->options->command; a && *a; a++)
		fprintf(f, " %s", *a);
	fprintf(f, "   (source: %s; %ld runs)\n\n%18s %10s %16s %16s\n",
		stat_source_names[r[0]->source], n, "mean", "spread", "least",
		"most");
	for (unsigned i = 0; i < names->n; i++) {
		const char *name = names->name[i];
		bool time = !strcmp(stat_figure_unit(name), "ns");
		double by = time ? 1e9 : 1;

		if (!spread_of(r, n, name, &s) || (!s.max && !s.min))
			continue;
		fprintf(f, "%18.*f +-%6.2f %% %16.*f %16.*f  %s%s",
			time ? 6 : 1, s.mean / by,
			s.mean ? fabs(100 * s.deviation / s.mean) : 0,
			time ? 6 : 0, s.min / by, time ? 6 : 0, s.max / by,
			name, time ? ", s" : "");
		if (r[0]->ops > 0)
			fprintf(f, "  %.4g per operation", per_op(r, n, name));
		fputc('\n', f);
	}
	for (long i = 0; r[0]->options->table && i < n; i++)
		fprintf(f, "%s%18.6f  s (%+.6f)\n",
			i ? ""
			  : "\n  elapsed in each run, and from the mean:\n",
			r[i]->wall_ns / 1e9, (r[i]->wall_ns - mean) / 1e9);
	fputc('\n', f);
}

void stat_print_repeated_json(FILE *f, struct stat_result *const *r, long n,
			      const struct stat_verdicts *v)
{
	struct json j = { .out = f };
	struct names *names = all_names(r, n);
	struct spread s;
	double ops = 0;

	for (long i = 0; i < n; i++)
		ops += r[i]->ops / n;
	json_object(&j, NULL);
	json_string(&j, "schema", "urt.stat.runs.v1");
	json_array(&j, "command");
	for (char **a = r[0]->options->command; a && *a; a++)
		json_string(&j, NULL, *a);
	json_end_array(&j);
	json_string(&j, "source", stat_source_names[r[0]->source]);
	json_int(&j, "runs", n);
	json_double(&j, "ops", ops > 0 ? ops : NAN);
	stat_json_verdicts(&j, v);
	json_object(&j, "figures");
	for (unsigned i = 0; i < names->n; i++) {
		if (!spread_of(r, n, names->name[i], &s)) {
			json_null(&j, names->name[i]);
			continue;
		}
		json_object(&j, names->name[i]);
		json_double(&j, "mean", s.mean);
		json_double(&j, "deviation", s.deviation);
		json_double(&j, "min", s.min);
		json_double(&j, "max", s.max);
		json_end_object(&j);
	}
	json_end_object(&j);
	json_end_object(&j);
}
