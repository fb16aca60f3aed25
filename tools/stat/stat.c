// SPDX-License-Identifier: MIT
/*
 * urt stat: counts what a command, running processes, a cgroup or all
 * processes ask of the kernel. What was wanted is read here; measuring is in
 * run.c, names of figures in figures.c.
 */
#define _GNU_SOURCE
#include "stat.h"
#include "control.h"
#include "../lib/options.h"
#include "../lib/output.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- options ---- */

static bool take_pids(void *to, char *text)
{
	struct stat_options *o = to;
	long pid;

	for (char *p = strtok(text, ","); p; p = strtok(NULL, ",")) {
		if (!parse_number("--pid", p, 1, 1 << 22, &pid))
			return false;
		if (o->pids == STAT_PIDS_MAX) {
			fail("--pid: at most %d processes; -G takes a cgroup of "
			     "any number",
			     STAT_PIDS_MAX);
			return false;
		}
		o->pid[o->pids++] = pid;
	}
	if (!o->pids)
		fail("--pid: expected PID[,PID]");
	return o->pids;
}

static bool take_assert(void *to, char *text)
{
	struct stat_options *o = to;

	if (!stat_assert_valid(text))
		return false;
	if (o->nr_asserts == STAT_ASSERTS_MAX) {
		fail("--assert: at most %d", STAT_ASSERTS_MAX);
		return false;
	}
	o->asserts[o->nr_asserts++] = text;
	return true;
}

static bool take_ops_from(void *to, char *text)
{
	struct stat_options *o = to;

	o->ops_from = text;
	if (!strncmp(text, "file:", 5) || stat_figure_exists(text))
		return true;
	fail("--ops-from: unknown figure \"%s\": `urt stat --list` prints "
	     "their names",
	     text);
	return false;
}

static void print_name(const char *name, void *arg)
{
	puts(name);
}

static bool take_list(void *to, char *arg)
{
	struct stat_options o = { .times = true };
	struct stat_result r = { .options = &o, .source = STAT_BPF };

	stat_each_figure(&r, print_name, NULL);
	puts("syscalls:NAME\nswitches:NAME  (while in that system call)\n"
	     "uring:OPCODE\npolled:OPCODE\npunted:OPCODE\n"
	     "user:COUNTER  (of a program on uring_rt)\n"
	     "latency:ready.pN, latency:timer.pN  (its percentiles: from runnable "
	     "to running, how late timers are)\n"
	     "on-cpu.pN, off-cpu.pN  (percentiles; with --times)");
	exit(0);
}

/* name: NULL for the default. */
static bool run_as(const char *name, struct stat_options *o)
{
	static struct launch_user user;

	if (!launch_user_find(name, &user))
		return !name;
	o->user = &user;
	return true;
}

static bool take_user(void *to, char *arg)
{
	return run_as(arg, to);
}

static bool take_control(void *to, char *arg)
{
	struct stat_options *o = to;

	return control_open(arg, &o->control_fd, &o->ack_fd);
}

static bool take_by(void *to, char *arg)
{
	struct stat_options *o = to;

	return stat_by_parse(arg, &o->by, &o->by_key);
}

static bool take_separator(void *to, char *arg)
{
	struct stat_options *o = to;

	o->separator = arg;
	o->format = STAT_CSV;
	return true;
}

static void by_words(option_word *f, void *arg)
{
	f("thread", arg);
	f("comm", arg);
	f("cgroup", arg);
	f("context", arg);
}

static void figure_words(option_word *f, void *arg)
{
	struct stat_options o = { .times = false };
	struct stat_result r = { .options = &o, .source = STAT_BPF };

	stat_each_figure(&r, f, arg);
}

#define TO(field) OPTION_TO(struct stat_options, field)

static const char *const costs[] = { "sampled", "always", "off", NULL };

