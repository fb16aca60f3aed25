// SPDX-License-Identifier: MIT
/*
 * urt bench: the runtime's micro-benchmarks, how long a coroutine waits because
 * of others (`latency`), and messages with busy loops (`stall`), compared with
 * Go and with POSIX threads or event loops. Every figure comes from a process
 * of its own, for one worker pinned to one CPU; the runtimes take turns, so
 * that a drift of the machine's speed favours none. It prints medians with the
 * spread, and each row when it is complete.
 *
 * A micro-benchmark first finds the number of operations that fill RUN_NS on
 * this machine and in this runtime. A fixed number would be too small for a
 * fast runtime, or take minutes in a slow one.
 */
#define _GNU_SOURCE
#include "bench.h"
#include "../lib/options.h"
#include "../../uring_rt/urt.h"
#include "../lib/launch.h"
#include "../lib/tool.h"
#include "../service/language.h"
#include "../service/messages.h"
#include "tracing.h"
#include <errno.h>
#include <fnmatch.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN_NS	     (250 * NS_PER_MS)
#define TRY_NS	     (10 * NS_PER_MS)
#define RUNS_DEFAULT 5
#define RUNS_WAITING 3 /* default of `latency` and `stall` */

static const int worker_counts[] = { 1, 2, 4, 8 };
static const char *const worker_words[] = { "1", "2", "4", "8", NULL };

static const struct set {
	const char *name;
	const struct bench *benches;
	int runs;
} sets[] = {
	{ "micro", bench_micro, RUNS_DEFAULT },
	{ "latency", bench_latency, RUNS_WAITING },
	{ "stall", bench_stall, RUNS_WAITING },
};

/* ---- one run, in a process of its own ---- */

struct one {
	const struct bench *bench;
	double (*work)(long n);
	double figures[FIGURES_MAX];
};

static void run_one(void *arg)
{
	struct one *one = arg;
	long n = one->bench->n;
	int64_t begin, spent;
	double done;

	if (!one->work) {
		one->bench->measure(n, one->figures);
		return;
	}
	one->work(n); /* warm-up */
	for (;;) {
		begin = now_ns();
		done = one->work(n);
		spent = now_ns() - begin;
		if (spent >= RUN_NS / 2)
			break;
		n *= spent < TRY_NS ? 4 : (double)RUN_NS / spent;
	}
	one->figures[0] = spent / done;
}

static int child(const struct bench *b, bool thread)
{
	struct one one = { b, thread ? b->thread : b->coroutine, { 0 } };

	for (int i = 0; i < FIGURES_MAX; i++)
		one.figures[i] = NAN;
	if (thread)
		run_one(&one);
	else if (urt_run(run_one, &one))
		return fail("%s", urt_why());
	for (int i = 0; b->figures[i].unit; i++)
		printf("%.4f\n", one.figures[i]);
	return 0;
}

static const struct bench *bench_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(sets); i++)
		for (const struct bench *b = sets[i].benches; b->name; b++)
			if (!strcmp(b->name, name))
				return b;
	return NULL;
}

/* urt bench --child NAME RUNTIME | --child serve RUNTIME */
static int child_main(char **argv)
{
	const char *workers = getenv("URT_WORKERS");
	const struct bench *b = bench_find(argv[2]);

	if (b && !b->client)
		return child(b, !strcmp(argv[3], "thread"));
	if (!strcmp(argv[3], "epoll"))
		return messages_serve_epoll(workers ? atoi(workers) : 1);
	return messages_serve_coroutine();
}

/* ---- running them ---- */

static struct {
	volatile sig_atomic_t stop;   /* a signal has come */
	volatile sig_atomic_t child;  /* the running child, or 0 */
	char *go_micro, *go_messages; /* programs; NULL: no Go */
	int cpu;		      /* for one worker */
} state;

/* Ends the child, too, so that nothing waits for it. */
static void on_signal(int sig)
{
	state.stop = sig;
	if (state.child)
		kill(state.child, SIGKILL);
}

