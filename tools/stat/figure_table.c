// SPDX-License-Identifier: MIT
/*
 * The table of figures. A figure is one row: --list, --assert, --ops-from, -x,
 * -r, -I, --json, the printed result and `urt compare` read this table, so that
 * every printed figure can be asserted, and the reason for an unavailable
 * figure has one place.
 */
#include "figures.h"
#include <sys/syscall.h>

const char *const stat_source_names[] = { "proc", "perf", "bpf" };

/* ---- requirements: NULL if they are met, else the reason ---- */

static const char not_by_cpu[] = "not known by CPU (-C)";
static const char no_tracefs[] =
	"perf events need tracefs for this, which is not "
	"mounted or closed to this user: `urt doctor` "
	"prints the command";

static const char too_few_files[] =
	"not each thread has its perf event: too many open files (ulimit -n)";

static const char cut[] =
	"the kernel ends perf events where a program executes another one that "
	"has more rights (setuid)";

static const char no_exits[] =
	"this kernel ends a thread's perf events before its last switch; they "
	"are known only of a command whose threads have all ended";

const char *figure_needs_bpf(const struct stat_result *r)
{
	return r->source == STAT_BPF ? NULL : r->why_no_bpf;
}

static const char *needs_perf(const struct stat_result *r)
{
	return r->has_perf ? NULL
	       : *r->why_no_perf
		       ? r->why_no_perf
		       : "counted by perf events only (-e, or --no-bpf)";
}

/* NULL: it is a count. */
static const char *lacks_event(int64_t n)
{
	return n >= 0		    ? NULL
	       : n == PERF_NO_FILES ? too_few_files
	       : n == PERF_CUT	    ? cut
	       : n == PERF_NO_EXITS ? no_exits
				    : no_tracefs;
}

static const char *by_perf_only(const struct stat_result *r, int64_t n)
{
	const char *why = needs_perf(r);

	return why ? why : lacks_event(n);
}

static const char *needs_migrations(const struct stat_result *r)
{
	return by_perf_only(r, r->perf.migrations);
}

static const char *needs_faults(const struct stat_result *r)
{
	return by_perf_only(r, r->perf.faults);
}

/* A sum: by BPF, or by perf events if they have it. */
static const char *either(const struct stat_result *r, int64_t by_perf)
{
	return r->source == STAT_PERF ? lacks_event(by_perf)
				      : figure_needs_bpf(r);
}

/*
 * A figure means the same on each rung. The kernel's own counters, as wait4 and
 * /proc give them, lack each thread's last switch and the threads that ended
 * before the first look; so they have names of their own ("kernel.voluntary").
 */
static const char *needs_switches(const struct stat_result *r)
{
	return either(r, r->perf.switches);
}

static const char *needs_syscalls(const struct stat_result *r)
{
	if (r->options->no_syscalls)
		return "not wanted (--no-syscalls)";
	return either(r, r->perf.syscalls);
}

static const char *needs_uring(const struct stat_result *r)
{
	if (r->source == STAT_BPF && !r->has_uring)
		return "this kernel has no io_uring, or not its tracepoints";
	return either(r, r->perf.submitted);
}

static const char *needs_refused(const struct stat_result *r)
{
	if (r->source == STAT_BPF)
		return needs_uring(r);
	return either(r, r->perf.refused);
}

/* Perf events give sums, but nothing by name. */
const char *figure_needs_each_syscall(const struct stat_result *r)
{
	const char *why = needs_syscalls(r);

	return why ? why : figure_needs_bpf(r);
}

const char *figure_needs_each_op(const struct stat_result *r)
{
	const char *why = needs_uring(r);

	return why ? why : figure_needs_bpf(r);
}

static const char *needs_all_cpus(const struct stat_result *r)
{
	return r->options->some_cpus ? not_by_cpu : figure_needs_bpf(r);
}

static const char *needs_kernel(const struct stat_result *r)
{
	return r->options->all && r->source != STAT_BPF
		       ? "the kernel keeps them for each process"
		       : NULL;
}

