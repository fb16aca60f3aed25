// SPDX-License-Identifier: MIT
/*
 * urt top --coroutines: the coroutines of one program, by activity, by starting
 * function and, on request, by context. Each refresh reads them all from
 * outside (measure/coros.h), without stacks, which `urt dump` shows.
 */
#define _GNU_SOURCE
#include "../measure/groups.h"
#include "../lib/tool.h"
#include "top.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct top_coros {
	struct coros *coros;
	struct context_keys keys;
	const char *key; /* of contexts; NULL: none */
	struct groups *groups;
};

bool top_coros_open(struct top *t, pid_t pid, const char *key)
{
	struct top_coros *c = calloc(1, sizeof(*c));
	char why[256] = "out of memory";

	t->line = calloc(TOP_LINES, sizeof(*t->line));
	if (c && t->line)
		c->coros = coros_open(pid, why, sizeof(why));
	if (!c || !c->coros) {
		fail("%s", why);
		free(c);
		return false;
	}
	context_keys_read(pid, &c->keys);
	c->key = key;
	t->coros = c;
	return true;
}

void top_coros_close(struct top *t)
{
	if (t->coros) {
		coros_close(t->coros->coros);
		groups_free(t->coros->groups);
	}
	free(t->coros);
	free(t->line);
}

static void seen(const struct coro_seen *s, void *arg)
{
	struct top_coros *c = arg;
	char value[GROUP_CONTEXT] = "";

	for (unsigned k = 0; c->key && s->context && k < c->keys.n; k++)
		if (!strcmp(c->keys.name[k], c->key))
			context_value(s->context, k, value, sizeof(value));
	groups_add(c->groups, s, value);
}

static const char *wait(const struct group *g, char buf[32])
{
	if (!g->waiting)
		return "-";
	if (g->most_ns < NS_PER_S)
		snprintf(buf, 32, "%.1f ms", g->most_ns / 1e6);
	else
		snprintf(buf, 32, "%.1f s", g->most_ns / 1e9);
	return buf;
}

static void group_line(struct top *t, const struct group *g)
{
	char function[128], what[80], operation[32] = "", longest[32];

	modules_name(coros_modules(t->coros->coros), g->fn, function,
		     sizeof(function));
	if (g->opcode >= 0)
		uring_op_name(g->opcode, operation);
	snprintf(what, sizeof(what), "%s%s%s",
		 g->state == CORO_PARKED ? g->reason
					 : coro_state_names[g->state],
		 *operation ? " " : "", operation);
	snprintf(t->line[t->lines++], TOP_WIDTH,
		 "%10" PRIu64 " %10s  %-20s %s%s%s", g->n, wait(g, longest),
		 what, function, *g->context ? "  " : "", g->context);
}

bool top_coros_refresh(struct top *t)
{
	struct top_coros *c = t->coros;
	const char *go = coros_go(c->coros);
	struct coros_look look;
	struct group **g;
	size_t n;
	int err;

	groups_free(c->groups);
	c->groups = groups_new();
	t->lines = 0;
	err = c->groups ? coros_look(c->coros, false, seen, c, &look,
				     COROS_LIVE_NS)
			: -ENOMEM;
	if (err && err != -E2BIG)
		return false;
	snprintf(t->line[t->lines++], TOP_WIDTH,
		 "%" PRIu64 " %s: %" PRIu64 " parked, %" PRIu64
		 " runnable, %" PRIu64 " running, %" PRIu64
		 " %s; %s in %.1f ms",
		 look.coroutines, go ? "goroutines" : "coroutines",
		 look.by_state[CORO_PARKED], look.by_state[CORO_RUNNABLE],
		 look.by_state[CORO_RUNNING],
		 look.by_state[go ? CORO_SYSCALL : CORO_ENDED],
		 go ? "in system calls" : "ended and not joined",
		 err ? "no more are read" : "read", look.ns / 1e6);
	snprintf(t->line[t->lines++], TOP_WIDTH, "%10s %10s  %-20s %s",
		 "number", "longest", "what",
		 c->key ? "function, context" : "function");
	g = groups_sorted(c->groups, &n);
	for (size_t i = 0; i < n && t->lines < TOP_LINES; i++)
		group_line(t, g[i]);
	return true;
}
