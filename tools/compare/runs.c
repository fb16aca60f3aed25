// SPDX-License-Identifier: MIT
/*
 * Running the commands in rounds, and the differences of their figures. In each
 * round each command runs once; another one begins each time.
 *
 * The difference is that of lib/shift.h. If its interval contains 0, or there
 * are too few runs for an interval, the difference may be chance, and is marked
 * so.
 */
#define _GNU_SOURCE
#include "../lib/shift.h"
#include "compare.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TAIL 2048 /* bytes kept of a failed command's output */

/* ---- collecting ---- */

struct adding {
	struct runs *r;
	unsigned side;
	const struct stat_result *result;
};

/* A run that did not make a call or an operation made it 0 times. That also
 * holds for the runs before the first one that made it. */
static void begin_at_0(struct adding *a, unsigned i)
{
	struct runs *r = a->r;

	if (strncmp(r->name[i], "syscalls:", 9) &&
	    strncmp(r->name[i], "uring:", 6))
		return;
	for (unsigned side = 0; side < r->sides; side++)
		for (long run = 0; run < r->n + (side != a->side); run++)
			r->side[side].value[i * RUNS_MAX + run] = 0;
}

static int name_index(struct adding *a, const char *name)
{
	struct runs *r = a->r;

	for (unsigned i = 0; i < r->names; i++)
		if (!strcmp(r->name[i], name))
			return i;
	if (r->names == NAMES_MAX)
		return -1;
	snprintf(r->name[r->names], sizeof(*r->name), "%s", name);
	begin_at_0(a, r->names);
	return r->names++;
}

static void add_figure(const char *name, void *arg)
{
	struct adding *a = arg;
	int i = name_index(a, name);
	char why[256];
	double v;

	if (i >= 0 && stat_figure(a->result, name, &v, why))
		a->r->side[a->side].value[i * RUNS_MAX + a->r->n] = v;
}

/* A system call that one run did not make was made 0 times. */
static void add_result(struct runs *r, unsigned side,
		       const struct stat_result *result)
{
	struct adding a = { r, side, result };
	char why[256];
	double *v;

	stat_each_figure(result, add_figure, &a);
	for (unsigned i = 0; i < r->names; i++) {
		v = &r->side[side].value[i * RUNS_MAX + r->n];
		if (isnan(*v) && !stat_figure(result, r->name[i], v, why))
			*v = NAN;
	}
}

/* ---- running ---- */

/* Prints the end of the output of a silent command that failed. */
static void show_output(const struct runs *r)
{
	char buf[TAIL];
	off_t size = r->silent ? lseek(r->output[1], 0, SEEK_END) : 0;
	ssize_t n = size > 0 ? pread(r->output[1], buf, sizeof(buf),
				     size > TAIL ? size - TAIL : 0)
			     : 0;

	if (n > 0)
		fwrite(buf, 1, n, stderr);
	if (n > 0 && buf[n - 1] != '\n')
		fputc('\n', stderr);
}

/* False: the comparison ends here; *stopped or r->code is the reason. */
static bool run_once(struct runs *r, unsigned which, bool counts, bool *stopped)
{
	static struct stat_result result;
	const struct stat_options *o = &r->side[which].options;
	bool ok;

	if (r->silent && ftruncate(r->output[1], 0))
		return r->code = fail("--silent: %s", strerror(errno)), false;
	r->code = stat_measure(o, &result, NULL, NULL, stopped);
	if (r->code) {
		show_output(r);
		return false;
	}
	ok = !result.exit_code && !*stopped;
	if (ok && counts)
		add_result(r, which, &result);
	if (result.exit_code && !*stopped) {
		show_output(r);
		r->code = fail("\"%s\" ended with exit status %d: nothing to "
			       "compare",
			       o->command[0], result.exit_code);
	}
	stat_result_free(&result);
	return ok;
}

static bool run_round(struct runs *r, long round, bool counts, bool *stopped)
{
	bool last = counts && round + 1 == r->wanted;

	for (unsigned i = 0; i < r->sides; i++) {
		unsigned which = (round + i) % r->sides;

		r->side[which].options.last = last && i + 1 == r->sides;
		if (!run_once(r, which, counts, stopped))
			return false;
	}
	return true;
}

bool runs_measure(struct runs *r)
{
	bool stopped = false;

	for (long i = 0; i < r->warmup; i++)
		if (!run_round(r, i, false, &stopped))
			return false;
	for (r->n = 0; r->n < r->wanted; r->n++)
		if (!run_round(r, r->n, true, &stopped))
			return stopped && r->n;
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

bool runs_compare(const struct runs *r, unsigned i, unsigned other,
		  struct comparison *c)
{
	const double *a = &r->side[0].value[i * RUNS_MAX];
	const double *b = &r->side[other].value[i * RUNS_MAX];
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

/* ---- room ---- */

bool runs_prepare(struct runs *r)
{
	size_t n = (size_t)NAMES_MAX * RUNS_MAX;

	for (unsigned side = 0; side < r->sides; side++) {
		r->side[side].value = malloc(n * sizeof(double));
		if (!r->side[side].value)
			return !fail("out of memory");
		for (size_t i = 0; i < n; i++)
			r->side[side].value[i] = NAN;
	}
	if (!r->silent)
		return true;
	r->output[0] = open("/dev/null", O_WRONLY | O_CLOEXEC);
	r->output[1] = memfd_create("urt-compare", MFD_CLOEXEC);
	if (r->output[0] < 0 || r->output[1] < 0 ||
	    fcntl(r->output[1], F_SETFL, O_APPEND))
		return !fail("--silent: %s", strerror(errno));
	for (unsigned side = 0; side < r->sides; side++)
		r->side[side].options.output = r->output;
	return true;
}

void runs_free(struct runs *r)
{
	for (unsigned side = 0; side < r->sides; side++)
		free(r->side[side].value);
}
