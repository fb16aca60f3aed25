// SPDX-License-Identifier: MIT
/*
 * urt bench: the runtime's micro-benchmarks, beside the same in Go and, where
 * that makes sense, in POSIX threads, on one worker and on two. Every figure
 * comes from a process of its own, for one worker pinned to one CPU; the
 * runtimes take turns, so that a machine whose speed drifts is no advantage to
 * any; medians are printed, with the spread.
 */
#define _GNU_SOURCE
#include "bench.h"
#include "../../uring_rt/urt.h"
#include "tracing.h"
#include "../lib/launch.h"
#include "../service/language.h"
#include "../lib/tool.h"
#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define RUNS_MAX    51
#define BENCHES_MAX 32

enum runtime { URING_RT, GO, THREAD, RUNTIMES };
static const char *const runtime_names[] = { "uring_rt", "go", "thread" };

static const int worker_counts[] = { 1, 2, 4 };
#define COUNTS ARRAY_LEN(worker_counts)

struct result {
	unsigned runs;
	double run[RUNS_MAX]; /* sorted before they are printed */
};

static struct result results[BENCHES_MAX][COUNTS][RUNTIMES];

/* ---- one run, in a process of its own ---- */

struct one {
	const struct bench *bench;
	double (*work)(long n);
	long n;
	double result;
};

static void run_one(void *arg)
{
	struct one *one = arg;
	int64_t begin;
	double done;

	if (one->bench->figure_scale) {
		one->result = one->work(one->n) * one->bench->figure_scale;
		return;
	}
	one->work(one->n / 10); /* warm-up */
	begin = now_ns();
	done = one->work(one->n);
	one->result = (double)(now_ns() - begin) / done;
}

static int child(const struct bench *b, enum runtime runtime)
{
	struct one one = { b, b->coroutine, b->n, NAN };

	if (runtime == THREAD) {
		one.work = b->thread;
		one.n = b->thread_n;
		run_one(&one);
	} else if (urt_run(run_one, &one)) {
		return fail("%s", urt_why());
	}
	printf("%.4f\n", one.result);
	return 0;
}

/* ---- running them ---- */

static const char *go_program; /* NULL: no Go */

/* The command that runs it, or NULL where there is none. */
static char **command(const struct bench *b, enum runtime runtime)
{
	static char n[24], name[32];
	static char *argv[6];

	snprintf(name, sizeof(name), "%s", b->name);
	snprintf(n, sizeof(n), "%ld", b->n);
	if (runtime == GO) {
		if (!go_program)
			return NULL;
		argv[0] = (char *)go_program;
		argv[1] = name;
		argv[2] = n;
		argv[3] = NULL;
		return argv;
	}
	if (runtime == THREAD && !b->thread)
		return NULL;
	argv[0] = "/proc/self/exe";
	argv[1] = "bench";
	argv[2] = "--child";
	argv[3] = name;
	argv[4] = (char *)runtime_names[runtime];
	argv[5] = NULL;
	return argv;
}

/* cpu: for one worker; more may run where they like. */
static double measure(const struct bench *b, enum runtime runtime, int workers,
		      int cpu)
{
	char **argv = command(b, runtime), number[12], text[64];
	struct launch l;
	int out;

	if (!argv)
		return NAN;
	snprintf(number, sizeof(number), "%d", workers);
	setenv("URT_WORKERS", number, 1);
	setenv("GOMAXPROCS", number, 1);
	if (launch_piped(&l, argv, workers == 1 ? cpu : -1, &out) ||
	    launch_read(&l, out, text, sizeof(text)) || !*text)
		return NAN;
	return strtod(text, NULL) *
	       (runtime == GO && b->figure_scale ? b->figure_scale : 1);
}

struct plan {
	long runs;
	const char *only; /* one benchmark; NULL: all */
	long workers;	  /* so many only; 0: all counts */
	int cpu;
};

static bool wanted(const struct plan *p, const struct bench *b, unsigned count)
{
	int workers = worker_counts[count];

	if (p->only && strcmp(p->only, b->name))
		return false;
	if (p->workers)
		return p->workers == workers;
	return workers <= 2 || b->more_workers;
}

static void progress(const struct plan *p, const struct bench *b, int workers,
		     long round)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K%s on %d, run %ld of %ld", b->name,
			workers, round + 1, p->runs);
}

static void run_bench(const struct plan *p, unsigned i, unsigned count)
{
	for (long round = 0; round < p->runs; round++) {
		progress(p, &benches[i], worker_counts[count], round);
		for (int rt = 0; rt < RUNTIMES; rt++) {
			struct result *r = &results[i][count][rt];
			double v = measure(&benches[i], rt,
					   worker_counts[count], p->cpu);

			if (!isnan(v))
				r->run[r->runs++] = v;
		}
	}
	for (int rt = 0; rt < RUNTIMES; rt++)
		sort_doubles(results[i][count][rt].run,
			     results[i][count][rt].runs);
}

