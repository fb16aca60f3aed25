// SPDX-License-Identifier: MIT
/*
 * urt stat: counts what a command, running processes, a cgroup or all
 * processes ask of the kernel. What was wanted is read here; measuring is in
 * run.c, names of figures in figures.c.
 */
#define _GNU_SOURCE
#include "stat.h"
#include "control.h"
#include "../lib/output.h"
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char usage_text[] =
	"usage: urt stat [OPTIONS] [-- COMMAND [ARGUMENT ...]]\n"
	"\n"
	"Counts kernel context switches, system calls, io_uring operations and,\n"
	"for programs on uring_rt, switches in user space: of the command and\n"
	"what it starts; or, with -p, -G or -a, of what is running, while the\n"
	"command runs or until Ctrl-C. The result goes to stderr; the command's\n"
	"stdout and exit status are its own.\n"
	"\n"
	"  -p, --pid PID[,PID]    running processes\n"
	"  -G, --cgroup DIR       all in a cgroup (v2) and below\n"
	"  -a, --all-cpus         all processes\n"
	"  -I, --interval-print MS\n"
	"                         what came in each MS milliseconds\n"
	"  -r, --repeat N         run the command N times: means and spread\n"
	"      --timeout MS       stop after that; a command by SIGTERM, which is\n"
	"                         then no failure of its own; the next Ctrl-C\n"
	"                         kills one that goes on\n"
	"      --wait-all         not only for the command: for all it started\n"
	"      --user NAME        run the command as that user; by default, under\n"
	"                         sudo, as the one who called sudo\n"
	"  -D, --delay MS         begin after that; -1: when told by --control\n"
	"      --control fd:N[,M] | fifo:COMMANDS[,ANSWERS]\n"
	"                         enable, disable, ping, stop, a line each\n"
	"\n"
	"      --ops N            also per operation, for N of them\n"
	"      --ops-from FIGURE  ... for as many as a figure says, or\n"
	"                         file:PATH, whose first line is the number\n"
	"      --per-thread       also by thread\n"
	"      --latency          how long each system call took, as strace -c -w\n"
	"      --errors           how system calls failed, by errno\n"
	"      --by WHAT          also by rows of thread, comm, cgroup, context or\n"
	"                         context:KEY (of programs that announce contexts\n"
	"                         of threads, as uring_rt does; default http.route)\n"
	"      --times            histograms of times on and off the CPU\n"
	"      --assert EXPR      exit status 3 if it does not hold; several\n"
	"                         ('switches/op < 0.1', 'off-cpu.p99 < 20ms')\n"
	"      --list             names of all figures\n"
	"\n"
	"  -x, --field-separator SEP\n"
	"                         value, unit, figure, rung, per operation\n"
	"      --json             one JSON document (schema urt.stat.v1; with\n"
	"                         -I one a line; with -r urt.stat.runs.v1)\n"
	"  -o, --output FILE      the result goes there\n"
	"\n"
	"      --cost sampled|always|off\n"
	"                         how what counting costs is measured\n"
	"      --no-syscalls      do not count them: spares every process ~35 ns\n"
	"                         a call\n"
	"      --no-bpf           perf events, or what /proc and getrusage tell\n"
	"      --no-perf          no perf events\n"
	"\n"
	"What the counts are. A command counts from its exec to its end; what its\n"
	"descendants do later does not. With -p, children that are there already\n"
	"are not counted, later ones are. With -a, switches away from a CPU's idle\n"
	"task are not counted. A system call that seccomp refuses is not counted:\n"
	"the kernel refuses it before anything can see it. While system calls are\n"
	"counted, each one of any process on the host takes some 25 ns longer, as\n"
	"the kernel takes its slow entry for all (--no-syscalls spares that).\n"
	"\n"
	"Privileges. What needs them is done before the command is let go; then\n"
	"urt keeps only the right to look at other users' processes (-r: after\n"
	"the last run has begun). The command itself is not restricted.\n";

enum {
	OPT_JSON = 256,
	OPT_OPS,
	OPT_OPS_FROM,
	OPT_NO_BPF,
	OPT_NO_PERF,
	OPT_NO_SYSCALLS,
	OPT_TIMEOUT,
	OPT_CONTROL,
	OPT_PER_THREAD,
	OPT_TIMES,
	OPT_BY,
	OPT_LATENCY,
	OPT_ERRORS,
	OPT_ASSERT,
	OPT_COST,
	OPT_LIST,
	OPT_USER,
	OPT_WAIT_ALL,
};

