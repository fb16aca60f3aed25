// SPDX-License-Identifier: MIT
/*
 * urt bench --tracing: the cost of counting to the program that is counted, and
 * to other programs.
 *
 * A process of its own runs one small loop for each kind of event
 * (tracing_loops.c) and prints the time of one event, so the time that a tool
 * needs to start is not in the figures. In each of a few rounds, the process
 * runs alone, counted by urt in each way, while urt counts another process, and
 * under other tools; medians are compared with running alone in the same
 * rounds. Each round ends with a read of `urt export`.
 *
 * Programs that do nothing are those of `urt stat` without their contents, on the
 * same events. What they cost is the kernel's part of counting.
 *
 * Without --runs, no round begins that would end later than DEFAULT_NS after
 * the start. A signal ends the running process with the tool that counts it,
 * which are a process group; then the results so far are printed.
 */
#define _GNU_SOURCE
#include "tracing.h"
#include "bench.h"
#include "../lib/launch.h"
#include "../lib/tool.h"
#include "../measure/counter.h"
#include "../service/language.h"
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS_MAX  RUNS_MAX
#define DEFAULT_NS  (45 * NS_PER_S)
#define DEFAULT_MAX 5 /* rounds */

static const char *const event_names[] = { "syscall", "switch", "yield" };

