// SPDX-License-Identifier: MIT
/* A failing execution, step by step. */
#include "explore_in.h"
#include <inttypes.h>
#include <stdio.h>

static const char *const kind_names[] = {
	[X_START] = "begins",	       [X_LOAD] = "loads", [X_STORE] = "stores",
	[X_RMW] = "changes",	       [X_CAS] = "swaps",  [X_FENCE] = "fence",
	[X_MEMBARRIER] = "membarrier", [X_CALL] = "",	   [X_END] = "ends",
};

static const char *const order_names[] = { "relaxed", "consume", "acquire",
					   "release", "acq_rel", "seq_cst" };

static void print_values(const struct x_step *s)
{
	char name[128];

	if (s->addr)
		printf(" %s", x_arena_name(s->addr, name, sizeof(name)));
	switch (s->kind) {
	case X_LOAD:
		printf(" = %" PRIx64 "%s", s->value,
		       s->stale ? " (an older store)" : "");
		break;
	case X_STORE:
		printf(" := %" PRIx64, s->value);
		break;
	case X_RMW:
	case X_CAS:
		printf(" %" PRIx64 " -> %" PRIx64, s->old, s->value);
		break;
	case X_MEMBARRIER:
		printf(" fences thread %" PRIu64, s->value);
		break;
	}
}

static void print_step(const struct x_step *s, unsigned number)
{
	struct x_site *site = x_site(s->pc);
	struct x_frame *f = site && site->nr_frames ? site->frame : NULL;

	printf("%4u %*s%u %s", number, s->thread * 2, "", s->thread,
	       s->kind == X_CALL && s->note ? s->note : kind_names[s->kind]);
	print_values(s);
	if (s->kind >= X_LOAD && s->kind <= X_FENCE)
		printf(", %s", order_names[s->order]);
	if (s->note && s->kind != X_CALL)
		printf(" (%s)", s->note);
	putchar('\n');
	if (f)
		printf("%*s%s\n%*s    %s\n", 8 + s->thread * 2, "",
		       x_where(s->pc), 8 + s->thread * 2, "",
		       x_source(f->file, f->line));
}

void x_report(const char *scenario, const char *message,
	      const struct x_step *steps, unsigned n, const char *replay)
{
	printf("\n%s fails: %s\nThe execution, one line for each step "
	       "(number, thread, what):\n",
	       scenario, message);
	for (unsigned i = 0; i < n; i++)
		print_step(&steps[i], i + 1);
	printf("%s\nTo repeat it: explore %s --replay '%s'\n"
	       "In a debugger: gdb --args explore %s --trap --replay '%s'\n",
	       message, scenario, replay, scenario, replay);
}
