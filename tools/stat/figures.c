// SPDX-License-Identifier: MIT
/*
 * Figures by name. A name is a word of the table ("switches",
 * "switches.iou-wrk"), or a family and its member ("syscalls:read",
 * "uring:RECV", "user:parks", "off-cpu.p99").
 */
#define _GNU_SOURCE
#include "figures.h"
#include <stdlib.h>
#include <string.h>

const char *const stat_class_names[URT_CLASSES] = { "app", "iou_wrk", "iou_sqp",
						    "kernel" };

static const struct figure *find(const char *name)
{
	for (const struct figure *f = figures; f->name; f++)
		if (!strcmp(name, f->name))
			return f;
	return NULL;
}

double figure_get(const struct stat_result *r, const struct figure *f)
{
	return f->get ? f->get(r) : figure_over_classes(r, f->sum);
}

/* "syscalls:read": the part after the colon, if the name begins with what. */
static const char *part(const char *name, const char *what)
{
	size_t n = strlen(what);

	return !strncmp(name, what, n) && name[n] == ':' && name[n + 1]
		       ? name + n + 1
		       : NULL;
}

static int named_in(const char *name, const char *(*f)(unsigned, char[32]),
		    unsigned n)
{
	char buf[32];

	for (unsigned i = 0; i < n; i++)
		if (!strcasecmp(f(i, buf), name))
			return i;
	return -1;
}

/* "off-cpu.p99", "on-cpu.mean": *p is the percentage, or -1 for the mean. */
static bool is_time(const char *name, bool *on, double *p)
{
	char *end;

	*on = !strncmp(name, "on-cpu.", 7);
	if (!*on && strncmp(name, "off-cpu.", 8))
		return false;
	name = strchr(name, '.') + 1;
	*p = -1;
	if (!strcmp(name, "mean"))
		return true;
	if (*name != 'p')
		return false;
	*p = strtod(name + 1, &end);
	return end > name + 1 && !*end && *p > 0 && *p <= 100;
}

/* "latency:ready.p99": the kind of time, and *p is the percentage; or -1. */
static int is_latency(const char *name, double *p)
{
	const char *of = part(name, "latency");
	char which[16], *end;
	size_t n = of ? strcspn(of, ".") : 0;

	if (!n || n >= sizeof(which) || of[n] != '.' || of[n + 1] != 'p')
		return -1;
	memcpy(which, of, n);
	which[n] = '\0';
	*p = strtod(of + n + 2, &end);
	if (end == of + n + 2 || *end || *p <= 0 || *p > 100)
		return -1;
	return user_time_find(which);
}

bool stat_figure_exists(const char *name)
{
	const char *of;
	double p;
	bool on;

	if ((of = part(name, "syscalls")) || (of = part(name, "switches")))
		return named_in(of, syscall_name, URT_SYSCALLS + 1) >= 0;
	if ((of = part(name, "uring")) || (of = part(name, "punted")) ||
	    (of = part(name, "polled")))
		return named_in(of, uring_op_name, URT_URING_OPS) >= 0;
	return find(name) || part(name, "user") || is_time(name, &on, &p) ||
	       is_latency(name, &p) >= 0;
}

const char *stat_figure_unit(const char *name)
{
	const struct figure *f = find(name);
	double p;
	bool on;

	if (f)
		return f->unit ? f->unit : "";
	return is_time(name, &on, &p) || is_latency(name, &p) >= 0 ? "ns" : "";
}

/* ---- families ---- */

static const char *lacks_times(const struct stat_result *r)
{
	const char *why = figure_needs_bpf(r);

	return why ? why : r->options->times ? NULL : "not wanted (--times)";
}

uint64_t figure_times(const struct stat_result *r, bool on,
		      __u64 slot[URT_TIME_LOGS])
{
	uint64_t n = 0;

	memset(slot, 0, URT_TIME_LOGS * sizeof(*slot));
	for (int i = 0; i < URT_CLASSES; i++)
		for (int log = 0; log < URT_TIME_LOGS; log++) {
			uint64_t more = on ? r->counts.class[i].on_cpu[log]
					   : r->counts.class[i].off_cpu[log];

			slot[log] += more;
			n += more;
		}
	return n;
}

/* p: the percentage, or -1 for the mean. */
static double time_figure(const struct stat_result *r, bool on, double p)
{
	__u64 slot[URT_TIME_LOGS];
	uint64_t n = figure_times(r, on, slot), seen = 0;
	double ns = 0;

	for (int i = 0; i < URT_CLASSES; i++)
		ns += on ? r->counts.class[i].on_cpu_ns
			 : r->counts.class[i].off_cpu_ns;
	if (p < 0)
		return n ? ns / n : 0;
	for (int log = 0; log < URT_TIME_LOGS && n; log++) {
		seen += slot[log];
		if (seen >= p / 100 * n)
			return (double)(UINT64_C(2) << log);
	}
	return 0;
}