static const struct option long_options[] = {
	{ "pid", required_argument, NULL, 'p' },
	{ "cgroup", required_argument, NULL, 'G' },
	{ "all-cpus", no_argument, NULL, 'a' },
	{ "interval-print", required_argument, NULL, 'I' },
	{ "repeat", required_argument, NULL, 'r' },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "delay", required_argument, NULL, 'D' },
	{ "control", required_argument, NULL, OPT_CONTROL },
	{ "ops", required_argument, NULL, OPT_OPS },
	{ "ops-from", required_argument, NULL, OPT_OPS_FROM },
	{ "per-thread", no_argument, NULL, OPT_PER_THREAD },
	{ "times", no_argument, NULL, OPT_TIMES },
	{ "by", required_argument, NULL, OPT_BY },
	{ "latency", no_argument, NULL, OPT_LATENCY },
	{ "errors", no_argument, NULL, OPT_ERRORS },
	{ "assert", required_argument, NULL, OPT_ASSERT },
	{ "list", no_argument, NULL, OPT_LIST },
	{ "user", required_argument, NULL, OPT_USER },
	{ "wait-all", no_argument, NULL, OPT_WAIT_ALL },
	{ "field-separator", required_argument, NULL, 'x' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "output", required_argument, NULL, 'o' },
	{ "cost", required_argument, NULL, OPT_COST },
	{ "no-syscalls", no_argument, NULL, OPT_NO_SYSCALLS },
	{ "no-bpf", no_argument, NULL, OPT_NO_BPF },
	{ "no-perf", no_argument, NULL, OPT_NO_PERF },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* ---- options ---- */

static bool parse_pids(char *text, struct stat_options *o)
{
	long pid;

	for (char *p = strtok(text, ","); p; p = strtok(NULL, ",")) {
		if (!parse_number("-p", p, 1, 1 << 22, &pid))
			return false;
		if (o->pids == STAT_PIDS_MAX) {
			fail("-p: at most %d processes; -G takes a cgroup of "
			     "any number",
			     STAT_PIDS_MAX);
			return false;
		}
		o->pid[o->pids++] = pid;
	}
	if (!o->pids)
		fail("-p: give a PID");
	return o->pids;
}

static bool parse_ms(const char *name, const char *text, long min, int64_t *ns)
{
	long ms;

	if (!parse_number(name, text, min, INT_MAX, &ms))
		return false;
	*ns = ms * NS_PER_MS;
	return true;
}

static bool parse_cost(const char *text, enum stat_cost *cost)
{
	static const char *const names[] = { "sampled", "always", "off" };

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(text, names[i])) {
			*cost = i;
			return true;
		}
	fail("--cost: \"%s\" is none of sampled, always, off", text);
	return false;
}

static bool parse_assert(const char *text, struct stat_options *o)
{
	if (!stat_assert_valid(text))
		return false;
	if (o->nr_asserts == STAT_ASSERTS_MAX) {
		fail("--assert: at most %d", STAT_ASSERTS_MAX);
		return false;
	}
	o->asserts[o->nr_asserts++] = text;
	return true;
}

static bool parse_ops_from(const char *text, struct stat_options *o)
{
	o->ops_from = text;
	if (!strncmp(text, "file:", 5) || stat_figure_exists(text))
		return true;
	fail("--ops-from: there is no figure \"%s\" (`urt stat --list`)", text);
	return false;
}

static void print_name(const char *name, void *arg)
{
	puts(name);
}

static int list_figures(void)
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
	return 0;
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

/* False: wrong, and it was said. */
static bool option(struct stat_options *o, int opt, char *arg)
{
	switch (opt) {
	case 'p':
		return parse_pids(arg, o);
	case 'G':
		o->cgroup = arg;
		return true;
	case 'a':
		return o->all = true;
	case 'I':
		return parse_ms("-I", arg, 1, &o->interval_ns);
	case 'r':
		return parse_number("-r", arg, 1, STAT_RUNS_MAX, &o->repeat);
	case 'D':
		return parse_ms("-D", arg, -1, &o->delay_ns);
	case 'x':
		o->separator = arg;
		o->format = STAT_CSV;
		return true;
	case 'o':
		o->out = arg;
		return true;
	case OPT_TIMEOUT:
		return parse_ms("--timeout", arg, 1, &o->timeout_ns);
	case OPT_CONTROL:
		return control_open(arg, &o->control_fd, &o->ack_fd);
	case OPT_OPS:
		return parse_number("--ops", arg, 1, LONG_MAX, &o->ops);
	case OPT_OPS_FROM:
		return parse_ops_from(arg, o);
	case OPT_PER_THREAD:
		return o->per_thread = true;
	case OPT_LATENCY:
		return o->latency = true;
	case OPT_ERRORS:
		return o->errors = true;
	case OPT_BY:
		return stat_by_parse(arg, &o->by, &o->by_key);
	case OPT_TIMES:
		return o->times = true;
	case OPT_ASSERT:
		return parse_assert(arg, o);
	case OPT_JSON:
		o->format = STAT_JSON;
		return true;
	case OPT_COST:
		return parse_cost(arg, &o->cost);
	case OPT_NO_SYSCALLS:
		return o->no_syscalls = true;
	case OPT_NO_BPF:
		return o->no_bpf = true;
	case OPT_USER:
		return run_as(arg, o);
	case OPT_WAIT_ALL:
		return o->wait_all = true;
	case OPT_NO_PERF:
		return o->no_perf = true;
	default:
		fail("`urt stat --help` lists the options");
		return false;
	}
}

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

/* 0, or the exit code + 1: nothing is to be measured. */
static int parse(int argc, char **argv, struct stat_options *o)
{
	const char *wrong;
	int opt;

	while ((opt = getopt_long(argc, argv, "+p:G:aI:r:D:x:o:h", long_options,
				  NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			return 1;
		}
		if (opt == OPT_LIST)
			return 1 + list_figures();
		if (!option(o, opt, optarg))
			return 1 + EXIT_BAD;
	}
	if (optind < argc)
		o->command = argv + optind;
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
