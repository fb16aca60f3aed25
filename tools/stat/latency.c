// SPDX-License-Identifier: MIT
/*
 * Durations and errors of system calls. A call that has not returned has no
 * duration: it is counted elsewhere, but not here. Percentiles are upper ends
 * of powers of two.
 */
#define _GNU_SOURCE
#include "latency.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct call {
	unsigned nr;
	struct urt_latency l;
};

struct error {
	struct urt_errno key;
	uint64_t n;
};

struct stat_latency {
	struct call call[URT_SYSCALL_SLOTS]; /* calls that returned; by time */
	unsigned calls;
	struct error error[URT_ERRNOS];
	unsigned errors;
};

static void take_error(const struct urt_errno *key, uint64_t n, void *arg)
{
	struct stat_latency *s = arg;

	if (s->errors < URT_ERRNOS)
		s->error[s->errors++] = (struct error){ *key, n };
}

static int by_time(const void *a, const void *b)
{
	const struct call *x = a, *y = b;

	return (x->l.ns < y->l.ns) - (x->l.ns > y->l.ns);
}

static int most_first(const void *a, const void *b)
{
	const struct error *x = a, *y = b;

	return (x->n < y->n) - (x->n > y->n);
}

struct stat_latency *stat_latency_read(struct counter *c)
{
	struct stat_latency *s = calloc(1, sizeof(*s));

	for (unsigned nr = 0; s && nr < URT_SYSCALL_SLOTS; nr++) {
		struct call *call = &s->call[s->calls];

		counter_latency(c, nr, &call->l);
		call->nr = nr;
		s->calls += call->l.calls > 0;
	}
	if (!s)
		return NULL;
	counter_errnos(c, take_error, s);
	qsort(s->call, s->calls, sizeof(*s->call), by_time);
	qsort(s->error, s->errors, sizeof(*s->error), most_first);
	return s;
}

void stat_latency_free(struct stat_latency *s)
{
	free(s);
}

static const char *call_name(unsigned nr, char buf[32])
{
	return nr < URT_SYSCALLS ? syscall_name(nr, buf) : "(32-bit, others)";
}

static uint64_t p99_ns(const struct urt_latency *l)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i < URT_TIME_LOGS; i++) {
		uint64_t end = (UINT64_C(2) << i) - 1;

		seen += l->log[i];
		if (seen * 100 >= l->calls * 99)
			return end < l->max_ns ? end : l->max_ns;
	}
	return l->max_ns;
}

static const char *error_name(unsigned error, char buf[32])
{
	const char *name = strerrorname_np(error);

	if (name)
		return name;
	snprintf(buf, 32, "errno %u",
		 error); /* internal errors of the kernel, for restarts */
	return buf;
}

static void print_errors(FILE *f, const struct stat_latency *s)
{
	char call[32], error[32];

	fprintf(f, "\n%10s  %-16s %s\n", "errors", "errno", "system call");
	for (unsigned i = 0; i < s->errors; i++)
		fprintf(f, "%10" PRIu64 "  %-16s %s\n", s->error[i].n,
			error_name(s->error[i].key.error, error),
			call_name(s->error[i].key.nr, call));
}

void stat_latency_print(FILE *f, const struct stat_latency *s, bool by_errors)
{
	uint64_t total_ns = 0;
	char name[32];

	if (by_errors) {
		print_errors(f, s);
		return;
	}
	for (unsigned i = 0; i < s->calls; i++)
		total_ns += s->call[i].l.ns;
	fprintf(f, "\n%6s %12s %10s %10s %12s %10s %8s  %s\n", "% time",
		"total, ms", "mean, us", "p99, us", "max, us", "calls",
		"errors", "system call");
	for (unsigned i = 0; i < s->calls; i++) {
		const struct urt_latency *l = &s->call[i].l;

		fprintf(f,
			"%6.2f %12.3f %10.1f %10.1f %12.1f %10" PRIu64
			" %8" PRIu64 "  %s\n",
			total_ns ? 100.0 * l->ns / total_ns : 0, l->ns / 1e6,
			l->ns / 1e3 / l->calls, p99_ns(l) / 1e3,
			l->max_ns / 1e3, (uint64_t)l->calls,
			(uint64_t)l->errors, call_name(s->call[i].nr, name));
	}
}

static void json_errors(struct json *j, const struct stat_latency *s,
			unsigned nr)
{
	char name[32];

	json_object(j, "errors_by_name");
	for (unsigned i = 0; i < s->errors; i++)
		if (s->error[i].key.nr == nr)
			json_int(j, error_name(s->error[i].key.error, name),
				 s->error[i].n);
	json_end_object(j);
}

void stat_latency_json(struct json *j, const struct stat_latency *s)
{
	char name[32];

	json_object(j, "latency");
	for (unsigned i = 0; i < s->calls; i++) {
		const struct urt_latency *l = &s->call[i].l;

		json_object(j, call_name(s->call[i].nr, name));
		json_int(j, "returned", l->calls);
		json_int(j, "errors", l->errors);
		json_int(j, "total_ns", l->ns);
		json_int(j, "p99_ns", p99_ns(l));
		json_int(j, "max_ns", l->max_ns);
		json_errors(j, s, s->call[i].nr);
		json_end_object(j);
	}
	json_end_object(j);
}