static const char *needs_transfers(const struct stat_result *r)
{
	if (!r->options->pids || r->options->some_cpus)
		return "kept for each process: give it by -p";
	return r->reads < 0 ? "/proc/PID/io cannot be read: the process has "
			      "ended, is another user's, or the kernel does "
			      "not count them"
			    : NULL;
}

static const char *needs_cpu(const struct stat_result *r)
{
	return r->user_ns < 0 ? r->why_no_cpu : NULL;
}

static const char *needs_nothing(const struct stat_result *r)
{
	return NULL;
}

const char *stat_why_no_user(const struct stat_result *r)
{
	if (r->options->some_cpus)
		return not_by_cpu;
	if (r->options->by_tid)
		return "it is of a program, and not of a thread (-p)";
	if (r->user.bad)
		return r->user.bad;
	return r->has_user ? NULL
			   : "no counters page: it does not run on uring_rt";
}

const char *figure_needs_counter(const struct stat_result *r, const char *name)
{
	const char *why = stat_why_no_user(r);

	if (!why && !user_stats_has(&r->user, name))
		why = "the program's counters page has no such counter";
	return why;
}

static const char *needs_user_switches(const struct stat_result *r)
{
	return figure_needs_counter(r, "switches");
}

/* ---- how a figure is computed ---- */

uint64_t figure_over_classes(const struct stat_result *r, size_t offset)
{
	uint64_t n = 0;

	for (int i = 0; i < URT_CLASSES; i++)
		n += *(const __u64 *)((const char *)&r->counts.class[i] +
				      offset);
	return n;
}

static double over_ops(const struct stat_result *r, size_t offset)
{
	double n = 0;

	for (int op = 0; op < URT_URING_OPS; op++)
		n += figure_over_classes(r, offset + op * sizeof(__u64));
	return n;
}

static double nvcsw(const struct stat_result *r)
{
	return r->nvcsw;
}

static double nivcsw(const struct stat_result *r)
{
	return r->nivcsw;
}

static double reads(const struct stat_result *r)
{
	return r->reads;
}

static double writes(const struct stat_result *r)
{
	return r->writes;
}

static double switches(const struct stat_result *r)
{
	if (r->source == STAT_PERF)
		return r->perf.switches;
	return figure_over_classes(r, offsetof(struct urt_counts, voluntary)) +
	       figure_over_classes(r, offsetof(struct urt_counts, involuntary));
}

static double mismatch(const struct stat_result *r)
{
	return switches(r) - r->nvcsw - r->nivcsw;
}

static double of_iou_wrk(const struct stat_result *r)
{
	return counts_switches(&r->counts, URT_CLASS_IOU_WRK);
}

static double of_iou_sqp(const struct stat_result *r)
{
	return counts_switches(&r->counts, URT_CLASS_IOU_SQP);
}

static double syscalls(const struct stat_result *r)
{
	return r->source == STAT_PERF ? (double)r->perf.syscalls
				      : counts_syscalls(&r->counts);
}

static double syscalls_32(const struct stat_result *r)
{
	uint64_t n = 0;

	for (int i = 0; i < URT_SYSCALLS_32; i++)
		n += r->counts.calls.made_32[i];
	return n;
}

static double enters(const struct stat_result *r)
{
	return r->counts.calls.made[__NR_io_uring_enter];
}

static double submitted(const struct stat_result *r)
{
	return r->source == STAT_PERF ? (double)r->perf.submitted
				      : counts_submitted(&r->counts);
}

static double refused(const struct stat_result *r)
{
	return r->source == STAT_PERF
		       ? (double)r->perf.refused
		       : figure_over_classes(
				 r, offsetof(struct urt_counts, refused));
}

static double completed(const struct stat_result *r)
{
	return r->source == STAT_PERF ? (double)r->perf.completed
				      : counts_completed(&r->counts);
}

static double punted(const struct stat_result *r)
{
	return over_ops(r, offsetof(struct urt_counts, punted));
}

