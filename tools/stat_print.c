// SPDX-License-Identifier: MIT
/* The result of `urt stat`, for people and as urt.stat.v1. */
#include "stat.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

static const char no_uring[] =
	"this kernel has no io_uring, or not its tracepoints";
static const char *const class_names[] = { "app", "iou_wrk", "iou_sqp",
					   "kernel" };

/* "12345678" as "12,345,678". */
static const char *grouped(uint64_t n, char buf[32])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	char *p = buf;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*p++ = ',';
		*p++ = digits[i];
	}
	*p = '\0';
	return buf;
}

static void line(FILE *f, const struct stat_result *r, int indent, uint64_t n,
		 const char *what)
{
	char buf[32];

	fprintf(f, "%16s  %*s%-*s", grouped(n, buf), indent * 2, "",
		30 - indent * 2, what);
	if (r->ops)
		fprintf(f, " %12.4g per operation", (double)n / r->ops);
	fputc('\n', f);
}

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

/* The non-zero ones of n counts, most first. */
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
	return syscall_name(nr, buf);
}

static void print_switches(FILE *f, const struct stat_result *r)
{
	uint64_t total = 0, voluntary = 0, involuntary = 0;
	bool io_threads = false;

	for (int i = 0; i < URT_CLASSES; i++) {
		total += counts_switches(&r->counts, i);
		voluntary += r->counts.class[i].voluntary;
		involuntary += r->counts.class[i].involuntary;
		io_threads |= i && counts_switches(&r->counts, i);
	}
	line(f, r, 0, total, "kernel switches");
	line(f, r, 1, voluntary, "voluntary");
	line(f, r, 1, involuntary, "involuntary");
	for (int i = 0; i < URT_CLASSES && io_threads; i++)
		if (counts_switches(&r->counts, i))
			line(f, r, 1, counts_switches(&r->counts, i),
			     i == URT_CLASS_APP ? "of its own threads"
			     : i == URT_CLASS_IOU_WRK
				     ? "of io_uring workers (iou-wrk)"
				     : "of io_uring pollers (iou-sqp)");
	if (total) {
		fputs("                  its own threads were then in\n", f);
		sorted_lines(f, r, 1, r->counts.calls.switches_in,
			     URT_SYSCALL_SLOTS, switch_cause);
	}
	if (r->nvcsw + r->nivcsw != total)
		fprintf(f,
			"  MISMATCH: the kernel's own counters grew by %" PRIu64
			" (nvcsw) + %" PRIu64 " (nivcsw)\n",
			r->nvcsw, r->nivcsw);
}

static void print_uring(FILE *f, const struct stat_result *r)
{
	struct urt_counts all = { 0 };

	for (int i = 0; i < URT_CLASSES; i++)
		for (int op = 0; op < URT_URING_OPS; op++)
			all.submitted[op] += r->counts.class[i].submitted[op];
	if (!r->has_uring)
		fprintf(f, "%16s  io_uring operations: %s\n", "n/a", no_uring);
	if (!counts_submitted(&r->counts) && !counts_completed(&r->counts))
		return;
	line(f, r, 0, counts_submitted(&r->counts), "io_uring operations");
	sorted_lines(f, r, 1, all.submitted, URT_URING_OPS, uring_op_name);
	line(f, r, 1, counts_completed(&r->counts), "completions");
	line(f, r, 1, counts_punted(&r->counts), "given to a worker thread");
}

static void print_user(FILE *f, const struct stat_result *r)
{
	static const char *const shown[] = {
		"switches", "parks", "yields", "spawns", "steals", "preemptions"
	};

	if (!r->has_user)
		return;
	fputs("     in user space (uring_rt)\n", f);
	for (unsigned i = 0; i < ARRAY_LEN(shown); i++)
		line(f, r, 0, user_stats_get(&r->user, shown[i]), shown[i]);
}

