// SPDX-License-Identifier: MIT
/* explore: the command line; see HACKING.md. */
#define _GNU_SOURCE
#include "kernel.h"
#include "lists.h"
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <unistd.h>

extern const struct explore_scenario *const __start_explore_scenarios[];
extern const struct explore_scenario *const __stop_explore_scenarios[];

static const char usage[] =
	"usage: explore [OPTION]... [SCENARIO]...\n"
	"Run scenarios (all of them) in every order that makes a difference.\n"
	"  --list          List the scenarios.\n"
	"  --faults        Plant each fault of the table: it must be found.\n"
	"  --coverage      Print the atomic operations that none reaches.\n"
	"  --survey FILE   Plant a fault at each atomic operation of a source file.\n"
	"  --seconds N     Stop a scenario after N seconds (default 60).\n"
	"  --total N       Share N seconds between the scenarios.\n"
	"  --bound N       Preemptions in an execution (default 3).\n"
	"  --stale N       Loads in an execution that return an older store\n"
	"                  (default 2).\n"
	"  --all           Try all orders, also those that make no difference.\n"
	"  --random SEED   Try executions by chance instead.\n"
	"  --replay TEXT   Repeat one execution, as a failure printed it.\n"
	"  --trap          Stop at the failure, for a debugger.\n";

static struct {
	bool list, faults, coverage;
	const char *survey;
	double seconds, total;
} want = { .seconds = 60 };

static struct {
	unsigned scenarios, complete, failed;
	uint64_t executions;
	double seconds;
} sum;

static unsigned nr_scenarios(void)
{
	return __stop_explore_scenarios - __start_explore_scenarios;
}

static const struct explore_scenario *find(const char *name)
{
	for (unsigned i = 0; i < nr_scenarios(); i++)
		if (!strcmp(__start_explore_scenarios[i]->name, name))
			return __start_explore_scenarios[i];
	fprintf(stderr, "explore: no scenario \"%s\": try --list\n", name);
	exit(1);
}

/* Runs one of `left` scenarios, which share the rest of the total time. */
static bool run(const struct explore_scenario *s, unsigned left)
{
	static struct x_result r;

	if (want.total > 0)
		x_options.max_ns = want.total / left * 1e9;
	x_scenario_begin(s);
	x_search(s, &r);
	want.total -= r.ns / 1e9;
	sum.scenarios++;
	sum.complete += !r.failed && r.complete;
	sum.failed += r.failed;
	sum.executions += r.executions;
	sum.seconds += r.ns / 1e9;
	printf("%-28s %8" PRIu64 " executions %10" PRIu64 " steps %7.2f s %s",
	       s->name, r.executions, r.steps, r.ns / 1e9,
	       r.failed	    ? "FAILS\n"
	       : r.complete ? "all\n"
			    : "");
	if (!r.failed && !r.complete)
		printf("all of %u preemptions\n", r.bound);
	if (r.failed)
		x_trace(r.message, r.replay);
	fflush(stdout);
	return !r.failed;
}

/* ---- planted faults ---------------------------------------------------- */

static const char *const mutation_names[] = {
	[X_RELAX] = "made relaxed",
	[X_DROP] = "left out",
	[X_SPLIT] = "made a load and a store",
	[X_HOLD] = "swapped with the next store",
	[X_LOSE] = "left out, a plain store",
};

static bool plant_and_find(const struct x_fault *f)
{
	static struct x_result r;
	bool membarrier = !strcmp(f->text, "membarrier(2)");

	k_no_membarrier = false;
	x_scenario_begin(find(f->scenario));
	k_no_membarrier = membarrier;
	x_arena_keep();
	if (!x_plant(membarrier ? X_AS_IS : f->mutation, f->function,
		     f->text) &&
	    !membarrier) {
		printf("%-28s nothing is \"%s\" in %s any more\n", f->scenario,
		       f->text, f->function ? f->function : "the source");
		return false;
	}
	x_search(find(f->scenario), &r);
	x_plant(X_AS_IS, NULL, "");
	printf("%-24s %-9s %6" PRIu64 " executions: %s%s%s, %s\n", f->scenario,
	       r.failed ? "found" : "NOT FOUND", r.executions,
	       f->function ? f->function : "", f->function ? ": " : "", f->text,
	       mutation_names[f->mutation]);
	if (r.failed && getenv("EXPLORE_WHY"))
		printf("    %s\n", r.message);
	fflush(stdout);
	return r.failed;
}

