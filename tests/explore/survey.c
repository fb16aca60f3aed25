// SPDX-License-Identifier: MIT
/*
 * The survey: plants a fault at each atomic operation that some scenario
 * reaches, one after another. A fault that no scenario finds shows either a
 * weakness of the scenarios, or an ordering that the protocol does not need. A
 * person has to decide which.
 */
#include "explore_in.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

extern const struct explore_scenario *const __start_explore_scenarios[];
extern const struct explore_scenario *const __stop_explore_scenarios[];

/* The faults that can be planted there. */
static unsigned faults_of(const struct x_site *s, enum x_mutation *out)
{
	unsigned n = 0;
	const char *op = s->op + strlen("__tsan_atomic");

	if (strstr(op, "fence")) {
		out[n++] = X_DROP;
		return n;
	}
	if (s->order != __ATOMIC_RELAXED)
		out[n++] = X_RELAX;
	if (strstr(op, "_store"))
		out[n++] = X_HOLD;
	else if (!strstr(op, "_load"))
		out[n++] = X_SPLIT;
	return n;
}

static bool finds(const struct explore_scenario *s, struct x_site *site,
		  enum x_mutation m)
{
	static struct x_result r;
	unsigned before;

	x_scenario_begin(s);
	before = site->hits;
	site->mutation = m;
	x_search(s, &r);
	site->mutation = X_AS_IS;
	if (site->hits == before)
		return false;
	return r.failed;
}

static void survey(struct x_site *site, const uint8_t *reached, unsigned n)
{
	static const char *const names[] = { [X_RELAX] = "relaxed",
					     [X_DROP] = "left out",
					     [X_SPLIT] = "split",
					     [X_HOLD] = "swapped" };
	enum x_mutation m[4];
	unsigned kinds = faults_of(site, m);

	for (unsigned k = 0; k < kinds; k++) {
		const char *by = NULL;

		for (unsigned i = 0; i < n && !by; i++)
			if (reached[i] &&
			    finds(__start_explore_scenarios[i], site, m[k]))
				by = __start_explore_scenarios[i]->name;
		printf("%-9s %-9s %s\n    %s\n", by ? "found" : "survives",
		       names[m[k]], x_where((void *)site->pc),
		       by ? by
			  : x_source(site->frame[0].file, site->frame[0].line));
		fflush(stdout);
	}
}

void x_survey(const char *file)
{
	unsigned n = __stop_explore_scenarios - __start_explore_scenarios;
	static uint8_t reached[4096][128];
	static struct x_result r;

	for (unsigned i = 0; i < n; i++) {
		for (unsigned j = 0; j < x_nr_sites; j++)
			x_sites[j].hits = 0;
		x_scenario_begin(__start_explore_scenarios[i]);
		x_search(__start_explore_scenarios[i], &r);
		for (unsigned j = 0, at = 0; j < x_nr_sites; j++)
			if (x_is_atomic(&x_sites[j]) && at < 4096)
				reached[at++][i] = x_sites[j].hits > 0;
	}
	for (unsigned j = 0, at = 0; j < x_nr_sites; j++) {
		if (!x_is_atomic(&x_sites[j]) || at == 4096)
			continue;
		if (strstr(x_sites[j].frame[0].file, file) &&
		    memchr(reached[at], 1, n))
			survey(&x_sites[j], reached[at], n);
		at++;
	}
}