static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	/* timeout(1) sends its signal to the process, and then to its group. */
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sa.sa_flags = SA_RESETHAND; /* a second Ctrl-C ends it at once */
	sigaction(SIGINT, &sa, NULL);
}

bool bench_stopped(void)
{
	return state.stop;
}

void bench_child_began(pid_t child)
{
	state.child = child;
	if (state.stop && child)
		kill(child, SIGKILL);
}

/* The command that runs the benchmark, or NULL: there is none. */
static char **command(const struct bench *b, enum runtime rt)
{
	static char n[24];
	static char *argv[6];

	if (rt == GO) {
		char *program = b->client ? state.go_messages : state.go_micro;

		snprintf(n, sizeof(n), "%ld", b->n);
		argv[0] = program;
		argv[1] = (char *)b->name;
		argv[2] = n;
		argv[3] = NULL;
		return program ? argv : NULL;
	}
	if ((rt == THREAD && !b->thread) || (rt == EPOLL && !b->epoll))
		return NULL;
	argv[0] = "/proc/self/exe";
	argv[1] = "bench";
	argv[2] = "--child";
	argv[3] = b->client ? "serve" : (char *)b->name;
	argv[4] = (char *)runtime_names[rt];
	argv[5] = NULL;
	return argv;
}

/* Starts it and returns its output as a stream. NULL: it did not start. */
static FILE *start(const struct bench *b, enum runtime rt, int workers,
		   struct launch *l)
{
	char number[12];
	int out;

	snprintf(number, sizeof(number), "%d", workers);
	setenv("URT_WORKERS", number, 1);
	setenv("GOMAXPROCS", number, 1);
	if (launch_piped(l, command(b, rt), workers == 1 ? state.cpu : -1,
			 &out))
		return NULL;
	bench_child_began(l->pid);
	if (!launch_go(l))
		return fdopen(out, "r");
	bench_child_began(0);
	close(out);
	return NULL;
}

