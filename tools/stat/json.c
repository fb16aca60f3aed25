// SPDX-License-Identifier: MIT
/* The result of `urt stat` as urt.stat.v1. Fields are only ever added. */
#define _GNU_SOURCE
#include "figures.h"
#include <assert.h>
#include <math.h>
#include <string.h>
#include <sys/syscall.h>

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

static const char *log_name(unsigned log, char buf[32])
{
	snprintf(buf, 32, "%llu", 1ULL << log);
	return buf;
}

/* All figures whose member is of that object: "switches" has "switches.total". */
static void json_members(struct json *j, const struct stat_result *r,
			 const char *object)
{
	size_t n = strlen(object);

	for (const struct figure *f = figures; f->name; f++) {
		if (!f->json || strncmp(f->json, object, n) ||
		    f->json[n] != '.' || strchr(f->json + n + 1, '.'))
			continue;
		if (f->lacks(r))
			json_null(j, f->json + n + 1);
		else
			json_int(j, f->json + n + 1, figure_get(r, f));
	}
}

static bool had(const struct stat_result *r, const char *figure)
{
	char why[256];
	double value;

	return stat_figure(r, figure, &value, why);
}

static bool by_bpf(const struct stat_result *r)
{
	return r->source == STAT_BPF;
}

static void json_threads(struct json *j, const struct stat_result *r)
{
	if (!by_bpf(r)) {
		json_null(j, "threads");
		return;
	}
	json_object(j, "threads");
	for (int i = 0; i < URT_CLASSES; i++)
		json_int(j, stat_class_names[i], r->counts.class[i].tasks);
	json_end_object(j);
}

static void json_switches(struct json *j, const struct stat_result *r)
{
	json_object(j, "switches");
	json_members(j, r, "switches");
	if (by_bpf(r)) {
		json_object(j, "by_class");
		for (int i = 0; i < URT_CLASSES; i++)
			json_int(j, stat_class_names[i],
				 counts_switches(&r->counts, i));
		json_end_object(j);
		json_counts(j, "by_syscall", r->counts.calls.switches_in,
			    URT_SYSCALL_SLOTS, json_switch_cause);
		json_object(j, "by_cause");
		json_members(j, r, "switches.by_cause");
		json_end_object(j);
	} else {
		json_null(j, "by_class");
		json_null(j, "by_syscall");
		json_null(j, "by_cause");
	}
	json_end_object(j);
}

static void json_syscalls(struct json *j, const struct stat_result *r)
{
	if (!had(r, "syscalls")) {
		json_null(j, "syscalls");
		return;
	}
	json_object(j, "syscalls");
	json_members(j, r, "syscalls");
	if (by_bpf(r)) {
		json_counts(j, "by_name", r->counts.calls.made,
			    URT_SYSCALL_SLOTS, syscall_name);
		json_counts(j, "by_name_32", r->counts.calls.made_32,
			    URT_SYSCALLS_32, syscall_name_32);
	} else {
		json_null(j, "by_name");
		json_null(j, "by_name_32");
	}
	json_end_object(j);
}

static void json_uring(struct json *j, const struct stat_result *r)
{
	struct urt_counts all = { 0 };

	static_assert(URT_URING_OP_OTHER == URING_NAMES_MAX,
		      "the name of the last");
	if (!had(r, "uring")) {
		json_null(j, "io_uring");
		return;
	}
	json_object(j, "io_uring");
	json_members(j, r, "io_uring");
	if (by_bpf(r)) {
		for (int i = 0; i < URT_CLASSES; i++)
			for (int op = 0; op < URT_URING_OPS; op++) {
				const struct urt_counts *c =
					&r->counts.class[i];

				all.submitted[op] += c->submitted[op];
				all.punted[op] += c->punted[op];
				all.polled[op] += c->polled[op];
			}
		json_counts(j, "by_opcode", all.submitted, URT_URING_OPS,
			    uring_op_name);
		json_counts(j, "punted_by_opcode", all.punted, URT_URING_OPS,
			    uring_op_name);
		json_counts(j, "polled_by_opcode", all.polled, URT_URING_OPS,
			    uring_op_name);
	} else {
		json_null(j, "by_opcode");
	}
	json_end_object(j);
}

