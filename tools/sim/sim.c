// SPDX-License-Identifier: MIT
/*
 * urt sim: a program on urt.h under a simulated clock, kernel and schedule, for
 * many seeds. A run of one seed prints as the program does; of many seeds, only
 * the first run that fails is shown, shrunk (sweep.c). The printed command
 * repeats exactly that run (print.c).
 */
#define _GNU_SOURCE
#include "sim.h"
#include "../../uring_rt/sim/faults.h"
#include "../lib/options.h"
#include "../lib/output.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static bool are_faults(const char *s)
{
	static const char *const names[] = {
#define X(symbol, name, what) name,
		SIM_FAULTS(X)
#undef X
	};

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
	errno = 0;
	if (fchmod(fileno(f), 0755) || !sim_library_write(fileno(f))) {
		output_failed(f, path);
		fclose(f);
		return EXIT_BAD;
	}
	return output_close(f, path);
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
	  .text = "Start no further seed after TIME; without --seeds, try seeds until then." },
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
	  .max = SIM_JOBS_MAX,
	  .text = "Run N seeds at a time; default: one for each CPU." },
	{ .name = "timeout",
	  .argument = "S",
	  .kind = OPTION_SECONDS,
	  TO(timeout_s),
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
	static struct sim_sweep s;
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
	s.o = &o;
	code = (o.seeds.first == o.seeds.last ? sim_sweep_one : sim_sweep)(&s);
	if (code)
		return code;
	sim_print(out, &s);
	if (output_flush(out, o.output)) {
		if (o.output) /* what was found is not lost */
			sim_print(stderr, &s);
		return EXIT_BAD;
	}
	return s.failed ? EXIT_BAD : 0;
}
