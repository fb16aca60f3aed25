// SPDX-License-Identifier: MIT
/*
 * The result of `urt stat` for people; print_rows.c has intervals and values. The
 * line of a figure that is not on the highest rung names its rung.
 */
#define _GNU_SOURCE
#include "../lib/text.h"
#include "figures.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void line_of(FILE *f, const struct stat_result *r, int indent,
		    uint64_t n, const char *what, const char *rung)
{
	char buf[32];

	bool more = r->ops > 0 || (rung && strcmp(rung, "bpf"));

	fprintf(f, "%16s  %*s%-*s", text_grouped(n, buf), indent * 2, "",
		more ? 30 - indent * 2 : 0, what);
	if (r->ops > 0)
		fprintf(f, " %12.4g per operation", n / r->ops);
	if (rung && strcmp(rung, "bpf"))
		fprintf(f, "  [%s]", rung);
	fputc('\n', f);
}

static void line(FILE *f, const struct stat_result *r, int indent, uint64_t n,
		 const char *what)
{
	line_of(f, r, indent, n, what, NULL);
}

/* A row of the table; "n/a" and the reason if it is not available. */
static bool figure(FILE *f, const struct stat_result *r,
		   const struct figure *row)
{
	const char *why = row->lacks(r);

	if (why) {
		fprintf(f, "%16s  %*s%s: %s\n", "n/a", row->indent * 2, "",
			row->label, why);
		return false;
	}
	line_of(f, r, row->indent, figure_get(r, row), row->label,
		figure_rung(r, row));
	return true;
}

/* Prints all figures of a place. Returns whether the last one was available. */
static bool print_place(FILE *f, const struct stat_result *r,
			enum figure_place place)
{
	bool had = false;

	for (const struct figure *row = figures; row->name; row++)
		if (row->place == place)
			had = figure(f, r, row);
	return had;
}

/* Prints only available ones, or those that are not 0. */
static void print_some(FILE *f, const struct stat_result *r,
		       enum figure_place place, bool zeros)
{
	for (const struct figure *row = figures; row->name; row++)
		if (row->place == place && !row->lacks(r) &&
		    (zeros || figure_get(r, row)))
			line(f, r, 1, figure_get(r, row), row->label);
}

static double value(const struct stat_result *r, const char *name)
{
	char why[256];
	double n;

	return stat_figure(r, name, &n, why) ? n : 0;
}

/* ---- the non-zero ones of many counts, most first ---- */

struct named {
	uint64_t n;
	const char *name;
};

static int most_first(const void *a, const void *b)
{
	uint64_t x = ((const struct named *)a)->n;
	uint64_t y = ((const struct named *)b)->n;

	return x < y ? 1 : x > y ? -1 : 0;
}

static void sorted_lines(FILE *f, const struct stat_result *r, int indent,
			 const __u64 *counts, unsigned n,
			 const char *(*name)(unsigned, char[32]))
{
	static char names[URT_SYSCALL_SLOTS][32];
	struct named list[URT_SYSCALL_SLOTS];
	unsigned used = 0;

	for (unsigned i = 0; i < n; i++)
		if (counts[i])
			list[used++] =
				(struct named){ counts[i], name(i, names[i]) };
	qsort(list, used, sizeof(*list), most_first);
	for (unsigned i = 0; i < used; i++)
		line(f, r, indent, list[i].n, list[i].name);
}

static const char *switch_cause(unsigned nr, char buf[32])
{
	if (nr == URT_NO_SYSCALL)
		return "outside system calls";
	return nr == URT_SYSCALL_OTHER ? "32-bit and unknown system calls"
				       : syscall_name(nr, buf);
}

static const char *name_32(unsigned nr, char buf[32])
{
	const char *name = syscall_name_32(nr, buf);
	char copy[32];

	snprintf(copy, sizeof(copy), "%s", name);
	snprintf(buf, 32, "%.22s (32-bit)", copy);
	return buf;
}

/* ---- the sections ---- */

static void print_causes(FILE *f, const struct stat_result *r)
{
	fputs("                  because\n", f);
	print_some(f, r, IN_CAUSES, false);
	fputs("                  its own threads were then in\n", f);
	sorted_lines(f, r, 1, r->counts.calls.switches_in, URT_SYSCALL_SLOTS,
		     switch_cause);
}

