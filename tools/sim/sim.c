// SPDX-License-Identifier: MIT
/*
 * urt sim: a program on urt.h under a simulated clock, kernel and schedule, for
 * many seeds. The first run that fails is shrunk to the smallest number of
 * faults, and then of switches between threads, with which it still fails.
 * Bisection finds these numbers, assuming that more of them never make the run
 * pass. The printed command repeats exactly the shrunk run.
 */
#define _GNU_SOURCE
#include "sim.h"
#include "../lib/launch.h"
#include "../lib/options.h"
#include "../lib/output.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS_MAX 256

static volatile sig_atomic_t stopped;

static void on_stop(int sig)
{
	(void)sig;
	stopped = 1;
}

struct sweep {
	const struct sim_options *o;
	struct sim_job job[JOBS_MAX];
	bool busy[JOBS_MAX];
	uint64_t next, done;
	int64_t simulated_ns, begin_ns;
	long rings;
	char not_simulated[512]; /* of all runs, as in sim_run */
	bool failed;
	struct sim_run failure; /* the failed run with the smallest seed */
};

/* ---- one after the other ----------------------------------------------- */

/* Waits for one run. */
static bool run_once(const struct sim_options *o, struct sim_job *j,
		     const struct sim_case *c, struct sim_run *r)
{
	if (!sim_job_begin(j, o, c, 0))
		return false;
	while (!sim_job_ended(j, stopped, r)) {
		struct pollfd p = { j->socket, POLLIN, 0 };

		poll(&p, 1, 100);
	}
	return true;
}

static bool still_fails(const struct sim_options *o, struct sim_job *j,
			const struct sim_case *c)
{
	struct sim_run r;

	if (stopped || !run_once(o, j, c, &r))
		return false;
	sim_run_close(&r);
	return sim_run_failed(&r) && !stopped;
}

/* The least limit, up to `all`, with which the case still fails, in *limit. */
static void shrink_one(const struct sim_options *o, struct sim_job *j,
		       struct sim_case *c, long *limit, long all)
{
	long passes = -1, fails = all;

	while (passes + 1 < fails) {
		*limit = passes + (fails - passes) / 2;
		if (still_fails(o, j, c))
			fails = *limit;
		else
			passes = *limit;
	}
	*limit = fails;
}

static void shrink(const struct sim_options *o, struct sim_run *r)
{
	struct sim_job j = { 0 };
	struct sim_case c = r->what;

	if (r->late)
		return;
	if (c.most_faults < 0)
		shrink_one(o, &j, &c, &c.most_faults, r->faults);
	if (c.switches < 0)
		shrink_one(o, &j, &c, &c.switches, r->switches);
	if (still_fails(o, &j, &c)) { /* else it depends on more than these */
		sim_run_close(r);
		run_once(o, &j, &c, r);
	}
	sim_job_close(&j);
}

/* ---- many -------------------------------------------------------------- */

static bool more(const struct sweep *s)
{
	const struct sim_options *o = s->o;

	if (stopped || s->failed || s->next > o->seeds.last)
		return false;
	return !o->time_s || now_ns() - s->begin_ns < o->time_s * NS_PER_S;
}

/* The next of names that are each followed by a newline. */
static const char *next_name(const char *name)
{
	return name + strcspn(name, "\n") + 1;
}

/* Adds those names that are not in `to` yet. */
static void add_names(char *to, size_t size, const char *names)
{
	for (const char *next; *names; names = next) {
		size_t have = strlen(to);
		const char *p = to;

		next = next_name(names);
		while (*p && strncmp(p, names, next - names))
			p = next_name(p);
		if (!*p && have + (next - names) < size)
			snprintf(to + have, size - have, "%.*s",
				 (int)(next - names), names);
	}
}

static void count(struct sweep *s, const struct sim_run *r)
{
	s->done++;
	s->simulated_ns += r->simulated_ns;
	s->rings += r->rings;
	add_names(s->not_simulated, sizeof(s->not_simulated), r->not_simulated);
}

