// SPDX-License-Identifier: MIT
/*
 * How one request waits: a server answers one client, whose requests wait 1 ms
 * at the backend, while `urt record` records it. In the recording, a wait of
 * that length is searched for, which the backend ended; the wait, with a little
 * before and after it, is the request. The picture shows the slices of the
 * server's threads and coroutines in this time.
 */
#define _GNU_SOURCE
#include "stage.h"
#include "../../lib/json_tree.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_PATH  "/wait?ms=1"
#define WARM_UP_NS (400 * NS_PER_MS)
#define RECORD_MS  "80"
#define LEAST_NS   0.9e6       /* of the wait */
#define AROUND_NS  0.3e6       /* before and after it */
#define TRIES	   5	       /* a pause of the machine hides the request */
#define TEXT_SIZE  (16u << 20) /* of all slices as JSON, at most */

struct window {
	double from, to;
};

static const struct json_value *first_slice(const struct json_value *doc)
{
	const struct json_value *slices = json_member(doc, "slices");

	return slices && slices->type == JSON_ARRAY ? slices->child : NULL;
}

static bool is_text(const struct json_value *e, const char *name,
		    const char *text)
{
	const char *s = json_text(e, name);

	return s && !strcmp(s, text);
}

static bool runs(const struct json_value *e)
{
	return !strncmp(json_text(e, "what"), "running", 7);
}

static bool has_coroutines(const struct json_value *doc)
{
	for (const struct json_value *e = first_slice(doc); e; e = e->next)
		if (is_text(e, "kind", "coroutine"))
			return true;
	return false;
}

/* Whether a request may wait in this way: a coroutine, if there are any; else a
 * thread that another one wakes. Other threads of the runtime wait as long,
 * too. */
static bool may_be_request(const struct json_value *e, bool coroutines)
{
	const char *what = json_text(e, "what");

	if (!what || runs(e))
		return false;
	if (coroutines)
		return is_text(e, "kind", "coroutine") &&
		       !strncmp(what, "io ", 3);
	return is_text(e, "kind", "thread") && json_text(e, "until");
}

/* The wait that was disturbed least. False: there is none. */
static bool find_wait(const struct json_value *doc, struct window *w)
{
	bool coroutines = has_coroutines(doc);
	double best = INFINITY;

	for (const struct json_value *e = first_slice(doc); e; e = e->next) {
		double at = json_number(e, "at_ns"), ns = json_number(e, "ns");

		if (!may_be_request(e, coroutines) || !(ns >= LEAST_NS) ||
		    !(ns < best) || at < AROUND_NS)
			continue;
		best = ns;
		*w = (struct window){ at - AROUND_NS, at + ns + AROUND_NS };
	}
	return isfinite(best);
}

/* The lane of a track; a new one if `add`. -1: there is none. */
static int lane_of(struct demo_timeline *t, const struct json_value *e,
		   bool add)
{
	const char *name = json_text(e, "track");
	bool coroutine = is_text(e, "kind", "coroutine");

	for (unsigned i = 0; i < t->nr_lanes; i++)
		if (t->lane[i].coroutine == coroutine &&
		    !strcmp(t->lane[i].name, name))
			return i;
	if (!add || t->nr_lanes == TIMELINE_LANES)
		return -1;
	snprintf(t->lane[t->nr_lanes].name, sizeof(t->lane->name), "%s", name);
	t->lane[t->nr_lanes].coroutine = coroutine;
	return t->nr_lanes++;
}

static bool is_drawn(const struct json_value *e, const struct window *w)
{
	return (is_text(e, "kind", "thread") ||
		is_text(e, "kind", "coroutine")) &&
	       json_text(e, "track") && json_text(e, "what") &&
	       json_number(e, "at_ns") < w->to &&
	       json_number(e, "at_ns") + json_number(e, "ns") > w->from;
}

