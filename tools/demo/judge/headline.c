// SPDX-License-Identifier: MIT
/* The headline of each claim: its most memorable figure, computed from the
 * claim's figures. */
#define _GNU_SOURCE
#include "judge.h"
#include "../../lib/tool.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static double figure(const struct demo_claim *c, const char *name)
{
	for (unsigned i = 0; i < c->nr_figures; i++)
		if (!strcmp(c->figure[i].name, name))
			return c->figure[i].value;
	return NAN;
}

/*
 * A line for each claim: its format, and its figures, each multiplied by a
 * factor and divided by another figure, if one is named.
 */
static const struct headline {
	const char *format;
	struct {
		const char *name, *by;
		double factor;
	} value[3];
} headlines[DEMO_CLAIMS] = {
	{ "%.2g kernel entries a switch",
	  { { "entries_per_switch", NULL, 1 } } },
	{ "%.0f times cheaper than a thread switch, %.1f calls",
	  { { "thread_ns", "coroutine_ns", 1 },
	    { "coroutine_ns", "call_ns", 1 } } },
	{ "%.0f requests wait on %.0f threads",
	  { { "waiting", NULL, 1 }, { "threads_coroutine", NULL, 1 } } },
	{ "threads end at %.0f, %.0f wait as coroutines",
	  { { "thread_ends_at", NULL, 1 }, { "coroutine_held", NULL, 1 } } },
	{ "%.0f / %.0f / %.0f bytes",
	  { { "state_machine_bytes", NULL, 1 },
	    { "coroutine_bytes", NULL, 1 },
	    { "thread_bytes", NULL, 1 } } },
	{ "p99 %.1f ms, event loop %.0f ms",
	  { { "p99_ns_coroutine", NULL, 1e-6 },
	    { "p99_ns_epoll", NULL, 1e-6 } } },
	{ "%.2f times one CPU, event loop %.2f",
	  { { "speedup_coroutine", NULL, 1 }, { "speedup_epoll", NULL, 1 } } },
	{ "%.2f system calls, %.3f switches a request",
	  { { "syscalls_coroutine", NULL, 1 },
	    { "switches_coroutine", NULL, 1 } } },
	{ "%.0f asleep, %.1f us to start each",
	  { { "coroutines", NULL, 1 },
	    { "coroutine_create_ns", NULL, 1e-3 } } },
	{ "%.2f switches a request idle, %.3f at full load",
	  { { "switches_coroutine_at_0", NULL, 1 },
	    { "switches_coroutine_at_100", NULL, 1 } } },
};

/* If a figure is missing, there is no headline. */
void judge_headline(struct demo_claim *c)
{
	const struct headline *h = &headlines[c->id - 1];
	double v[ARRAY_LEN(h->value)] = { 0 };

	c->headline[0] = '\0';
	for (unsigned i = 0; i < ARRAY_LEN(v) && h->value[i].name; i++) {
		v[i] = figure(c, h->value[i].name) * h->value[i].factor;
		if (h->value[i].by)
			v[i] /= figure(c, h->value[i].by);
		if (!isfinite(v[i]))
			return;
	}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(c->headline, sizeof(c->headline), h->format, v[0], v[1], v[2]);
#pragma GCC diagnostic pop
}
