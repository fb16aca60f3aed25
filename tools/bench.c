// SPDX-License-Identifier: MIT
/*
 * urt bench: the runtime's micro-benchmarks, beside the same in Go and, where
 * that makes sense, in POSIX threads. Every figure comes from a process of its
 * own, pinned to one CPU; the runtimes take turns, so that a machine whose
 * speed drifts is no advantage to any; medians are printed, with the spread.
 */
#define _GNU_SOURCE
#include "../uring_rt/urt.h"
#include "bench_tracing.h"
#include "launch.h"
#include "peers/peers.h"
#include "tool.h"
#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define RUNS_MAX 51

/* ---- uring_rt ---- */

struct task {
	long n;
	struct urt_chan *in, *out;
	struct urt_mutex *mutex;
	struct urt_waitgroup *wg;
};

static void yielder(void *arg)
{
	for (long i = 0; i < *(long *)arg; i++)
		urt_yield();
}

static long bench_yield(long n)
{
	long each = n / 2;
	struct urt_coro *a = urt_spawn(yielder, &each);
	struct urt_coro *b = urt_spawn(yielder, &each);

	urt_join(a);
	urt_join(b);
	return 2 * each;
}

static void ponger(void *arg)
{
	struct task *t = arg;
	int64_t v;

	while (!urt_chan_recv(t->in, &v, URT_NEVER)) {
		v++;
		urt_chan_send(t->out, &v, URT_NEVER);
	}
}

static long bench_pingpong(long n)
{
	struct task t = { .in = urt_chan_new(8, 0), .out = urt_chan_new(8, 0) };
	struct urt_coro *c = urt_spawn(ponger, &t);

	for (int64_t i = 0, v; i < n; i++) {
		v = i;
		urt_chan_send(t.in, &v, URT_NEVER);
		urt_chan_recv(t.out, &v, URT_NEVER);
	}
	urt_chan_close(t.in);
	urt_join(c);
	urt_chan_free(t.in);
	urt_chan_free(t.out);
	return n;
}

static void nothing(void *arg)
{
}

static long bench_spawn_join(long n)
{
	for (long i = 0; i < n; i++)
		urt_join(urt_spawn(nothing, NULL));
	return n;
}

static void done(void *arg)
{
	urt_waitgroup_done(arg);
}

static long bench_spawn_batch(long n)
{
	struct urt_waitgroup wg = URT_WAITGROUP_INIT;

	for (long i = 0; i < n / 1000; i++) {
		urt_waitgroup_add(&wg, 1000);
		for (int j = 0; j < 1000; j++)
			urt_go(done, &wg);
		urt_waitgroup_wait(&wg, URT_NEVER);
	}
	return n / 1000 * 1000;
}

static void producer(void *arg)
{
	struct task *t = arg;

	for (int64_t i = 0; i < t->n; i++)
		urt_chan_send(t->out, &i, URT_NEVER);
	urt_chan_close(t->out);
}

static long bench_buffered(long n)
{
	struct task t = { .n = n, .out = urt_chan_new(8, 128) };
	struct urt_coro *c = urt_spawn(producer, &t);
	int64_t v;

	while (!urt_chan_recv(t.out, &v, URT_NEVER))
		;
	urt_join(c);
	urt_chan_free(t.out);
	return n;
}

static void locker(void *arg)
{
	struct task *t = arg;

	for (long i = 0; i < t->n; i++) {
		urt_mutex_lock(t->mutex, URT_NEVER);
		urt_mutex_unlock(t->mutex);
	}
	urt_waitgroup_done(t->wg);
}

static long bench_mutex(long n)
{
	struct urt_mutex mutex = URT_MUTEX_INIT;
	struct urt_waitgroup wg = URT_WAITGROUP_INIT;
	struct task t = { .n = n / 64, .mutex = &mutex, .wg = &wg };

	urt_waitgroup_add(&wg, 64);
	for (int i = 0; i < 64; i++)
		urt_go(locker, &t);
	urt_waitgroup_wait(&wg, URT_NEVER);
	return n / 64 * 64;
}

#define SLEEPERS 100000L

static void sleeper(void *arg)
{
	struct task *t = arg;

	for (long i = 0; i < t->n; i++)
		urt_sleep(NS_PER_MS);
	urt_waitgroup_done(t->wg);
}

static long bench_sleep(long n)
{
	struct urt_waitgroup wg = URT_WAITGROUP_INIT;
	struct task t = { .n = n / SLEEPERS, .wg = &wg };

	urt_waitgroup_add(&wg, SLEEPERS);
	for (long i = 0; i < SLEEPERS; i++)
		urt_go(sleeper, &t);
	urt_waitgroup_wait(&wg, URT_NEVER);
	return n / SLEEPERS * SLEEPERS;
}

/* ---- memory: bytes for each of n parked coroutines ---- */

