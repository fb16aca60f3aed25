// SPDX-License-Identifier: MIT
/*
 * urt bench --tracing: the cost of counting to the program that is counted, and
 * to other programs.
 *
 * One small loop for each kind of event (system call, switch of threads,
 * switch of coroutines) prints its own time for one, so that starting a tool
 * does not matter. It runs alone, counted by us in each way that we know, while
 * we count somebody else, and under the tools that others use, in turn, a few
 * rounds; medians are compared with running alone in the same rounds. Then there
 * is the time that a read of `urt export` takes.
 *
 * A switch of threads here is a pipe's: two processes on one CPU, each
 * switch with two system calls. Alone and under `switches only`, nothing traces
 * the system calls, so that row is the cost of a switch by itself.
 */
#define _GNU_SOURCE
#include "../../uring_rt/urt.h"
#include "tracing.h"
#include "../measure/counter.h"
#include "../lib/launch.h"
#include "../service/language.h"
#include "../lib/tool.h"
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS_MAX 31
#define CHUNKS	   7

enum event { SYSCALL, SWITCH, YIELD, EVENTS };

static const char *const event_names[] = { "syscall", "switch", "yield" };

enum how {
	ALONE,
	COUNTED,
	SWITCHES_ONLY,
	COSTED,
	OTHERS,
	BY_COMMAND,
	BESIDE_COMMAND,
};

static const struct way {
	const char *name;
	enum how how;
	const char *needs;   /* a command; NULL: nothing */
	const char *command; /* before the loop's own, one shell word each */
	long fewer;	     /* so many times fewer events: it is slow */
} ways[] = {
	{ "alone", ALONE, NULL, NULL, 1 },
	{ "urt stat", COUNTED, NULL, NULL, 1 },
	{ "urt stat --no-syscalls", SWITCHES_ONLY, NULL, NULL, 1 },
	{ "urt stat --cost always", COSTED, NULL, NULL, 1 },
	{ "while urt stat counts", OTHERS, NULL, NULL, 1 },
	{ "while urt export counts", BESIDE_COMMAND, "sh",
	  "exec /proc/$PPID/exe export -l 127.0.0.1:0 2>/dev/null #", 1 },
	{ "... --no-times", BESIDE_COMMAND, "sh",
	  "exec /proc/$PPID/exe export --no-times -l 127.0.0.1:0 2>/dev/null #",
	  1 },
	{ "perf stat", BY_COMMAND, "perf",
	  "perf stat -o /dev/null -e context-switches,raw_syscalls:sys_enter sh -c",
	  1 },
	{ "while perf stat counts", BESIDE_COMMAND, "perf",
	  "exec perf stat -i -o /dev/null -e "
	  "context-switches,raw_syscalls:sys_enter -p ",
	  1 },
	{ "perf trace -s", BY_COMMAND, "perf",
	  "perf trace -s -o /dev/null sh -c", 20 },
	{ "strace -c", BY_COMMAND, "strace", "strace -f -c -o /dev/null sh -c",
	  50 },
	{ "bpftrace", BY_COMMAND, "bpftrace",
	  "bpftrace -o /dev/null -e "
	  "'tracepoint:raw_syscalls:sys_enter{@s[pid]=count();} "
	  "tracepoint:sched:sched_switch{@w[pid]=count();}' -c",
	  1 },
};

static double results[ARRAY_LEN(ways)][EVENTS][ROUNDS_MAX];

/* A read of `urt export`, as Prometheus makes it. */
static struct scrape {
	double seconds, cgroups, bytes; /* NAN: it cannot count here */
} scrapes[ROUNDS_MAX];

/* ---- the loops ---- */

static double syscall_loop(long n)
{
	int64_t begin = now_ns();

	for (long i = 0; i < n; i++)
		syscall(SYS_getppid);
	return (double)(now_ns() - begin) / n;
}

static void partner(int in, int out)
{
	char c;

	while (read(in, &c, 1) == 1)
		if (write(out, &c, 1) != 1)
			break;
	_exit(0);
}

static double switch_loop(long n)
{
	int there[2], back[2];
	int64_t begin;
	pid_t pid;
	char c = 0;

	if (pipe(there) || pipe(back))
		return NAN;
	pid = fork();
	if (!pid) {
		close(there[1]);
		close(back[0]);
		partner(there[0], back[1]);
	}
	begin = now_ns();
	for (long i = 0; i < n / 2; i++)
		if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
			break;
	begin = now_ns() - begin;
	close(there[0]);
	close(there[1]);
	close(back[0]);
	close(back[1]);
	waitpid(pid, NULL, 0);
	return (double)begin / n;
}