static void print_title(FILE *f, const struct stat_result *r)
{
	fputs("\n urt stat:", f);
	for (char **a = r->command; a && *a; a++)
		fprintf(f, " %s", *a);
	if (!r->command)
		fprintf(f, " process %d", r->pid);
	fprintf(f, "   (source: %s)\n\n", r->source);
}

void stat_print_text(FILE *f, const struct stat_result *r)
{
	print_title(f, r);
	if (!strcmp(r->source, "bpf")) {
		print_switches(f, r);
		line(f, r, 0, counts_syscalls(&r->counts), "system calls");
		sorted_lines(f, r, 1, r->counts.calls.made, URT_SYSCALL_SLOTS,
			     syscall_name);
		print_uring(f, r);
	} else {
		line(f, r, 0, r->nvcsw + r->nivcsw, "kernel switches");
		line(f, r, 1, r->nvcsw, "voluntary");
		line(f, r, 1, r->nivcsw, "involuntary");
		fprintf(f, "%16s  system calls, io_uring: %s\n", "n/a",
			r->why_no_bpf);
	}
	print_user(f, r);
	fprintf(f, "\n%16.6f  s elapsed\n", r->wall_ns / 1e9);
	if (r->user_ns >= 0)
		fprintf(f, "%16.6f  s user\n%16.6f  s system\n",
			r->user_ns / 1e9, r->system_ns / 1e9);
	if (r->bpf_runs)
		fprintf(f,
			"%16.6f  s spent counting, on all CPUs and by all "
			"processes, in %" PRIu64 " events\n",
			r->bpf_ns / 1e9, r->bpf_runs);
	if (r->counts.lost)
		fprintf(f, "  LOST: %" PRIu64 " events could not be counted\n",
			r->counts.lost);
	fputc('\n', f);
}

/* ---- urt.stat.v1 ---- */

static void json_counts(struct json *j, const char *member, const __u64 *counts,
			unsigned n, const char *(*name)(unsigned, char[32]))
{
	char buf[32];

	json_object(j, member);
	for (unsigned i = 0; i < n; i++)
		if (counts[i])
			json_int(j, name(i, buf), counts[i]);
	json_end_object(j);
}

static const char *json_switch_cause(unsigned nr, char buf[32])
{
	return nr == URT_NO_SYSCALL ? "none" : syscall_name(nr, buf);
}

static void json_bpf(struct json *j, const struct stat_result *r)
{
	struct urt_counts all = { 0 };

	for (int i = 0; i < URT_CLASSES; i++) {
		all.voluntary += r->counts.class[i].voluntary;
		all.involuntary += r->counts.class[i].involuntary;
		for (int op = 0; op < URT_URING_OPS; op++)
			all.submitted[op] += r->counts.class[i].submitted[op];
	}
	json_object(j, "threads");
	for (int i = 0; i < URT_CLASSES; i++)
		json_int(j, class_names[i], r->counts.class[i].tasks);
	json_end_object(j);
	json_object(j, "switches");
	json_int(j, "total", all.voluntary + all.involuntary);
	json_int(j, "voluntary", all.voluntary);
	json_int(j, "involuntary", all.involuntary);
	json_object(j, "by_class");
	for (int i = 0; i < URT_CLASSES; i++)
		json_int(j, class_names[i], counts_switches(&r->counts, i));
	json_end_object(j);
	json_counts(j, "by_syscall", r->counts.calls.switches_in,
		    URT_SYSCALL_SLOTS, json_switch_cause);
	json_end_object(j);
	json_object(j, "syscalls");
	json_int(j, "total", counts_syscalls(&r->counts));
	json_counts(j, "by_name", r->counts.calls.made, URT_SYSCALL_SLOTS,
		    syscall_name);
	json_end_object(j);
	if (!r->has_uring) {
		json_null(j, "io_uring");
		return;
	}
	json_object(j, "io_uring");
	json_int(j, "enters", r->counts.calls.made[__NR_io_uring_enter]);
	json_int(j, "submitted", counts_submitted(&r->counts));
	json_int(j, "completed", counts_completed(&r->counts));
	json_int(j, "punted", counts_punted(&r->counts));
	json_counts(j, "by_opcode", all.submitted, URT_URING_OPS,
		    uring_op_name);
	json_end_object(j);
}