static const struct option_row rows[] = {
	{ .letter = 'p',
	  .name = "pid",
	  .argument = "PID[,PID]",
	  .kind = OPTION_TAKE,
	  .take = take_pids,
	  .text = "Count these running processes. Their present children are not counted, later ones are." },
	{ .letter = 'G',
	  .name = "cgroup",
	  .argument = "DIR",
	  .kind = OPTION_TEXT,
	  TO(cgroup),
	  .text = "Count all processes of this cgroup (v2) and of those below it." },
	{ .letter = 'a',
	  .name = "all-cpus",
	  .kind = OPTION_FLAG,
	  TO(all),
	  .text = "Count all processes." },
	{ .letter = 'I',
	  .name = "interval-print",
	  .argument = "MS",
	  .kind = OPTION_MS,
	  TO(interval_ns),
	  .min = 1,
	  .max = INT_MAX,
	  .text = "Print the counts of every MS milliseconds." },
	{ .letter = 'r',
	  .name = "repeat",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(repeat),
	  .min = 1,
	  .max = STAT_RUNS_MAX,
	  .text = "Run the command N times; print means and spread." },
	{ .name = "timeout",
	  .argument = "MS",
	  .kind = OPTION_MS,
	  TO(timeout_ns),
	  .min = 1,
	  .max = INT_MAX,
	  .text = "Stop after MS milliseconds. A command gets SIGTERM, and its exit status does not count as a failure; the next Ctrl-C kills a command that goes on." },
	{ .name = "wait-all",
	  .kind = OPTION_FLAG,
	  TO(wait_all),
	  .text = "Wait for all that the command started, not only for the command." },
	{ .name = "user",
	  .argument = "NAME",
	  .kind = OPTION_TAKE,
	  .take = take_user,
	  .text = "Run the command as this user. Default: under sudo, the user who called sudo." },
	{ .letter = 'D',
	  .name = "delay",
	  .argument = "MS",
	  .kind = OPTION_MS,
	  TO(delay_ns),
	  .min = -1,
	  .max = INT_MAX,
	  .text = "Begin to count after MS milliseconds; -1: when --control says so." },
	{ .name = "control",
	  .argument = "fd:N[,M] | fifo:COMMANDS[,ANSWERS]",
	  .kind = OPTION_TAKE,
	  .take = take_control,
	  .text = "Read enable, disable, ping and stop from there, one a line." },
	{ .kind = OPTION_SPACE },
	{ .name = "ops",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(ops),
	  .min = 1,
	  .text = "Print each count also per operation, for N operations." },
	{ .name = "ops-from",
	  .argument = "FIGURE",
	  .kind = OPTION_TAKE,
	  .take = take_ops_from,
	  .words = figure_words,
	  .text = "Take the number of operations from a figure, or from the first line of a file: file:PATH." },
	{ .name = "per-thread",
	  .kind = OPTION_FLAG,
	  TO(per_thread),
	  .text = "Count by thread, too." },
	{ .name = "latency",
	  .kind = OPTION_FLAG,
	  TO(latency),
	  .text = "Print how long each system call took, as strace -c -w does." },
	{ .name = "errors",
	  .kind = OPTION_FLAG,
	  TO(errors),
	  .text = "Print how system calls failed, by errno." },
	{ .name = "by",
	  .argument = "WHAT",
	  .kind = OPTION_TAKE,
	  .take = take_by,
	  .words = by_words,
	  .text = "Count by thread, comm, cgroup, context or context:KEY, too. Contexts are those that programs announce for their threads, as uring_rt does; the default key is http.route." },
	{ .name = "times",
	  .kind = OPTION_FLAG,
	  TO(times),
	  .text = "Print histograms of times on and off the CPU." },
	{ .name = "assert",
	  .argument = "EXPR",
	  .kind = OPTION_TAKE,
	  .take = take_assert,
	  .words = figure_words,
	  .text = "Exit with status 3 if EXPR does not hold, such as 'switches/op < 0.1' or 'off-cpu.p99 < 20ms'. May be repeated." },
	{ .name = "list",
	  .kind = OPTION_TAKE,
	  .take = take_list,
	  .text = "Print the names of all figures." },
	{ .kind = OPTION_SPACE },
	{ .letter = 'x',
	  .name = "field-separator",
	  .argument = "SEP",
	  .kind = OPTION_TAKE,
	  .take = take_separator,
	  .text = "Print lines of value, unit, figure, rung and value per operation." },
	{ .name = "json",
	  .kind = OPTION_SET,
	  TO(format),
	  .min = STAT_JSON,
	  .text = "Print one JSON document (schema urt.stat.v1); with -I one a line; with -r urt.stat.runs.v1." },
	{ .letter = 'o',
	  .name = "output",
	  .argument = "FILE",
	  .kind = OPTION_TEXT,
	  TO(out),
	  .text = "Write the result to FILE." },
	{ .kind = OPTION_SPACE },
	{ .name = "cost",
	  .argument = "WHEN",
	  .kind = OPTION_CHOICE,
	  TO(cost),
	  .choices = costs,
	  .text = "Measure what counting costs: sampled (default), always or off." },
	{ .name = "no-syscalls",
	  .kind = OPTION_FLAG,
	  TO(no_syscalls),
	  .text = "Do not count system calls: spares every process about 35 ns a call." },
	{ .name = "no-bpf",
	  .kind = OPTION_FLAG,
	  TO(no_bpf),
	  .text = "Count by perf events, or by /proc and getrusage." },
	{ .name = "no-perf",
	  .kind = OPTION_FLAG,
	  TO(no_perf),
	  .text = "Do not count by perf events." },
};

