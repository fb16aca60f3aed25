// SPDX-License-Identifier: MIT
/* `urt dump` as text and as folded stacks. */
#include "../measure/goroutines.h"
#include "dump.h"
#include <inttypes.h>
#include <string.h>

static const char *duration(int64_t ns, char buf[32])
{
	if (ns < 1000000)
		snprintf(buf, 32, "%.0f us", ns / 1e3);
	else if (ns < NS_PER_S)
		snprintf(buf, 32, "%.1f ms", ns / 1e6);
	else if (ns < 600 * NS_PER_S)
		snprintf(buf, 32, "%.1f s", ns / 1e9);
	else
		snprintf(buf, 32, "%.0f min", ns / 60e9);
	return buf;
}

static void print_name(const struct dump *d, uint64_t pc)
{
	char name[320];

	modules_name(coros_modules(d->coros), pc, name, sizeof(name));
	fputs(name, d->out);
}

static void print_start(const struct dump *d, uint64_t created,
			const char *before)
{
	if (!created)
		return;
	fputs(before, d->out);
	print_name(d, created - 1);
}

/* A caller's frame holds its return address; the call is just before that. */
static void print_stack(const struct dump *d, const uint64_t *pc,
			unsigned frames, bool whole)
{
	for (unsigned i = 0; i < frames; i++) {
		fprintf(d->out, "    #%-2u ", i);
		print_name(d, i ? pc[i] - 1 : pc[i]);
		fputc('\n', d->out);
	}
	if (frames && !whole)
		fputs("    ... the rest of the stack is not known\n", d->out);
}

static void print_reason(const struct dump *d, enum coro_state state,
			 const char *reason, int opcode)
{
	char name[32];

	if (state != CORO_PARKED)
		fputs(coro_state_names[state], d->out);
	else
		fputs(reason, d->out);
	if (opcode >= 0)
		fprintf(d->out, " %s", uring_op_name(opcode, name));
}

static void print_context(const struct dump *d, const struct context_seen *c)
{
	char value[256];

	if (!c)
		return;
	fputs("    context ", d->out);
	for (unsigned i = 0; i < 16; i++)
		fprintf(d->out, "%02x", c->trace_id[i]);
	fputc('-', d->out);
	for (unsigned i = 0; i < 8; i++)
		fprintf(d->out, "%02x", c->span_id[i]);
	for (unsigned k = 0; k < d->keys.n; k++)
		if (context_value(c, k, value, sizeof(value)))
			fprintf(d->out, " %s=%s", d->keys.name[k], value);
	fputc('\n', d->out);
}

void dump_each(struct dump *d, const struct coro_seen *s)
{
	char text[32];

	if (d->limit && d->printed >= (uint64_t)d->limit) {
		d->left_out++;
		return;
	}
	d->printed++;
	fprintf(d->out, "%s %" PRIu64 " (", dump_word(d), s->id);
	print_name(d, s->fn);
	fputs(") [", d->out);
	print_reason(d, s->state, s->reason, s->opcode);
	if (s->fd >= 0)
		fprintf(d->out, " on descriptor %d", s->fd);
	else if (s->object && s->opcode < 0)
		fprintf(d->out, " %#" PRIx64, s->object);
	if (s->tid)
		fprintf(d->out, " in thread %d", s->tid);
	if (s->wait_ns >= 0)
		fprintf(d->out, ", %s", duration(s->wait_ns, text));
	fputc(']', d->out);
	if (s->parent)
		fprintf(d->out, " started by %s %" PRIu64, dump_word(d),
			s->parent);
	print_start(d, s->created, " in ");
	fputc('\n', d->out);
	print_context(d, s->context);
	if (s->changed)
		fputs("    continued while it was read\n", d->out);
	print_stack(d, s->pc, s->frames, s->whole);
}

static void print_group(const struct dump *d, const struct group *g)
{
	char least[32], most[32];

	fprintf(d->out, "\n%" PRIu64 " ", g->n);
	print_reason(d, g->state, g->reason, g->opcode);
	if (g->context[0])
		fprintf(d->out, " [%s]", g->context);
	if (g->waiting > 1)
		fprintf(d->out, ", for %s to %s", duration(g->least_ns, least),
			duration(g->most_ns, most));
	else if (g->waiting)
		fprintf(d->out, ", for %s", duration(g->most_ns, most));
	fprintf(d->out, ": %s%s ", dump_word(d), g->n == 1 ? "" : "s");
	for (unsigned i = 0; i < GROUP_IDS && i < g->n; i++)
		fprintf(d->out, "%s%" PRIu64, i ? ", " : "", g->id[i]);
	fputs(g->n > GROUP_IDS ? ", ...\n" : "\n", d->out);
	if (g->frames) {
		print_stack(d, g->pc, g->frames, g->whole);
	} else {
		fputs("    ", d->out);
		print_name(d, g->fn);
		fputs(" (first function)\n", d->out);
	}
	print_start(d, g->created, "    started in ");
	fputs(g->created ? "\n" : "", d->out);
}