static void run_all(const struct plan *p)
{
	for (unsigned i = 0; i < nr_benches; i++)
		for (unsigned count = 0; count < COUNTS; count++)
			if (wanted(p, &benches[i], count))
				run_bench(p, i, count);
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

static double median(const struct result *r)
{
	return r->runs ? r->run[r->runs / 2] : NAN;
}

/* ---- the table ---- */

static void cell(const struct result *r)
{
	char spread[40] = "";

	if (r->runs)
		snprintf(spread, sizeof(spread), "(%.1f-%.1f)", r->run[0],
			 r->run[r->runs - 1]);
	if (r->runs)
		printf(" %9.1f %-17s", median(r), spread);
	else
		printf(" %9s %-17s", "n/a", "");
}

static void print_row(const struct bench *b, unsigned count)
{
	const struct result *r = results[b - benches][count];

	if (!r[URING_RT].runs)
		return;
	printf("%-15s %-5s %d", b->name, b->unit, worker_counts[count]);
	for (int rt = 0; rt < RUNTIMES; rt++)
		cell(&r[rt]);
	if (r[GO].runs)
		printf(" %5.2f", median(&r[GO]) / median(&r[URING_RT]));
	putchar('\n');
}

static void print_text(void)
{
	printf("Workers: threads that run coroutines (1: pinned to one CPU). "
	       "Median (least-most). Ratio: above 1, uring_rt is better.\n"
	       "%-15s %-5s %s %-27s %-27s %-27s %s\n",
	       "", "unit", "W", "  uring_rt", "  go", "  thread",
	       "go/uring_rt");
	for (unsigned i = 0; i < nr_benches; i++)
		for (unsigned count = 0; count < COUNTS; count++)
			print_row(&benches[i], count);
}

static void json_result(struct json *j, const struct bench *b, unsigned count,
			enum runtime rt)
{
	const struct result *r = &results[b - benches][count][rt];

	if (!r->runs)
		return;
	json_object(j, NULL);
	json_string(j, "name", b->name);
	json_string(j, "runtime", runtime_names[rt]);
	json_int(j, "workers", worker_counts[count]);
	json_double(j, "ns", median(r));
	json_array(j, "runs");
	for (unsigned k = 0; k < r->runs; k++)
		json_double(j, NULL, r->run[k]);
	json_end_array(j);
	json_string(j, "unit", b->unit);
	json_end_object(j);
}

static void print_json(void)
{
	struct json j = { .out = stdout };
	struct utsname u;

	uname(&u);
	json_object(&j, NULL);
	json_string(&j, "schema", "urt.bench.v1");
	json_object(&j, "host");
	json_string(&j, "kernel", u.release);
	json_int(&j, "cpus", sysconf(_SC_NPROCESSORS_ONLN));
	json_end_object(&j);
	json_array(&j, "results");
	for (unsigned i = 0; i < nr_benches; i++)
		for (unsigned count = 0; count < COUNTS; count++)
			for (int rt = 0; rt < RUNTIMES; rt++)
				json_result(&j, &benches[i], count, rt);
	json_end_array(&j);
	json_end_object(&j);
}

static const struct bench *bench_find(const char *name)
{
	for (unsigned i = 0; i < nr_benches; i++)
		if (!strcmp(benches[i].name, name))
			return &benches[i];
	return NULL;
}

static const char usage_text[] =
	"usage: urt bench [OPTIONS] [NAME]\n"
	"       urt bench --tracing [OPTIONS]   what counting costs\n"
	"\n"
	"  -r, --runs N     of each, interleaved; default 5\n"
	"  -w, --workers N  1, 2 or 4 only; default 1 and 2 (echo-hog: also 4)\n"
	"      --json       one JSON document (schema urt.bench.v1)\n"
	"  NAME             yield, chan-pingpong, spawn-join, spawn-batch,\n"
	"                   chan-buffered, mutex-contended, sleep, skynet,\n"
	"                   memory, start, stop (of 10^6 parked coroutines),\n"
	"                   echo-hog (p99 of 1000 connections beside a loop)\n";

int cmd_bench(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "runs", required_argument, NULL, 'r' },
		{ "workers", required_argument, NULL, 'w' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct plan p = { .runs = 5, .cpu = sched_getcpu() };
	bool json = false;
	int opt;

	if (argc == 4 && !strcmp(argv[1], "--child") && bench_find(argv[2]))
		return child(bench_find(argv[2]),
			     strcmp(argv[3], "thread") ? URING_RT : THREAD);
	if (argc > 3 && !strcmp(argv[1], "--tracing-loop"))
		return bench_tracing_loop(argv[2], argv[3],
					  argc > 4 ? atoi(argv[4]) : 1);
	if (argc > 1 && !strcmp(argv[1], "--tracing"))
		return bench_tracing(argc, argv);
	while ((opt = getopt_long(argc, argv, "r:w:h", longs, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (opt == 'j')
			json = true;
		else if (opt == 'r' &&
			 parse_number("--runs", optarg, 1, RUNS_MAX, &p.runs))
			continue;
		else if (opt != 'w' ||
			 !parse_number("--workers", optarg, 1, 4, &p.workers) ||
			 p.workers == 3)
			return fail("`urt bench --help` lists the options");
	}
	p.only = optind < argc ? argv[optind] : NULL;
	if (p.only && !bench_find(p.only))
		return fail("no such benchmark: \"%s\" (`urt bench --help`)",
			    p.only);
	if (!language_missing(LANGUAGE_GO)) {
		static const char *const none[] = { NULL };
		static char **go; /* until the process ends */

		go = language_command(LANGUAGE_GO, "bench/bench.go", none);
		go_program = go ? go[0] : NULL;
	}
	run_all(&p);
	if (json)
		print_json();
	else
		print_text();
	return 0;
}
