// SPDX-License-Identifier: MIT
/*
 * urt stat --by: the rows, put together from the counts that the BPF programs
 * keep by row (bpf/by.bpf.h), and their printing. Each event is in one row, so
 * the rows add up to the totals.
 *
 * Calls and switches that serve many requests at once are in the row "shared".
 * A context's own figures are followed by its share of these, by the requests
 * that it submitted: a share, not a measurement. How single requests of a
 * context differ is in requests.c.
 */
#define _GNU_SOURCE
#include "by.h"
#include "../measure/cgroups.h"
#include "../lib/text.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const stat_by_names[] = { "",    "thread",	"comm", "cgroup",
				      "cpu", "context", NULL };
static const char *const fixed_rows[] = { "other", "none", "shared",
					  "kernel threads" };

bool stat_by_parse(const char *text, enum urt_by *by, const char **key)
{
	const char *colon = strchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : strlen(text);

	for (unsigned i = 1; stat_by_names[i]; i++)
		if (strlen(stat_by_names[i]) == n &&
		    !strncmp(stat_by_names[i], text, n) &&
		    (!colon || i == URT_BY_CONTEXT)) {
			*by = i;
			*key = colon && colon[1] ? colon + 1 : NULL;
			return true;
		}
	fail("--by: unknown value \"%s\": expected one of thread, comm, "
	     "cpu, cgroup, unit, context, context:KEY",
	     text);
	return false;
}

/* ---- names ---- */

static void name_row(struct stat_row *r, const struct stat_by *t,
		     const struct urt_by_key *key)
{
	char text[URT_BY_TEXT + 1] = "";
	const char *label;

	if (r->row < URT_BY_FIRST_ROW) {
		snprintf(r->name, sizeof(r->name), "%s", fixed_rows[r->row]);
		return;
	}
	memcpy(text, key->text, URT_BY_TEXT);
	text_clean(text);
	if (t->by == URT_BY_THREAD)
		snprintf(r->name, sizeof(r->name), "%s (%" PRIu64 ")", text,
			 (uint64_t)key->number);
	else if (t->by == URT_BY_CONTEXT && !*text)
		snprintf(r->name, sizeof(r->name), "without %s", t->key);
	else if (t->by == URT_BY_CPU)
		snprintf(r->name, sizeof(r->name), "CPU %" PRIu64,
			 (uint64_t)key->number);
	else if (t->by != URT_BY_CGROUP)
		snprintf(r->name, sizeof(r->name), "%s", text);
	else if (t->cgroups && (label = cgroups_label(t->cgroups, key->number)))
		snprintf(r->name, sizeof(r->name), "%s", label);
	else
		snprintf(r->name, sizeof(r->name), "cgroup %" PRIu64,
			 (uint64_t)key->number);
}

/* ---- putting together ---- */

/* While counts are taken, t->row is indexed by row. */
static struct stat_row *row_of(struct stat_by *t, uint32_t row,
			       const struct urt_by_key *key)
{
	struct stat_row *r = t->row[row];

	if (r || !(r = calloc(1, sizeof(*r))))
		return r;
	r->row = row;
	name_row(r, t, key);
	return t->row[row] = r;
}

static void take(uint32_t row, const struct urt_by_key *key,
		 const struct urt_by_count *c, uint64_t n, void *arg)
{
	struct stat_row *r = row_of(arg, row, key);

	if (!r)
		return;
	if (c->what <= URT_BY_INVOLUNTARY && c->nr < URT_CAUSES) {
		r->cause[c->what == URT_BY_VOLUNTARY][c->nr] += n;
		r->switches += n;
	} else if (c->what == URT_BY_SYSCALL && c->nr < URT_SYSCALL_SLOTS) {
		r->made[c->nr] += n;
		r->syscalls += n;
	} else if (c->what == URT_BY_SYSCALL_32) {
		r->made_32 += n;
		r->syscalls += n;
	} else if (c->what == URT_BY_SUBMITTED && c->nr < URT_URING_OPS) {
		r->submitted[c->nr] += n;
		r->requests += n;
	} else if (c->what == URT_BY_ON_CPU) {
		r->on_cpu_ns += n;
	} else if (c->what == URT_BY_OFF_CPU) {
		r->off_cpu_ns += n;
	} else if (c->what == URT_BY_RUN_DELAY) {
		r->run_delay_ns += n;
	} else if (c->what == URT_BY_FAULT) {
		r->faults += n;
	}
}

static uint64_t events(const struct stat_row *r)
{
	return r->switches + r->syscalls + r->requests;
}

static int most_first(const void *a, const void *b)
{
	const struct stat_row *x = *(struct stat_row *const *)a;
	const struct stat_row *y = *(struct stat_row *const *)b;

	return events(x) < events(y) ? 1 : events(x) > events(y) ? -1 : 0;
}

