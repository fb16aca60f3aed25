// SPDX-License-Identifier: MIT
/*
 * The only list of environment variables: `urt help environment` and the manual
 * page are printed from it, and a test finds each getenv() of the sources here.
 */
#include "environment.h"

const struct environment environment[] = {
	{ "URT_WORKERS", "1 to 256",
	  "Threads that run coroutines at a time. Default: the CPUs that the\n"
	  "process may use, by its affinity and its cgroup's cpu.max." },
	{ "URT_DEBUG", "sched=MS,stall=MS,leak,check",
	  "sched: prints the scheduler's state every MS milliseconds. stall: prints\n"
	  "a stack when a coroutine runs for MS milliseconds without a call that\n"
	  "may suspend. leak: prints the coroutines that are left at the end.\n"
	  "check: ends the program, and says where, when a coroutine suspends with\n"
	  "a pthread lock held or with its thread's user id, namespace or\n"
	  "personality changed, or passes a duration as a deadline." },
	{ "URT_PREEMPT", "on (default), off",
	  "off: loops are not preempted: another thread takes over their worker." },
	{ "URT_ASSIST", "off (default), on",
	  "on: a BPF program reports to the runtime at once when a worker blocks\n"
	  "outside its ring. Needs CAP_BPF and CAP_PERFMON; `urt assist` does the\n"
	  "same for a program without them. While it is loaded, each switch of the\n"
	  "machine calls it." },
	{ "URT_FEATURES", "-NAME,-NAME",
	  "Runs as if the kernel lacked these features (`urt doctor` names\n"
	  "them)." },
	{ "URT_STATS_TO", "set by urt",
	  "Where a program that urt starts sends its page of counters." },
	{ "URT_TRACE_TO", "set by urt",
	  "Where a program that urt starts sends its trace rings." },
	{ "URT_TRACE_SAMPLE", "N; set by urt record --sample",
	  "Such a program traces one in N requests only." },
	{ "URT_OPS_FD", "set by urt stat",
	  "Where `urt load` counts requests for `urt stat --ops-from load`." },
	{ "URT_SIM", "SEED,NAME=VALUE,...; set by urt sim",
	  "With the simulator's library preloaded (`urt sim --library FILE`): the\n"
	  "seed, faults as for --faults, workers=N, and switches=N and faults=N,\n"
	  "which allow only the first N." },
	{ "URT_SIM_TRACE", "PATH; set by urt sim",
	  "Where the simulator writes each step." },
	{ "URT_SIM_RESULT", "set by urt sim",
	  "Where the simulator counts switches and faults." },
	{ "URT_SIM_SERVE", "set by urt sim",
	  "The socket by which urt tells the simulator to begin a run." },
	{ "URT_BPF_LOG", "1",
	  "urt prints libbpf's messages while it loads the BPF programs." },
	{ "URT_BENCH_FILE", "PATH",
	  "The file that `urt bench latency` reads." },
	{ "SUDO_UID", "set by sudo",
	  "The user that urt runs commands as, when it is started by sudo." },
	{ "SUDO_GID", "set by sudo",
	  "The group of that user, if no user database here knows the user." },
	{ "GITHUB_STEP_SUMMARY", "PATH; set by GitHub",
	  "Where `urt stat --format github` appends its table." },
	{ "XDG_CACHE_HOME", "DIRECTORY",
	  "urt keeps the programs of other languages in its directory urt.\n"
	  "Default: ~/.cache." },
	{ "HOME", "DIRECTORY",
	  "The home directory, which has the default cache." },
	{ "PATH", "DIRECTORIES",
	  "Where urt looks for the languages of the other models." },
	{ "COLUMNS", "N",
	  "The greatest width of the tables of `urt demo`. Default: the\n"
	  "terminal's; without a terminal, no limit." },
	{ 0 },
};

void environment_print(FILE *f)
{
	fputs("Environment variables that programs on uring_rt (URT_WORKERS to "
	      "URT_FEATURES)\nand urt read:\n",
	      f);
	for (const struct environment *e = environment; e->name; e++) {
		fprintf(f, "\n  %s=%s\n      ", e->name, e->values);
		for (const char *p = e->text; *p; p++) {
			fputc(*p, f);
			if (*p == '\n')
				fputs("      ", f);
		}
		fputc('\n', f);
	}
}

void environment_man(FILE *f)
{
	fputs(".TH URT\\-ENVIRONMENT 1 \"\" \"urt\" \"User Commands\"\n.SH NAME\n"
	      "urt\\-environment \\- environment variables of uring_rt and urt\n"
	      ".SH DESCRIPTION\nPrograms on uring_rt read URT_WORKERS to "
	      "URT_FEATURES; urt reads all.\n",
	      f);
	for (const struct environment *e = environment; e->name; e++)
		fprintf(f, ".TP\n.B %s=%s\n%s\n", e->name, e->values, e->text);
}