static void print_switches(FILE *f, const struct stat_result *r)
{
	static const char *const classes[] = { "of its own threads",
					       "of io_uring workers (iou-wrk)",
					       "of io_uring pollers (iou-sqp)",
					       "of other kernel threads" };
	bool bpf = r->source == STAT_BPF, others = false;

	print_place(f, r, IN_SWITCHES);
	if (!bpf)
		print_place(f, r, IN_KERNEL);
	for (int i = 1; i < URT_CLASSES; i++)
		others |= counts_switches(&r->counts, i) > 0;
	for (int i = 0; i < URT_CLASSES && others; i++)
		if (counts_switches(&r->counts, i))
			line(f, r, 1, counts_switches(&r->counts, i),
			     classes[i]);
	if (bpf && value(r, "switches"))
		print_causes(f, r);
	if (value(r, "mismatch"))
		fprintf(f,
			"  MISMATCH: the kernel's own counters grew by %" PRIu64
			" (nvcsw) + %" PRIu64 " (nivcsw)%s\n",
			r->nvcsw, r->nivcsw,
			r->live ? " (read while it ran)" : "");
}

static void print_syscalls(FILE *f, const struct stat_result *r)
{
	if (!print_place(f, r, IN_SYSCALLS))
		return;
	sorted_lines(f, r, 1, r->counts.calls.made, URT_SYSCALL_SLOTS,
		     syscall_name);
	sorted_lines(f, r, 1, r->counts.calls.made_32, URT_SYSCALLS_32,
		     name_32);
}

static void print_op(FILE *f, const struct stat_result *r, unsigned op,
		     uint64_t n)
{
	char buf[32], what[96];
	uint64_t polled = 0, punted = 0, deferred = 0;

	for (int i = 0; i < URT_CLASSES; i++) {
		polled += r->counts.class[i].polled[op];
		punted += r->counts.class[i].punted[op];
		deferred += r->counts.class[i].deferred[op];
	}
	snprintf(what, sizeof(what), "%s", uring_op_name(op, buf));
	if (deferred)
		snprintf(what, sizeof(what),
			 "%s: %" PRIu64 " inline, %" PRIu64 " by poll, %" PRIu64
			 " punted",
			 uring_op_name(op, buf), n - deferred, polled, punted);
	line(f, r, 1, n, what);
}

static void print_uring(FILE *f, const struct stat_result *r)
{
	char why[256];
	double all;

	if (!stat_figure(r, "uring", &all, why)) {
		print_place(f, r, IN_URING);
		return;
	}
	if (!all && !value(r, "completed"))
		return;
	print_place(f, r, IN_URING);
	for (unsigned op = 0; op < URT_URING_OPS; op++) {
		uint64_t n = 0;

		for (int i = 0; i < URT_CLASSES; i++)
			n += r->counts.class[i].submitted[op];
		if (n)
			print_op(f, r, op, n);
	}
	print_some(f, r, IN_WAYS, true);
}

/* Upper ends: the histogram knows times to within a quarter. */
static void print_latency(FILE *f, const struct stat_result *r,
			  enum urt__time t)
{
	static const char *const what[] = {
		[URT__TIME_READY] = "from runnable to running",
		[URT__TIME_TIMER] = "timers, late by",
	};
	uint64_t n = user_stats_times(&r->user, t);

	if (n)
		fprintf(f,
			"%16.1f  us %s: p50; p99 %.1f, p99.9 %.1f (%llu "
			"measured)\n",
			user_stats_time(&r->user, t, 0.5) / 1e3, what[t],
			user_stats_time(&r->user, t, 0.99) / 1e3,
			user_stats_time(&r->user, t, 0.999) / 1e3,
			(unsigned long long)n);
}

static void print_user(FILE *f, const struct stat_result *r)
{
	static const char *const shown[] = {
		"switches", "parks", "yields", "spawns", "steals", "preemptions"
	};

	if (r->user.bad)
		fprintf(f, "%16s  in user space: %s\n", "n/a", r->user.bad);
	if (stat_why_no_user(r))
		return;
	fputs("     in user space (uring_rt)\n", f);
	for (unsigned i = 0; i < ARRAY_LEN(shown); i++)
		line(f, r, 0, user_stats_get(&r->user, shown[i]), shown[i]);
	line(f, r, 0, user_stats_get(&r->user, "handoffs"), "handoffs");
	line(f, r, 1, user_stats_get(&r->user, "handoffs_told"),
	     "as the kernel told");
	for (int t = 0; t < URT__TIME_COUNT; t++)
		print_latency(f, r, t);
}