static void ended(struct sweep *s, struct sim_run *r)
{
	count(s, r);
	if (!sim_run_failed(r) ||
	    (s->failed && r->what.seed > s->failure.what.seed)) {
		sim_run_close(r);
		return;
	}
	if (s->failed)
		sim_run_close(&s->failure);
	s->failed = true;
	s->failure = *r;
}

/* Starts and ends runs; false: no run continues. */
static bool round_of(struct sweep *s)
{
	struct pollfd p[JOBS_MAX];
	struct sim_run r;
	unsigned n = 0;

	for (unsigned i = 0; i < s->o->jobs; i++) {
		struct sim_case c = { .seed = s->next,
				      .switches = s->o->switches,
				      .most_faults = s->o->most_faults };

		if (s->busy[i] && sim_job_ended(&s->job[i], stopped, &r)) {
			s->busy[i] = false;
			if (!stopped)
				ended(s, &r);
		}
		if (!s->busy[i] && more(s)) {
			s->next++;
			s->busy[i] = sim_job_begin(&s->job[i], s->o, &c, i);
		}
		if (s->busy[i])
			p[n++] = (struct pollfd){ s->job[i].socket, POLLIN, 0 };
	}
	if (n)
		poll(p, n, 100);
	return n;
}

/* ---- the result -------------------------------------------------------- */

/* Prints a word of a command, quoted for a shell. */
static void print_word(FILE *f, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789%+,-./:=@_";

	if (*s && !s[strspn(s, plain)]) {
		fprintf(f, " %s", s);
		return;
	}
	fputs(" '", f);
	for (; *s; s++)
		if (*s == '\'')
			fputs("'\\''", f);
		else
			fputc(*s, f);
	fputc('\'', f);
}

static void print_repeat(FILE *f, const struct sim_options *o,
			 const struct sim_case *c, bool late)
{
	fprintf(f, "urt sim --seeds %llu", (unsigned long long)c->seed);
	if (o->faults)
		fprintf(f, " --faults %s", o->faults);
	if (o->workers)
		fprintf(f, " --workers %ld", o->workers);
	if (c->switches >= 0)
		fprintf(f, " --switches %ld", c->switches);
	if (c->most_faults >= 0)
		fprintf(f, " --most-faults %ld", c->most_faults);
	if (late)
		fprintf(f, " --timeout %ld", o->timeout_s);
	fputs(" --", f);
	for (char **a = o->command; *a; a++)
		print_word(f, *a);
}

/* Prints the reasons why the result is weaker than it looks. */
static void print_limits(FILE *f, const struct sweep *s)
{
	const char *p = s->not_simulated;

	if (s->done && !s->rings)
		fputs(" The program began no run of the runtime.\n", f);
	if (*p)
		fputs(" Not simulated, so that a seed may give another run: ",
		      f);
	for (; *p; p = next_name(p))
		fprintf(f, "%.*s%s", (int)strcspn(p, "\n"), p,
			*next_name(p) ? ", " : "\n");
}

static void print_text(FILE *f, const struct sweep *s)
{
	double real_s = (now_ns() - s->begin_ns) / 1e9;
	const struct sim_run *r = &s->failure;
	char how[64];

	fprintf(f, "\n %llu seeds from %llu on in %.1f s, %.3f s simulated",
		(unsigned long long)s->done,
		(unsigned long long)s->o->seeds.first, real_s,
		s->simulated_ns / 1e9);
	if (!s->failed) {
		fprintf(f, ": none failed\n");
		print_limits(f, s);
		fputc('\n', f);
		return;
	}
	fprintf(f,
		"\n seed %llu failed: %s, after %.3f s simulated, %ld switches "
		"between threads\n and %ld faults. To repeat it:\n\n    ",
		(unsigned long long)r->what.seed, sim_run_how(r, how),
		r->simulated_ns / 1e9, r->switches, r->faults);
	print_repeat(f, s->o, &r->what, r->late && !r->hung);
	fputs("\n\n", f);
	print_limits(f, s);
}

