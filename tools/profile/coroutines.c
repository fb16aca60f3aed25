// SPDX-License-Identifier: MIT
/*
 * The coroutines of a program on uring_rt, read from outside a few times while
 * it is profiled (measure/coros.c), and folded by their stack and the reason of
 * their wait. A parked coroutine occupies no thread, so a profiler of threads
 * does not see it.
 */
#include "profile.h"
#include "../measure/groups.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct coro_looks {
	struct coros *coros;
};

struct coro_looks *coro_looks_open(pid_t pid)
{
	struct coro_looks *l = calloc(1, sizeof(*l));
	char why[256];

	if (l)
		l->coros = coros_open(pid, why, sizeof(why));
	if (l && l->coros)
		return l;
	free(l);
	return NULL;
}

static void seen(const struct coro_seen *s, void *arg)
{
	groups_add(arg, s, "");
}

static void add_group(struct coro_looks *l, struct folds *folds,
		      const struct group *g)
{
	struct modules *m = coros_modules(l->coros);
	char text[FRAMES_MAX] = "", name[320], op[32];

	for (unsigned i = g->frames; i-- > 0;) {
		/* A caller's frame holds its return address. */
		modules_name(m, i ? g->pc[i] - 1 : g->pc[i], name,
			     sizeof(name));
		frame_add(text, name, "");
	}
	if (!g->frames) {
		modules_name(m, g->fn, name, sizeof(name));
		frame_add(text, name, "");
	}
	snprintf(name, sizeof(name), "[%s%s%s]",
		 g->state == CORO_PARKED ? g->reason
					 : coro_state_names[g->state],
		 g->opcode >= 0 ? " " : "",
		 g->opcode >= 0 ? uring_op_name(g->opcode, op) : "");
	frame_add(text, name, "");
	folds_add(folds, FOLD_CORO, text, g->n);
}

int coro_looks_take(struct coro_looks *l, struct folds *folds)
{
	struct groups *all = groups_new();
	struct coros_look found;
	struct group **g;
	size_t n;
	int err = all ? coros_look(l->coros, true, seen, all, &found,
				   COROS_LIVE_NS)
		      : -ENOMEM;

	if (!err) {
		g = groups_sorted(all, &n);
		for (size_t i = 0; i < n; i++)
			add_group(l, folds, g[i]);
		if (groups_other(all))
			folds_add(folds, FOLD_CORO, "[other]",
				  groups_other(all));
	}
	groups_free(all);
	return err;
}

void coro_looks_close(struct coro_looks *l)
{
	if (l)
		coros_close(l->coros);
	free(l);
}