struct stat_by *stat_by_read(struct counter *c, enum urt_by by, const char *key,
			     bool by_unit, struct stat_requests *single)
{
	struct stat_by *t = calloc(1, sizeof(*t));

	if (t)
		t->row = calloc(COUNTER_BY_ROWS, sizeof(*t->row));
	if (!t || !t->row) {
		stat_requests_free(single);
		free(t);
		return NULL;
	}
	t->single = single;
	stat_requests_take(single, c, true);
	t->by = by;
	snprintf(t->key, sizeof(t->key), "%s", key);
	if (by == URT_BY_CGROUP && (t->cgroups = cgroups_new(by_unit)))
		cgroups_scan(t->cgroups);
	counter_by_read(c, take, t);
	for (size_t i = 0; i < COUNTER_BY_ROWS; i++)
		if (t->row[i])
			t->row[t->n++] = t->row[i];
	t->faults = counter_by_faults(c);
	t->on_cpu = counter_by_on_cpu(c);
	t->run_delay = !access("/proc/self/schedstat", F_OK); /* SCHED_INFO */
	if (t->cgroups)
		cgroups_free(t->cgroups);
	t->cgroups = NULL;
	qsort(t->row, t->n, sizeof(*t->row), most_first);
	for (size_t i = 0; i < t->n; i++)
		if (t->row[i]->row != URT_BY_ROW_SHARED)
			t->requests += t->row[i]->requests;
	return t;
}

/* ---- units, and cgroups by name ---- */

#define OTHERS "others"

/* Whether `name` is one part of the path, or the path up to some slash. */
static bool is_below(const char *path, const char *name, size_t n)
{
	const char *part = path + (*path == '/' && *name != '/');

	if (n == 1 && *name == '/')
		return true;
	if (!strncmp(part, name, n) && (!part[n] || part[n] == '/'))
		return true;
	for (; part; part = strchr(part, '/')) {
		part += *part == '/';
		if (!strncmp(part, name, n) && (!part[n] || part[n] == '/'))
			return true;
	}
	return false;
}

static void name_of_list(char *name, size_t size, const char *names)
{
	char found[sizeof(((struct stat_row *)0)->name)] = OTHERS;

	for (size_t n; *names; names += n + (names[n] == ',')) {
		n = strcspn(names, ",");
		if (n && is_below(name, names, n)) {
			snprintf(found, sizeof(found), "%.*s", (int)n, names);
			break;
		}
	}
	snprintf(name, size, "%s", found);
}

static void add_row(struct stat_row *to, const struct stat_row *from)
{
	uint64_t *t = &to->cause[0][0];
	const uint64_t *f = &from->cause[0][0];

	for (; f < &from->requests + 1; f++)
		*t++ += *f;
}

void stat_by_merge(struct stat_by *t, const char *names)
{
	size_t n = 0;

	for (size_t i = 0; t && i < t->n; i++) {
		struct stat_row *r = t->row[i];
		size_t k = 0;

		if (r->row >= URT_BY_FIRST_ROW && names)
			name_of_list(r->name, sizeof(r->name), names);
		while (k < n && strcmp(t->row[k]->name, r->name))
			k++;
		if (k == n) {
			t->row[n++] = r;
			continue;
		}
		add_row(t->row[k], r);
		free(r);
	}
	if (t) {
		t->n = n;
		qsort(t->row, n, sizeof(*t->row), most_first);
	}
}

void stat_by_free(struct stat_by *t)
{
	for (size_t i = 0; t && i < t->n; i++)
		free(t->row[i]);
	if (t) {
		stat_requests_free(t->single);
		free(t->row);
	}
	free(t);
}

/* ---- printing ---- */

static void print_time(FILE *f, uint64_t ns, bool known)
{
	if (known)
		fprintf(f, " %12.1f", ns / 1e6);
	else
		fprintf(f, " %12s", "n/a");
}

static void print_count(FILE *f, int width, uint64_t n, bool known)
{
	if (known)
		fprintf(f, " %*" PRIu64, width, n);
	else
		fprintf(f, " %*s", width, "n/a");
}

static double share(const struct stat_by *t, const struct stat_row *r)
{
	if (!t->requests || r->row == URT_BY_ROW_SHARED)
		return 0;
	return 100.0 * r->requests / t->requests;
}

/* The most frequent calls and operations of a row. */
static void print_most(FILE *f, const struct stat_row *r)
{
	char name[32];
	unsigned told = 0;

	for (unsigned i = 0; i < URT_SYSCALL_SLOTS && told < 6; i++)
		if (r->made[i] * 20 > r->syscalls && ++told)
			fprintf(f, "%s%s %" PRIu64, told > 1 ? ", " : "    ",
				i < URT_SYSCALLS ? syscall_name(i, name)
						 : "other calls",
				r->made[i]);
	for (unsigned i = 0; i < URT_URING_OPS && told < 12; i++)
		if (r->submitted[i] * 20 > r->requests && ++told)
			fprintf(f, "%s%s %" PRIu64, told > 1 ? ", " : "    ",
				uring_op_name(i, name), r->submitted[i]);
	if (told)
		fputc('\n', f);
}

