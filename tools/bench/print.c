// SPDX-License-Identifier: MIT
/*
 * The results of `urt bench`, as text or JSON. A row is written and flushed as
 * soon as it is complete, so an interrupted command has printed its
 * measurements so far.
 */
#define _GNU_SOURCE
#include "bench.h"
#include <math.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

const char *const runtime_names[] = { "uring_rt", "go", "thread", "epoll" };

void bench_progress(const char *name, long done)
{
	if (!isatty(STDERR_FILENO))
		return;
	if (name)
		fprintf(stderr, "\r\033[K%s, run %ld\r", name, done + 1);
	else
		fputs("\r\033[K", stderr);
	fflush(stderr);
}

static double median(const struct runs *r)
{
	return r->n ? r->run[r->n / 2] : NAN;
}

static const char *name_of(const struct row *row, unsigned f)
{
	const char *own = row->bench->figures[f].row;

	return own ? own : row->bench->name;
}

static bool any(const struct row *row, enum runtime rt)
{
	return row->runs[rt][0].n || row->why[rt];
}

/* ---- text ---- */

static int decimals(double v)
{
	return fabs(v) >= 1000 ? 0 : fabs(v) >= 10 ? 1 : 2;
}

static void cell(const struct runs *r)
{
	double least = r->n ? r->run[0] : 0, most = r->n ? r->run[r->n - 1] : 0;
	char spread[40] = "";

	if (!r->n) {
		printf(" %9s %-17s", "n/a", "");
		return;
	}
	if (r->n > 1)
		snprintf(spread, sizeof(spread), "(%.*f-%.*f)", decimals(least),
			 least, decimals(most), most);
	printf(" %9.*f %-17s", decimals(median(r)), median(r), spread);
}

/* The factor by which it is better than that runtime. */
static void versus(const struct row *row, unsigned f, enum runtime rt)
{
	double ours = median(&row->runs[URING_RT][f]);
	double theirs = median(&row->runs[rt][f]);
	double ratio =
		row->bench->figures[f].more ? ours / theirs : theirs / ours;

	if (isfinite(ratio))
		printf(" %6.2f", ratio);
	else
		printf(" %6s", "");
}

/* Threads run the small benchmarks, event loops the others. */
static enum runtime third(const struct bench *b)
{
	return b->client ? EPOLL : THREAD;
}

static void head(struct sheet *s, const struct bench *b)
{
	if (s->headed == (int)third(b) + 1)
		return;
	printf("%sMedian (least-most). W: threads that run coroutines "
	       "(1: pinned to one CPU).\n"
	       "Last columns: above 1, uring_rt is better than Go, "
	       "than %s.\n%-15s %-22s %-5s %s %-27s %-27s %-27s %6s "
	       "%6s\n",
	       s->headed ? "\n" : "", runtime_names[third(b)], "", "", "unit",
	       "W", "  uring_rt", "  go",
	       third(b) == EPOLL ? "  epoll" : "  thread", "go",
	       runtime_names[third(b)]);
	s->headed = third(b) + 1;
}

static void text_row(struct sheet *s, const struct row *row)
{
	const struct bench *b = row->bench;

	head(s, b);
	for (unsigned f = 0; b->figures[f].unit; f++) {
		printf("%-15s %-22s %-5s %d", name_of(row, f),
		       b->figures[f].name, b->figures[f].unit, row->workers);
		cell(&row->runs[URING_RT][f]);
		cell(&row->runs[GO][f]);
		cell(&row->runs[third(b)][f]);
		versus(row, f, GO);
		versus(row, f, third(b));
		putchar('\n');
	}
	for (int rt = 0; rt < RUNTIMES; rt++)
		if (row->why[rt])
			printf("%-15s n/a in %s: %s\n", b->name,
			       runtime_names[rt], row->why[rt]);
}

/* ---- JSON ---- */

static void json_result(struct json *j, const struct row *row, unsigned f,
			enum runtime rt)
{
	const struct figure *figure = &row->bench->figures[f];
	const struct runs *r = &row->runs[rt][f];

	json_object(j, NULL);
	json_string(j, "name", name_of(row, f));
	if (*figure->name)
		json_string(j, "figure", figure->name);
	json_string(j, "runtime", runtime_names[rt]);
	json_int(j, "workers", row->workers);
	json_double(j, "ns", median(r)); /* in the unit; null: not available */
	json_array(j, "runs");
	for (unsigned k = 0; k < r->n; k++)
		json_double(j, NULL, r->run[k]);
	json_end_array(j);
	json_string(j, "unit", figure->unit);
	json_string(j, "better", figure->more ? "more" : "less");
	if (!r->n && row->why[rt])
		json_string(j, "unavailable", row->why[rt]);
	json_end_object(j);
}

void sheet_begin(struct sheet *s)
{
	struct json *j = &s->json;
	struct utsname u;

	if (!s->as_json)
		return;
	uname(&u);
	j->out = stdout;
	json_object(j, NULL);
	json_string(j, "schema", "urt.bench.v1");
	json_object(j, "host");
	json_string(j, "kernel", u.release);
	json_int(j, "cpus", sysconf(_SC_NPROCESSORS_ONLN));
	json_end_object(j);
	json_array(j, "results");
}

void sheet_row(struct sheet *s, struct row *row)
{
	for (int rt = 0; rt < RUNTIMES; rt++)
		for (unsigned f = 0; row->bench->figures[f].unit; f++)
			sort_doubles(row->runs[rt][f].run, row->runs[rt][f].n);
	if (!s->as_json)
		text_row(s, row);
	for (unsigned f = 0; s->as_json && row->bench->figures[f].unit; f++)
		for (int rt = 0; rt < RUNTIMES; rt++)
			if (any(row, rt))
				json_result(&s->json, row, f, rt);
	fflush(stdout);
}

void sheet_end(struct sheet *s, bool interrupted)
{
	if (s->as_json) {
		json_end_array(&s->json);
		if (interrupted)
			json_string(&s->json, "interrupted", BENCH_INTERRUPTED);
		json_end_object(&s->json);
	}
	fflush(stdout);
}
