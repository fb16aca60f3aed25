// SPDX-License-Identifier: MIT
/*
 * urt compare: two commands, run in turn and measured by `urt stat`'s means,
 * so that what drifts on a machine drifts under both.
 *
 * The difference is that of lib/shift.h. Where its interval holds 0, or the runs
 * are too few for one, the difference may be chance, and is marked so.
 */
#define _GNU_SOURCE
#include "../lib/options.h"
#include "../lib/output.h"
#include "../lib/shift.h"
#include "../stat/stat.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_MAX  200
#define NAMES_MAX 600

struct side {
	struct stat_options options; /* with its command */
};

struct comparison {
	const char *name;
	double a, b;	  /* medians */
	double shift;	  /* from A to B */
	double low, high; /* of it, at 95 % */
	bool sure;	  /* 0 lies outside */
};

struct runs {
	long n;
	char name[NAMES_MAX][64];
	unsigned names;
	double *value[2]; /* [name * RUNS_MAX + run]; NAN: was not available */
	int side;	  /* being added */
	int code;	  /* our exit code, where something went wrong */
	const struct stat_result *result;
};

/* ---- collecting ---- */

/* A call or an operation that a run did not make, it made 0 times: also those
 * runs that came before the first one that made it. */
static void begin_at_0(struct runs *r, unsigned i)
{
	const char *name = r->name[i];

	if (strncmp(name, "syscalls:", 9) && strncmp(name, "uring:", 6))
		return;
	for (int side = 0; side < 2; side++)
		for (long run = 0; run < r->n + (side != r->side); run++)
			r->value[side][i * RUNS_MAX + run] = 0;
}

static int name_index(struct runs *r, const char *name)
{
	for (unsigned i = 0; i < r->names; i++)
		if (!strcmp(r->name[i], name))
			return i;
	if (r->names == NAMES_MAX)
		return -1;
	snprintf(r->name[r->names], sizeof(*r->name), "%s", name);
	begin_at_0(r, r->names);
	return r->names++;
}

static void add_figure(const char *name, void *arg)
{
	struct runs *r = arg;
	int i = name_index(r, name);
	char why[256];
	double v;

	if (i >= 0 && stat_figure(r->result, name, &v, why))
		r->value[r->side][i * RUNS_MAX + r->n] = v;
}

/* A system call that one run did not make was made 0 times. */
static void fill_in(struct runs *r, int side, const struct stat_result *result)
{
	char why[256];
	double *v;

	for (unsigned i = 0; i < r->names; i++) {
		v = &r->value[side][i * RUNS_MAX + r->n];
		if (isnan(*v) && !stat_figure(result, r->name[i], v, why))
			*v = NAN;
	}
}

static bool run_once(struct runs *r, struct side *side, int which,
		     bool *stopped)
{
	static struct stat_result result;

	r->code = stat_measure(&side->options, &result, NULL, NULL, stopped);
	if (r->code)
		return false;
	if (result.exit_code && !*stopped)
		r->code = fail(
			"\"%s\" ended with exit status %d: nothing to compare",
			side->options.command[0], result.exit_code);
	r->side = which;
	r->result = &result;
	stat_each_figure(&result, add_figure, r);
	fill_in(r, which, &result);
	stat_result_free(&result);
	return !result.exit_code && !*stopped;
}

/* False: a run failed. After an interruption, the runs so far are the
 * result. */
static bool run_all(struct runs *r, struct side side[2], long runs)
{
	bool stopped = false;

	for (r->n = 0; r->n < runs; r->n++) {
		int first = r->n & 1; /* who begins, in turn */

		side[!first].options.last = r->n + 1 == runs;
		if (!run_once(r, &side[first], first, &stopped) ||
		    !run_once(r, &side[!first], !first, &stopped))
			return stopped && r->n;
	}
	return true;
}

/* ---- comparing ---- */

static bool whole(const double *v, long n)
{
	for (long i = 0; i < n; i++)
		if (isnan(v[i]))
			return false;
	return true;
}