static void json_times(struct json *j, const struct stat_result *r)
{
	__u64 times[URT_TIME_LOGS];

	if (!by_bpf(r) || !r->options->times) {
		json_null(j, "times");
		return;
	}
	json_object(j, "times");
	figure_times(r, true, times);
	json_counts(j, "on_cpu_from_ns", times, URT_TIME_LOGS, log_name);
	figure_times(r, false, times);
	json_counts(j, "off_cpu_from_ns", times, URT_TIME_LOGS, log_name);
	json_int(j, "missing", stat_times_missing(r));
	json_end_object(j);
}

static void json_thread_list(struct json *j, const struct stat_result *r)
{
	if (!r->thread) {
		json_null(j, "thread_list");
		return;
	}
	json_array(j, "thread_list");
	for (unsigned i = 0; i < r->threads; i++) {
		const struct urt_thread *t = &r->thread[i];
		char name[17] = "";

		memcpy(name, t->comm, sizeof(t->comm));
		json_object(j, NULL);
		json_int(j, "pid", t->tgid);
		json_int(j, "tid", t->pid);
		json_string(j, "name", name);
		json_string(j, "class", stat_class_names[t->class]);
		json_int(j, "voluntary", t->voluntary);
		json_int(j, "involuntary", t->involuntary);
		json_int_or_null(j, "syscalls", t->syscalls,
				 had(r, "syscalls"));
		json_int_or_null(j, "submitted", t->submitted, had(r, "uring"));
		json_int_or_null(j, "completed", t->completed, had(r, "uring"));
		json_int(j, "on_cpu_ns", t->on_cpu_ns);
		json_end_object(j);
	}
	json_end_array(j);
}

static void json_latencies(struct json *j, const struct user_stats *u)
{
	static const struct {
		const char *name;
		double p;
	} at[] = { { "p50", 0.5 },
		   { "p90", 0.9 },
		   { "p99", 0.99 },
		   { "p999", 0.999 },
		   { "max", 1 } };

	json_object(j, "latency_ns");
	for (int t = 0; t < URT__TIME_COUNT; t++) {
		uint64_t n = user_stats_times(u, t);

		json_object(j, user_time_names[t]);
		json_int(j, "count", n);
		for (unsigned i = 0; i < ARRAY_LEN(at); i++)
			json_int_or_null(j, at[i].name,
					 user_stats_time(u, t, at[i].p), n);
		json_end_object(j);
	}
	json_end_object(j);
}

static void json_user(struct json *j, const struct stat_result *r)
{
	if (stat_why_no_user(r)) {
		json_null(j, "user");
		return;
	}
	json_object(j, "user");
	for (unsigned i = 0; i < r->user.n; i++)
		json_int(j, r->user.counter[i].name, r->user.counter[i].value);
	json_latencies(j, &r->user);
	json_end_object(j);
}

static void json_cpu(struct json *j, const struct stat_result *r)
{
	if (r->user_ns < 0) {
		json_null(j, "cpu_ns");
		return;
	}
	json_object(j, "cpu_ns");
	json_members(j, r, "cpu_ns");
	json_end_object(j);
}

static void json_cost(struct json *j, const struct stat_result *r)
{
	if (!by_bpf(r) || r->options->cost == STAT_COST_OFF) {
		json_null(j, "cost");
		return;
	}
	json_object(j, "cost");
	json_int(j, "bpf_runs", r->cost.runs);
	json_int(j, "bpf_ns", r->cost.ns);
	json_int(j, "sampled_ns", r->cost.sampled_ns);
	json_end_object(j);
}

