// SPDX-License-Identifier: MIT
/*
 * The requests of programs in a timeline: a request lasts from where a
 * coroutine gets a context to where it loses it. Its time is split into
 * running, ready to run, and waiting. Routes have the number of requests, their
 * times, and where the time went. The slowest ones are kept, for their paths
 * (report_path.c).
 *
 * A request that began or ended outside the file has no time, and is only counted.
 */
#define _GNU_SOURCE
#include "report.h"
#include "../lib/text.h"
#include <stdlib.h>
#include <string.h>

static struct report_route *route_of(struct report *r, const char *name)
{
	for (unsigned i = 0; i < REPORT_ROUTES; i++) {
		struct report_route *route = &r->route[i];
		bool last = i == REPORT_ROUTES - 1;

		if (!*route->name)
			text_copy(route->name, REPORT_NAME,
				  last ? "(other routes)" : name,
				  REPORT_NAME - 1);
		if (last || !strcmp(route->name, name))
			return route;
	}
	return NULL;
}

static void keep_slow(struct report *r, const struct report_request *q)
{
	int at = REPORT_SLOW;

	while (at && r->slow[at - 1].ns < q->ns)
		at--;
	if (at == REPORT_SLOW)
		return;
	memmove(&r->slow[at + 1], &r->slow[at],
		(REPORT_SLOW - 1 - at) * sizeof(*q));
	r->slow[at] = *q;
}

void report_request_begins(struct report *r, struct report_track *t,
			   uint64_t ns, uint64_t number, const char *route,
			   const char *trace_id)
{
	if (t->request && t->request->number == number) {
		text_copy(t->request->route, REPORT_NAME, route,
			  REPORT_NAME - 1);
		return;
	}
	if (t->request)
		r->requests_cut++;
	else
		t->request = malloc(sizeof(*t->request));
	if (!t->request)
		return;
	*t->request = (struct report_request){ .number = number, .at_ns = ns };
	text_copy(t->request->route, REPORT_NAME, route, REPORT_NAME - 1);
	text_copy(t->request->trace_id, sizeof(t->request->trace_id), trace_id,
		  sizeof(t->request->trace_id) - 1);
	strcpy(t->request->coro, t->name);
	t->request->process = t->parent;
}

void report_request_slice(struct report_track *t, uint64_t to)
{
	struct report_request *q = t->request;
	uint64_t from;

	if (!q || t->state == REPORT_STATES)
		return;
	from = t->since_ns > q->at_ns ? t->since_ns : q->at_ns;
	if (to > from)
		q->state_ns[t->state] += to - from;
}

void report_request_ends(struct report *r, struct report_track *t, uint64_t ns,
			 uint64_t number)
{
	struct report_request *q = t->request;
	struct report_route *route;

	if (!q || q->number != number)
		return;
	if (*t->open)
		report_request_slice(t, ns);
	q->ns = ns > q->at_ns ? ns - q->at_ns : 0;
	route = route_of(r, q->route);
	histogram_add(&route->ns, q->ns);
	for (int i = 0; i < REPORT_STATES; i++)
		route->state_ns[i] += q->state_ns[i];
	keep_slow(r, q);
	free(q);
	t->request = NULL;
}

void report_requests_free(struct report *r)
{
	for (unsigned i = 0; i < REPORT_TRACKS; i++) {
		r->requests_cut += r->track[i].request != NULL;
		free(r->track[i].request);
		r->track[i].request = NULL;
	}
}