static void print_json(FILE *f, const struct sweep *s)
{
	const struct sim_run *r = &s->failure;
	struct json j = { .out = f };
	char setting[SIM_SETTING_MAX], how[64];

	json_object(&j, NULL);
	json_string(&j, "schema", "urt.sim.v1");
	json_array(&j, "command");
	for (char **a = s->o->command; *a; a++)
		json_string(&j, NULL, *a);
	json_end_array(&j);
	json_int(&j, "first_seed", s->o->seeds.first);
	json_int(&j, "seeds", s->done);
	json_int(&j, "wall_ns", now_ns() - s->begin_ns);
	json_int(&j, "simulated_ns", s->simulated_ns);
	json_array(&j, "not_simulated");
	for (const char *p = s->not_simulated; *p; p = next_name(p)) {
		char name[128];

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(p, "\n"), p);
		json_string(&j, NULL, name);
	}
	json_end_array(&j);
	if (s->failed) {
		sim_setting(s->o, &r->what, setting, sizeof(setting));
		json_object(&j, "failed");
		json_int(&j, "seed", r->what.seed);
		json_string(&j, "how", sim_run_how(r, how));
		json_int(&j, "switches", r->switches);
		json_int(&j, "faults", r->faults);
		json_int(&j, "simulated_ns", r->simulated_ns);
		json_string(&j, "setting", setting);
		json_end_object(&j);
	} else {
		json_null(&j, "failed");
	}
	json_end_object(&j);
}

/* ---- the command ------------------------------------------------------- */

static bool take_seeds(void *to, char *arg)
{
	struct sim_seeds *seeds = &((struct sim_options *)to)->seeds;
	const char *s = arg;
	char *end;

	errno = 0;
	seeds->first = seeds->last = strtoull(s, &end, 0);
	if (!strncmp(end, "..", 2) && end > s) {
		s = end + 2;
		seeds->last = strtoull(s, &end, 0);
	}
	seeds->given = true;
	if (end > s && !*end && !errno && !strchr(arg, '-') &&
	    seeds->first <= seeds->last)
		return true;
	fail("--seeds %s: give A..B, with A no larger than B, or one number",
	     arg);
	return false;
}

/* The library knows the names; here they are only checked. */
static bool are_faults(const char *s)
{
	static const char *const names[] = { "net",   "partition", "short",
					     "enter", "block",	   "file",
					     "thread" };

	while (*s) {
		size_t len = strcspn(s, "="), i;
		double v;
		char *end;

		for (i = 0; i < ARRAY_LEN(names); i++)
			if (strlen(names[i]) == len &&
			    !strncmp(names[i], s, len))
				break;
		if (i == ARRAY_LEN(names) || s[len] != '=')
			return false;
		v = strtod(s + len + 1, &end);
		if (end == s + len + 1 ||
		    (*end == '%' ? !(v >= 0 && v <= 100)
				 : !(v >= 1 && v <= 1e9 && v == (long)v)))
			return false;
		s = end + (*end == '%');
		if (*s && *s++ != ',')
			return false;
	}
	return true;
}

static bool take_faults(void *to, char *arg)
{
	((struct sim_options *)to)->faults = arg;
	if (are_faults(arg))
		return true;
	fail("--faults %s: give NAME=P%% (0 to 100) or NAME=N (1, 2, ...), with "
	     "commas between; `urt help sim` has the names",
	     arg);
	return false;
}

static int write_library(const char *path)
{
	FILE *f = output_open(path);

	if (!f)
		return EXIT_BAD;
	if (fchmod(fileno(f), 0755) || !sim_library_write(fileno(f)) ||
	    fclose(f))
		return fail("cannot write %s: %s", path, strerror(errno));
	return 0;
}