static const char *of_one(const struct stat_result *r, const char *name,
			  double *value)
{
	const char *of, *why;
	__u64 slot[URT_TIME_LOGS];
	double p;
	bool on;
	int which;
	size_t at;

	if ((of = part(name, "syscalls"))) {
		why = figure_needs_each_syscall(r);
		*value = r->counts.calls.made[named_in(of, syscall_name,
						       URT_SYSCALLS + 1)];
	} else if ((of = part(name, "switches"))) {
		why = figure_needs_bpf(r);
		*value = r->counts.calls.switches_in[named_in(
			of, syscall_name, URT_SYSCALLS + 1)];
	} else if ((of = part(name, "user"))) {
		why = figure_needs_counter(r, of);
		*value = user_stats_get(&r->user, of);
	} else if ((which = is_latency(name, &p)) >= 0) {
		why = stat_why_no_user(r);
		if (!why && !user_stats_times(&r->user, which))
			why = "none was measured";
		*value = user_stats_time(&r->user, which, p / 100);
	} else if (is_time(name, &on, &p)) {
		why = lacks_times(r);
		if (!why && !figure_times(r, on, slot))
			why = on ? "no time on a CPU was seen"
				 : "no time off the CPU was seen";
		*value = time_figure(r, on, p);
	} else {
		why = figure_needs_each_op(r);
		at = part(name, "uring")
			     ? offsetof(struct urt_counts, submitted)
		     : part(name, "punted")
			     ? offsetof(struct urt_counts, punted)
			     : offsetof(struct urt_counts, polled);
		of = strchr(name, ':') + 1;
		at += named_in(of, uring_op_name, URT_URING_OPS) *
		      sizeof(__u64);
		*value = figure_over_classes(r, at);
	}
	return why;
}

bool stat_figure(const struct stat_result *r, const char *name, double *value,
		 char why[256])
{
	const struct figure *f = find(name);
	const char *reason;

	if (!stat_figure_exists(name)) {
		snprintf(why, 256, "no such figure");
		return false;
	}
	reason = f ? f->lacks(r) : of_one(r, name, value);
	if (reason) {
		snprintf(why, 256, "%s", reason);
		return false;
	}
	if (f)
		*value = figure_get(r, f);
	return true;
}

const char *figure_rung(const struct stat_result *r, const struct figure *f)
{
	const char *source = stat_source_names[r->source];

	switch (f->rung) {
	case RUNG_PAGE:
		return "page";
	case RUNG_CLOCK:
		return "clock";
	case RUNG_PERF:
		return "perf";
	case RUNG_PROC:
		return "proc";
	case RUNG_CPU:
		return r->options->command ? "rusage" : "proc";
	case RUNG_KERNEL:
		if (r->source == STAT_BPF)
			return source;
		return r->options->pids ? "proc" : "rusage";
	case RUNG_SOURCE:
		break;
	}
	return r->source == STAT_PROC && !r->options->pids ? "rusage" : source;
}

const char *stat_figure_rung(const struct stat_result *r, const char *name)
{
	static const struct figure counted = { .rung = RUNG_SOURCE };
	static const struct figure of_page = { .rung = RUNG_PAGE };
	const struct figure *f = find(name);

	return figure_rung(r, f ? f : part(name, "user") ? &of_page : &counted);
}

void stat_each_figure(const struct stat_result *r,
		      void (*f)(const char *name, void *arg), void *arg)
{
	const struct stat_options *o = r->options;
	char name[64], buf[32];

	for (unsigned i = 0; i < o->nr_events; i++)
		f(o->event[i], arg);
	if (o->nr_events)
		return;
	for (const struct figure *row = figures; row->name; row++)
		f(row->name, arg);
	for (unsigned i = 0; i <= URT_SYSCALL_OTHER; i++) {
		if (!r->counts.calls.made[i])
			continue;
		snprintf(name, sizeof(name), "syscalls:%s",
			 syscall_name(i, buf));
		f(name, arg);
	}
	for (unsigned i = 0; i < URT_URING_OPS; i++) {
		snprintf(name, sizeof(name), "uring:%s", uring_op_name(i, buf));
		if (figure_over_classes(r,
					offsetof(struct urt_counts, submitted) +
						i * sizeof(__u64)))
			f(name, arg);
	}
	for (unsigned i = 0; !stat_why_no_user(r) && i < r->user.n; i++) {
		snprintf(name, sizeof(name), "user:%s",
			 r->user.counter[i].name);
		f(name, arg);
	}
	if (!o->times)
		return;
	f("on-cpu.mean", arg);
	f("on-cpu.p99", arg);
	f("off-cpu.mean", arg);
	f("off-cpu.p99", arg);
}