/* For a command, each switch ends a time on the CPU whose beginning we saw. */
uint64_t stat_times_missing(const struct stat_result *r)
{
	__u64 slot[URT_TIME_LOGS];
	uint64_t n = 0;

	if (r->live || r->options->delay_ns || r->options->control_fd >= 0)
		return 0;
	for (int i = 0; i < URT_CLASSES; i++)
		n += counts_switches(&r->counts, i);
	return n - figure_times(r, true, slot);
}

static void duration(double ns, char buf[32])
{
	static const char *const unit[] = { "ns", "us", "ms", "s" };
	int i = 0;

	for (; ns >= 1000 && i < 3; i++)
		ns /= 1000;
	snprintf(buf, 32, "%.3g %s", ns, unit[i]);
}

static void print_histogram(FILE *f, const struct stat_result *r, bool on)
{
	__u64 slot[URT_TIME_LOGS], most = 0;
	char from[32], mean[32];

	figure_times(r, on, slot);
	for (int log = 0; log < URT_TIME_LOGS; log++)
		if (slot[log] > most)
			most = slot[log];
	duration(value(r, on ? "on-cpu.mean" : "off-cpu.mean"), mean);
	fprintf(f, "\n  %s, mean %s; from ... to twice that\n",
		on ? "time on the CPU at a stretch"
		   : "time off the CPU, until it ran again",
		mean);
	for (int log = 0; log < URT_TIME_LOGS; log++) {
		if (!slot[log])
			continue;
		duration((double)(UINT64_C(1) << log), from);
		fprintf(f, "%12s %12llu  %.*s\n", from, slot[log],
			(int)(1 + slot[log] * 39 / most),
			"****************************************");
	}
}

static int busiest_first(const void *a, const void *b)
{
	const struct urt_thread *x = a, *y = b;
	uint64_t m = x->voluntary + x->involuntary;
	uint64_t n = y->voluntary + y->involuntary;

	return m < n ? 1 : m > n ? -1 : 0;
}

static void print_threads(FILE *f, const struct stat_result *r)
{
	if (!r->thread)
		return;
	qsort(r->thread, r->threads, sizeof(*r->thread), busiest_first);
	fprintf(f, "\n  %7s %7s %-16s %-8s %10s %10s %11s %10s %12s\n", "pid",
		"tid", "name", "class", "voluntary", "involunt.", "syscalls",
		"uring ops", "on CPU ms");
	for (unsigned i = 0; i < r->threads; i++) {
		const struct urt_thread *t = &r->thread[i];
		char pid[16], name[64], calls[32] = "n/a", ops[32] = "n/a";

		snprintf(pid, sizeof(pid), "%u", t->tgid);
		if (!r->options->no_syscalls)
			snprintf(calls, sizeof(calls), "%llu", t->syscalls);
		if (r->has_uring)
			snprintf(ops, sizeof(ops), "%llu", t->submitted);
		fprintf(f,
			"  %7s %7u %-16s %-8s %10llu %10llu %11s "
			"%10s %12.3f\n",
			t->pid ? pid : "others", t->pid,
			text_copy(name, sizeof(name), t->comm, sizeof(t->comm)),
			stat_class_names[t->class], t->voluntary,
			t->involuntary, calls, ops, t->on_cpu_ns / 1e6);
	}
}

/* A typed name may come from another user. */
static void print_word(FILE *f, const char *before, const char *word)
{
	char text[4096];

	snprintf(text, sizeof(text), "%s", word);
	fprintf(f, "%s%s", before, text_clean(text));
}

static void print_cpus(FILE *f, const cpu_set_t *cpus)
{
	const char *before = " on CPU ";

	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, cpus)) {
			fprintf(f, "%s%d", before, i);
			before = ",";
		}
}

