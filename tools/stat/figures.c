// SPDX-License-Identifier: MIT
/*
 * The figures of a measurement by name: one list of names for --assert,
 * --ops-from, -x, -r and `urt compare`, so that what can be printed can be
 * asserted, and what cannot be had says why in one place.
 *
 * A name is a word ("switches"), perhaps with a part ("switches.iou-wrk",
 * "off-cpu.p99") or with what it is of ("syscalls:read", "uring:RECV",
 * "user:parks").
 */
#define _GNU_SOURCE
#include "stat.h"
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

const char *const stat_class_names[URT_CLASSES] = { "app", "iou_wrk", "iou_sqp",
						    "kernel" };
const char *const stat_cause_names[URT_CAUSES] = { "syscall", "page_fault",
						   "preemption", "exit",
						   "other" };
const char stat_no_uring[] = "this kernel has no io_uring, or not its "
			     "tracepoints";

enum needs { NOTHING, BPF, BPF_OR_PERF, SYSCALLS, URING, TIMES };

typedef double figure_fn(const struct stat_result *);

/* ---- sums ---- */

static double over_classes(const struct stat_result *r, size_t offset)
{
	uint64_t n = 0;

	for (int i = 0; i < URT_CLASSES; i++)
		n += *(const __u64 *)((const char *)&r->counts.class[i] +
				      offset);
	return n;
}

#define SUM(field) over_classes(r, offsetof(struct urt_counts, field))

static bool by(const struct stat_result *r, const char *source)
{
	return !strcmp(r->source, source);
}

static double f_voluntary(const struct stat_result *r)
{
	return SUM(voluntary);
}

static double f_involuntary(const struct stat_result *r)
{
	return SUM(involuntary);
}

static double f_nvcsw(const struct stat_result *r)
{
	return r->nvcsw;
}

static double f_nivcsw(const struct stat_result *r)
{
	return r->nivcsw;
}

static double f_switches(const struct stat_result *r)
{
	if (by(r, "perf"))
		return r->perf.switches;
	return f_voluntary(r) + f_involuntary(r);
}

static double f_mismatch(const struct stat_result *r)
{
	return f_switches(r) - r->nvcsw - r->nivcsw;
}

static double class_switches(const struct stat_result *r, int class)
{
	return counts_switches(&r->counts, class);
}

static double f_iou_wrk(const struct stat_result *r)
{
	return class_switches(r, URT_CLASS_IOU_WRK);
}

static double f_iou_sqp(const struct stat_result *r)
{
	return class_switches(r, URT_CLASS_IOU_SQP);
}

static double f_cause_syscall(const struct stat_result *r)
{
	return SUM(cause[URT_CAUSE_SYSCALL]);
}

static double f_cause_fault(const struct stat_result *r)
{
	return SUM(cause[URT_CAUSE_FAULT]);
}

static double f_cause_preemption(const struct stat_result *r)
{
	return SUM(cause[URT_CAUSE_PREEMPTION]);
}

static double f_cause_exit(const struct stat_result *r)
{
	return SUM(cause[URT_CAUSE_EXIT]);
}

static double f_cause_other(const struct stat_result *r)
{
	return SUM(cause[URT_CAUSE_OTHER]);
}

static double f_syscalls(const struct stat_result *r)
{
	return by(r, "perf") ? (double)r->perf.syscalls
			     : counts_syscalls(&r->counts);
}

static double f_syscalls_32(const struct stat_result *r)
{
	uint64_t n = 0;

	for (int i = 0; i < URT_SYSCALLS_32; i++)
		n += r->counts.calls.made_32[i];
	return n;
}

static double f_enters(const struct stat_result *r)
{
	return r->counts.calls.made[__NR_io_uring_enter];
}

static double f_uring(const struct stat_result *r)
{
	return by(r, "perf") ? (double)r->perf.submitted
			     : counts_submitted(&r->counts);
}

static double f_completed(const struct stat_result *r)
{
	return by(r, "perf") ? (double)r->perf.completed
			     : counts_completed(&r->counts);
}