static void finish(struct launch *l, FILE *out)
{
	fclose(out);
	bench_child_began(0);
	while (waitpid(l->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* NULL, or the reason of the failure. */
static const char *ask_server(const struct bench *b, FILE *out, int workers,
			      double *figures)
{
	struct target t = { .workers = workers,
			    .cpu = workers == 1 ? state.cpu : -1,
			    .stop = &state.stop };
	char line[64];
	int err;

	if (!fgets(line, sizeof(line), out) ||
	    sscanf(line, "port %d", &t.port) != 1)
		return "its server did not start";
	err = b->client(&t, b, figures);
	return err == -ETIME ? "no answer within 10 s"
	       : err	     ? strerror(-err)
			     : NULL;
}

static const char *read_figures(const struct bench *b, FILE *out,
				double *figures)
{
	char line[64];

	for (int i = 0; b->figures[i].unit; i++) {
		if (!fgets(line, sizeof(line), out))
			return "it failed";
		figures[i] = strtod(line, NULL);
	}
	return NULL;
}

/* One run. NULL, or the reason of the failure. */
static const char *measure(const struct bench *b, enum runtime rt, int workers,
			   double *figures)
{
	struct launch l;
	const char *why;
	FILE *out;

	why = b->cold_file ? cold_file() : NULL;
	if (why)
		return why;
	out = start(b, rt, workers, &l);
	if (!out)
		return "it could not be started";
	why = b->client ? ask_server(b, out, workers, figures)
			: read_figures(b, out, figures);
	kill(l.pid, SIGKILL); /* a server runs until it is killed */
	finish(&l, out);
	return why;
}

/* ---- all of them ---- */

struct plan {
	long runs;    /* 0: each set's own */
	char **names; /* of sets or benchmarks, with * and ?; NULL: `micro` */
	int count;    /* only this one of worker_counts; -1: all */
	bool tracing, ours;
	struct sheet sheet;
};

static void run_once(struct row *row, enum runtime rt)
{
	double figures[FIGURES_MAX];
	const char *why;

	if (rt == GO
		    ? !(row->bench->client ? state.go_messages : state.go_micro)
		    : !command(row->bench, rt))
		return;
	why = measure(row->bench, rt, row->workers, figures);
	if (why && !state.stop)
		row->why[rt] = why;
	for (int f = 0; !why && row->bench->figures[f].unit; f++) {
		struct runs *r = &row->runs[rt][f];

		if (!isnan(figures[f]))
			r->run[r->n++] =
				figures[f] * row->bench->figures[f].scale;
	}
}

static void run_bench(struct plan *p, const struct bench *b, int workers,
		      long runs)
{
	static struct row row;
	char name[64];
	bool had = false;

	row = (struct row){ .bench = b, .workers = workers };
	if (b->runs_max && runs > b->runs_max && !p->runs)
		runs = b->runs_max;
	snprintf(name, sizeof(name), "%s on %d", b->name, workers);
	for (long run = 0; run < runs && !state.stop; run++)
		for (int rt = 0; rt < RUNTIMES && !state.stop; rt++) {
			bench_progress(name, run);
			run_once(&row, rt);
		}
	bench_progress(NULL, 0);
	for (int rt = 0; rt < RUNTIMES; rt++)
		had = had || row.runs[rt][0].n || row.why[rt];
	if (had)
		sheet_row(&p->sheet, &row);
}

static bool has_name(const struct bench *b, const char *name)
{
	if (!fnmatch(name, b->name, 0))
		return true;
	for (int f = 0; b->figures[f].unit; f++)
		if (b->figures[f].row && !strcmp(b->figures[f].row, name))
			return true;
	return false;
}

static bool set_has(const struct set *s, const char *name)
{
	for (const struct bench *b = s->benches; b->name; b++)
		if (has_name(b, name))
			return true;
	return false;
}

/* A set next to benchmarks of it stands for these: `latency burst-1000`. */
static bool wanted(const struct plan *p, const struct set *s,
		   const struct bench *b)
{
	bool set = !*p->names && s == &sets[0], part = false;

	for (char **name = p->names; *name; name++) {
		if (!strcmp(*name, "all") || has_name(b, *name))
			return true;
		set = set || !strcmp(*name, s->name);
		part = part || set_has(s, *name);
	}
	return set && !part;
}

static bool wanted_on(const struct plan *p, const struct bench *b, int count)
{
	if (p->count >= 0)
		return p->count == count;
	return worker_counts[count] <= 2 ||
	       (worker_counts[count] == 4 && b->more_workers);
}

static void run_all(struct plan *p)
{
	for (unsigned i = 0; i < ARRAY_LEN(sets); i++) {
		const struct set *s = &sets[i];

		for (const struct bench *b = s->benches; b->name; b++)
			for (unsigned c = 0; c < ARRAY_LEN(worker_counts); c++)
				if (wanted(p, s, b) && wanted_on(p, b, c) &&
				    !state.stop)
					run_bench(p, b, worker_counts[c],
						  p->runs ? p->runs : s->runs);
	}
}

static bool known(const char *name)
{
	if (!strcmp(name, "all"))
		return true;
	for (unsigned i = 0; i < ARRAY_LEN(sets); i++)
		if (!strcmp(name, sets[i].name) || set_has(&sets[i], name))
			return true;
	return false;
}

/* The program, built if necessary; NULL: an error message was printed. */
static char *go_program(const char *source)
{
	static const char *const none[] = { NULL };
	char **argv = language_command(LANGUAGE_GO, source, none);

	return argv ? argv[0] : NULL; /* kept until the process ends */
}

static void need_go(const struct plan *p)
{
	bool micro = false, messages = false;

	for (unsigned i = 0; i < ARRAY_LEN(sets); i++)
		for (const struct bench *b = sets[i].benches; b->name; b++)
			if (wanted(p, &sets[i], b))
				*(b->client ? &messages : &micro) = true;
	if (language_missing(LANGUAGE_GO))
		return;
	if (micro)
		state.go_micro = go_program("bench/bench.go");
	if (messages)
		state.go_messages = go_program("service/messages.go");
}

#define TO(field) OPTION_TO(struct plan, field)

static void words(option_word *f, void *arg)
{
	f("micro", arg);
	f("latency", arg);
	f("stall", arg);
	f("all", arg);
	for (unsigned i = 0; i < ARRAY_LEN(sets); i++)
		for (const struct bench *b = sets[i].benches; b->name; b++)
			f(b->name, arg);
}

static const struct option_row rows[] = {
	{ OPTION_RUNS, TO(runs), .max = RUNS_MAX,
	  .text = "Run each benchmark N times, interleaved; default 5, or 3 for long ones." },
	{ .letter = 'w',
	  .name = "workers",
	  .argument = "N",
	  .kind = OPTION_CHOICE,
	  TO(count),
	  .choices = worker_words,
	  .text = "Run on 1, 2, 4 or 8 workers only; default: 1 and 2; echo-hog also 4." },
	{ OPTION_JSON("urt.bench.v1; with --tracing urt.bench.tracing.v1"),
	  TO(sheet.as_json) },
	{ .name = "tracing",
	  .kind = OPTION_FLAG,
	  TO(tracing),
	  .text = "Measure the cost of counting one event, next to other tools: up to 5 rounds, in less than a minute; with --runs N exactly N." },
	{ .name = "ours",
	  .kind = OPTION_FLAG,
	  TO(ours),
	  .text = "With --tracing: leave out the other tools." },
};

const struct command command_bench = {
	.name = "bench",
	.run = cmd_bench,
	.what = "compare the runtime's primitives with threads and Go",
	.usage = "[OPTIONS] [NAME...]",
	.about =
		"Runs benchmarks of the runtime and, where it is installed, of Go. NAME is a benchmark (* and ? match several) or a set; a set next to benchmarks of it stands for these:\n"
		"micro (the default): yield, chan-pingpong, spawn-join, spawn-batch, chan-buffered, mutex-contended, sleep, skynet, memory, start, stop (of 10^6 parked coroutines), echo-hog (p99 of 1000 connections next to a loop)\n"
		"latency: how long a coroutine waits because of others: blocked-N (coroutines in libc), echo-64-blocked, reads-N (1000 in a row next to N connections), burst-1000 (connections at once), in-turn and in-turn-busy (one after another; next to a busy program), echo-N, faults-4 (on a cold mapped file), new-20 (coroutines that compute)\n"
		"stall: messages of which some carry a busy loop: stall-LOAD-LENGTH, with the loops' share of the CPUs in percent and the length of each\n"
		"all: all of these",
	.notes =
		"Each row is printed when it is complete. Ctrl-C, SIGTERM or SIGHUP ends the benchmarks and prints the results so far.",
	OPTIONS(rows),
	.words = words,
};

/* The exit status. */
static int ended(void)
{
	return state.stop ? fail(BENCH_INTERRUPTED
				 "; the results so far are above")
			  : 0;
}

int cmd_bench(int argc, char **argv)
{
	struct plan p = { .count = -1 };
	int first;

	if (argc == 4 && !strcmp(argv[1], "--child"))
		return child_main(argv);
	if (argc == 4 && !strcmp(argv[1], "--tracing-loops"))
		return bench_tracing_loops(atol(argv[2]), atoi(argv[3]));
	first = options_parse(&command_bench, argc, argv, &p);
	if (first < 0)
		return EXIT_BAD;
	if (p.tracing && first < argc)
		return fail("bench --tracing: unexpected argument \"%s\"",
			    argv[first]);
	state.cpu = sched_getcpu();
	if (p.tracing) {
		catch_signals();
		bench_tracing(p.runs, p.ours, p.sheet.as_json);
		return ended();
	}
	p.names = argv + first;
	for (char **name = p.names; *name; name++)
		if (!known(*name))
			return fail("no such benchmark: \"%s\" "
				    "(`urt bench --help` lists them)",
				    *name);
	need_go(&p);
	catch_signals();
	sheet_begin(&p.sheet);
	run_all(&p);
	sheet_end(&p.sheet, state.stop);
	return ended();
}