static void print_title(FILE *f, const struct stat_result *r)
{
	const struct stat_options *o = r->options;

	fputs("\n urt stat:", f);
	if (o->all)
		fputs(" all processes", f);
	if (o->cgroup)
		print_word(f, " cgroup ", o->cgroup);
	for (unsigned i = 0; i < o->pids; i++)
		fprintf(f, " %s%d",
			i	    ? ""
			: o->by_tid ? "thread "
				    : "process ",
			o->pid[i]);
	if (o->children)
		fputs(" and its children", f);
	if (o->some_cpus)
		print_cpus(f, &o->cpus);
	if (o->command && (o->all || o->cgroup || o->pids))
		fputs(" while", f);
	for (char **a = o->command; a && *a; a++)
		print_word(f, " ", *a);
	fprintf(f, "   (source: %s)\n\n", stat_source_names[r->source]);
}

/* The share of the time in which the cost was measured, and its meaning. */
static void print_cost(FILE *f, const struct stat_result *r)
{
	const struct stat_costs *c = &r->cost;

	if (!c->runs || !c->sampled_ns)
		return;
	fprintf(f,
		"%16.1f  ns an event was spent counting, %.2f %% of one CPU, "
		"for all processes\n"
		"                  (%" PRIu64 " events in %.3f s %s)\n",
		(double)c->ns / c->runs, 100.0 * c->ns / c->sampled_ns, c->runs,
		c->sampled_ns / 1e9,
		r->options->cost == STAT_COST_ALWAYS ? "were measured"
						     : "were sampled");
}

/* The command has ended, but not all its descendants; a process had children. */
static void print_left(FILE *f, const struct stat_result *r)
{
	uint64_t n = counts_not_ended(&r->counts);

	if (!r->live && n && r->source == STAT_BPF && !r->options->some_cpus)
		fprintf(f,
			"\n%16" PRIu64
			"  thread%s that it started still run%s: "
			"not counted any more (--wait-all)\n",
			n, n > 1 ? "s" : "", n > 1 ? "" : "s");
	if (r->left_out)
		fprintf(f,
			"\n%16u  process%s that had been started before: not "
			"counted (--children)\n",
			r->left_out, r->left_out > 1 ? "es" : "");
}

static void print_figures(FILE *f, const struct stat_result *r)
{
	print_switches(f, r);
	print_syscalls(f, r);
	print_uring(f, r);
	if (r->has_perf)
		print_place(f, r, IN_PERF);
	print_user(f, r);
}

static void print_advice(FILE *f, const struct stat_result *r)
{
	if (r->source != STAT_BPF && !r->options->no_bpf)
		fputs("\n  `urt doctor` prints what is missing on this machine, "
		      "and the command that adds it\n",
		      f);
}

void stat_print_text(FILE *f, const struct stat_result *r)
{
	print_title(f, r);
	if (r->options->nr_events)
		stat_print_events(f, r);
	else
		print_figures(f, r);
	if (r->options->times && r->source == STAT_BPF) {
		print_histogram(f, r, true);
		print_histogram(f, r, false);
		if (stat_times_missing(r))
			fprintf(f,
				"  MISSING: %" PRIu64
				" times, whose beginning was not seen\n",
				stat_times_missing(r));
	} else if (r->options->times) {
		char why[256];
		double n;

		if (!stat_figure(r, "on-cpu.mean", &n, why))
			fprintf(f, "%16s  times: %s\n", "n/a", why);
	}
	if (r->latency && r->options->latency)
		stat_latency_print(f, r->latency, false);
	if (r->latency && r->options->errors)
		stat_latency_print(f, r->latency, true);
	if (r->by)
		stat_by_print(f, r->by);
	print_threads(f, r);
	print_left(f, r);
	print_advice(f, r);
	fprintf(f, "\n%16.6f  s elapsed\n", r->wall_ns / 1e9);
	if (r->user_ns >= 0)
		fprintf(f, "%16.6f  s user%s\n%16.6f  s system\n",
			r->user_ns / 1e9,
			r->options->pids ? ", without children" : "",
			r->system_ns / 1e9);
	print_cost(f, r);
	if (r->counts.lost)
		fprintf(f, "  LOST: %" PRIu64 " events could not be counted\n",
			r->counts.lost);
	fputc('\n', f);
}