/* Creates the file, and sets the name by which the program opens it. */
static bool open_trace(struct sim_options *o)
{
	static char path[64];
	FILE *f = o->trace ? output_open(o->trace) : NULL;

	if (!f)
		return !o->trace;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fileno(f));
	o->trace = path;
	return true;
}

static int cannot_run(const struct sim_options *o, int err)
{
	fail("cannot run %s: %s", o->command[0], strerror(-err));
	return launch_exit_code(err);
}

/* Whether the program ran, and in the simulator; otherwise prints why not. */
static bool was_simulated(const struct sim_options *o, const struct sim_run *r,
			  int *code)
{
	if (!r->loaded)
		sim_run_show(r); /* its output may say why */
	if (r->exec_error)
		*code = cannot_run(o, r->exec_error);
	else if (!r->loaded && WIFSIGNALED(r->status))
		*code = fail("%s died of SIG%s at seed %llu, before it was "
			     "simulated: continue from that seed",
			     o->command[0], sigabbrev_np(WTERMSIG(r->status)),
			     (unsigned long long)r->what.seed);
	else if (!r->loaded)
		*code = fail("%s did not load the simulator: link it with "
			     "libc.so, without a sanitizer, and do not "
			     "make it set-user-id",
			     o->command[0]);
	return !r->exec_error && r->loaded;
}

/* Runs a single seed; the program prints to our stdout and stderr. */
static int run_one(const struct sim_options *o, FILE *out)
{
	struct sweep s = { .o = o, .begin_ns = now_ns() };
	struct sim_case c = { .seed = o->seeds.first,
			      .switches = o->switches,
			      .most_faults = o->most_faults,
			      .shown = true };
	struct sim_job j = { 0 };
	int code;

	if (!run_once(o, &j, &c, &s.failure))
		return fail("cannot start a run: %s", strerror(errno));
	sim_job_close(&j);
	if (!was_simulated(o, &s.failure, &code))
		return code;
	count(&s, &s.failure);
	s.failed = sim_run_failed(&s.failure);
	if (o->json)
		print_json(out, &s);
	else
		print_text(out, &s);
	return s.failed ? EXIT_BAD : 0;
}

static int sweep(const struct sim_options *o, FILE *out)
{
	static struct sweep s;
	int code;

	s.o = o;
	s.next = o->seeds.first;
	s.begin_ns = now_ns();
	while (round_of(&s))
		;
	for (unsigned i = 0; i < o->jobs; i++)
		sim_job_close(&s.job[i]);
	if (s.failed && !was_simulated(o, &s.failure, &code))
		return code;
	if (s.failed && !stopped) {
		shrink(o, &s.failure);
		sim_run_show(&s.failure);
	}
	if (o->json)
		print_json(out, &s);
	else
		print_text(out, &s);
	return s.failed ? EXIT_BAD : 0;
}

#define TO(field) OPTION_TO(struct sim_options, field)