static int all_faults(int n, char **names)
{
	unsigned all = 0, found = 0;

	for (const struct x_fault *f = x_faults; f->scenario; f++) {
		bool wanted = !n;

		for (int i = 0; i < n; i++)
			wanted |= !strcmp(names[i], f->scenario);
		if (!wanted)
			continue;
		all++;
		found += plant_and_find(f);
	}
	printf("%u planted faults, %u found\n", all, found);
	return found != all;
}

/* ---- options ----------------------------------------------------------- */

enum {
	LIST = 1,
	FAULTS,
	COVERAGE,
	SECONDS,
	TOTAL,
	BOUND,
	STALE,
	ALL,
	RANDOM,
	REPLAY,
	SURVEY,
	TRAP
};

static const struct option options[] = {
	{ "list", no_argument, NULL, LIST },
	{ "faults", no_argument, NULL, FAULTS },
	{ "coverage", no_argument, NULL, COVERAGE },
	{ "seconds", required_argument, NULL, SECONDS },
	{ "total", required_argument, NULL, TOTAL },
	{ "bound", required_argument, NULL, BOUND },
	{ "stale", required_argument, NULL, STALE },
	{ "all", no_argument, NULL, ALL },
	{ "random", required_argument, NULL, RANDOM },
	{ "replay", required_argument, NULL, REPLAY },
	{ "survey", required_argument, NULL, SURVEY },
	{ "trap", no_argument, NULL, TRAP },
	{ NULL, 0, NULL, 0 },
};

static bool parse(int argc, char **argv)
{
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case LIST:
			want.list = true;
			break;
		case FAULTS:
			want.faults = true;
			break;
		case SURVEY:
			want.survey = optarg;
			break;
		case COVERAGE:
			want.coverage = true;
			break;
		case SECONDS:
			want.seconds = atof(optarg);
			break;
		case TOTAL:
			want.total = atof(optarg);
			break;
		case BOUND:
			x_options.bound = atoi(optarg);
			break;
		case STALE:
			x_options.stale = atoi(optarg);
			break;
		case ALL:
			x_options.all = true;
			break;
		case RANDOM:
			x_options.seed = strtoull(optarg, NULL, 10);
			break;
		case REPLAY:
			x_options.replay = optarg;
			break;
		case TRAP:
			x_options.trap = true;
			break;
		default:
			return false;
		}
	}
	x_options.max_ns = want.seconds * 1e9;
	return true;
}

static void list_scenarios(void)
{
	for (unsigned i = 0; i < nr_scenarios(); i++)
		printf("%-28s %s\n", __start_explore_scenarios[i]->name,
		       __start_explore_scenarios[i]->says);
}

static void catch_crashes(void);

/* A planted fault may put two threads on one stack. */
static void on_crash(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (sig == SIGSEGV && x_arena_written(info->si_addr))
		return;
	signal(sig, SIG_DFL);
	if (!x_self || x_options.trap)
		return; /* and the signal comes again */
	catch_crashes();
	explore_fail("it crashes: SIG%s", sigabbrev_np(sig));
}

static void catch_crashes(void)
{
	static char stack[64 * 1024];
	const stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
	const struct sigaction sa = { .sa_sigaction = on_crash,
				      .sa_flags = SA_ONSTACK | SA_NODEFER |
						  SA_SIGINFO };
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE };

	sigaltstack(&ss, NULL);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], &sa, NULL);
}

int main(int argc, char **argv)
{
	char sites[4096];
	unsigned failed = 0;

	/* The same addresses each time. */
	if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE) &&
	    personality(ADDR_NO_RANDOMIZE) != -1)
		execv("/proc/self/exe", argv);
	if (!parse(argc, argv)) {
		fputs(usage, stderr);
		return 1;
	}
	if (want.list) {
		list_scenarios();
		return 0;
	}
	catch_crashes();
	snprintf(sites, sizeof(sites), "%s.sites", argv[0]);
	x_sites_open(sites);
	if (want.survey) {
		x_survey(want.survey);
		return 0;
	}
	if (want.faults)
		return all_faults(argc - optind, argv + optind);
	for (int i = optind; i < argc; i++)
		failed += !run(find(argv[i]), argc - i);
	for (unsigned i = 0; optind == argc && i < nr_scenarios(); i++)
		failed +=
			!run(__start_explore_scenarios[i], nr_scenarios() - i);
	printf("%u scenarios, %" PRIu64
	       " executions in %.1f s of CPU time: %u explored to their bounds, "
	       "%u stopped before by the time, %u failed\n",
	       sum.scenarios, sum.executions, sum.seconds, sum.complete,
	       sum.scenarios - sum.complete - sum.failed, sum.failed);
	if (want.coverage)
		failed += x_coverage(true) > 0;
	return failed > 0;
}
