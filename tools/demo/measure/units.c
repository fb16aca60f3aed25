// SPDX-License-Identifier: MIT
/*
 * Runs the measurements without a server (parts.c, units.go, units.js) and
 * reads their numbers: the cost of a switch (claims 1, 2), the memory of a
 * suspended unit (claim 5), the greatest number of units (claim 9).
 */
#define _GNU_SOURCE
#include "stage.h"
#include "../../service/language.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNTED_YIELDS "20000000"
#define GO_YIELDS      "2000000"

/* The program that makes a number of units; in C, this program itself. */
static const struct {
	const char *name;
	enum language language;
	const char *source; /* of a program in another language */
	const char *part;   /* one of its parts */
} units[UNIT_KINDS] = {
	[UNIT_THREAD] = { "thread", LANGUAGE_C, NULL, "threads" },
	[UNIT_COROUTINE] = { "coroutine", LANGUAGE_C, NULL, "sleep" },
	[UNIT_PROMISE] = { "promise", LANGUAGE_NODE, "demo/measure/units.js",
			   "suspended" },
	[UNIT_TIMER] = { "timer promise", LANGUAGE_NODE,
			 "demo/measure/units.js", "sleep" },
	[UNIT_GOROUTINE] = { "goroutine", LANGUAGE_GO, "demo/measure/units.go",
			     "sleep" },
};

/* The output of a part; false: it failed; an error message was printed. */
static bool run(struct lab *lab, char *const argv[], char *text, size_t size,
		bool counted)
{
	struct launch l;
	int out;

	if (launch_piped(&l, argv, lab->demo->server_cpu, &out))
		return false;
	if (counted)
		counter_start_at_exec(lab->counter, l.pid);
	return !launch_read(&l, out, text, size);
}

/* The text after "name=" in it; NULL: missing. */
static const char *value_of(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = text; p; p = strchr(p, ' ')) {
		p += *p == ' ';
		if (!strncmp(p, name, len) && p[len] == '=')
			return p + len + 1;
	}
	return NULL;
}

/* The same as a number; NaN: missing. */
static double number(const char *text, const char *name)
{
	const char *p = value_of(text, name);

	return p ? atof(p) : NAN;
}

/* ---- claims 1 and 2 ---- */

static void count_yields(struct lab *lab)
{
	struct demo_costs *costs = &lab->demo->costs;
	char *argv[] = { "/proc/self/exe", "demo",	   "part",
			 "yield",	   COUNTED_YIELDS, NULL };
	char out[64];
	static struct counts a, b;
	struct user_stats user = { 0 };
	struct user_pages *pages = user_pages_open();
	int64_t begin;

	counter_read(lab->counter, &a);
	begin = now_ns();
	if (pages && run(lab, argv, out, sizeof(out), true) &&
	    user_pages_read(pages, &user)) {
		costs->counted_s = (now_ns() - begin) / 1e9;
		counter_read(lab->counter, &b);
		counts_subtract(&b, &a);
		costs->has_switch_counts = true;
		costs->user_switches = user_stats_get(&user, "switches");
		for (int i = 0; i < URT_CLASSES; i++)
			costs->kernel_switches += counts_switches(&b, i);
		costs->syscalls = counts_syscalls(&b);
	} else {
		snprintf(costs->why_not, sizeof(costs->why_not),
			 "the run of uring_rt failed (see above)");
	}
	user_pages_close(pages);
}

void demo_count_switches(struct lab *lab)
{
	if (lab->counter)
		count_yields(lab);
	else
		snprintf(lab->demo->costs.why_not,
			 sizeof(lab->demo->costs.why_not), "%s",
			 lab->demo->why_no_bpf);
}

/* The rounds after "name=", kept under that name. */
static void keep_times(struct demo_costs *c, const char *text, const char *name)
{
	struct demo_times *t = &c->time[c->nr_times];
	const char *p = value_of(text, name);
	char *end;

	t->n = 0;
	while (p && t->n < DEMO_ROUNDS_MAX) {
		t->ns[t->n++] = strtod(p, &end);
		p = *end == ',' ? end + 1 : NULL;
	}
	if (!t->n)
		return;
	snprintf(t->name, sizeof(t->name), "%s", name);
	c->nr_times++;
}

static void go_switch(struct lab *lab)
{
	static const char *const args[] = { "yield", GO_YIELDS, NULL };
	char out[128] = "", **argv = NULL;

	if (*lab->demo->host.language[LANGUAGE_GO])
		argv = language_command(LANGUAGE_GO, "demo/measure/units.go",
					args);
	if (argv)
		run(lab, argv, out, sizeof(out), false);
	command_free(argv);
	keep_times(&lab->demo->costs, out, "goroutine");
}

void demo_time_switches(struct lab *lab)
{
	static const char *const names[] = { "call", "coroutine", "thread",
					     "handover", "across" };
	struct demo_costs *c = &lab->demo->costs;
	char cpu[16], out[512];
	char *argv[] = {
		"/proc/self/exe", "demo", "part", "switch", cpu, NULL
	};

	snprintf(cpu, sizeof(cpu), "%d", lab->demo->load_cpu);
	if (!run(lab, argv, out, sizeof(out), false))
		return;
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		keep_times(c, out, names[i]);
	go_switch(lab);
	demo_costs_of_times(c);
}

/* ---- claims 5 and 9 ---- */

/* For command_free. */
static char **unit_command(enum unit_kind kind, const char *count)
{
	const char *own[] = { "/proc/self/exe", "demo", "part",
			      units[kind].part, count };
	const char *args[] = { units[kind].part, count, NULL };
	char **argv;

	if (units[kind].source)
		return language_command(units[kind].language,
					units[kind].source, args);
	argv = calloc(ARRAY_LEN(own) + 1, sizeof(*argv));
	for (unsigned i = 0; i < ARRAY_LEN(own); i++)
		argv[i] = strdup(own[i]);
	return argv;
}

/* The number; 0 if it was not printed. */
static double number_or_0(const char *text, const char *name)
{
	double v = number(text, name);

	return isnan(v) ? 0 : v;
}

void demo_measure_unit(struct lab *lab, enum unit_kind kind, long n)
{
	struct demo_unit *u = &lab->demo->unit[kind];
	const char *missing = language_missing(units[kind].language);
	char count[24], out[256], **argv;
	bool ran;

	u->wanted = n;
	u->outcome.status = DEMO_SKIPPED;
	if (missing) {
		snprintf(u->outcome.reason, sizeof(u->outcome.reason), "%s",
			 missing);
		return;
	}
	u->outcome.status = DEMO_OK;
	snprintf(count, sizeof(count), "%ld", n);
	argv = unit_command(kind, count);
	ran = argv && run(lab, argv, out, sizeof(out), false);
	command_free(argv);
	if (!ran) {
		stage_failed(&u->outcome, "its program failed (see above)");
		if (demo_stop)
			u->outcome.status = DEMO_NOT_RUN;
		return;
	}
	u->count = number_or_0(out, "count");
	u->threads = number_or_0(out, "threads");
	u->create_ns = number(out, "create_ns");
	u->process_bytes = number(out, "rss");
	u->kernel_bytes = number(out, "kernel");
	u->heap_bytes = number(out, "heap");
	u->woken = number(out, "woken");
	if (u->count < 1)
		stage_failed(&u->outcome, "not one of them could be started");
}