enum how {
	ALONE,
	COUNTED,
	EMPTY,
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
	const char *command; /* put before the loop's command, one shell word
				each */
	long fewer;	     /* makes this many times fewer events, as it is
				slow */
} ways[] = {
	{ "alone", ALONE, NULL, NULL, 1 },
	{ "urt stat", COUNTED, NULL, NULL, 1 },
	{ "programs that do nothing", EMPTY, NULL, NULL, 1 },
	{ "urt stat --no-syscalls", SWITCHES_ONLY, NULL, NULL, 1 },
	{ "urt stat --cost always", COSTED, NULL, NULL, 1 },
	{ "urt stat --by thread", BY_COMMAND, NULL,
	  "/proc/$PPID/exe stat -o /dev/null --by thread -- sh -c 'exec $0'",
	  1 },
	{ "urt stat --by cgroup", BY_COMMAND, NULL,
	  "/proc/$PPID/exe stat -o /dev/null --by cgroup -- sh -c 'exec $0'",
	  1 },
	{ "urt stat --by context", BY_COMMAND, NULL,
	  "/proc/$PPID/exe stat -o /dev/null --by context -- sh -c 'exec $0'",
	  1 },
	{ "while urt stat counts", OTHERS, NULL, NULL, 1 },
	{ "while urt export counts", BESIDE_COMMAND, NULL,
	  "exec /proc/$PPID/exe export -l 127.0.0.1:0 2>/dev/null #", 1 },
	{ "... --no-times", BESIDE_COMMAND, NULL,
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

/* The times of each way, in the order of the rounds. */
static struct {
	long n;
	double ns[EVENTS][ROUNDS_MAX];
} results[ARRAY_LEN(ways)];

/* The time of a read of `urt export`, as Prometheus makes it. */
static struct scrape {
	double seconds, cgroups, bytes;
} scrapes[ROUNDS_MAX];
static long nr_scrapes;

/* ---- running them in one way ---- */

/* This program's name: in the process that runs a way, /proc/self/exe may be
 * another program. */
static const char *self(void)
{
	static char path[4096];

	if (!*path && readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		strcpy(path, "urt");
	return path;
}

/* The command's process leads a group, so that a signal can end all of it. */
static int go(struct launch *l)
{
	setpgid(l->pid, l->pid);
	bench_child_began(-l->pid);
	return launch_go(l);
}

static void end(struct launch *l)
{
	bench_child_began(0);
	while (waitpid(l->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Runs argv, counted by c from its exec on (NULL: not counted), and reads its
 * output. */
static bool ask(char **argv, int cpu, struct counter *c, char *out, size_t size)
{
	struct launch l;
	ssize_t n;
	int fd;

	if (launch_piped(&l, argv, cpu, &fd))
		return false;
	if (c)
		counter_start_at_exec(c, l.pid);
	if (go(&l)) {
		bench_child_began(0);
		close(fd);
		return false;
	}
	do
		n = read(fd, out, size - 1);
	while (n < 0 && errno == EINTR);
	out[n > 0 ? n : 0] = '\0';
	close(fd);
	end(&l);
	return n > 0;
}

static bool run(char **argv, int cpu, struct counter *c, double ns[EVENTS])
{
	char out[128];

	return ask(argv, cpu, c, out, sizeof(out)) &&
	       sscanf(out, "%lf %lf %lf", &ns[SYSCALL], &ns[SWITCH],
		      &ns[YIELD]) == EVENTS;
}

static bool run_here(struct counter *c, int cpu, double ns[EVENTS])
{
	char *argv[] = {
		(char *)self(), "bench", "--tracing-loops", "1", "1", NULL
	};

	return run(argv, cpu, c, ns);
}

/*
 * The times come through a descriptor of their own, since some of the tools
 * print to stdout in spite of their options.
 */
static bool run_by(const struct way *w, int cpu, double ns[EVENTS])
{
	char line[8192], *sh[] = { "sh", "-c", line, NULL };

	snprintf(line, sizeof(line),
		 "exec 3>&1; %s '%s bench --tracing-loops %ld 3' </dev/null "
		 ">/dev/null 2>&1",
		 w->command, self(), w->fewer);
	return run(sh, cpu, NULL, ns);
}

/* Runs the loops while the command counts this process. */
static bool run_beside(const struct way *w, int cpu, double ns[EVENTS])
{
	char line[256], *sh[] = { "sh", "-c", line, NULL };
	struct launch l;
	bool had;

	snprintf(line, sizeof(line), "%s%d", w->command, getpid());
	if (launch(&l, sh, NULL, -1, -1) || launch_go(&l))
		return false;
	sleep_ns(400 * NS_PER_MS); /* until it counts */
	had = run_here(NULL, cpu, ns);
	kill(l.pid, SIGTERM);
	end(&l);
	return had;
}

static bool run_way(const struct way *w, int cpu, double ns[EVENTS])
{
	struct counter_options o = { .no_syscalls = w->how == SWITCHES_ONLY,
				     .empty = w->how == EMPTY };
	struct counter *c;
	char why[256];
	bool had;

	if (w->how == BY_COMMAND)
		return run_by(w, cpu, ns);
	if (w->how == BESIDE_COMMAND)
		return run_beside(w, cpu, ns);
	if (w->how == ALONE)
		return run_here(NULL, cpu, ns);
	c = counter_open_with(&o, why, sizeof(why));
	if (!c)
		return false;
	counter_measure_cost(c, w->how == COSTED);
	had = run_here(w->how == OTHERS ? NULL : c, cpu, ns);
	counter_close(c);
	return had;
}

/* Reads all cgroups, after a second of counting. False: it cannot count
 * here. */
static bool scrape_once(struct scrape *s)
{
	char *sh[] = { "sh", "-c",
		       "/proc/$PPID/exe export --once -i 1 2>/dev/null | awk '"
		       "{ n += length($0) + 1 } "
		       "/^urt_export_cgroups/ { c = $2 } "
		       "/^urt_export_scrape_seconds/ { t = $2 } "
		       "END { if (t) print t, c, n }'",
		       NULL };
	char out[64];

	return ask(sh, -1, NULL, out, sizeof(out)) &&
	       sscanf(out, "%lf %lf %lf", &s->seconds, &s->cgroups,
		      &s->bytes) == 3;
}

/* ---- rounds ---- */

static bool wanted(const struct way *w, bool ours)
{
	return !w->needs || (!ours && command_exists(w->needs));
}

static void round_of_all(bool ours, int cpu)
{
	for (unsigned w = 0; w < ARRAY_LEN(ways); w++) {
		double ns[EVENTS];

		if (!wanted(&ways[w], ours))
			continue;
		bench_progress(ways[w].name, results[w].n);
		if (bench_stopped() || !run_way(&ways[w], cpu, ns) ||
		    bench_stopped())
			continue;
		for (int e = 0; e < EVENTS; e++)
			results[w].ns[e][results[w].n] = ns[e];
		results[w].n++;
	}
	if (!bench_stopped() && scrape_once(&scrapes[nr_scrapes]) &&
	    !bench_stopped())
		nr_scrapes++;
}

/* Returns the number of complete rounds. rounds: 0: as many as fit. */
static long all_rounds(long rounds, bool ours)
{
	int64_t begin = now_ns(), last = begin;
	int cpu = sched_getcpu();
	long done = 0;

	while (done < (rounds ? rounds : DEFAULT_MAX)) {
		int64_t now = now_ns();

		if (!rounds && done && now + (now - last) > begin + DEFAULT_NS)
			break;
		last = now;
		round_of_all(ours, cpu);
		if (bench_stopped())
			break;
		done++;
	}
	bench_progress(NULL, 0);
	return done;
}

/* ---- the result ---- */

static double median(unsigned way, enum event e)
{
	long n = results[way].n;
	double v[ROUNDS_MAX];

	memcpy(v, results[way].ns[e], n * sizeof(*v));
	sort_doubles(v, n);
	return n ? v[n / 2] : NAN;
}

static double added(unsigned way, enum event e)
{
	return median(way, e) - median(ALONE, e);
}

static int by_seconds(const void *a, const void *b)
{
	const struct scrape *x = a, *y = b;

	return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

/* The median read; NULL: no read has succeeded. */
static const struct scrape *scrape(void)
{
	qsort(scrapes, nr_scrapes, sizeof(*scrapes), by_seconds);
	return nr_scrapes ? &scrapes[nr_scrapes / 2] : NULL;
}

static const char *why_not(const struct way *w, bool ours)
{
	if (w->needs && ours)
		return "left out (--ours)";
	if (w->needs && !command_exists(w->needs))
		return "not installed";
	return bench_stopped() ? "ended by a signal before it"
			       : "it failed here";
}

static void print_text(long rounds, bool ours)
{
	const struct scrape *read = scrape();

	printf("ns for one event, medians of %ld interleaved round%s; "
	       "+: more than alone\n\n%-24s",
	       rounds, rounds == 1 ? "" : "s", "");
	for (int e = 0; e < EVENTS; e++)
		printf("%22s", event_names[e]);
	putchar('\n');
	for (unsigned w = 0; w < ARRAY_LEN(ways); w++) {
		printf("%-24s", ways[w].name);
		for (int e = 0; results[w].n && e < EVENTS; e++)
			printf("%11.1f %+10.1f", median(w, e), added(w, e));
		if (results[w].n)
			putchar('\n');
		else
			printf("%22s  %s\n", "n/a", why_not(&ways[w], ours));
	}
	puts("\nA switch is that of a pipe between two processes on one CPU,\n"
	     "with two system calls; a yield is one between coroutines.");
	if (read)
		printf("\nA read of `urt export` takes %.2f ms, with %.0f "
		       "cgroups in %.0f bytes.\n",
		       read->seconds * 1e3, read->cgroups, read->bytes);
	else
		printf("\nA read of `urt export`: n/a (%s)\n",
		       bench_stopped() ? BENCH_INTERRUPTED
				       : "urt doctor says why");
}

static void json_result(struct json *j, unsigned w, enum event e, bool ours)
{
	json_object(j, NULL);
	json_string(j, "way", ways[w].name);
	json_string(j, "event", event_names[e]);
	json_double(j, "ns", median(w, e));
	json_double(j, "added_ns", added(w, e));
	json_array(j, "runs");
	for (long i = 0; i < results[w].n; i++)
		json_double(j, NULL, results[w].ns[e][i]);
	json_end_array(j);
	if (!results[w].n)
		json_string(j, "unavailable", why_not(&ways[w], ours));
	json_end_object(j);
}

static void print_json(long rounds, bool ours)
{
	const struct scrape *read = scrape();
	struct json j = { .out = stdout };

	json_object(&j, NULL);
	json_string(&j, "schema", "urt.bench.tracing.v1");
	json_int(&j, "rounds", rounds);
	json_array(&j, "results");
	for (unsigned w = 0; w < ARRAY_LEN(ways); w++)
		for (int e = 0; e < EVENTS; e++)
			json_result(&j, w, e, ours);
	json_end_array(&j);
	json_object(&j, "export_read");
	json_double(&j, "ns", read ? read->seconds * 1e9 : NAN);
	json_double(&j, "cgroups", read ? read->cgroups : NAN);
	json_double(&j, "bytes", read ? read->bytes : NAN);
	json_end_object(&j);
	if (bench_stopped())
		json_string(&j, "interrupted", BENCH_INTERRUPTED);
	json_end_object(&j);
}

void bench_tracing(long rounds, bool ours, bool json)
{
	long done = all_rounds(rounds, ours);

	if (json)
		print_json(done, ours);
	else
		print_text(done, ours);
	fflush(stdout);
}
