// SPDX-License-Identifier: MIT
/*
 * urt dump: every coroutine of a running program, read from outside; what is
 * read, and how it is known to be consistent: measure/coros.c.
 *
 * By default coroutines that wait in the same place for the same reason are one
 * entry, as there may be a million of them.
 */
#define _GNU_SOURCE
#include "dump.h"
#include "../lib/privileges.h"
#include "../lib/text.h"
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT 100

static const char usage_text[] =
	"usage: urt dump [OPTIONS] -p PID\n"
	"\n"
	"Print the coroutines of a running program: what each waits for, for how\n"
	"long, and its stack. The program is neither stopped nor signalled.\n"
	"Coroutines that wait in the same place are one entry.\n"
	"\n"
	"  -p, --pid PID       the program\n"
	"  -e, --each          print each coroutine\n"
	"  -k, --context KEY   make entries by this attribute of their context, too\n"
	"      --longer MS     only those that have waited for longer\n"
	"      --limit N       print so many entries; default 100, 0: all\n"
	"      --no-stacks     read no stacks\n"
	"      --folded        folded stacks, as flamegraph.pl takes them\n"
	"      --json          one JSON document (schema urt.dump.v1)\n"
	"  -o, --output FILE   write there\n";

const char *dump_context(const struct dump *d, const struct coro_seen *s,
			 char buf[GROUP_CONTEXT])
{
	buf[0] = '\0';
	for (unsigned k = 0; d->key && s->context && k < d->keys.n; k++)
		if (!strcmp(d->keys.name[k], d->key))
			context_value(s->context, k, buf, GROUP_CONTEXT);
	return buf;
}

static void seen(const struct coro_seen *s, void *arg)
{
	struct dump *d = arg;
	char context[GROUP_CONTEXT];

	if (d->longer_ns && s->wait_ns < d->longer_ns)
		d->shorter++;
	else if (d->form == DUMP_EACH)
		dump_each(d, s);
	else if (d->form == DUMP_JSON)
		dump_json_each(d, s);
	else
		groups_add(d->groups, s, dump_context(d, s, context));
}

static void read_program(struct dump *d)
{
	char path[64], name[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", d->pid);
	f = fopen(path, "re");
	if (f && fgets(name, sizeof(name), f))
		name[strcspn(name, "\n")] = '\0';
	if (f)
		fclose(f);
	text_clean(name);
	strcpy(d->program, name);
}

static int look(struct dump *d)
{
	struct coros_look found;
	int err;

	if (d->form == DUMP_JSON)
		dump_json_begin(d);
	err = coros_look(d->coros, !d->no_stacks, seen, d, &found);
	if (d->form == DUMP_JSON)
		dump_json_end(d, &found);
	else if (d->form == DUMP_FOLDED)
		dump_folded(d);
	else
		dump_groups(d, &found);
	if (err == -ESRCH)
		return fail("the program, or its run, ended meanwhile");
	if (err)
		return fail("reading %d: %s", d->pid, strerror(-err));
	return 0;
}

static int run(struct dump *d, const char *output)
{
	char why[256];
	int code = EXIT_BAD;

	d->coros = coros_open(d->pid, why, sizeof(why));
	if (!d->coros)
		return fail("%s", why);
	d->groups = groups_new();
	read_program(d);
	if (!context_keys_read(d->pid, &d->keys) && d->key)
		code = fail("-k: %s (%d) announces no contexts (see "
			    "urt_context_set in urt.h)",
			    d->program, d->pid);
	else if (!d->groups)
		code = fail("out of memory");
	else if (output && !(d->out = fopen(output, "we")))
		code = fail("%s: %s", output, strerror(errno));
	else
		code = look(d);
	if (output && d->out && fclose(d->out) && !code)
		code = fail("%s: %s", output, strerror(errno));
	groups_free(d->groups);
	coros_close(d->coros);
	return code;
}

static bool option(struct dump *d, int opt, const char *arg,
		   const char **output)
{
	long n;

	switch (opt) {
	case 'p':
		if (!parse_number("-p", arg, 1, 1L << 22, &n))
			return false;
		d->pid = n;
		return true;
	case 'k':
		d->key = arg;
		return true;
	case 'l':
		if (!parse_number("--longer", arg, 0, 1L << 40, &n))
			return false;
		d->longer_ns = n * NS_PER_MS;
		return true;
	case 'L':
		return parse_number("--limit", arg, 0, 1L << 40, &d->limit);
	case 'n':
		return d->no_stacks = true;
	case 'e':
		d->form = DUMP_EACH;
		return true;
	case 'f':
		d->form = DUMP_FOLDED;
		return true;
	case 'j':
		d->form = DUMP_JSON;
		return true;
	case 'o':
		*output = arg;
		return true;
	default:
		fail("`urt dump --help` lists the options");
		return false;
	}
}

int cmd_dump(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "pid", required_argument, NULL, 'p' },
		{ "each", no_argument, NULL, 'e' },
		{ "context", required_argument, NULL, 'k' },
		{ "longer", required_argument, NULL, 'l' },
		{ "limit", required_argument, NULL, 'L' },
		{ "no-stacks", no_argument, NULL, 'n' },
		{ "folded", no_argument, NULL, 'f' },
		{ "json", no_argument, NULL, 'j' },
		{ "output", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct dump d = { .limit = LIMIT, .out = stdout };
	const char *output = NULL;
	int opt;

	while ((opt = getopt_long(argc, argv, "p:ek:o:h", longs, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (!option(&d, opt, optarg, &output))
			return EXIT_BAD;
	}
	if (optind < argc)
		return fail("dump: \"%s\" is too much", argv[optind]);
	if (!d.pid)
		return fail("dump: -p PID is missing: of which program?");
	return run(&d, output);
}
