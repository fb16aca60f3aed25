// SPDX-License-Identifier: MIT
/*
 * The text for Prometheus: OpenMetrics 1.0, or its older format 0.0.4, in which
 * a counter's family has the suffix _total, too, and there is no end mark.
 *
 * Names are OpenTelemetry's where it has them (process.context_switches, with
 * process.context_switch.type), written as Prometheus writes them.
 */
#define _GNU_SOURCE
#include "metrics.h"
#include "../lib/privileges.h"
#include "../lib/tool.h"
#include <assert.h>

struct text {
	FILE *out;
	const struct series *s;
	unsigned n;
	const struct call_names *calls;
	bool openmetrics;
};

static void family(const struct text *t, const char *name, const char *type,
		   const char *help)
{
	const char *suffix = type[0] == 'c' && !t->openmetrics ? "_total" : "";

	fprintf(t->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, help,
		name, suffix, type);
}

/* Anyone who makes a cgroup chooses its name: only printable ASCII passes,
 * escaped. */
static void label_value(FILE *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = *text;

		if (c == '"' || c == '\\')
			fputc('\\', out);
		fputc(c < ' ' || c > '~' ? '_' : c, out);
	}
}

/* name{cgroup="...",key="value"} n; without key if that is NULL; nothing if n
 * is 0 and there is a key. */
static void sample(const struct text *t, const struct series *s,
		   const char *name, const char *key, const char *value,
		   uint64_t n)
{
	if (key && !n)
		return;
	fprintf(t->out, "%s{cgroup=\"", name);
	label_value(t->out, s->label);
	fputc('"', t->out);
	if (key)
		fprintf(t->out, ",%s=\"%s\"", key, value);
	fprintf(t->out, "} %llu\n", (unsigned long long)n);
}

static void switches(const struct text *t)
{
	const char *name = "process_context_switches_total";
	const char *key = "process_context_switch_type";

	family(t, "process_context_switches", "counter",
	       "Context switches by the kernel, away from threads.");
	for (unsigned i = 0; i < t->n; i++) {
		const struct export_counts *c = &t->s[i].now.counts;

		sample(t, &t->s[i], name, key, "voluntary", c->voluntary);
		sample(t, &t->s[i], name, key, "involuntary", c->involuntary);
	}
}

static void system_calls(const struct text *t)
{
	const char *name = "urt_system_calls_total";

	family(t, "urt_system_calls", "counter",
	       "System calls, the most frequent by name.");
	for (unsigned i = 0; i < t->n; i++) {
		for (unsigned k = 0; k < t->calls->n; k++)
			sample(t, &t->s[i], name, "name", t->calls->name[k],
			       t->s[i].now.call[k]);
		sample(t, &t->s[i], name, "name", "other",
		       t->s[i].now.other_calls);
	}
}

static void io_uring(const struct text *t)
{
	char buf[32];

	static_assert(EXPORT_OPS == URING_NAMES_MAX + 1,
		      "the name of the last");
	family(t, "urt_io_uring_requests", "counter",
	       "Requests submitted to io_uring, by opcode.");
	for (unsigned i = 0; i < t->n; i++)
		for (unsigned op = 0; op < EXPORT_OPS; op++)
			sample(t, &t->s[i], "urt_io_uring_requests_total",
			       "opcode", uring_op_name(op, buf),
			       t->s[i].now.counts.submitted[op]);
	family(t, "urt_io_uring_completions", "counter",
	       "Completions of io_uring: success, or error where the result "
	       "is negative.");
	for (unsigned i = 0; i < t->n; i++) {
		const struct export_counts *c = &t->s[i].now.counts;

		sample(t, &t->s[i], "urt_io_uring_completions_total", "outcome",
		       "success", c->succeeded);
		sample(t, &t->s[i], "urt_io_uring_completions_total", "outcome",
		       "error", c->failed);
	}
}

/* Two of the kernel's buckets are one here: factors of four. */
static void histogram(const struct text *t, const struct series *s,
		      const char *name, const __u64 *bucket, uint64_t sum_ns)
{
	uint64_t n = 0, all = 0;

	for (unsigned i = 0; i < EXPORT_BUCKETS; i++)
		all += bucket[i];
	if (!all)
		return;
	for (unsigned i = 0; i < EXPORT_BUCKETS; i++) {
		n += bucket[i];
		if (i % 2)
			continue;
		fprintf(t->out, "%s_bucket{cgroup=\"", name);
		label_value(t->out, s->label);
		fprintf(t->out, "\",le=\"%.9g\"} %llu\n",
			1.024e-6 * (double)(UINT64_C(1) << i),
			(unsigned long long)n);
	}
	fprintf(t->out, "%s_bucket{cgroup=\"", name);
	label_value(t->out, s->label);
	fprintf(t->out, "\",le=\"+Inf\"} %llu\n%s_sum{cgroup=\"",
		(unsigned long long)all, name);
	label_value(t->out, s->label);
	fprintf(t->out, "\"} %.9f\n%s_count{cgroup=\"", (double)sum_ns / 1e9,
		name);
	label_value(t->out, s->label);
	fprintf(t->out, "\"} %llu\n", (unsigned long long)all);
}

static void times(const struct text *t)
{
	family(t, "urt_off_cpu_seconds", "histogram",
	       "From a voluntary switch away to running again.");
	for (unsigned i = 0; i < t->n; i++)
		histogram(t, &t->s[i], "urt_off_cpu_seconds",
			  t->s[i].now.counts.off_cpu,
			  t->s[i].now.counts.off_cpu_ns);
	family(t, "urt_run_queue_seconds", "histogram",
	       "From runnable to running: waiting for a CPU.");
	for (unsigned i = 0; i < t->n; i++)
		histogram(t, &t->s[i], "urt_run_queue_seconds",
			  t->s[i].now.counts.queued,
			  t->s[i].now.counts.queued_ns);
}

static void user_switches(const struct text *t)
{
	if (!may_trace_others()) {
		fputs("# urt_user_switches is n/a: counters of other users' "
		      "programs need CAP_SYS_PTRACE (see `urt doctor`)\n",
		      t->out);
		return;
	}
	family(t, "urt_user_switches", "counter",
	       "Switches between coroutines of programs on uring_rt, in user "
	       "space; switches of a program after the last read before its end are missing.");
	for (unsigned i = 0; i < t->n; i++)
		if (t->s[i].on_uring_rt)
			sample(t, &t->s[i], "urt_user_switches_total", NULL,
			       NULL, t->s[i].user_switches);
}

void metrics_write(FILE *out, struct collector *c, bool openmetrics)
{
	struct text t = { .out = out, .openmetrics = openmetrics };
	int64_t begin = now_ns();

	t.s = collector_read(c, &t.n);
	t.calls = collector_call_names(c);
	switches(&t);
	system_calls(&t);
	io_uring(&t);
	if (collector_has_times(c))
		times(&t);
	user_switches(&t);
	family(&t, "urt_export_cgroups", "gauge",
	       "Labels that are counted separately, \"other\" included.");
	fprintf(out, "urt_export_cgroups %u\n", t.n);
	family(&t, "urt_export_scrape_seconds", "gauge",
	       "Time that making this text took.");
	fprintf(out, "urt_export_scrape_seconds %.6f\n",
		(double)(now_ns() - begin) / 1e9);
	if (openmetrics)
		fputs("# EOF\n", out);
}