static void print_leaked(const struct dump *d)
{
	struct leaked_count l = leaked_count(d->leaked);

	fprintf(d->out, "%zu leaked", l.leaked);
	if (l.maybe && *d->no_registers)
		fprintf(d->out,
			", %zu of them maybe: the registers of threads were "
			"not read: %s",
			l.maybe, d->no_registers);
	else if (l.maybe)
		fprintf(d->out,
			", %zu of them maybe: their objects are in memory of an "
			"unknown allocator",
			l.maybe);
	if (l.untold)
		fprintf(d->out,
			"; %zu more may be leaked or not: their objects are in "
			"memory of an unknown allocator, where each word "
			"counts as a pointer",
			l.untold);
	fprintf(d->out, "; %.1f MiB searched in %.1f ms\n", l.bytes / 1048576.0,
		l.ns / 1e6);
}

void dump_groups(struct dump *d, const struct coros_look *look)
{
	struct group **g;
	uint64_t left = groups_other(d->groups);
	const char *go = coros_go(d->coros);
	size_t n;

	g = groups_sorted(d->groups, &n);
	fprintf(d->out, "%" PRIu64 " %ss of %s (%ld%s%s):", look->coroutines,
		dump_word(d), d->program, d->pid, go ? ", " : "", go ? go : "");
	for (unsigned i = 0; i < ARRAY_LEN(look->by_state); i++)
		if (look->by_state[i])
			fprintf(d->out, " %" PRIu64 " %s", look->by_state[i],
				coro_state_names[i]);
	fprintf(d->out, "; read in %.1f ms\n", look->ns / 1e6);
	if (d->leaked)
		print_leaked(d);
	if (d->form == DUMP_GROUPS)
		for (size_t i = 0; i < n; i++) {
			if (!d->limit || i < (size_t)d->limit)
				print_group(d, g[i]);
			else
				left += g[i]->n;
		}
	if (left + d->left_out)
		fprintf(d->out, "\n... and %" PRIu64 " more (--limit 0)\n",
			left + d->left_out);
	if (d->shorter)
		fprintf(d->out,
			"\n%" PRIu64 " others have not waited that long%s\n",
			d->shorter, go ? ", or have no time" : "");
	if (look->changed)
		fprintf(d->out,
			"\n%" PRIu64 " continued each time they were read, so "
			"their stacks are missing\n",
			look->changed);
	if (look->unreadable)
		fprintf(d->out, "\n%" PRIu64 " could not be read\n",
			look->unreadable);
	for (const struct goroutines_missing *m = goroutines_missing;
	     go && m->member; m++)
		fprintf(d->out, "%sn/a: %s: %s\n",
			m == goroutines_missing ? "\n" : "", m->member, m->why);
}

/* A frame of a folded stack; text of the program must not end it. */
static void print_frame(const struct dump *d, const char *text)
{
	for (; *text; text++)
		fputc(*text == ';' ? ':' : *text, d->out);
}

static void print_function(const struct dump *d, uint64_t pc)
{
	char name[320];

	modules_name(coros_modules(d->coros), pc, name, sizeof(name));
	fputc(';', d->out);
	print_frame(d, name);
}

/* name;outermost;...;innermost;[reason] n: the format of flamegraph.pl. */
void dump_folded(struct dump *d)
{
	struct group **g;
	char name[32];
	size_t n;

	g = groups_sorted(d->groups, &n);
	for (size_t i = 0; i < n; i++) {
		const char *reason = g[i]->state == CORO_PARKED
					     ? g[i]->reason
					     : coro_state_names[g[i]->state];

		print_frame(d, d->program);
		if (g[i]->context[0])
			fputc(';', d->out);
		print_frame(d, g[i]->context);
		for (unsigned k = g[i]->frames; k--;)
			print_function(d, g[i]->pc[k] - !!k);
		if (!g[i]->frames)
			print_function(d, g[i]->fn);
		fputs(";[", d->out);
		print_frame(d, reason);
		if (g[i]->opcode >= 0)
			fprintf(d->out, " %s",
				uring_op_name(g[i]->opcode, name));
		fprintf(d->out, "] %" PRIu64 "\n", g[i]->n);
	}
	if (groups_other(d->groups)) {
		print_frame(d, d->program);
		fprintf(d->out, ";[other] %" PRIu64 "\n",
			groups_other(d->groups));
	}
}