/* False: one side has no such figure. */
static bool compare_figure(const struct runs *r, unsigned i,
			   struct comparison *c)
{
	const double *a = &r->value[0][i * RUNS_MAX];
	const double *b = &r->value[1][i * RUNS_MAX];
	struct shift s;

	if (!whole(a, r->n) || !whole(b, r->n))
		return false;
	s = shift_of(a, r->n, b, r->n);
	if (s.confidence < SHIFT_CONFIDENCE) { /* too few runs */
		s.low = -INFINITY;
		s.high = INFINITY;
	}
	*c = (struct comparison){ .name = r->name[i],
				  .a = s.a,
				  .b = s.b,
				  .shift = s.shift,
				  .low = s.low,
				  .high = s.high,
				  .sure = shift_is_off(&s) };
	return true;
}

/* ---- printing ---- */

static const char *number(double v, bool time, char buf[32])
{
	if (isinf(v))
		snprintf(buf, 32, "%s", v < 0 ? "-any" : "any");
	else
		snprintf(buf, 32, time ? "%.3f" : "%.6g", time ? v / 1e6 : v);
	return buf;
}

static void print_one(FILE *f, const struct comparison *c)
{
	bool time = !strcmp(stat_figure_unit(c->name), "ns");
	char a[32], b[32], percent[32] = "", interval[80];

	if (c->a)
		snprintf(percent, sizeof(percent), "%+.1f %%",
			 100 * c->shift / c->a);
	snprintf(interval, sizeof(interval), "[%s .. %s]",
		 number(c->low, time, a), number(c->high, time, b));
	fprintf(f, "%13s%13s", number(c->a, time, a), number(c->b, time, b));
	fprintf(f, "%13s %10s  %-22s  %s%s%s\n", number(c->shift, time, a),
		percent, interval, c->name, time ? ", ms" : "",
		c->sure			    ? ""
		: c->a == c->b && !c->shift ? "  (no difference)"
					    : "  (not significant)");
}

static void print_command(FILE *f, const char *which, char **command)
{
	fprintf(f, " %s:", which);
	for (; *command; command++)
		fprintf(f, " %s", *command);
	fputc('\n', f);
}

static bool shown(const char *name, bool all)
{
	return all || !strchr(name, ':');
}

static void print_text(FILE *f, const struct runs *r, struct side side[2],
		       bool all)
{
	struct comparison c;

	fputc('\n', f);
	print_command(f, "A", side[0].options.command);
	print_command(f, "B", side[1].options.command);
	fprintf(f,
		" medians of %ld runs of each, in turn; the difference from A "
		"to B, at 95 %%\n\n%13s%13s%13s\n",
		r->n, "A", "B", "difference");
	for (unsigned i = 0; i < r->names; i++)
		if (shown(r->name[i], all) && compare_figure(r, i, &c) &&
		    (c.a || c.b || c.shift))
			print_one(f, &c);
	if (r->n < 4)
		fprintf(f,
			"\n With %ld runs nothing can be significant: -r 10\n",
			r->n);
	fputc('\n', f);
}

static void json_command(struct json *j, const char *name, char **command)
{
	json_array(j, name);
	for (; *command; command++)
		json_string(j, NULL, *command);
	json_end_array(j);
}

static void print_json(FILE *f, const struct runs *r, struct side side[2])
{
	struct json j = { .out = f };
	struct comparison c;

	json_object(&j, NULL);
	json_string(&j, "schema", "urt.compare.v1");
	json_command(&j, "a", side[0].options.command);
	json_command(&j, "b", side[1].options.command);
	json_int(&j, "runs", r->n);
	json_object(&j, "figures");
	for (unsigned i = 0; i < r->names; i++) {
		if (!compare_figure(r, i, &c)) {
			json_null(&j, r->name[i]);
			continue;
		}
		json_object(&j, c.name);
		json_double(&j, "a", c.a);
		json_double(&j, "b", c.b);
		json_double(&j, "difference", c.shift);
		json_double(&j, "low", c.low);
		json_double(&j, "high", c.high);
		json_string(&j, "significant", c.sure ? "yes" : "no");
		json_end_object(&j);
	}
	json_end_object(&j);
	json_end_object(&j);
}

