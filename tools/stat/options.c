// SPDX-License-Identifier: MIT
/* Reading the options of `urt stat`, and refusing wrong combinations. */
#define _GNU_SOURCE
#include "options.h"
#include "control.h"
#include "../lib/output.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_taken(const struct stat_options *o, long pid)
{
	for (unsigned i = 0; i < o->pids; i++)
		if (o->pid[i] == pid)
			return true;
	return false;
}

static bool take_numbers(struct stat_options *o, const char *option, char *text)
{
	long pid;

	for (char *p = strtok(text, ","); p; p = strtok(NULL, ",")) {
		if (!parse_number(option, p, 1, 1 << 22, &pid))
			return false;
		if (is_taken(o, pid))
			continue;
		if (o->pids == STAT_PIDS_MAX)
			return !fail(
				"%s: at most %d; use -G for a cgroup with any "
				"number",
				option, STAT_PIDS_MAX);
		o->pid[o->pids++] = pid;
	}
	return o->pids || !fail("%s: expected ID[,ID]", option);
}

bool stat_take_pids(void *to, char *text)
{
	struct stat_options *o = to;

	if (o->by_tid)
		return !fail("give either -p or -t");
	return take_numbers(o, "--pid", text);
}

bool stat_take_tids(void *to, char *text)
{
	struct stat_options *o = to;

	if (o->pids && !o->by_tid)
		return !fail("give either -p or -t");
	o->by_tid = true;
	return take_numbers(o, "--tid", text);
}

/* "0,2-3" */
bool stat_take_cpus(void *to, char *text)
{
	struct stat_options *o = to;
	long cpus = sysconf(_SC_NPROCESSORS_CONF), from, last;
	char *dash;

	for (char *p = strtok(text, ","); p; p = strtok(NULL, ",")) {
		dash = strchr(p, '-');
		if (dash)
			*dash = '\0';
		if (!parse_number("--cpu", p, 0, cpus - 1, &from) ||
		    !parse_number("--cpu", dash ? dash + 1 : p, from, cpus - 1,
				  &last))
			return false;
		for (; from <= last && from < CPU_SETSIZE; from++)
			CPU_SET(from, &o->cpus);
		o->some_cpus = true;
	}
	return o->some_cpus || !fail("--cpu: expected CPU[,CPU] or CPU-CPU");
}

bool stat_take_events(void *to, char *text)
{
	return stat_events_parse(to, text);
}

bool stat_take_null(void *to, char *arg)
{
	struct stat_options *o = to;

	o->null = o->no_bpf = o->no_perf = true;
	return stat_events_parse(o, "wall,user,system");
}

static bool sets_by(struct stat_options *o, enum urt_by by)
{
	if (o->by)
		return !fail("give only one of --by, -A and --for-each-cgroup");
	o->by = by;
	return true;
}

bool stat_take_no_aggr(void *to, char *arg)
{
	return sets_by(to, URT_BY_CPU);
}

bool stat_take_cgroups(void *to, char *arg)
{
	((struct stat_options *)to)->by_names = arg;
	return sets_by(to, URT_BY_CGROUP);
}

