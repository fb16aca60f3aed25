// SPDX-License-Identifier: MIT
/* urt: finds the subcommand. */
#include "lib/environment.h"
#include "lib/tool.h"
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *what;
} commands[] = {
	{ "demo", cmd_demo, "the experiment: all models, one workload" },
	{ "stat", cmd_stat, "count what a program asks of the kernel" },
	{ "record", cmd_record, "a timeline for ui.perfetto.dev" },
	{ "report", cmd_report, "what a timeline says, as text" },
	{ "dump", cmd_dump, "the coroutines of a running program" },
	{ "top", cmd_top, "the same of all processes, live" },
	{ "compare", cmd_compare, "two commands, run in turn: what differs" },
	{ "bench", cmd_bench,
	  "micro-benchmarks of the runtime, beside others" },
	{ "export", cmd_export, "metrics for Prometheus, by cgroup or unit" },
	{ "doctor", cmd_doctor, "what this machine can do, and what to mend" },
	{ "serve", cmd_serve, "one server of the demo alone" },
	{ "load", cmd_load, "load generator for HTTP/1.1" },
};

static int usage(FILE *out)
{
	fputs("usage: urt COMMAND [OPTIONS]\n\n", out);
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].what);
	fputs("\n`urt help COMMAND` lists a command's options, `urt help "
	      "environment` the\nenvironment variables.\n",
	      out);
	return out == stdout ? 0 : EXIT_BAD;
}

/* At most two slips of the finger away from a command. */
static int unknown(const char *name)
{
	const char *nearest = NULL;
	unsigned distance, least = 3;

	for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
		distance = edit_distance(name, commands[i].name);
		if (distance >= least)
			continue;
		least = distance;
		nearest = commands[i].name;
	}
	if (nearest)
		return fail("no such command: \"%s\"; did you mean \"%s\"?",
			    name, nearest);
	return fail("no such command: \"%s\" (`urt help` lists them)", name);
}

/* urt help COMMAND */
static int help(char *name)
{
	char *argv[] = { name, "--help", NULL };

	if (!strcmp(name, "environment")) {
		environment_print(stdout);
		return 0;
	}
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].run(2, argv);
	return unknown(name);
}

static bool is(const char *word, const char *a, const char *b, const char *c)
{
	return !strcmp(word, a) || !strcmp(word, b) || !strcmp(word, c);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return usage(stderr);
	if (argc > 2 && !strcmp(argv[1], "help"))
		return help(argv[2]);
	if (is(argv[1], "help", "--help", "-h"))
		return usage(stdout);
	if (is(argv[1], "version", "--version", "-v")) {
		puts("urt " URT_VERSION);
		return 0;
	}
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	return unknown(argv[1]);
}