static double polled(const struct stat_result *r)
{
	return over_ops(r, offsetof(struct urt_counts, polled));
}

static double at_once(const struct stat_result *r)
{
	return submitted(r) - refused(r) -
	       over_ops(r, offsetof(struct urt_counts, deferred));
}

static double lost(const struct stat_result *r)
{
	return r->counts.lost;
}

static double user_switches(const struct stat_result *r)
{
	return user_stats_get(&r->user, "switches");
}

static double wall(const struct stat_result *r)
{
	return r->wall_ns;
}

static double user(const struct stat_result *r)
{
	return r->user_ns;
}

static double system_(const struct stat_result *r)
{
	return r->system_ns;
}

static double cpu(const struct stat_result *r)
{
	return r->user_ns + r->system_ns;
}

static double faults(const struct stat_result *r)
{
	return r->perf.faults;
}

static double migrations(const struct stat_result *r)
{
	return r->perf.migrations;
}

/* ---- the table ---- */

#define CLASSES(field) .sum = offsetof(struct urt_counts, field)

const struct figure figures[] = {
	{ .name = "switches",
	  .get = switches,
	  .lacks = needs_switches,
	  .label = "kernel switches",
	  .place = IN_SWITCHES,
	  .json = "switches.total",
	  .column = "switches" },
	{ .name = "voluntary",
	  .lacks = figure_needs_bpf,
	  CLASSES(voluntary),
	  .label = "voluntary",
	  .place = IN_SWITCHES,
	  .indent = 1,
	  .json = "switches.voluntary",
	  .column = "voluntary" },
	{ .name = "involuntary",
	  .lacks = figure_needs_bpf,
	  CLASSES(involuntary),
	  .label = "involuntary",
	  .place = IN_SWITCHES,
	  .indent = 1,
	  .json = "switches.involuntary",
	  .column = "involuntary" },
	{ .name = "kernel.voluntary",
	  .get = nvcsw,
	  .lacks = needs_kernel,
	  .rung = RUNG_KERNEL,
	  .label = "voluntary, by the kernel, without last switches",
	  .place = IN_KERNEL,
	  .json = "kernel.nvcsw" },
	{ .name = "kernel.involuntary",
	  .get = nivcsw,
	  .lacks = needs_kernel,
	  .rung = RUNG_KERNEL,
	  .label = "involuntary, likewise",
	  .place = IN_KERNEL,
	  .json = "kernel.nivcsw" },
	{ .name = "kernel.reads",
	  .get = reads,
	  .lacks = needs_transfers,
	  .rung = RUNG_PROC,
	  .json = "kernel.reads" },
	{ .name = "kernel.writes",
	  .get = writes,
	  .lacks = needs_transfers,
	  .rung = RUNG_PROC,
	  .json = "kernel.writes" },
	{ .name = "switches.iou-wrk",
	  .get = of_iou_wrk,
	  .lacks = figure_needs_bpf },
	{ .name = "switches.iou-sqp",
	  .get = of_iou_sqp,
	  .lacks = figure_needs_bpf },
	{ .name = "cause.syscall",
	  .lacks = figure_needs_bpf,
	  CLASSES(cause[URT_CAUSE_SYSCALL]),
	  .label = "waiting in a system call",
	  .place = IN_CAUSES,
	  .json = "switches.by_cause.syscall" },
	{ .name = "cause.page-fault",
	  .lacks = figure_needs_bpf,
	  CLASSES(cause[URT_CAUSE_FAULT]),
	  .label = "waiting for a page",
	  .place = IN_CAUSES,
	  .json = "switches.by_cause.page_fault" },
	{ .name = "cause.preemption",
	  .lacks = figure_needs_bpf,
	  CLASSES(cause[URT_CAUSE_PREEMPTION]),
	  .label = "preempted",
	  .place = IN_CAUSES,
	  .json = "switches.by_cause.preemption" },
	{ .name = "cause.exit",
	  .lacks = figure_needs_bpf,
	  CLASSES(cause[URT_CAUSE_EXIT]),
	  .label = "ending",
	  .place = IN_CAUSES,
	  .json = "switches.by_cause.exit" },
	{ .name = "cause.other",
	  .lacks = figure_needs_bpf,
	  CLASSES(cause[URT_CAUSE_OTHER]),
	  .label = "stopped, or a kernel thread",
	  .place = IN_CAUSES,
	  .json = "switches.by_cause.other" },
	{ .name = "syscalls",
	  .get = syscalls,
	  .lacks = needs_syscalls,
	  .label = "system calls",
	  .place = IN_SYSCALLS,
	  .json = "syscalls.total",
	  .column = "syscalls" },
	{ .name = "syscalls.32-bit",
	  .get = syscalls_32,
	  .lacks = figure_needs_each_syscall },
	{ .name = "enters",
	  .get = enters,
	  .lacks = figure_needs_each_syscall,
	  .json = "io_uring.enters" },
	{ .name = "uring",
	  .get = submitted,
	  .lacks = needs_uring,
	  .label = "io_uring operations",
	  .place = IN_URING,
	  .json = "io_uring.submitted",
	  .column = "uring ops" },
	{ .name = "refused",
	  .get = refused,
	  .lacks = needs_refused,
	  .label = "refused before they began (an unknown opcode or flag)",
	  .place = IN_WAYS,
	  .indent = 1,
	  .json = "io_uring.refused" },
	{ .name = "completed",
	  .get = completed,
	  .lacks = needs_uring,
	  .label = "completions",
	  .place = IN_WAYS,
	  .indent = 1,
	  .json = "io_uring.completed" },
	{ .name = "inline",
	  .get = at_once,
	  .lacks = figure_needs_each_op,
	  .label = "neither: at once, or when due (TIMEOUT, POLL_ADD, ...)",
	  .place = IN_WAYS,
	  .indent = 1,
	  .json = "io_uring.inline" },
	{ .name = "polled",
	  .get = polled,
	  .lacks = figure_needs_each_op,
	  .label = "after a wait for their file",
	  .place = IN_WAYS,
	  .indent = 1,
	  .json = "io_uring.polled" },
	{ .name = "punted",
	  .get = punted,
	  .lacks = figure_needs_each_op,
	  .label = "punted to a worker thread",
	  .place = IN_WAYS,
	  .indent = 1,
	  .json = "io_uring.punted",
	  .column = "punted" },
	{ .name = "user-switches",
	  .get = user_switches,
	  .lacks = needs_user_switches,
	  .rung = RUNG_PAGE,
	  .column = "user switches" },
	{ .name = "threads", .lacks = needs_all_cpus, CLASSES(tasks) },
	{ .name = "migrations",
	  .get = migrations,
	  .lacks = needs_migrations,
	  .rung = RUNG_PERF,
	  .label = "migrations between CPUs",
	  .place = IN_PERF },
	{ .name = "page-faults",
	  .get = faults,
	  .lacks = needs_faults,
	  .rung = RUNG_PERF,
	  .label = "page faults",
	  .place = IN_PERF },
	{ .name = "lost", .get = lost, .lacks = figure_needs_bpf },
	{ .name = "mismatch", .get = mismatch, .lacks = figure_needs_bpf },
	{ .name = "wall",
	  .get = wall,
	  .lacks = needs_nothing,
	  .unit = "ns",
	  .rung = RUNG_CLOCK },
	{ .name = "user",
	  .get = user,
	  .lacks = needs_cpu,
	  .unit = "ns",
	  .rung = RUNG_CPU,
	  .json = "cpu_ns.user" },
	{ .name = "system",
	  .get = system_,
	  .lacks = needs_cpu,
	  .unit = "ns",
	  .rung = RUNG_CPU,
	  .json = "cpu_ns.system" },
	{ .name = "cpu",
	  .get = cpu,
	  .lacks = needs_cpu,
	  .unit = "ns",
	  .rung = RUNG_CPU },
	{ 0 },
};