static double of_all_ops(const struct stat_result *r, size_t offset)
{
	double n = 0;

	for (int op = 0; op < URT_URING_OPS; op++)
		n += over_classes(r, offset + op * sizeof(__u64));
	return n;
}

static double f_punted(const struct stat_result *r)
{
	return of_all_ops(r, offsetof(struct urt_counts, punted));
}

static double f_polled(const struct stat_result *r)
{
	return of_all_ops(r, offsetof(struct urt_counts, polled));
}

static double f_inline(const struct stat_result *r)
{
	return f_uring(r) -
	       of_all_ops(r, offsetof(struct urt_counts, deferred));
}

static double f_threads(const struct stat_result *r)
{
	return SUM(tasks);
}

static double f_lost(const struct stat_result *r)
{
	return r->counts.lost;
}

static double f_user_switches(const struct stat_result *r)
{
	return user_stats_get(&r->user, "switches");
}

static double f_wall(const struct stat_result *r)
{
	return r->wall_ns;
}

static double f_user(const struct stat_result *r)
{
	return r->user_ns;
}

static double f_system(const struct stat_result *r)
{
	return r->system_ns;
}

static double f_cpu(const struct stat_result *r)
{
	return r->user_ns + r->system_ns;
}

static double f_faults(const struct stat_result *r)
{
	return r->perf.faults;
}

static double f_migrations(const struct stat_result *r)
{
	return r->perf.migrations;
}

/* ---- the names ---- */

static const struct named {
	const char *name;
	figure_fn *get;
	enum needs needs;
	const char *unit; /* "" for events */
} list[] = {
	{ "switches", f_switches, NOTHING, "" },
	{ "voluntary", f_voluntary, NOTHING, "" },
	{ "involuntary", f_involuntary, NOTHING, "" },
	{ "kernel.voluntary", f_nvcsw, NOTHING, "" },
	{ "kernel.involuntary", f_nivcsw, NOTHING, "" },
	{ "switches.iou-wrk", f_iou_wrk, BPF, "" },
	{ "switches.iou-sqp", f_iou_sqp, BPF, "" },
	{ "cause.syscall", f_cause_syscall, BPF, "" },
	{ "cause.page-fault", f_cause_fault, BPF, "" },
	{ "cause.preemption", f_cause_preemption, BPF, "" },
	{ "cause.exit", f_cause_exit, BPF, "" },
	{ "cause.other", f_cause_other, BPF, "" },
	{ "syscalls", f_syscalls, SYSCALLS, "" },
	{ "syscalls.32-bit", f_syscalls_32, SYSCALLS, "" },
	{ "enters", f_enters, SYSCALLS, "" },
	{ "uring", f_uring, URING, "" },
	{ "completed", f_completed, URING, "" },
	{ "inline", f_inline, URING, "" },
	{ "polled", f_polled, URING, "" },
	{ "punted", f_punted, URING, "" },
	{ "user-switches", f_user_switches, NOTHING, "" },
	{ "threads", f_threads, BPF, "" },
	{ "migrations", f_migrations, BPF_OR_PERF, "" },
	{ "page-faults", f_faults, BPF_OR_PERF, "" },
	{ "lost", f_lost, BPF, "" },
	{ "mismatch", f_mismatch, NOTHING, "" },
	{ "wall", f_wall, NOTHING, "ns" },
	{ "user", f_user, NOTHING, "ns" },
	{ "system", f_system, NOTHING, "ns" },
	{ "cpu", f_cpu, NOTHING, "ns" },
};

static const struct named *find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(list); i++)
		if (!strcmp(name, list[i].name))
			return &list[i];
	return NULL;
}

/* "syscalls:read": the part behind the colon, if it begins with what. */
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

/* "latency:ready.p99": which one, and *p is the percentage; or -1. */
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
	const struct named *f = find(name);
	double p;
	bool on;

	if (f)
		return f->unit;
	return is_time(name, &on, &p) || is_latency(name, &p) >= 0 ? "ns" : "";
}

/* ---- what can be had ---- */