/* ---- the command ---- */

static bool split(char **argv, int first, int argc, struct side side[2])
{
	for (int i = first; i < argc; i++) {
		if (strcmp(argv[i], "--"))
			continue;
		argv[i] = NULL;
		side[0].options.command = argv + first;
		side[1].options.command = argv + i + 1;
		return i > first && i + 1 < argc;
	}
	return false;
}

static struct runs *runs_new(void)
{
	static struct runs r;
	size_t n = (size_t)NAMES_MAX * RUNS_MAX;

	for (int side = 0; side < 2; side++) {
		r.value[side] = malloc(n * sizeof(double));
		for (size_t i = 0; r.value[side] && i < n; i++)
			r.value[side][i] = NAN;
	}
	return r.value[0] && r.value[1] ? &r : NULL;
}

struct choice {
	bool all, json, no_syscalls, no_bpf;
	const char *out;
	long runs;
};

#define TO(field) OPTION_TO(struct choice, field)

static const struct option_row rows[] = {
	{ .letter = 'r',
	  .name = "runs",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(runs),
	  .min = 1,
	  .max = RUNS_MAX,
	  .text = "Run each command N times; default 10." },
	{ .name = "all",
	  .kind = OPTION_FLAG,
	  TO(all),
	  .text = "Also compare each system call and operation." },
	{ .name = "no-syscalls",
	  .kind = OPTION_FLAG,
	  TO(no_syscalls),
	  .text = "Do not count system calls." },
	{ .name = "no-bpf",
	  .kind = OPTION_FLAG,
	  TO(no_bpf),
	  .text = "Count by perf events, /proc and getrusage only." },
	{ OPTION_JSON("urt.compare.v1"), TO(json) },
	{ OPTION_OUTPUT, TO(out),
	  .text = "Write the result to FILE; default: stderr." },
};

const struct command command_compare = {
	.name = "compare",
	.run = cmd_compare,
	.what = "run two commands in turn and print the differences",
	.usage = "[OPTIONS] -- A [ARGUMENT ...] -- B [ARGUMENT ...]",
	.about =
		"Runs A and B in turn and prints the medians of their switches, system calls and operations, with the difference and its 95 % confidence interval.",
	.notes =
		"The stdout of both commands is their own. The exit status is 1 if one of them fails.",
	OPTIONS(rows),
	.runs_command = true,
};

int cmd_compare(int argc, char **argv)
{
	struct stat_options o = { .repeat = 1, .control_fd = -1, .ack_fd = -1 };
	struct choice c = { .runs = 10 };
	static struct launch_user user;
	struct side side[2];
	struct runs *r;
	FILE *out = stderr;
	int first = options_parse(&command_compare, argc, argv, &c);
	bool ok;

	if (first < 0)
		return EXIT_BAD;
	o.no_syscalls = c.no_syscalls;
	o.no_bpf = c.no_bpf;
	if (launch_user_find(NULL, &user))
		o.user = &user;
	side[0].options = side[1].options = o;
	if (!split(argv, first, argc, side))
		return fail("compare: give two commands: -- A ... -- B ...");
	if (c.out && !(out = output_open(c.out)))
		return EXIT_BAD;
	r = runs_new();
	if (!r)
		return fail("out of memory");
	ok = run_all(r, side, c.runs);
	if (ok && c.json)
		print_json(out, r, side);
	else if (ok)
		print_text(out, r, side, c.all);
	if (fflush(out) || ferror(out))
		return fail("cannot write the result: %s", strerror(errno));
	free(r->value[0]);
	free(r->value[1]);
	return ok ? 0 : r->code ? r->code : EXIT_BAD;
}
