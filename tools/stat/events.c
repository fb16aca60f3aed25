// SPDX-License-Identifier: MIT
/*
 * urt stat -e: the wanted figures, by their names or by perf's names for the
 * same. Events that only perf can count get an error that says so.
 */
#include "figures.h"
#include "../lib/text.h"
#include <ctype.h>
#include <math.h>
#include <string.h>

static const struct {
	const char *perf, *figure;
} names[] = {
	{ "context-switches", "switches" },
	{ "cs", "switches" },
	{ "sched:sched_switch", "switches" },
	{ "cpu-migrations", "migrations" },
	{ "faults", "page-faults" },
	{ "task-clock", "cpu" },
	{ "cpu-clock", "cpu" },
	{ "duration_time", "wall" },
	{ "user_time", "user" },
	{ "system_time", "system" },
	{ "raw_syscalls:sys_enter", "syscalls" },
	{ "io_uring:io_uring_submit_req", "uring" },
	{ "io_uring:io_uring_submit_sqe", "uring" },
	{ "io_uring:io_uring_req_failed", "refused" },
	{ "io_uring:io_uring_complete", "completed" },
	{ "io_uring:io_uring_queue_async_work", "punted" },
	{ "io_uring:io_uring_poll_arm", "polled" },
};

/* Beginnings of the names of the processor's events. */
static const char *const hardware[] = {
	"cycles",   "instructions", "cpu-cycles", "cache-", "branch",
	"stalled-", "bus-cycles",   "ref-cycles", "L1-",    "LLC-",
	"dTLB-",    "iTLB-",	    "node-",	  "mem-",   "slots",
	"topdown-", "power/",	    "cpu/",
};

#define SYS_ENTER "syscalls:sys_enter_"

static bool is_hardware(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(hardware); i++)
		if (!strncmp(name, hardware[i], strlen(hardware[i])))
			return true;
	return name[0] == 'r' && isxdigit(name[1]) &&
	       strspn(name + 1, "0123456789abcdefABCDEF") == strlen(name + 1);
}

static void our_name(char *to, size_t size, const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(name, names[i].perf))
			name = names[i].figure;
	if (!strncmp(name, SYS_ENTER, strlen(SYS_ENTER)))
		snprintf(to, size, "syscalls:%s", name + strlen(SYS_ENTER));
	else
		snprintf(to, size, "%s", name);
}

static bool add(struct stat_options *o, const char *name)
{
	char *to;

	if (o->nr_events == STAT_EVENTS_MAX)
		return !fail("-e: at most %d figures", STAT_EVENTS_MAX);
	if (is_hardware(name))
		return !fail("-e: \"%s\" is an event of the processor: perf "
			     "stat -e %s counts it; `urt stat --list` prints "
			     "what urt counts",
			     name, name);
	to = o->events[o->nr_events];
	our_name(to, sizeof(o->events[0]), name);
	if (!stat_figure_exists(to))
		return !fail("-e: unknown figure \"%s\": `urt stat --list` "
			     "prints their names",
			     name);
	if (!strcmp(to, "migrations") || !strcmp(to, "page-faults"))
		o->perf_too = true;
	if (!strncmp(to, "on-cpu.", 7) || !strncmp(to, "off-cpu.", 8))
		o->times = true;
	o->event[o->nr_events++] = to;
	return true;
}

bool stat_events_parse(struct stat_options *o, const char *text)
{
	char one[64];

	for (size_t n; *text; text += n + (text[n] == ',')) {
		n = strcspn(text, ",");
		snprintf(one, sizeof(one), "%.*s", (int)n, text);
		if (!add(o, one))
			return false;
	}
	return o->nr_events || !fail("-e: expected FIGURE[,FIGURE]");
}

/* ---- printing ---- */

static void value_of(const struct stat_result *r, const char *name,
		     char text[32])
{
	char why[256];
	double n;

	if (!stat_figure(r, name, &n, why))
		strcpy(text, "n/a");
	else if (!strcmp(stat_figure_unit(name), "ns"))
		snprintf(text, 32, "%.6f", n / 1e9);
	else
		text_grouped(n, text);
}

static const char *unit_of(const char *name)
{
	return strcmp(stat_figure_unit(name), "ns") ? "" : ", s";
}

void stat_print_events(FILE *f, const struct stat_result *r)
{
	const struct stat_options *o = r->options;
	char text[32], why[256];
	double n;

	for (unsigned i = 0; i < o->nr_events && !o->null; i++) {
		value_of(r, o->event[i], text);
		fprintf(f, "%16s  %s%s", text, o->event[i],
			unit_of(o->event[i]));
		if (!stat_figure(r, o->event[i], &n, why))
			fprintf(f, ": %s", why);
		else if (r->ops > 0)
			fprintf(f, "  %.4g per operation", n / r->ops);
		fputc('\n', f);
	}
}

void stat_print_events_interval(FILE *f, const struct stat_result *r,
				bool heading)
{
	const struct stat_options *o = r->options;
	char text[32];

	if (heading) {
		fprintf(f, "#%11s", "time s");
		for (unsigned i = 0; i < o->nr_events; i++)
			fprintf(f, " %*s%s",
				13 - (int)strlen(unit_of(o->event[i])),
				o->event[i], unit_of(o->event[i]));
		fputc('\n', f);
	}
	fprintf(f, "%12.6f", (r->start_ns + r->wall_ns) / 1e9);
	for (unsigned i = 0; i < o->nr_events; i++) {
		int width = strlen(o->event[i]) + strlen(unit_of(o->event[i]));

		value_of(r, o->event[i], text);
		fprintf(f, " %*s", width > 13 ? width : 13, text);
	}
	fputc('\n', f);
	fflush(f);
}

struct object {
	struct json *j;
	const struct stat_result *r;
	char name[STAT_NAMES_MAX][64];
	unsigned n;
};

static void add_member(const char *name, void *arg)
{
	struct object *o = arg;
	char why[256];
	double n;

	for (unsigned i = 0; i < o->n; i++)
		if (!strcmp(o->name[i], name))
			return;
	if (o->n == STAT_NAMES_MAX)
		return;
	snprintf(o->name[o->n++], sizeof(o->name[0]), "%s", name);
	json_double(o->j, name, stat_figure(o->r, name, &n, why) ? n : NAN);
}

void stat_json_events(struct json *j, const struct stat_result *r,
		      bool interval)
{
	static struct object o;

	if (interval && !r->options->nr_events) {
		json_null(j, "figures");
		return;
	}
	o = (struct object){ .j = j, .r = r };
	json_object(j, "figures");
	stat_each_figure(r, add_member, &o);
	stat_assert_figures(r->options, add_member, &o);
	json_end_object(j);
}