static const char *lacks(const struct stat_result *r, enum needs needs)
{
	bool bpf = by(r, "bpf"), perf = by(r, "perf");

	switch (needs) {
	case BPF:
		return bpf ? NULL : r->why_no_bpf;
	case BPF_OR_PERF:
		return perf ? NULL : "counted by perf events only (--no-bpf)";
	case SYSCALLS:
		if (r->options->no_syscalls)
			return "not wanted (--no-syscalls)";
		if (perf && r->perf.syscalls < 0)
			return "perf events need tracefs for this: mount -t "
			       "tracefs tracefs /sys/kernel/tracing";
		return bpf || perf ? NULL : r->why_no_bpf;
	case URING:
		if (perf && r->perf.submitted < 0)
			return "perf events need tracefs for this: mount -t "
			       "tracefs tracefs /sys/kernel/tracing";
		if (bpf && !r->has_uring)
			return stat_no_uring;
		return bpf || perf ? NULL : r->why_no_bpf;
	case TIMES:
		if (!bpf)
			return r->why_no_bpf;
		return r->options->times ? NULL : "not wanted (--times)";
	case NOTHING:
		break;
	}
	return NULL;
}

/* By perf events there are sums, but nothing by name and no causes. */
static const char *lacks_detail(const struct stat_result *r, enum needs needs)
{
	const char *why = lacks(r, needs);

	return why ? why : by(r, "bpf") ? NULL : r->why_no_bpf;
}

const char *stat_why_no_user(const struct stat_result *r)
{
	if (r->user.bad)
		return r->user.bad;
	return r->has_user ? NULL
			   : "no counters page: it does not run on uring_rt";
}

/*
 * A figure means the same on each rung. The kernel's own counters, as wait4 and
 * /proc tell them, lack each thread's last switch and what has ended before one
 * looks; so they stand under names of their own ("kernel.voluntary").
 */
static const char *why_no_switches(const struct stat_result *r, bool sum)
{
	if (by(r, "bpf"))
		return NULL;
	if (sum && by(r, "perf"))
		return r->perf.switches >= 0
			       ? NULL
			       : "perf events need tracefs for this: mount -t "
				 "tracefs tracefs /sys/kernel/tracing";
	return r->why_no_bpf;
}

static const char *why_not(const struct stat_result *r, const char *name,
			   const struct named *f)
{
	if ((f->get == f_nvcsw || f->get == f_nivcsw) && r->options->all &&
	    !by(r, "bpf"))
		return "the kernel keeps them for each process";
	if (!strcmp(name, "user-switches") && stat_why_no_user(r))
		return stat_why_no_user(r);
	if ((f->get == f_user || f->get == f_system || f->get == f_cpu) &&
	    r->user_ns < 0)
		return r->why_no_cpu;
	if (f->get == f_enters || f->get == f_syscalls_32 ||
	    f->get == f_inline || f->get == f_polled || f->get == f_punted)
		return lacks_detail(r, f->needs);
	if (f->get == f_voluntary || f->get == f_involuntary ||
	    f->get == f_mismatch || f->get == f_switches)
		return why_no_switches(r, f->get == f_switches);
	return lacks(r, f->needs);
}

static double time_figure(const struct stat_result *r, bool on, double p)
{
	uint64_t slot[URT_TIME_LOGS] = { 0 }, n = 0, seen = 0;
	double ns = 0;

	for (int i = 0; i < URT_CLASSES; i++) {
		const struct urt_counts *c = &r->counts.class[i];

		ns += on ? c->on_cpu_ns : c->off_cpu_ns;
		for (int log = 0; log < URT_TIME_LOGS; log++) {
			slot[log] += on ? c->on_cpu[log] : c->off_cpu[log];
			n += on ? c->on_cpu[log] : c->off_cpu[log];
		}
	}
	if (p < 0)
		return n ? ns / n : 0;
	for (int log = 0; log < URT_TIME_LOGS && n; log++) {
		seen += slot[log];
		if (seen >= p / 100 * n)
			return (double)(UINT64_C(2) << log);
	}
	return 0;
}

static bool any_time(const struct stat_result *r, bool on)
{
	uint64_t n = 0;

	for (int i = 0; i < URT_CLASSES; i++)
		for (int log = 0; log < URT_TIME_LOGS; log++)
			n += on ? r->counts.class[i].on_cpu[log]
				: r->counts.class[i].off_cpu[log];
	return n;
}

