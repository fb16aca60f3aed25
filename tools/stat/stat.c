// SPDX-License-Identifier: MIT
/*
 * urt stat: counts what a command, running processes, a cgroup or all
 * processes ask of the kernel. options.c reads the options; measuring is
 * in run.c, names of figures in figures.c.
 */
#define _GNU_SOURCE
#include "stat.h"
#include "../lib/options.h"
#include "../lib/output.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- results ---- */

struct telling {
	FILE *out;
	const struct stat_options *o;
	long told; /* intervals so far */
};

static void tell(const struct stat_result *r, void *arg)
{
	struct telling *t = arg;

	if (t->o->format == STAT_JSON)
		stat_print_json(t->out, r, true);
	else if (t->o->format == STAT_CSV)
		stat_print_csv(t->out, r, true);
	else
		stat_print_interval(t->out, r, t->told % 25 == 0);
	fflush(t->out);
	t->told++;
}

/* How many operations there were. */
static void find_ops(struct stat_result *r)
{
	const struct stat_options *o = r->options;
	char why[256] = "it holds no number";
	FILE *f;

	r->ops = o->ops;
	if (!o->ops_from)
		return;
	if (strncmp(o->ops_from, "file:", 5)) {
		if (stat_figure(r, o->ops_from, &r->ops, why) && r->ops > 0)
			return;
		if (!r->ops)
			strcpy(why, "it is 0");
	} else {
		f = fopen(o->ops_from + 5, "re");
		if (!f)
			snprintf(why, sizeof(why), "%s", strerror(errno));
		if (f && fscanf(f, "%lf", &r->ops) == 1 && r->ops > 0) {
			fclose(f);
			return;
		}
		if (f)
			fclose(f);
	}
	r->ops = 0;
	fail("--ops-from %s: %s; figures per operation are missing",
	     o->ops_from, why);
}

static void print(FILE *out, struct stat_result *const *r, long n)
{
	const struct stat_options *o = r[0]->options;

	if (n > 1 && o->format == STAT_JSON)
		stat_print_repeated_json(out, r, n);
	else if (n > 1)
		stat_print_repeated(out, r, n);
	else if (o->format == STAT_JSON)
		stat_print_json(out, r[0], false);
	else if (o->format == STAT_CSV)
		stat_print_csv(out, r[0], false);
	else
		stat_print_text(out, r[0]);
}

static int check_asserts(struct stat_result *const *r, long n)
{
	const struct stat_options *o = r[0]->options;
	int code = 0;

	for (long run = 0; run < n; run++)
		for (unsigned i = 0; i < o->nr_asserts; i++)
			if (!stat_assert_holds(r[run], o->asserts[i], stderr))
				code = EXIT_ASSERT;
	return code;
}

/* The results so far, of at most o->repeat runs; how many. */
static long measure(struct stat_options *o, struct stat_result **r, FILE *out,
		    int *code)
{
	struct telling t = { out, o, 0 };
	bool stopped = false;
	long n = 0;

	while (n < o->repeat && !stopped) {
		r[n] = calloc(1, sizeof(**r));
		o->last = n + 1 == o->repeat;
		*code = r[n] ? stat_measure(o, r[n],
					    o->interval_ns ? tell : NULL, &t,
					    &stopped)
			     : EXIT_BAD;
		if (*code) {
			free(r[n]);
			break;
		}
		find_ops(r[n++]);
	}
	return n;
}

int cmd_stat(int argc, char **argv)
{
	struct stat_options o = { .repeat = 1, .control_fd = -1, .ack_fd = -1 };
	static struct stat_result *r[STAT_RUNS_MAX];
	FILE *out = stderr;
	int code = stat_parse(argc, argv, &o);
	long n;

	if (code)
		return code - 1;
	if (o.out && !(out = (o.append ? output_append : output_open)(o.out)))
		return EXIT_BAD;
	n = measure(&o, r, out, &code);
	if (!n)
		return code;
	if (!o.interval_ns || o.summary)
		print(out, r, n);
	if (fflush(out) || ferror(out))
		return fail("cannot write the result: %s", strerror(errno));
	code = check_asserts(r, n);
	for (long i = 0; i < n; i++) {
		if (r[i]->post_failed && !code)
			code = EXIT_BAD;
		if (r[i]->exit_code && !r[i]->ended_by_us)
			code = r[i]->exit_code;
		stat_result_free(r[i]);
		free(r[i]);
	}
	return code;
}