bool stat_take_ops_from(void *to, char *text)
{
	struct stat_options *o = to;

	o->ops_from = text;
	if (!strcmp(text, "load"))
		return true;
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

bool stat_take_list(void *to, char *arg)
{
	struct stat_options o = { .times = true };
	struct stat_result r = { .options = &o, .source = STAT_BPF };

	stat_each_figure(&r, print_name, NULL);
	puts("syscalls:NAME\nswitches:NAME  (while in that system call)\n"
	     "uring:OPCODE\npolled:OPCODE\npunted:OPCODE\n"
	     "user:COUNTER  (of a program on uring_rt)\n"
	     "latency:ready.pN, latency:timer.pN  (percentiles for such a program: from runnable "
	     "to running, how late timers are)\n"
	     "on-cpu.pN, off-cpu.pN  (percentiles; with --times)");
	exit(output_end(0));
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

bool stat_take_user(void *to, char *arg)
{
	return run_as(arg, to);
}

bool stat_take_control(void *to, char *arg)
{
	struct stat_options *o = to;

	return control_open(arg, &o->control_fd, &o->ack_fd);
}

bool stat_take_by(void *to, char *arg)
{
	struct stat_options *o = to;
	enum urt_by by;

	o->by_unit = !strcmp(arg, "unit");
	return stat_by_parse(o->by_unit ? "cgroup" : arg, &by, &o->by_key) &&
	       sets_by(o, by);
}

bool stat_take_format(void *to, char *text)
{
	struct stat_options *o = to;

	if (!strcmp(text, "github"))
		o->github = true;
	else if (!strcmp(text, "json"))
		o->format = STAT_JSON;
	else if (!strcmp(text, "text"))
		o->format = STAT_TEXT;
	else
		return !fail("--format: expected text, json or github, not "
			     "\"%s\"",
			     text);
	return true;
}

void stat_format_words(option_word *f, void *arg)
{
	f("text", arg);
	f("json", arg);
	f("github", arg);
}

bool stat_take_separator(void *to, char *arg)
{
	struct stat_options *o = to;

	o->separator = arg;
	o->format = STAT_CSV;
	return true;
}

void stat_by_words(option_word *f, void *arg)
{
	for (unsigned i = 1; stat_by_names[i]; i++)
		f(stat_by_names[i], arg);
	f("unit", arg);
}

void stat_ops_words(option_word *f, void *arg)
{
	f("load", arg);
	f("file:", arg);
	stat_figure_words(f, arg);
}

void stat_figure_words(option_word *f, void *arg)
{
	struct stat_options o = { .times = false };
	struct stat_result r = { .options = &o, .source = STAT_BPF };

	stat_each_figure(&r, f, arg);
}

/* An error text about options that exclude each other, or NULL: perf's options,
 * then all. */
static const char *perf_contradiction(const struct stat_options *o)
{
	if ((o->by_tid || o->children || o->no_inherit || o->some_cpus) &&
	    o->no_bpf)
		return "-t, --children, -i and -C need BPF";
	if (o->children && (!o->pids || o->by_tid))
		return "--children takes -p PID";
	if (o->no_inherit && (o->all || o->cgroup))
		return "-i takes a command, -p or -t";
	if (o->no_inherit && o->children)
		return "give one of -i and --children";
	if (o->some_cpus && (o->times || o->per_thread || o->wait_all))
		return "-C takes neither --times, --per-thread nor --wait-all";
	if ((o->interval_count || o->summary) && !o->interval_ns)
		return "--interval-count and --summary take -I";
	if (o->table && (o->repeat < 2 || o->format != STAT_TEXT))
		return "--table takes -r, and prints text";
	if ((o->pre || o->post) && !o->command)
		return "--pre and --post take a command after --";
	if (o->append && !o->out)
		return "--append takes -o FILE";
	if (o->null && (o->by || o->latency || o->errors || o->per_thread))
		return "-n counts nothing";
	return NULL;
}

static const char *contradiction(const struct stat_options *o)
{
	int targets = (o->pids > 0) + (o->cgroup != NULL) + o->all;

	if (targets > 1)
		return "give one of -p, -t, -G and -a";
	if (!targets && !o->command)
		return "give either a command after -- or -p PID, -t, -G or -a";
	if (o->repeat > 1 && (o->interval_ns || o->delay_ns < 0 ||
			      o->control_fd >= 0 || !o->command))
		return "-r takes a command, and neither -I, -D -1 nor "
		       "--control";
	if (o->repeat > 1 && o->format == STAT_CSV)
		return "-r prints text or --json";
	if (o->warmup && (!o->command || o->control_fd >= 0))
		return "--warmup takes a command after --, and no --control";
	if (o->ops_from && !strcmp(o->ops_from, "load") && !o->command)
		return "--ops-from load takes a command after -- that runs "
		       "`urt load`";
	for (unsigned i = 0; i < o->nr_asserts; i++)
		if (o->asserts[i].relative && !o->baseline_path)
			return "a limit in x needs --baseline FILE";
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
	if (o->per_thread && o->no_bpf)
		return "--per-thread needs BPF";
	return perf_contradiction(o);
}

bool stat_parse(int argc, char **argv, struct stat_options *o)
{
	const char *wrong;
	int first = options_parse(&command_stat, argc, argv, o);

	if (first < 0)
		return false;
	if (first < argc)
		o->command = argv + first;
	if (!o->user)
		run_as(NULL, o);
	if ((o->some_cpus || o->by_names) && !o->pids && !o->cgroup)
		o->all = true;
	wrong = contradiction(o);
	return !wrong || !fail("stat: %s", wrong);
}