static const char *of_one(const struct stat_result *r, const char *name,
			  double *value)
{
	const char *of, *why;
	double p;
	bool on;
	int which;
	size_t at;

	if ((of = part(name, "syscalls"))) {
		why = lacks_detail(r, SYSCALLS);
		*value = r->counts.calls.made[named_in(of, syscall_name,
						       URT_SYSCALLS + 1)];
	} else if ((of = part(name, "switches"))) {
		why = lacks(r, BPF);
		*value = r->counts.calls.switches_in[named_in(
			of, syscall_name, URT_SYSCALLS + 1)];
	} else if ((of = part(name, "user"))) {
		why = stat_why_no_user(r);
		*value = user_stats_get(&r->user, of);
	} else if ((which = is_latency(name, &p)) >= 0) {
		why = stat_why_no_user(r);
		if (!why && !user_stats_times(&r->user, which))
			why = "none was measured";
		*value = user_stats_time(&r->user, which, p / 100);
	} else if (is_time(name, &on, &p)) {
		why = lacks(r, TIMES);
		if (!why && !any_time(r, on))
			why = on ? "no time on a CPU was seen"
				 : "no time off the CPU was seen";
		*value = time_figure(r, on, p);
	} else {
		why = lacks_detail(r, URING);
		at = part(name, "uring")
			     ? offsetof(struct urt_counts, submitted)
		     : part(name, "punted")
			     ? offsetof(struct urt_counts, punted)
			     : offsetof(struct urt_counts, polled);
		of = strchr(name, ':') + 1;
		at += named_in(of, uring_op_name, URT_URING_OPS) *
		      sizeof(__u64);
		*value = over_classes(r, at);
	}
	return why;
}

bool stat_figure(const struct stat_result *r, const char *name, double *value,
		 char why[256])
{
	const struct named *f = find(name);
	const char *reason;

	if (!stat_figure_exists(name)) {
		snprintf(why, 256, "there is no such figure");
		return false;
	}
	reason = f ? why_not(r, name, f) : of_one(r, name, value);
	if (reason) {
		snprintf(why, 256, "%s", reason);
		return false;
	}
	if (f)
		*value = f->get(r);
	return true;
}

const char *stat_figure_rung(const struct stat_result *r, const char *name)
{
	const struct named *f = find(name);

	if (part(name, "user") || !strcmp(name, "user-switches"))
		return "page";
	if (f && f->get == f_wall)
		return "clock";
	if (f && !strcmp(f->unit, "ns"))
		return r->options->command ? "rusage" : "proc";
	if (f && !by(r, "bpf") && (f->get == f_nvcsw || f->get == f_nivcsw))
		return r->options->pids ? "proc" : "rusage";
	if (by(r, "proc"))
		return r->options->pids ? "proc" : "rusage";
	return r->source;
}

void stat_each_figure(const struct stat_result *r,
		      void (*f)(const char *name, void *arg), void *arg)
{
	char name[64], buf[32];

	for (unsigned i = 0; i < ARRAY_LEN(list); i++)
		f(list[i].name, arg);
	for (unsigned i = 0; i <= URT_SYSCALL_OTHER; i++) {
		if (!r->counts.calls.made[i])
			continue;
		snprintf(name, sizeof(name), "syscalls:%s",
			 syscall_name(i, buf));
		f(name, arg);
	}
	for (unsigned i = 0; i < URT_URING_OPS; i++) {
		snprintf(name, sizeof(name), "uring:%s", uring_op_name(i, buf));
		if (over_classes(r, offsetof(struct urt_counts, submitted) +
					    i * sizeof(__u64)))
			f(name, arg);
	}
	for (unsigned i = 0; !stat_why_no_user(r) && i < r->user.n; i++) {
		snprintf(name, sizeof(name), "user:%s",
			 r->user.counter[i].name);
		f(name, arg);
	}
	if (!r->options->times)
		return;
	f("on-cpu.mean", arg);
	f("on-cpu.p99", arg);
	f("off-cpu.mean", arg);
	f("off-cpu.p99", arg);
}