/* Resident memory and page tables, which belong to the cost. Bytes. */
static long memory_used(void)
{
	char line[256];
	long sum = 0;
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "VmRSS:", 6) || !strncmp(line, "VmPTE:", 6))
			sum += strtol(line + 6, NULL, 10) * 1024;
	if (f)
		fclose(f);
	return sum;
}

static void parked(void *arg)
{
	urt_sleep(3600 * NS_PER_S);
}

static double memory_per_coroutine(long n)
{
	long before = memory_used();

	for (long i = 0; i < n; i++)
		if (urt_go(parked, NULL))
			return NAN;
	urt_sleep(10 * NS_PER_MS);
	return (double)(memory_used() - before) / n;
}

/* ---- threads ---- */

static void *thread_yielder(void *arg)
{
	for (long i = 0; i < *(long *)arg; i++)
		sched_yield();
	return NULL;
}

static long thread_yield(long n)
{
	long each = n / 2;
	pthread_t t;

	pthread_create(&t, NULL, thread_yielder, &each);
	thread_yielder(&each);
	pthread_join(t, NULL);
	return 2 * each;
}

static void *thread_nothing(void *arg)
{
	return arg;
}

static long thread_spawn_join(long n)
{
	for (long i = 0; i < n; i++) {
		pthread_t t;

		pthread_create(&t, NULL, thread_nothing, NULL);
		pthread_join(t, NULL);
	}
	return n;
}

struct pipes {
	int to[2], from[2];
};

static void *thread_ponger(void *arg)
{
	struct pipes *p = arg;
	int64_t v;

	while (read(p->to[0], &v, 8) == 8 && write(p->from[1], &v, 8) == 8)
		;
	return NULL;
}

static long thread_pingpong(long n)
{
	struct pipes p;
	pthread_t t;
	int64_t v = 0;

	if (pipe(p.to) || pipe(p.from))
		return 0;
	pthread_create(&t, NULL, thread_ponger, &p);
	for (long i = 0; i < n; i++)
		if (write(p.to[1], &v, 8) != 8 || read(p.from[0], &v, 8) != 8)
			break;
	close(p.to[1]);
	pthread_join(t, NULL);
	return n;
}

