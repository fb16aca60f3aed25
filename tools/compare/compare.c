// SPDX-License-Identifier: MIT
/*
 * urt compare runs commands in turn and measures them as `urt stat` does, so
 * that a drift of the machine affects all of them.
 *
 * The grammar has one rule: after the options, each word "--" begins a command.
 * Since a command may have an argument "--" of its own (npm run x -- --flag), a
 * word of three or more dashes is an argument of one dash less.
 */
#define _GNU_SOURCE
#include "../lib/options.h"
#include "../lib/output.h"
#include "compare.h"
#include <stdlib.h>
#include <string.h>

/* ---- the commands ---- */

static char *unescaped(char *word)
{
	size_t dashes = strspn(word, "-");

	return dashes > 2 && !word[dashes] ? word + 1 : word;
}

static bool check_command(char **command, unsigned which)
{
	if (!*command)
		return !fail("compare: command %c is empty: each \"--\" begins "
			     "a command; write \"---\" for an argument \"--\"",
			     'A' + which);
	if (**command == '-')
		return !fail("compare: command %c begins with an option, "
			     "\"%s\": each \"--\" begins a command; write "
			     "\"---\" for an argument \"--\"",
			     'A' + which, *command);
	return true;
}

/* False: an error message was printed. */
static bool split(char **word, struct runs *r)
{
	bool ends = false;

	for (r->sides = 0; !ends; r->sides++, word++) {
		if (r->sides == COMMANDS_MAX)
			return !fail("compare: more than %d commands",
				     COMMANDS_MAX);
		r->side[r->sides].options.command = word;
		for (; *word && strcmp(*word, "--"); word++)
			*word = unescaped(*word);
		ends = !*word;
		*word = NULL;
		/* "--" alone: there is no second command. */
		if (ends && !r->sides)
			return !fail("compare: give two commands or more: "
				     "-- A ... -- B ...");
		if (!check_command(r->side[r->sides].options.command, r->sides))
			return false;
	}
	return true;
}

/* ---- the options ---- */

struct choice {
	bool all, json, markdown, silent, no_syscalls, no_bpf;
	const char *out;
	char *prepare[COMMANDS_MAX];
	unsigned prepares;
	long runs, warmup;
};

#define TO(field) OPTION_TO(struct choice, field)

static bool take_prepare(void *to, char *text)
{
	struct choice *c = to;

	if (c->prepares == COMMANDS_MAX)
		return !fail("--prepare: given more than %d times",
			     COMMANDS_MAX);
	c->prepare[c->prepares++] = text;
	return true;
}

static const struct option_row rows[] = {
	{ OPTION_RUNS, TO(runs), .max = RUNS_MAX,
	  .text = "Run each command N times; default 10." },
	{ .letter = 'w',
	  .name = "warmup",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(warmup),
	  .max = RUNS_MAX,
	  .text = "First run each command N times without counting." },
	{ .name = "prepare",
	  .argument = "COMMAND",
	  .kind = OPTION_TAKE,
	  .take = take_prepare,
	  .text = "Run this shell command, not counted, before each run. Give it once for all commands, or once for each, in their order." },
	{ .name = "silent",
	  .kind = OPTION_FLAG,
	  TO(silent),
	  .text = "Discard the commands' output, except what a run that fails has printed to stderr." },
	{ .name = "all",
	  .kind = OPTION_FLAG,
	  TO(all),
	  .text = "Also compare each system call and operation." },
	{ .name = "no-syscalls",
	  .kind = OPTION_FLAG,
	  TO(no_syscalls),
	  .text = "Do not count system calls." },
	{ .name = "no-bpf",
	  .kind = OPTION_FLAG,
	  TO(no_bpf),
	  .text = "Count by perf events, /proc and getrusage only." },
	{ OPTION_JSON("urt.compare.v1"), TO(json) },
	{ .name = "markdown",
	  .kind = OPTION_FLAG,
	  TO(markdown),
	  .text = "Print tables in Markdown." },
	{ OPTION_OUTPUT, TO(out),
	  .text = "Write the result to FILE; default: stderr." },
	{ .name = "export-json",
	  .argument = "FILE",
	  .kind = OPTION_INSTEAD,
	  .text = "use --json -o FILE" },
	{ .name = "export-markdown",
	  .argument = "FILE",
	  .kind = OPTION_INSTEAD,
	  .text = "use --markdown -o FILE" },
};

const struct command command_compare = {
	.name = "compare",
	.run = cmd_compare,
	.what = "run commands in turn and print the differences",
	.usage = "[OPTIONS] -- A [ARGUMENT ...] -- B [ARGUMENT ...] [-- C ...]",
	.about =
		"Runs the commands in turn and prints the medians of their switches, system calls and operations, with the difference of each command from A and its 95 % confidence interval.\n\nAfter the options, each word \"--\" begins a command. To give a command an argument \"--\", write \"---\" (and \"----\" for \"---\", and so on):\n\n    urt compare -- npm run old --- --quick -- npm run new --- --quick",
	.notes =
		"The commands' own output goes where urt's does, unless --silent is given. The exit status is 1 if a command fails.",
	OPTIONS(rows),
	.runs_command = true,
};

/* A single preparation is for all commands. */
static bool give_preparations(struct choice *c, struct runs *r)
{
	if (c->prepares > 1 && c->prepares != r->sides)
		return !fail("--prepare: given %u times for %u commands: give "
			     "it once, or once for each",
			     c->prepares, r->sides);
	for (unsigned i = 0; i < r->sides && c->prepares; i++)
		r->side[i].options.pre = c->prepare[i % c->prepares];
	return true;
}

static void print(const struct choice *c, const struct runs *r, FILE *out)
{
	if (c->json)
		compare_print_json(out, r);
	else if (c->markdown)
		compare_print_markdown(out, r, c->all);
	else
		compare_print_text(out, r, c->all);
}

/* What was measured is not lost if the file cannot be written. */
static int report(const struct choice *c, const struct runs *r, FILE *out)
{
	int code;

	print(c, r, out);
	code = output_flush(out, c->out);
	if (code && c->out)
		print(c, r, stderr);
	return code;
}

int cmd_compare(int argc, char **argv)
{
	struct stat_options o = { .repeat = 1, .control_fd = -1, .ack_fd = -1 };
	struct choice c = { .runs = 10 };
	static struct launch_user user;
	static struct runs r;
	FILE *out = stderr;
	int first = options_parse(&command_compare, argc, argv, &c), code;

	if (first < 0)
		return EXIT_BAD;
	if (c.json && c.markdown)
		return fail("compare: give --json or --markdown, not both");
	o.no_syscalls = c.no_syscalls;
	o.no_bpf = c.no_bpf;
	if (launch_user_find(NULL, &user))
		o.user = &user;
	for (unsigned i = 0; i < COMMANDS_MAX; i++)
		r.side[i].options = o;
	r.wanted = c.runs;
	r.warmup = c.warmup;
	r.silent = c.silent;
	if (!split(argv + first, &r) || !give_preparations(&c, &r))
		return EXIT_BAD;
	if (c.out && !(out = output_open(c.out)))
		return EXIT_BAD;
	if (!runs_prepare(&r))
		return EXIT_BAD;
	if (runs_measure(&r))
		code = report(&c, &r, out);
	else
		code = r.code ? r.code : EXIT_BAD;
	runs_free(&r);
	return code;
}