static void json_unavailable(struct json *j, const struct stat_result *r)
{
	char why[256];
	double n;

	json_object(j, "unavailable");
	if (!by_bpf(r)) {
		json_string(j, "threads", r->why_no_bpf);
		json_string(j, "switches.by_class", r->why_no_bpf);
		json_string(j, "switches.by_syscall", r->why_no_bpf);
		json_string(j, "switches.by_cause", r->why_no_bpf);
		json_string(j, "cost", r->why_no_bpf);
		json_string(j, "drops", "nothing was streamed or counted");
		if (*r->why_no_perf)
			json_string(j, "perf", r->why_no_perf);
	} else if (r->options->cost == STAT_COST_OFF) {
		json_string(j, "cost", "not wanted (--cost off)");
	}
	if (!stat_figure(r, "syscalls", &n, why))
		json_string(j, "syscalls", why);
	if (!stat_figure(r, "uring", &n, why))
		json_string(j, "io_uring", why);
	for (const struct figure *f = figures; f->name; f++)
		if ((f->json || f->place == IN_PERF) && f->lacks(r))
			json_string(j, f->json ? f->json : f->name,
				    f->lacks(r));
	if (stat_why_no_user(r))
		json_string(j, "user", stat_why_no_user(r));
	if (r->user_ns < 0)
		json_string(j, "cpu_ns", r->why_no_cpu);
	if (!r->ops)
		json_string(j, "ops", "not given (--ops)");
	if (!r->options->times)
		json_string(j, "times", "not wanted (--times)");
	else if (!stat_figure(r, "on-cpu.mean", &n, why))
		json_string(j, "times", why);
	if (!r->options->nr_events && r->options->interval_ns)
		json_string(j, "figures", "not wanted of an interval (-e)");
	if (!r->options->nr_asserts)
		json_string(j, "asserts", "not wanted (--assert, --budget)");
	if (!r->latency)
		json_string(j, "latency",
			    r->options->latency || r->options->errors
				    ? r->why_no_bpf
				    : "not wanted (--latency, --errors)");
	if (!r->by)
		json_string(j, "by",
			    r->options->by ? r->why_no_bpf
					   : "not wanted (--by)");
	if (!r->thread)
		json_string(j, "thread_list",
			    r->options->per_thread && !by_bpf(r)
				    ? r->why_no_bpf
				    : "not wanted (--per-thread)");
	json_end_object(j);
}

static void json_target(struct json *j, const struct stat_result *r)
{
	const struct stat_options *o = r->options;

	json_object(j, "target");
	json_array(j, "pids");
	for (unsigned i = 0; i < o->pids; i++)
		json_int(j, NULL, o->pid[i]);
	json_end_array(j);
	if (o->cgroup)
		json_string(j, "cgroup", o->cgroup);
	json_string(j, "all", o->all ? "yes" : "no");
	json_string(j, "ids", o->by_tid ? "threads" : "processes");
	json_string(j, "children", o->children ? "yes" : "no");
	json_array(j, "cpus");
	for (int i = 0; o->some_cpus && i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &o->cpus))
			json_int(j, NULL, i);
	json_end_array(j);
	json_end_object(j);
}

static void json_rungs(struct json *j, const struct stat_result *r)
{
	json_object(j, "rungs");
	for (const struct figure *f = figures; f->name; f++)
		if (!f->lacks(r))
			json_string(j, f->name, figure_rung(r, f));
	json_end_object(j);
}

void stat_print_json(FILE *f, const struct stat_result *r,
		     const struct stat_verdicts *v)
{
	struct json j = { .out = f };

	json_object(&j, NULL);
	json_string(&j, "schema", "urt.stat.v1");
	json_array(&j, "command");
	for (char **a = r->options->command; a && *a; a++)
		json_string(&j, NULL, *a);
	json_end_array(&j);
	json_int(&j, "exit_code", r->exit_code);
	json_int(&j, "wall_ns", r->wall_ns);
	json_cpu(&j, r);
	json_string(&j, "source", stat_source_names[r->source]);
	json_int_or_null(&j, "drops", r->counts.lost, by_bpf(r));
	json_double(&j, "ops", r->ops ? r->ops : NAN);
	json_threads(&j, r);
	json_switches(&j, r);
	json_object(&j, "kernel");
	json_members(&j, r, "kernel");
	json_end_object(&j);
	json_syscalls(&j, r);
	json_uring(&j, r);
	json_times(&j, r);
	json_user(&j, r);
	json_cost(&j, r);
	json_target(&j, r);
	json_rungs(&j, r);
	stat_json_events(&j, r, !v);
	stat_json_verdicts(&j, v);
	if (!v)
		json_int(&j, "interval_start_ns", r->start_ns);
	json_thread_list(&j, r);
	if (r->latency)
		stat_latency_json(&j, r->latency);
	else
		json_null(&j, "latency");
	if (r->by)
		stat_by_json(&j, r->by);
	else
		json_null(&j, "by");
	json_unavailable(&j, r);
	json_end_object(&j);
}