static void yield_half(void *arg)
{
	for (long n = *(long *)arg / 2; n; n--)
		urt_yield();
}

static void yield_pair(void *arg)
{
	struct urt_coro *other = urt_spawn(yield_half, arg);

	yield_half(arg);
	urt_join(other);
}

static double yield_loop(long n)
{
	int64_t begin = now_ns();

	if (urt_run(yield_pair, &n))
		return NAN;
	return (double)(now_ns() - begin) / n;
}

/* Prints ns for one, the median of chunks. */
int bench_tracing_loop(const char *event, const char *count, int fd)
{
	double ns[CHUNKS];
	long n = atol(count) / CHUNKS + 2;

	for (int i = 0; i < CHUNKS; i++)
		ns[i] = !strcmp(event, "syscall")  ? syscall_loop(n)
			: !strcmp(event, "switch") ? switch_loop(n)
						   : yield_loop(n);
	sort_doubles(ns, CHUNKS);
	return dprintf(fd, "%.3f\n", ns[CHUNKS / 2]) < 0;
}

/* ---- running one of them in one way ---- */

static const long counts[] = { 1000000, 100000, 10000000 };

static void loop_argv(char *argv[8], enum event e, long fewer, char count[16])
{
	static char self[4096];

	if (!*self && readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		strcpy(self, "urt");
	snprintf(count, 16, "%ld", counts[e] / fewer);
	argv[0] = self;
	argv[1] = "bench";
	argv[2] = "--tracing-loop";
	argv[3] = (char *)event_names[e];
	argv[4] = count;
	argv[5] = NULL;
}

static double run_here(enum event e, struct counter *c, bool counted, int cpu)
{
	char *argv[8], count[16], out[64];
	struct launch l;
	int fd;

	loop_argv(argv, e, 1, count);
	if (launch_piped(&l, argv, cpu, &fd))
		return NAN;
	if (c && counted)
		counter_start_at_exec(c, l.pid);
	return launch_read(&l, fd, out, sizeof(out)) ? NAN : atof(out);
}

/*
 * The loop's time comes through a descriptor of its own: some of the tools
 * write to stdout, whatever one says.
 */
static double run_by(const struct way *w, enum event e, int cpu)
{
	char *argv[8], count[16], line[8192], out[64];
	char *sh[] = { "sh", "-c", line, NULL };
	struct launch l;
	int fd;

	loop_argv(argv, e, w->fewer, count);
	snprintf(line, sizeof(line),
		 "exec 3>&1; %s '%s bench --tracing-loop %s %s 3' >/dev/null "
		 "2>&1",
		 w->command, argv[0], argv[3], argv[4]);
	if (launch_piped(&l, sh, cpu, &fd))
		return NAN;
	return launch_read(&l, fd, out, sizeof(out)) ? NAN : atof(out);
}

/* While the command counts us. */
static double run_beside(const struct way *w, enum event e, int cpu)
{
	char line[256], *sh[] = { "sh", "-c", line, NULL };
	struct launch l;
	double ns;

	snprintf(line, sizeof(line), "%s%d", w->command, getpid());
	if (launch(&l, sh, NULL, -1, -1) || launch_go(&l))
		return NAN;
	sleep_ns(400 * NS_PER_MS); /* until it does */
	ns = run_here(e, NULL, false, cpu);
	kill(l.pid, SIGTERM);
	waitpid(l.pid, NULL, 0);
	return ns;
}

static double run_way(const struct way *w, enum event e, int cpu)
{
	struct counter_options o = { .no_syscalls = w->how == SWITCHES_ONLY };
	struct counter *c;
	char why[256];
	double ns;

	if (w->how == BY_COMMAND)
		return command_exists(w->needs) ? run_by(w, e, cpu) : NAN;
	if (w->how == BESIDE_COMMAND)
		return command_exists(w->needs) ? run_beside(w, e, cpu) : NAN;
	if (w->how == ALONE)
		return run_here(e, NULL, false, cpu);
	c = counter_open_with(&o, why, sizeof(why));
	if (!c)
		return NAN;
	counter_measure_cost(c, w->how == COSTED);
	ns = run_here(e, c, w->how != OTHERS, cpu);
	counter_close(c);
	return ns;
}

/* Of all cgroups that there are, after a second of counting. */
static struct scrape scrape_once(void)
{
	char *sh[] = { "sh", "-c",
		       "/proc/$PPID/exe export --once -i 1 2>/dev/null | awk '"
		       "{ n += length($0) + 1 } "
		       "/^urt_export_cgroups/ { c = $2 } "
		       "/^urt_export_scrape_seconds/ { t = $2 } "
		       "END { if (t) print t, c, n }'",
		       NULL };
	struct scrape s;
	char text[64];
	struct launch l;
	int fd;

	if (!launch_piped(&l, sh, -1, &fd) &&
	    !launch_read(&l, fd, text, sizeof(text)) &&
	    sscanf(text, "%lf %lf %lf", &s.seconds, &s.cgroups, &s.bytes) == 3)
		return s;
	return (struct scrape){ NAN, NAN, NAN };
}

/* ---- the result ---- */

static int by_seconds(const void *a, const void *b)
{
	const struct scrape *x = a, *y = b;

	return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

static double median(unsigned way, enum event e, long rounds)
{
	double v[ROUNDS_MAX];

	memcpy(v, results[way][e], sizeof(v));
	sort_doubles(v, rounds);
	return v[rounds / 2];
}

static void print_text(long rounds, const struct scrape *scrape)
{
	printf("ns for one event, medians of %ld interleaved rounds; "
	       "+: more than alone\n\n%-24s",
	       rounds, "");
	for (int e = 0; e < EVENTS; e++)
		printf("%22s", event_names[e]);
	putchar('\n');
	for (unsigned w = 0; w < ARRAY_LEN(ways); w++) {
		printf("%-24s", ways[w].name);
		for (int e = 0; e < EVENTS; e++) {
			double ns = median(w, e, rounds);

			if (isnan(ns))
				printf("%22s", "n/a");
			else
				printf("%11.1f %+10.1f", ns,
				       ns - median(ALONE, e, rounds));
		}
		if (ways[w].needs && !command_exists(ways[w].needs))
			printf("  (%s is not installed)", ways[w].needs);
		putchar('\n');
	}
	puts("\nA switch is that of a pipe between two processes on one CPU,\n"
	     "with two system calls; a yield is one between coroutines.");
	if (isnan(scrape->seconds))
		puts("\nA read of `urt export`: n/a (urt doctor says why)");
	else
		printf("\nA read of `urt export` takes %.2f ms, with %.0f "
		       "cgroups in %.0f bytes.\n",
		       scrape->seconds * 1e3, scrape->cgroups, scrape->bytes);
}

static void print_json(long rounds, const struct scrape *scrape)
{
	struct json j = { .out = stdout };

	json_object(&j, NULL);
	json_string(&j, "schema", "urt.bench.tracing.v1");
	json_int(&j, "rounds", rounds);
	json_array(&j, "results");
	for (unsigned w = 0; w < ARRAY_LEN(ways); w++)
		for (int e = 0; e < EVENTS; e++) {
			json_object(&j, NULL);
			json_string(&j, "way", ways[w].name);
			json_string(&j, "event", event_names[e]);
			json_double(&j, "ns", median(w, e, rounds));
			json_double(&j, "added_ns",
				    median(w, e, rounds) -
					    median(ALONE, e, rounds));
			json_end_object(&j);
		}
	json_end_array(&j);
	json_object(&j, "export_read");
	json_double(&j, "ns", scrape->seconds * 1e9);
	json_double(&j, "cgroups", scrape->cgroups);
	json_double(&j, "bytes", scrape->bytes);
	json_end_object(&j);
	json_end_object(&j);
}

int bench_tracing(long rounds, bool ours, bool json)
{
	int cpu = sched_getcpu();

	if (rounds > ROUNDS_MAX)
		rounds = ROUNDS_MAX;
	for (long round = 0; round < rounds; round++) {
		scrapes[round] = scrape_once();
		for (unsigned w = 0; w < ARRAY_LEN(ways); w++)
			for (int e = 0; e < EVENTS; e++)
				results[w][e][round] =
					ours && ways[w].needs
						? NAN
						: run_way(&ways[w], e, cpu);
	}
	qsort(scrapes, rounds, sizeof(*scrapes), by_seconds);
	if (json)
		print_json(rounds, &scrapes[rounds / 2]);
	else
		print_text(rounds, &scrapes[rounds / 2]);
	return 0;
}