static const struct option_row rows[] = {
	{ .name = "seeds",
	  .argument = "A..B",
	  .kind = OPTION_TAKE,
	  TO(seeds),
	  .take = take_seeds,
	  .text = "Try these seeds, or one; default 1..100." },
	{ .name = "time",
	  .argument = "TIME",
	  .kind = OPTION_SECONDS,
	  TO(time_s),
	  .max = 1000000,
	  .text = "Start no further seed after TIME (60s, 2m); without --seeds, try seeds until then." },
	{ .name = "faults",
	  .argument = "LIST",
	  .kind = OPTION_TAKE,
	  TO(faults),
	  .take = take_faults,
	  .text = "Inject faults: a list of NAME=P% or NAME=N, only the Nth time. NAME is net, partition, short, enter, block, file or thread. Default: short=10%,block=0.2%." },
	{ .name = "workers",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(workers),
	  .min = 1,
	  .max = 256,
	  .text = "Give the program N workers; default: 1 to 4, by the seed." },
	{ .letter = 'j',
	  .name = "jobs",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(jobs),
	  .min = 1,
	  .max = JOBS_MAX,
	  .text = "Run N seeds at a time; default: one for each CPU." },
	{ .name = "timeout",
	  .argument = "S",
	  .kind = OPTION_NUMBER,
	  TO(timeout_s),
	  .min = 1,
	  .max = 100000,
	  .text = "Fail a run that takes S seconds of real time, without the time in which it waits for a CPU, and print where its threads are; default 60." },
	{ .name = "switches",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(switches),
	  .max = 1000000000,
	  .text = "Make only the first N switches between threads of a seed." },
	{ .name = "most-faults",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(most_faults),
	  .max = 1000000000,
	  .text = "Make only the first N faults of a seed." },
	{ .name = "trace",
	  .argument = "FILE",
	  .kind = OPTION_TEXT,
	  TO(trace),
	  .text = "Write each step of a single seed's run to FILE." },
	{ .name = "library",
	  .argument = "FILE",
	  .kind = OPTION_TEXT,
	  TO(library),
	  .text = "Write the preloaded library to FILE and exit: URT_SIM=SEED LD_PRELOAD=FILE then runs a seed in gdb." },
	{ OPTION_JSON("urt.sim.v1"), TO(json) },
	{ OPTION_OUTPUT, TO(output),
	  .text = "Write the result to FILE; default: stderr." },
};

const struct command command_sim = {
	.name = "sim",
	.run = cmd_sim,
	.what = "run a program in a simulation, for many seeds",
	.usage = "[OPTIONS] -- COMMAND [ARGUMENT ...]",
	.about =
		"Runs a program on urt.h, unchanged, in a simulation: one thread at a time, a virtual clock (sleeping costs no time), and rings, sockets and faults that a seed decides on. The same seed gives the same run. Seeds are tried until a run fails: a signal, a hang, or an exit status other than 0. That run is shrunk, shown, and printed as a command that repeats it.",
	.notes =
		"The simulation has clocks, sleeps, getrandom, threads, locks, pipes, and sockets between parts of the program. Files and child processes are real: runs at a time that write the same file disturb each other (-j 1 makes one run at a time); while a child runs, the clock goes no faster than the real one. Threads take turns at calls of the kernel only: a race whose two sides make no such call between them is not found. urt names everything else that is not simulated at its first use, and after a sweep; the same seed may then give another run. The exit status is 1 if a run failed.",
	OPTIONS(rows),
	.runs_command = true,
};

int cmd_sim(int argc, char **argv)
{
	struct sim_options o = { .timeout_s = 60,
				 .jobs = sysconf(_SC_NPROCESSORS_ONLN),
				 .switches = -1,
				 .most_faults = -1 };
	struct sigaction act = { .sa_handler = on_stop };
	int first = options_parse(&command_sim, argc, argv, &o), code;
	FILE *out = stderr;

	if (first < 0)
		return EXIT_BAD;
	if (o.library)
		return write_library(o.library);
	o.command = argv + first;
	if (!*o.command)
		return fail("sim: give a command: urt sim -- ./program");
	if (!o.seeds.given)
		o.seeds =
			(struct sim_seeds){ 1, o.time_s ? UINT64_MAX - 1 : 100,
					    true };
	if (o.trace && o.seeds.first != o.seeds.last)
		return fail("--trace: give one seed, by --seeds N");
	if (!open_trace(&o) || (o.output && !(out = output_open(o.output))))
		return EXIT_BAD;
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
	code = o.seeds.first == o.seeds.last ? run_one(&o, out)
					     : sweep(&o, out);
	if (fflush(out) || ferror(out))
		return fail("cannot write the result: %s", strerror(errno));
	return code;
}