static void *thread_locker(void *arg)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

	for (long i = 0; i < *(long *)arg; i++) {
		pthread_mutex_lock(&mutex);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static long thread_mutex(long n)
{
	long each = n / 64;
	pthread_t t[64];

	for (int i = 0; i < 64; i++)
		pthread_create(&t[i], NULL, thread_locker, &each);
	for (int i = 0; i < 64; i++)
		pthread_join(t[i], NULL);
	return each * 64;
}

/* ---- the table ---- */

static const struct bench {
	const char *name;
	long (*coroutine)(long n);
	long n;
	long (*thread)(long n);
	long thread_n;
} benches[] = {
	{ "yield", bench_yield, 20000000, thread_yield, 1000000 },
	{ "chan-pingpong", bench_pingpong, 5000000, thread_pingpong, 100000 },
	{ "spawn-join", bench_spawn_join, 5000000, thread_spawn_join, 20000 },
	{ "spawn-batch", bench_spawn_batch, 5000000, NULL, 0 },
	{ "chan-buffered", bench_buffered, 20000000, NULL, 0 },
	{ "mutex-contended", bench_mutex, 50000000, thread_mutex, 20000000 },
	{ "sleep", bench_sleep, 2000000, NULL, 0 },
	{ "memory", NULL, 100000, NULL, 0 },
};

enum runtime { URING_RT, GO, THREAD, RUNTIMES };
static const char *const runtime_names[] = { "uring_rt", "go", "thread" };

struct result {
	unsigned runs;
	double run[RUNS_MAX]; /* sorted before they are printed */
};

static struct result results[ARRAY_LEN(benches)][RUNTIMES];

/* ---- one run, in a process of its own ---- */

struct one {
	const struct bench *bench;
	double result;
};

static void run_coroutine(void *arg)
{
	struct one *one = arg;
	int64_t begin;
	long n;

	if (!one->bench->coroutine) {
		one->result = memory_per_coroutine(one->bench->n);
		return;
	}
	one->bench->coroutine(one->bench->n / 10); /* warm-up */
	begin = now_ns();
	n = one->bench->coroutine(one->bench->n);
	one->result = (double)(now_ns() - begin) / n;
}

static int child(const struct bench *b, enum runtime runtime)
{
	struct one one = { .bench = b };
	int64_t begin;
	long n;

	if (runtime == URING_RT) {
		if (urt_run(run_coroutine, &one))
			return fail("%s", urt_why());
	} else {
		b->thread(b->thread_n / 10);
		begin = now_ns();
		n = b->thread(b->thread_n);
		one.result = (double)(now_ns() - begin) / n;
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
		if (!go_program || !b->coroutine)
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

static double measure(char **argv, int cpu)
{
	struct launch l;
	char text[64];
	int out;

	if (launch_piped(&l, argv, cpu, &out) ||
	    launch_read(&l, out, text, sizeof(text)) || !*text)
		return NAN;
	return strtod(text, NULL);
}

static void run_all(long runs, const char *only, int cpu)
{
	for (unsigned i = 0; i < ARRAY_LEN(benches); i++) {
		if (only && strcmp(only, benches[i].name))
			continue;
		for (long round = 0; round < runs; round++) {
			for (int rt = 0; rt < RUNTIMES; rt++) {
				struct result *r = &results[i][rt];
				char **argv = command(&benches[i], rt);
				double ns = argv ? measure(argv, cpu) : NAN;

				if (isatty(STDERR_FILENO))
					fprintf(stderr,
						"\r\033[K%s, run %ld of %ld",
						benches[i].name, round + 1,
						runs);
				if (!isnan(ns))
					r->run[r->runs++] = ns;
			}
		}
		for (int rt = 0; rt < RUNTIMES; rt++)
			sort_doubles(results[i][rt].run, results[i][rt].runs);
	}
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

static double median(const struct result *r)
{
	return r->runs ? r->run[r->runs / 2] : NAN;
}

static void cell(const struct result *r)
{
	if (r->runs)
		printf(" %10.1f (%5.1f-%.1f)%*s", median(r), r->run[0],
		       r->run[r->runs - 1],
		       (int)(8 -
			     snprintf(NULL, 0, "%.1f", r->run[r->runs - 1])),
		       "");
	else
		printf(" %10s%17s", "n/a", "");
}

static void print_text(void)
{
	printf("One worker, one CPU; ns each (memory: bytes), median (least "
	       "and most)\n%-16s %-27s %-27s %-27s %s\n",
	       "", "  uring_rt", "  go", "  thread", "go/uring_rt");
	for (unsigned i = 0; i < ARRAY_LEN(benches); i++) {
		const struct result *r = results[i];

		if (!r[URING_RT].runs)
			continue;
		printf("%-16s", benches[i].name);
		for (int rt = 0; rt < RUNTIMES; rt++)
			cell(&r[rt]);
		if (r[GO].runs)
			printf(" %.1f", median(&r[GO]) / median(&r[URING_RT]));
		putchar('\n');
	}
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
	for (unsigned i = 0; i < ARRAY_LEN(benches); i++) {
		for (int rt = 0; rt < RUNTIMES; rt++) {
			const struct result *r = &results[i][rt];

			if (!r->runs)
				continue;
			json_object(&j, NULL);
			json_string(&j, "name", benches[i].name);
			json_string(&j, "runtime", runtime_names[rt]);
			json_int(&j, "workers", 1);
			json_double(&j, "ns", median(r));
			json_array(&j, "runs");
			for (unsigned k = 0; k < r->runs; k++)
				json_double(&j, NULL, r->run[k]);
			json_end_array(&j);
			json_string(&j, "unit",
				    benches[i].coroutine ? "ns" : "bytes");
			json_end_object(&j);
		}
	}
	json_end_array(&j);
	json_end_object(&j);
}

static const struct bench *bench_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(benches); i++)
		if (!strcmp(benches[i].name, name))
			return &benches[i];
	return NULL;
}

static const char usage_text[] =
	"usage: urt bench [OPTIONS] [NAME]\n"
	"       urt bench --tracing [OPTIONS]   what counting costs\n"
	"\n"
	"  -r, --runs N   of each, interleaved; default 5\n"
	"      --json     one JSON document (schema urt.bench.v1)\n"
	"  NAME           yield, chan-pingpong, spawn-join, spawn-batch,\n"
	"                 chan-buffered, mutex-contended, sleep, memory\n";

int cmd_bench(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "runs", required_argument, NULL, 'r' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	long runs = 5;
	bool json = false;
	const char *only;
	int opt;

	if (argc == 4 && !strcmp(argv[1], "--child") && bench_find(argv[2]))
		return child(bench_find(argv[2]),
			     strcmp(argv[3], "thread") ? URING_RT : THREAD);
	if (argc > 3 && !strcmp(argv[1], "--tracing-loop"))
		return bench_tracing_loop(argv[2], argv[3],
					  argc > 4 ? atoi(argv[4]) : 1);
	if (argc > 1 && !strcmp(argv[1], "--tracing"))
		return bench_tracing(argc, argv);
	while ((opt = getopt_long(argc, argv, "r:h", longs, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (opt == 'j')
			json = true;
		else if (opt != 'r' ||
			 !parse_number("--runs", optarg, 1, RUNS_MAX, &runs))
			return fail("`urt bench --help` lists the options");
	}
	only = optind < argc ? argv[optind] : NULL;
	if (only && !bench_find(only))
		return fail("no such benchmark: \"%s\" (`urt bench --help`)",
			    only);
	if (peer_has("go"))
		go_program = peer_go_program("bench.go", peer_bench_go,
					     peer_bench_go_end);
	run_all(runs, only, sched_getcpu());
	if (json)
		print_json();
	else
		print_text();
	return 0;
}
