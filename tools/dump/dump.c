// SPDX-License-Identifier: MIT
/*
 * urt dump: every coroutine of a running program, read from outside.
 * measure/coros.c explains what it reads and why the result is consistent.
 *
 * By default, coroutines that wait in the same place for the same reason are
 * one entry, because there may be a million of them.
 */
#define _GNU_SOURCE
#include "dump.h"
#include "../lib/launch.h"
#include "../lib/options.h"
#include "../lib/output.h"
#include "../lib/privileges.h"
#include "../lib/text.h"
#include "../measure/registers.h"
#include "../measure/remote.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT 100

const char *dump_word(const struct dump *d)
{
	return coros_go(d->coros) ? "goroutine" : "coroutine";
}

/* The value of the key in the context of s; "": none. */
static const char *context_of(const struct dump *d, const struct coro_seen *s,
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

	if (d->leaked && !leaked_has(d->leaked, s))
		return;
	if (d->longer_ns && s->wait_ns < d->longer_ns)
		d->shorter++;
	else if (d->form == DUMP_EACH)
		dump_each(d, s);
	else if (d->form == DUMP_JSON)
		dump_json_each(d, s);
	else
		groups_add(d->groups, s, context_of(d, s, context));
}

static void read_program(struct dump *d)
{
	char path[64], name[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/comm", d->pid);
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
	err = coros_look(d->coros, !d->no_stacks, seen, d, &found,
			 COROS_DUMP_NS);
	if (d->form == DUMP_JSON)
		dump_json_end(d, &found);
	else if (d->form == DUMP_FOLDED)
		dump_folded(d);
	else
		dump_groups(d, &found);
	if (err == -ESRCH)
		return fail("the program or its run ended during the dump");
	if (err == -E2BIG)
		return fail("%ld claims more coroutines than can be read in a "
			    "minute; only the first ones are printed above",
			    d->pid);
	if (err)
		return fail("reading the memory of %ld: %s", d->pid,
			    remote_error(err));
	return 0;
}

static int run(struct dump *d)
{
	char why[256];
	int code = EXIT_BAD;

	d->coros = coros_open(d->pid, why, sizeof(why));
	if (!d->coros)
		return fail("%s", why);
	d->groups = groups_new();
	read_program(d);
	if (!context_keys_read(d->pid, &d->keys) && d->key)
		code = fail("-k: %s (%ld) announces no contexts (see "
			    "urt_context_set in urt.h)",
			    d->program, d->pid);
	else if (!d->groups)
		code = fail("out of memory");
	else if (d->only_leaked && coros_go(d->coros))
		code = fail("--leaked is n/a for Go programs: Go's own profile "
			    "of leaks is /debug/pprof/goroutineleak, from "
			    "go1.26 on");
	else if (d->only_leaked &&
		 !(d->leaked = leaked_find(d->coros, d->pid, d->registers, why,
					   sizeof(why))))
		code = fail("%s", why);
	else
		code = look(d);
	leaked_free(d->leaked);
	groups_free(d->groups);
	coros_close(d->coros);
	return code;
}

#define TO(field) OPTION_TO(struct dump, field)

static const struct option_row rows[] = {
	{ OPTION_PID, TO(pid),
	  .text = "Print the coroutines of this program." },
	{ .letter = 'e',
	  .name = "each",
	  .kind = OPTION_SET,
	  TO(form),
	  .min = DUMP_EACH,
	  .text = "Print each coroutine." },
	{ OPTION_CONTEXT, TO(key) },
	{ .name = "longer",
	  .argument = "MS",
	  .kind = OPTION_MS,
	  TO(longer_ns),
	  .text = "Print only coroutines that have waited for at least MS milliseconds." },
	{ .name = "leaked",
	  .kind = OPTION_FLAG,
	  TO(only_leaked),
	  .text = "Print only coroutines that nothing can wake any more: no code that can still run has a pointer to the channel, lock or other object that they wait for." },
	{ .name = "limit",
	  .argument = "N",
	  .kind = OPTION_NUMBER,
	  TO(limit),
	  .text = "Print N entries; default 100, 0: all." },
	{ .name = "no-stacks",
	  .kind = OPTION_FLAG,
	  TO(no_stacks),
	  .text = "Do not read stacks." },
	{ .name = "folded",
	  .kind = OPTION_SET,
	  TO(form),
	  .min = DUMP_FOLDED,
	  .text = "Print folded stacks for flamegraph.pl." },
	{ .name = "json",
	  .kind = OPTION_SET,
	  TO(form),
	  .min = DUMP_JSON,
	  .text = "Print one JSON document (schema urt.dump.v1)." },
	{ OPTION_OUTPUT, TO(output), .text = "Write the result to FILE." },
};

const struct command command_dump = {
	.name = "dump",
	.run = cmd_dump,
	.what = "print the coroutines of a running program",
	.usage = "[OPTIONS] -p PID",
	.about =
		"Prints the coroutines of a running program on uring_rt, or the goroutines of one in Go: the object, the time and the stack of each wait. The program is neither stopped nor signalled. Coroutines that wait in the same place are one entry.",
	.notes =
		"--leaked searches the program's memory for pointers. It starts from the globals, the stacks and registers of threads, the words that the program has given to epoll and to timers, and the stacks of coroutines that can continue. It searches twice and prints the coroutines that neither search reached. A value that looks like a pointer counts as one, so a leak may be missed. A pointer is missed, and a leak invented, if the program has it only in a pipe, or in a request of an io_uring of its own.\n\nThe search knows the blocks of glibc's heap, and those of AddressSanitizer's up to 128 KiB each. In other memory it cannot tell blocks apart: all words there count as pointers, so a leak that only they point to is missed; and an object there is reached only by a pointer to it or to one of the 512 bytes below it. If such an object is not reached, its coroutines are \"maybe\" leaked; if it is reached, urt counts them as unknown. AddressSanitizer's detect_stack_use_after_return, which is the default of gcc 14, moves local variables to such memory and so hides leaks: switch it off in ASAN_OPTIONS. A BPF program reads the registers. Where it cannot be loaded, all leaked coroutines are \"maybe\" leaked.\n\nGoroutines are found by the program's symbol table, so of a stripped program they are n/a. urt knows how Go 1.19 to 1.27 lay them out; another version is n/a by name. Their reasons are Go's own, their stacks lack inlined functions, and the runtime's own goroutines are printed, too. The time of a wait is Go's estimate: when a garbage collection first finds a goroutine waiting, Go notes the time of the collection before it. Until then, there is no time. Of goroutines that run or are runnable, there is no stack; of those in a system call, before Go 1.23 there is only the innermost function. Objects, operations, contexts and --leaked are n/a.",
	OPTIONS(rows),
};

int cmd_dump(int argc, char **argv)
{
	struct dump d = { .limit = LIMIT, .out = stdout };
	int first = options_parse(&command_dump, argc, argv, &d), code, process;

	if (first < 0)
		return EXIT_BAD;
	if (first < argc)
		return fail("dump: unexpected argument \"%s\"", argv[first]);
	if (!d.pid)
		return fail("dump: -p PID is missing: give a PID");
	process = process_open(d.pid);
	if (process < 0)
		return EXIT_BAD;
	close(process);
	if (d.output && !(d.out = output_open(d.output)))
		return EXIT_BAD;
	if (d.only_leaked)
		d.registers = registers_open(d.pid, d.no_registers,
					     sizeof(d.no_registers));
	privileges_reduce();
	code = run(&d);
	registers_close(d.registers);
	if (d.output && output_close(d.out, d.output))
		code = EXIT_BAD;
	return code;
}