static void print_requests(FILE *f, const struct stat_by *t)
{
	bool any = false;

	for (size_t i = 0; i < t->n; i++) {
		char name[sizeof(t->row[i]->name)];

		text_copy(name, sizeof(name), t->row[i]->name, sizeof(name));
		stat_requests_print(f, t->single, t->row[i]->row, name, t->key,
				    &any);
	}
	if (t->requests)
		fputs("share: of the row \"shared\", by requests of io_uring.\n",
		      f);
	fputs("on CPU: by samples of 1 ms, since the kernel does not see "
	      "switches in user space. A\nrequest is one span id. When each "
	      "one ran and what it waited for: urt record, then urt\n"
	      "report.\n",
	      f);
	stat_requests_print_lost(f, t->single);
}

void stat_by_print(FILE *f, const struct stat_by *t)
{
	bool context = t->by == URT_BY_CONTEXT;
	bool shares = context && t->requests;

	if (*t->why) {
		fprintf(f,
			"\n%16s  by context: %s, so its routes are not told "
			"apart; load one\n%16s  route at a time instead: urt "
			"stat -p PID --ops-from load -- urt load URL; --by\n"
			"%16s  thread, comm and cgroup need no contexts\n",
			"n/a", t->why, "", "");
		return;
	}
	fprintf(f, "\n%10s %10s %10s %8s %12s %12s %12s %8s  by %s%s%s\n",
		"switches", "syscalls", "io_uring", shares ? "share" : "",
		"on CPU, ms", "off, ms", "for CPU, ms", "faults",
		stat_by_names[t->by], context ? " " : "", t->key);
	for (size_t i = 0; i < t->n; i++) {
		const struct stat_row *r = t->row[i];
		char name[sizeof(r->name)];

		fprintf(f, "%10" PRIu64, r->switches);
		print_count(f, 10, r->syscalls, t->syscalls);
		print_count(f, 10, r->requests, t->uring);
		if (shares && r->row != URT_BY_ROW_SHARED)
			fprintf(f, " %6.1f %%", share(t, r));
		else
			fprintf(f, " %8s", "");
		print_time(f, r->on_cpu_ns, t->on_cpu);
		print_time(f, r->off_cpu_ns, true);
		print_time(f, r->run_delay_ns, t->run_delay);
		print_count(f, 8, r->faults, t->faults);
		fprintf(f, "  %s\n",
			text_copy(name, sizeof(name), r->name,
				  sizeof(r->name)));
		print_most(f, r);
	}
	if (context)
		print_requests(f, t);
	fputs("for CPU: the part of the time off the CPU in which a CPU was "
	      "waited for. faults: page\nfaults outside system calls.\n",
	      f);
}

static void json_named(struct json *j, const char *member, const uint64_t *n,
		       unsigned count, const char *(*name)(unsigned, char[32]))
{
	char text[32];

	json_object(j, member);
	for (unsigned i = 0; i < count; i++)
		if (n[i])
			json_int(j, name(i, text), n[i]);
	json_end_object(j);
}

static void json_row(struct json *j, const struct stat_by *t,
		     const struct stat_row *r)
{
	bool known[URT_OF_SPAN];
	uint64_t voluntary = 0;

	for (unsigned i = 0; i < URT_CAUSES; i++)
		voluntary += r->cause[1][i];
	json_object(j, NULL);
	json_string(j, "name", r->name);
	json_string(j, "kind",
		    r->row < URT_BY_FIRST_ROW ? fixed_rows[r->row] : "row");
	json_int(j, "switches", r->switches);
	json_int(j, "voluntary", voluntary);
	json_int_or_null(j, "syscalls", r->syscalls, t->syscalls);
	json_named(j, "syscalls_by_name", r->made, URT_SYSCALLS, syscall_name);
	json_int_or_null(j, "io_uring", r->requests, t->uring);
	json_named(j, "io_uring_by_opcode", r->submitted, URT_URING_OPS,
		   uring_op_name);
	if (t->by == URT_BY_CONTEXT)
		json_double(j, "share_of_shared", share(t, r) / 100);
	json_int_or_null(j, "on_cpu_ns", r->on_cpu_ns, t->on_cpu);
	json_int(j, "off_cpu_ns", r->off_cpu_ns);
	json_int_or_null(j, "run_queue_ns", r->run_delay_ns, t->run_delay);
	json_int_or_null(j, "user_page_faults", r->faults, t->faults);
	known[URT_OF_SWITCHES] = known[URT_OF_OFF_CPU] = true;
	known[URT_OF_SYSCALLS] = t->syscalls;
	known[URT_OF_SUBMITTED] = t->uring;
	known[URT_OF_FAULTS] = t->faults;
	known[URT_OF_RUN_DELAY] = t->run_delay;
	stat_requests_json(j, t->single, r->row, known);
	json_end_object(j);
}

void stat_by_json(struct json *j, const struct stat_by *t)
{
	json_object(j, "by");
	json_string(j, "what", stat_by_names[t->by]);
	if (t->by == URT_BY_CONTEXT)
		json_string(j, "key", t->key);
	json_array(j, "rows");
	for (size_t i = 0; i < t->n; i++)
		json_row(j, t, t->row[i]);
	json_end_array(j);
	stat_requests_json_lost(j, t->single);
	json_end_object(j);
}