const struct command command_stat = {
	.name = "stat",
	.run = cmd_stat,
	.what = "count what a program asks of the kernel",
	.usage = "[OPTIONS] [-- COMMAND [ARGUMENT ...]]",
	.about =
		"Counts kernel context switches, system calls, io_uring operations and, for programs on uring_rt, switches in user space: of the command and of what it starts; or, with -p, -G or -a, of what is running, while the command runs or until Ctrl-C. The result goes to stderr; the command's stdout and exit status are its own.",
	.notes =
		"What the counts are. A command counts from its exec to its end; what its descendants do later is not counted. With -a, switches away from a CPU's idle task are not counted. With -p, the CPU time is that of the processes named: what their later children call and switch is counted, but not their CPU time. A system call that seccomp refuses is not counted: the kernel refuses it before anything can see it. While system calls are counted, each one of any process on the host takes some 25 ns longer, because the kernel takes its slow entry for all (--no-syscalls spares that).\n\nPrivileges. urt does what needs them before it starts the command; then it keeps only the right to look at other users' processes (with -r: after the last run has begun). The command itself is not restricted.",
	OPTIONS(rows),
	.runs_command = true,
};

/* What does not go together, or NULL. */
static const char *contradiction(const struct stat_options *o)
{
	int targets = (o->pids > 0) + (o->cgroup != NULL) + o->all;

	if (targets > 1)
		return "give one of -p, -G and -a";
	if (!targets && !o->command)
		return "give either a command after -- or -p PID, -G or -a";
	if (o->repeat > 1 && (o->interval_ns || o->delay_ns < 0 ||
			      o->control_fd >= 0 || !o->command))
		return "-r takes a command, and neither -I, -D -1 nor "
		       "--control";
	if (o->repeat > 1 && o->format == STAT_CSV)
		return "-r prints text or --json";
	if (o->delay_ns < 0 && o->control_fd < 0)
		return "-D -1 waits for --control";
	if (o->ops && o->ops_from)
		return "give one of --ops and --ops-from";
	if (o->wait_all && (!o->command || targets || o->no_bpf))
		return "--wait-all takes a command alone, and needs BPF";
	if ((o->latency || o->errors) && (o->no_bpf || o->no_syscalls))
		return "--latency and --errors need BPF, and system calls";
	if ((o->latency || o->errors) &&
	    (o->repeat > 1 || o->interval_ns || o->delay_ns ||
	     o->control_fd >= 0 || o->format == STAT_CSV))
		return "--latency and --errors take neither -r, -I, -D, "
		       "--control nor -x";
	if (o->by && o->no_bpf)
		return "--by needs BPF";
	if (o->by && (o->repeat > 1 || o->interval_ns || o->delay_ns ||
		      o->control_fd >= 0 || o->format == STAT_CSV))
		return "--by takes neither -r, -I, -D, --control nor -x";
	if (o->by == URT_BY_CONTEXT && !o->pids && (o->all || o->cgroup))
		return "--by context takes -p or a command: give the processes";
	if (o->per_thread && o->no_bpf)
		return "--per-thread needs BPF";
	return NULL;
}

