// SPDX-License-Identifier: MIT
/*
 * urt stat counts the requests of a command, running processes, a cgroup or all
 * processes to the kernel. options.c reads the options; measuring is in run.c,
 * names of figures in figures.c.
 */
#define _GNU_SOURCE
#include "stat.h"
#include "../lib/options.h"
#include "../lib/output.h"
#include "../load/ops.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
		stat_print_json(t->out, r, NULL);
	else if (t->o->format == STAT_CSV)
		stat_print_csv(t->out, r, true);
	else
		stat_print_interval(t->out, r, t->told % 25 == 0);
	fflush(t->out);
	t->told++;
}

/* Reads a number above 0, and nothing else. errno: the file cannot be read. The
 * command may have put a FIFO there, for which we do not wait. */
static bool read_ops(const char *path, double *ops)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char text[64], *end;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return false;
	errno = 0;
	text[n] = '\0';
	*ops = strtod(text, &end);
	end += strspn(end, " \t\r\n");
	return end == text + n && *ops > 0 && isfinite(*ops);
}

/* The number of operations. */
static void find_ops(struct stat_result *r)
{
	const struct stat_options *o = r->options;
	char why[256] = "it holds no number above 0, or more than one";

	r->ops = o->ops;
	if (!o->ops_from)
		return;
	if (!strcmp(o->ops_from, "load")) {
		r->ops = r->ops_told;
		if (r->ops > 0)
			return;
		strcpy(why, "no `urt load` in the command counted a request");
	} else if (strncmp(o->ops_from, "file:", 5)) {
		if (stat_figure(r, o->ops_from, &r->ops, why) && r->ops > 0)
			return;
		if (!r->ops)
			strcpy(why, "it is 0");
	} else {
		if (read_ops(o->ops_from + 5, &r->ops))
			return;
		if (errno)
			snprintf(why, sizeof(why), "%s", strerror(errno));
	}
	r->ops = 0;
	fail("--ops-from %s: %s; figures per operation are missing",
	     o->ops_from, why);
}

static void print(FILE *out, struct stat_result *const *r, long n,
		  const struct stat_verdicts *v)
{
	const struct stat_options *o = r[0]->options;

	if (n > 1 && o->format == STAT_JSON)
		stat_print_repeated_json(out, r, n, v);
	else if (n > 1)
		stat_print_repeated(out, r, n);
	else if (o->format == STAT_JSON)
		stat_print_json(out, r[0], v);
	else if (o->format == STAT_CSV)
		stat_print_csv(out, r[0], false);
	else
		stat_print_text(out, r[0]);
}

/* The exit code for the assertions, which are printed after the result. */
static int check_asserts(FILE *out, FILE *summary, struct stat_result *const *r,
			 struct stat_verdicts *v)
{
	const struct stat_options *o = r[0]->options;
	bool apart = o->format != STAT_TEXT || o->out;

	if (o->format == STAT_TEXT)
		stat_print_verdicts(out, v, false);
	if (apart)
		stat_print_verdicts(stderr, v, true);
	if (o->github)
		stat_print_github(summary, r[v->runs - 1], v);
	return v->failed ? EXIT_ASSERT : 0;
}

/* False: the program ends here. */
static bool warm_up(struct stat_options *o, bool *stopped, int *code)
{
	static struct stat_result r;

	for (long i = 0; i < o->warmup && !*stopped; i++) {
		*code = stat_measure(o, &r, NULL, NULL, stopped);
		if (*code)
			return false;
		*code = r.exit_code;
		stat_result_free(&r);
		if (*code && !*stopped && !r.ended_by_us) {
			fail("--warmup: the command ended with exit status %d",
			     *code);
			return false;
		}
	}
	return !*stopped;
}

/* The results so far, of at most o->repeat runs. Returns their number. */
static long measure(struct stat_options *o, struct stat_result **r, FILE *out,
		    int *code)
{
	struct telling t = { out, o, 0 };
	bool stopped = false;
	long n = 0;

	if (!warm_up(o, &stopped, code))
		return 0;
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

/* Opens files before privileges are dropped, and before anything runs. */

static bool open_for_load(struct stat_options *o)
{
	if (!o->ops_from || strcmp(o->ops_from, "load"))
		return true;
	o->ops_fd = ops_open();
	return o->ops_fd > 0 ||
	       !fail("--ops-from load: %s", strerror(-o->ops_fd));
}

static bool open_summary(const struct stat_options *o, FILE **summary)
{
	const char *path = getenv("GITHUB_STEP_SUMMARY");

	if (o->github && path && *path)
		*summary = output_append(path);
	return *summary || !o->github || !path || !*path;
}

int cmd_stat(int argc, char **argv)
{
	struct stat_options o = { .repeat = 1, .control_fd = -1, .ack_fd = -1 };
	static struct stat_result *r[STAT_RUNS_MAX];
	FILE *out = stderr, *summary = NULL;
	struct stat_verdicts *v;
	int code = 0;
	long n;

	if (!stat_parse(argc, argv, &o))
		return EXIT_BAD;
	if (o.out && !(out = (o.append ? output_append : output_open)(o.out)))
		return EXIT_BAD;
	if (!open_for_load(&o) || !open_summary(&o, &summary))
		return EXIT_BAD;
	n = measure(&o, r, out, &code);
	if (!n)
		return code;
	v = stat_verdicts(r, n);
	if (!o.interval_ns || o.summary)
		print(out, r, n, v);
	code = check_asserts(out, summary, r, v);
	if (output_flush(out, o.out)) {
		if (o.out) /* what was measured is not lost */
			print(stderr, r, n, v);
		return EXIT_BAD;
	}
	if (summary && output_flush(summary, getenv("GITHUB_STEP_SUMMARY")))
		return EXIT_BAD;
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