static void take_slice(struct demo_timeline *t, const struct json_value *e,
		       const struct window *w)
{
	struct demo_slice *s = &t->slice[t->nr_slices];
	double from = fmax(json_number(e, "at_ns"), w->from);
	double to = fmin(json_number(e, "at_ns") + json_number(e, "ns"), w->to);
	int lane = lane_of(t, e, false);

	if (lane < 0 || t->nr_slices == TIMELINE_SLICES)
		return;
	s->lane = lane;
	s->runs = runs(e);
	s->at_ns = from - w->from;
	s->ns = to - from;
	snprintf(s->what, sizeof(s->what), "%s", json_text(e, "what"));
	t->nr_slices++;
}

static bool take(struct demo_timeline *t, const struct json_value *doc)
{
	struct window w;

	if (!find_wait(doc, &w))
		return false;
	t->ns = w.to - w.from;
	/* Coroutines come first: threads run them. */
	for (int threads = 0; threads < 2; threads++)
		for (const struct json_value *e = first_slice(doc); e;
		     e = e->next)
			if (is_drawn(e, &w) && runs(e) &&
			    is_text(e, "kind", "thread") == threads)
				lane_of(t, e, true);
	for (const struct json_value *e = first_slice(doc); e; e = e->next)
		if (is_drawn(e, &w))
			take_slice(t, e, &w);
	return t->nr_slices;
}

/* ---- recording ---- */

/* The slices as JSON; false: one of the two commands failed; an error message
 * was printed. */
static bool record(pid_t pid, char *text)
{
	char dir[] = "/tmp/urt-demo-XXXXXX", number[16], self[PATH_MAX];
	char *argv[] = { "/bin/sh",
			 "-c",
			 "{ \"$0\" record -p \"$1\" --duration " RECORD_MS
			 " -o \"$2/trace\" && \"$0\" report --slices "
			 "\"$2/trace\"; } 2>\"$2/said\"; e=$?; "
			 "[ $e = 0 ] || cat \"$2/said\" >&2; "
			 "rm -r \"$2\"; exit $e",
			 self,
			 number,
			 dir,
			 NULL };
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	struct launch l;
	int out;

	if (n < 0 || !mkdtemp(dir))
		return false;
	self[n] = '\0';
	snprintf(number, sizeof(number), "%d", pid);
	return !launch_piped(&l, argv, -1, &out) &&
	       !launch_read(&l, out, text, TEXT_SIZE);
}

/* Whether it recorded a request; if not, another try may, unless the stage
 * failed. */
static bool look_on(struct stage *s, struct demo_timeline *t, char *text)
{
	struct json_value *doc = NULL;
	const char *wrong;
	bool found = false;

	if (!record(s->server.pid, text))
		stage_failed(s->outcome, "`urt record` failed (see above)");
	else if (!(doc = json_tree(text, strlen(text), &wrong)))
		stage_failed(s->outcome, "its timeline is too large");
	else
		found = take(t, doc);
	json_tree_free(doc);
	return found;
}

static void look_on_until_found(struct stage *s, struct demo_timeline *t)
{
	char *text = malloc(TEXT_SIZE);

	if (!text)
		stage_failed(s->outcome, "out of memory");
	for (int i = 0; text && demo_ok(s->outcome) && !demo_stop; i++) {
		if (look_on(s, t, text))
			break;
		if (i == TRIES)
			stage_failed(s->outcome,
				     "no wait of a request was recorded");
	}
	free(text);
}

void demo_measure_timeline(struct lab *lab, struct demo_timeline *t)
{
	struct load_options o = { .path = WAIT_PATH, .connections = 1 };
	struct stage s;

	if (!lab->demo->counted) { /* urt record needs BPF, too */
		t->outcome.status = DEMO_SKIPPED;
		snprintf(t->outcome.reason, sizeof(t->outcome.reason), "%.190s",
			 lab->demo->why_no_bpf);
		return;
	}
	if (stage_begin(&s, lab, &t->outcome, t->model,
			lab->demo->server_cpu)) {
		stage_load(&s, &o);
		if (stage_connected(&s) && stage_wait(&s, WARM_UP_NS))
			look_on_until_found(&s, t);
	}
	stage_end(&s);
	if (demo_stop)
		t->outcome.status = DEMO_NOT_RUN;
}