/* 0, or the exit code + 1. */
static int parse(int argc, char **argv, struct stat_options *o)
{
	const char *wrong;
	int first = options_parse(&command_stat, argc, argv, o);

	if (first < 0)
		return 1 + EXIT_BAD;
	if (first < argc)
		o->command = argv + first;
	if (!o->user)
		run_as(NULL, o);
	wrong = contradiction(o);
	return wrong ? 1 + fail("stat: %s", wrong) : 0;
}

/* ---- results ---- */

struct telling {
	FILE *out;
	const struct stat_options *o;
	long told; /* intervals so far */
};

static void tell(const struct stat_result *r, void *arg)
{
	struct telling *t = arg;

	if (t->o->format == STAT_JSON)
		stat_print_json(t->out, r, true);
	else if (t->o->format == STAT_CSV)
		stat_print_csv(t->out, r, true);
	else
		stat_print_interval(t->out, r, t->told % 25 == 0);
	fflush(t->out);
	t->told++;
}

/* How many operations there were. */
static void find_ops(struct stat_result *r)
{
	const struct stat_options *o = r->options;
	char why[256] = "it holds no number";
	FILE *f;

	r->ops = o->ops;
	if (!o->ops_from)
		return;
	if (strncmp(o->ops_from, "file:", 5)) {
		if (stat_figure(r, o->ops_from, &r->ops, why) && r->ops > 0)
			return;
		if (!r->ops)
			strcpy(why, "it is 0");
	} else {
		f = fopen(o->ops_from + 5, "re");
		if (!f)
			snprintf(why, sizeof(why), "%s", strerror(errno));
		if (f && fscanf(f, "%lf", &r->ops) == 1 && r->ops > 0) {
			fclose(f);
			return;
		}
		if (f)
			fclose(f);
	}
	r->ops = 0;
	fail("--ops-from %s: %s; nothing is said per operation", o->ops_from,
	     why);
}

static void print(FILE *out, struct stat_result *const *r, long n)
{
	const struct stat_options *o = r[0]->options;

	if (n > 1 && o->format == STAT_JSON)
		stat_print_repeated_json(out, r, n);
	else if (n > 1)
		stat_print_repeated(out, r, n);
	else if (o->format == STAT_JSON)
		stat_print_json(out, r[0], false);
	else if (o->format == STAT_CSV)
		stat_print_csv(out, r[0], false);
	else
		stat_print_text(out, r[0]);
}

static int check_asserts(struct stat_result *const *r, long n)
{
	const struct stat_options *o = r[0]->options;
	int code = 0;

	for (long run = 0; run < n; run++)
		for (unsigned i = 0; i < o->nr_asserts; i++)
			if (!stat_assert_holds(r[run], o->asserts[i], stderr))
				code = EXIT_ASSERT;
	return code;
}

/* The results so far, of at most o->repeat runs; how many. */
static long measure(struct stat_options *o, struct stat_result **r, FILE *out,
		    int *code)
{
	struct telling t = { out, o, 0 };
	bool stopped = false;
	long n = 0;

	while (n < o->repeat && !stopped) {
		r[n] = calloc(1, sizeof(**r));
		o->last = n + 1 == o->repeat;
		*code = r[n] ? stat_measure(o, r[n],
					    o->interval_ns ? tell : NULL, &t,
					    &stopped)
			     : EXIT_BAD;
		if (*code) {
			free(r[n]);
			break;
		}
		find_ops(r[n++]);
	}
	return n;
}

int cmd_stat(int argc, char **argv)
{
	struct stat_options o = { .repeat = 1, .control_fd = -1, .ack_fd = -1 };
	static struct stat_result *r[STAT_RUNS_MAX];
	FILE *out = stderr;
	int code = parse(argc, argv, &o);
	long n;

	if (code)
		return code - 1;
	if (o.out && !(out = output_open(o.out)))
		return EXIT_BAD;
	n = measure(&o, r, out, &code);
	if (!n)
		return code;
	if (!o.interval_ns)
		print(out, r, n);
	if (fflush(out) || ferror(out))
		return fail("cannot write the result: %s", strerror(errno));
	code = check_asserts(r, n);
	for (long i = 0; i < n; i++) {
		if (r[i]->exit_code && !r[i]->ended_by_us)
			code = r[i]->exit_code;
		stat_result_free(r[i]);
		free(r[i]);
	}
	return code;
}