static void json_proc(struct json *j, const struct stat_result *r)
{
	json_null(j, "threads");
	json_object(j, "switches");
	json_int(j, "total", r->nvcsw + r->nivcsw);
	json_int(j, "voluntary", r->nvcsw);
	json_int(j, "involuntary", r->nivcsw);
	json_null(j, "by_class");
	json_null(j, "by_syscall");
	json_end_object(j);
	json_null(j, "syscalls");
	json_null(j, "io_uring");
}

static void json_unavailable(struct json *j, const struct stat_result *r)
{
	static const char *const without_bpf[] = {
		"threads",  "switches.by_class", "switches.by_syscall",
		"syscalls", "io_uring",		 "cost",
	};

	json_object(j, "unavailable");
	for (unsigned i = 0;
	     strcmp(r->source, "bpf") && i < ARRAY_LEN(without_bpf); i++)
		json_string(j, without_bpf[i], r->why_no_bpf);
	if (strcmp(r->source, "bpf"))
		json_string(j, "drops", "nothing was streamed or counted");
	else if (!r->has_uring)
		json_string(j, "io_uring", no_uring);
	if (!r->has_user)
		json_string(j, "user",
			    "no counters page: it does not run on uring_rt, or "
			    "could not write to /tmp");
	if (r->user_ns < 0)
		json_string(j, "cpu_ns", "the process has ended");
	if (!r->ops)
		json_string(j, "ops", "not given (--ops)");
	json_end_object(j);
}

static void json_user(struct json *j, const struct stat_result *r)
{
	if (!r->has_user) {
		json_null(j, "user");
		return;
	}
	json_object(j, "user");
	for (unsigned i = 0; i < r->user.n; i++)
		json_int(j, r->user.counter[i].name, r->user.counter[i].value);
	json_end_object(j);
}

static void json_cpu(struct json *j, const struct stat_result *r)
{
	if (r->user_ns < 0) {
		json_null(j, "cpu_ns");
		return;
	}
	json_object(j, "cpu_ns");
	json_int(j, "user", r->user_ns);
	json_int(j, "system", r->system_ns);
	json_end_object(j);
}

void stat_print_json(FILE *f, const struct stat_result *r)
{
	struct json j = { .out = f };
	bool bpf = !strcmp(r->source, "bpf");

	json_object(&j, NULL);
	json_string(&j, "schema", "urt.stat.v1");
	json_array(&j, "command");
	for (char **a = r->command; a && *a; a++)
		json_string(&j, NULL, *a);
	json_end_array(&j);
	json_int(&j, "exit_code", r->exit_code);
	json_int(&j, "wall_ns", r->wall_ns);
	json_cpu(&j, r);
	json_string(&j, "source", r->source);
	if (bpf)
		json_int(&j, "drops", r->counts.lost);
	else
		json_null(&j, "drops");
	if (r->ops)
		json_int(&j, "ops", r->ops);
	else
		json_null(&j, "ops");
	if (bpf)
		json_bpf(&j, r);
	else
		json_proc(&j, r);
	json_object(&j, "kernel");
	json_int(&j, "nvcsw", r->nvcsw);
	json_int(&j, "nivcsw", r->nivcsw);
	json_end_object(&j);
	json_user(&j, r);
	if (bpf) {
		json_object(&j, "cost");
		json_int(&j, "bpf_runs", r->bpf_runs);
		json_int(&j, "bpf_ns", r->bpf_ns);
		json_end_object(&j);
	} else {
		json_null(&j, "cost");
	}
	json_unavailable(&j, r);
	json_end_object(&j);
}
