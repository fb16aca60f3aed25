// SPDX-License-Identifier: MIT
/*
 * The claims, and the judges of the claims about the unit itself (1 to 5); the
 * judges of behaviour under load are in claims_load.c. Only measurements
 * decide: the thresholds stand next to the texts, and a claim without a
 * measurement is "not measured", with the reason.
 */
#define _GNU_SOURCE
#include "judge.h"
#include "../../lib/tool.h"
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Kernel entries per user switch below this count as none: the rest is the
 * start of the process and the timer ticks that preempt any program. */
#define NO_ENTRY 0.001
/* How much cheaper than a switch of threads on the same CPU. */
#define MUCH_CHEAPER 10.0
/* A model in which a request holds a thread has a thread for each; a runtime has
 * threads of its own: workers, a monitor, spares, and threads that lost their
 * processor and wait for the requests in their ring. These need not be few, but
 * must not come with the requests: one for each hundred is the most. With fewer
 * than 1,000 requests, the runtime's own decide, and there is no verdict. */
#define REQUESTS_OF_A_THREAD 100
#define ENOUGH_WAITING	     1000
/* The largest number in claim 4: without it, a claim of collapse is open. */
#define MANY_WAITING 40000

static const struct {
	const char *text;
	void (*judge)(const struct demo *, struct demo_claim *);
	/* Other programs on the CPUs can make it fail: it is about times, or
	 * about counts that depend on time. */
	bool needs_cpus;
} claims[DEMO_CLAIMS] = {
	{ "A switch between coroutines does not enter the kernel",
	  judge_switch_enters_no_kernel, true },
	{ "A switch between coroutines is at least 10 times cheaper than one "
	  "between threads",
	  judge_switch_is_cheap, true },
	{ "A waiting request holds no thread", judge_waiting_holds_no_thread,
	  false },
	{ "Thread-per-connection collapses with the number of connections; the "
	  "others do not",
	  judge_threads_collapse, false },
	{ "What is captured at suspension: a continuation is smaller than a coroutine's stack, which is smaller than a thread",
	  judge_captured_bytes, false },
	{ "CPU work freezes an event loop and not the scheduler",
	  judge_cpu_freezes_loops, true },
	{ "The scheduler uses all CPUs for CPU work; the event loop uses one",
	  judge_uses_all_cpus, false },
	{ "Kernel involvement per request: coroutines need less of it than "
	  "threads and an epoll loop, at full load",
	  judge_kernel_per_request, true },
	{ "Hundreds of thousands of concurrent waits on modest hardware",
	  judge_many_sleepers, false },
	{ "Switching in user space spares the kernel's switches at every load",
	  judge_kernel_by_load, true },
};

/* ---- for all of them ---- */

void claim_figure(struct demo_claim *c, double value, const char *name, ...)
{
	struct demo_figure *f;
	va_list ap;

	c->figure = realloc(c->figure, (c->nr_figures + 1) * sizeof(*f));
	if (!c->figure)
		abort();
	f = &c->figure[c->nr_figures++];
	f->value = value;
	va_start(ap, name);
	vsnprintf(f->name, sizeof(f->name), name, ap);
	va_end(ap);
	for (char *p = f->name; *p; p++)
		if (*p == '-')
			*p = '_';
}

void claim_say(struct demo_claim *c, const char *format, ...)
{
	char *more, *all;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&more, format, ap) < 0 ||
	    asprintf(&all, "%s%s", c->measured, more) < 0)
		abort();
	va_end(ap);
	free(more);
	free(c->measured);
	c->measured = all;
}

static unsigned column_of(struct demo_evidence *e, const char *column)
{
	unsigned i = 0;

	while (i < e->nr_columns && strcmp(e->column[i], column))
		i++;
	if (i == EVIDENCE_COLUMNS)
		abort();
	if (i == e->nr_columns)
		snprintf(e->column[e->nr_columns++], sizeof(e->column[0]), "%s",
			 column);
	return i;
}

static struct demo_evidence_row *row_of(struct demo_evidence *e,
					const struct model *m)
{
	for (unsigned i = 0; i < e->nr_rows; i++)
		if (e->row[i].model == m)
			return &e->row[i];
	e->row = realloc(e->row, (e->nr_rows + 1) * sizeof(*e->row));
	if (!e->row)
		abort();
	e->row[e->nr_rows] = (struct demo_evidence_row){ .model = m };
	return &e->row[e->nr_rows++];
}

void claim_cell(struct demo_claim *c, const struct model *m, const char *column,
		const char *format, ...)
{
	char *cell =
		row_of(&c->evidence, m)->cell[column_of(&c->evidence, column)];
	va_list ap;

	va_start(ap, format);
	vsnprintf(cell, sizeof(c->evidence.row->cell[0]), format, ap);
	va_end(ap);
}

void claim_not_measured(struct demo_claim *c, const char *reason, ...)
{
	va_list ap;

	c->verdict = CLAIM_NOT_MEASURED;
	va_start(ap, reason);
	vsnprintf(c->reason, sizeof(c->reason), reason, ap);
	va_end(ap);
}

void claim_judge(struct demo_claim *c, bool holds)
{
	c->verdict = holds ? CLAIM_HOLDS : CLAIM_FAILS;
}

static void judge_claims(struct demo *d)
{
	for (int i = 0; i < DEMO_CLAIMS; i++) {
		struct demo_claim *c = &d->claim[i];

		c->id = i + 1;
		c->measured = strdup("");
		c->text = claims[i].text;
		if (demo_wants(d, i + 1))
			claims[i].judge(d, c);
		else
			claim_not_measured(c, "not requested (--only)");
		judge_headline(c);
		if (c->verdict == CLAIM_FAILS && claims[i].needs_cpus &&
		    d->others > DEMO_OTHERS)
			claim_not_measured(
				c,
				"the CPUs were not free: other "
				"programs used %.2f of %ld CPUs on average",
				d->others, d->host.cpus);
		if (c->verdict == CLAIM_NOT_MEASURED && d->interrupted)
			claim_not_measured(c, "interrupted before it was "
					      "measured");
	}
}

void demo_judge(struct demo *d)
{
	judge_warnings(d);
	judge_claims(d);
	judge_table(d);
	judge_advice(d);
	judge_choice(d);
	judge_bounds(d);
}

/* ---- 1: no kernel entry ---- */

void judge_switch_enters_no_kernel(const struct demo *d, struct demo_claim *c)
{
	const struct demo_costs *m = &d->costs;
	double entries = m->kernel_switches + m->syscalls;

	if (!m->has_switch_counts) {
		claim_not_measured(c, "%s", m->why_not);
		return;
	}
	claim_figure(c, m->user_switches, "user_switches");
	claim_figure(c, m->user_switches / m->counted_s,
		     "user_switches_per_second");
	claim_figure(c, m->kernel_switches, "kernel_switches");
	claim_figure(c, m->syscalls, "syscalls");
	claim_figure(c, entries / m->user_switches, "entries_per_switch");
	claim_say(c,
		  "%.0f million switches between coroutines, %.0f million a "
		  "second; in the whole process, by BPF, %llu kernel switches "
		  "and %llu system calls: %.2g per switch (below %g counts as "
		  "none)",
		  m->user_switches / 1e6, m->user_switches / m->counted_s / 1e6,
		  (unsigned long long)m->kernel_switches,
		  (unsigned long long)m->syscalls, entries / m->user_switches,
		  NO_ENTRY);
	claim_judge(c, entries / m->user_switches < NO_ENTRY);
}

/* ---- 2: the cost of a switch ---- */

void judge_switch_is_cheap(const struct demo *d, struct demo_claim *c)
{
	const struct demo_costs *m = &d->costs;

	if (!(m->call > 0 && m->unit[UNIT_COROUTINE] > 0 &&
	      m->unit[UNIT_THREAD] > 0)) {
		claim_not_measured(c, "the run of uring_rt failed (see above)");
		return;
	}
	claim_figure(c, m->call, "call_ns");
	claim_figure(c, m->unit[UNIT_COROUTINE], "coroutine_ns");
	claim_figure(c, m->unit[UNIT_THREAD], "thread_ns");
	claim_figure(c, m->handover, "thread_handover_ns");
	claim_figure(c, m->handover_across > 0 ? m->handover_across : NAN,
		     "thread_handover_across_cpus_ns");
	claim_figure(
		c, m->unit[UNIT_GOROUTINE] > 0 ? m->unit[UNIT_GOROUTINE] : NAN,
		"goroutine_ns");
	claim_say(c,
		  "function call %.1f ns; coroutine switch %.1f ns; thread "
		  "switch on one CPU %.0f ns by yielding, %.0f ns by waking "
		  "each other",
		  m->call, m->unit[UNIT_COROUTINE], m->unit[UNIT_THREAD],
		  m->handover);
	if (m->handover_across > 0)
		claim_say(c, ", %.0f ns across CPUs", m->handover_across);
	if (m->unit[UNIT_GOROUTINE] > 0)
		claim_say(c, "; goroutine switch %.0f ns",
			  m->unit[UNIT_GOROUTINE]);
	claim_say(c,
		  ". A coroutine's is %.0f times cheaper than a thread's "
		  "(%.0f are required), and %.1f times a function call",
		  m->unit[UNIT_THREAD] / m->unit[UNIT_COROUTINE], MUCH_CHEAPER,
		  m->unit[UNIT_COROUTINE] / m->call);
	claim_judge(c, m->unit[UNIT_THREAD] / m->unit[UNIT_COROUTINE] >=
			       MUCH_CHEAPER);
}

/* ---- 3: threads while requests wait ---- */

static void say_threads(const struct demo_hold *h, struct demo_claim *c)
{
	claim_figure(c, h->threads, "threads_%s", h->model->name);
	claim_figure(c, h->process_bytes / h->waiting, "process_bytes_%s",
		     h->model->name);
	claim_cell(c, h->model, "threads", "%ld", h->threads);
	if (!isnan(h->process_bytes))
		claim_cell(c, h->model, "KB each", "%.1f",
			   h->process_bytes / h->waiting / 1e3);
}

/* Judged at each number of requests that was measured. */
void judge_waiting_holds_no_thread(const struct demo *d, struct demo_claim *c)
{
	const struct model *own = model_of(ROLE_COROUTINES);
	const struct demo_hold *least =
		demo_hold(d, own, d->options.waiting.n[0]);
	bool none = true, enough = false;
	unsigned said = 0;

	claim_figure(c, least ? least->waiting : NAN, "waiting");
	if (least)
		claim_say(c,
			  "%ld requests waiting at a time in %u process%s: "
			  "threads, and memory of the process. At most one "
			  "thread for %d requests is allowed;",
			  least->waiting, least->processes,
			  least->processes == 1 ? "" : "es",
			  REQUESTS_OF_A_THREAD);
	for (unsigned i = 0; i < d->nr_holds; i++) {
		const struct demo_hold *h = &d->hold[i];

		if (!demo_ok(&h->outcome))
			continue;
		if (h->wanted == d->options.waiting.n[0])
			say_threads(h, c);
		if (h->model != own)
			continue;
		claim_say(c, "%s %ld for %ld", said++ ? "," : " coroutine has",
			  h->threads, h->waiting);
		enough |= h->wanted >= ENOUGH_WAITING;
		none &= h->wanted < ENOUGH_WAITING ||
			(h->waiting == h->wanted &&
			 h->threads <= h->waiting / REQUESTS_OF_A_THREAD);
	}
	if (!least)
		claim_not_measured(c, "the coroutine model was not measured "
				      "with requests that wait");
	else if (!enough)
		claim_not_measured(
			c, "%ld requests are too few for a verdict (--waiting)",
			least->wanted);
	else
		claim_judge(c, none);
}

/* ---- 4: more and more connections ---- */

static bool held(const struct demo_hold *h)
{
	return demo_ok(&h->outcome) && h->waiting >= h->wanted &&
	       h->answered >= h->waiting;
}

static void say_hold(const struct demo_hold *h, struct demo_claim *c)
{
	const char *name = h->model->name;

	if (!demo_ok(&h->outcome))
		return;
	claim_figure(c, h->waiting, "waiting_%ld_%s", h->wanted, name);
	if (held(h))
		return;
	claim_say(c, "%s%s stopped at %ld of %ld (%s)",
		  *c->measured ? "; " : "", name, h->waiting, h->wanted,
		  *h->limit ? h->limit : "not all were answered");
}

/* The number of models, without threads and those that also encrypt, that were
 * measured with this number of requests; and of those that held it. */
static unsigned others(const struct demo *d, long wanted, bool that_did)
{
	unsigned n = 0;

	for (unsigned i = 0; i < d->nr_holds; i++) {
		const struct demo_hold *h = &d->hold[i];

		if (h->wanted == wanted && h->model->role != ROLE_THREADS &&
		    !model_is(h->model, MODEL_TLS) &&
		    h->outcome.status != DEMO_SKIPPED)
			n += !that_did || held(h);
	}
	return n;
}

void judge_threads_collapse(const struct demo *d, struct demo_claim *c)
{
	const struct demo_hold *thread = NULL;
	long most = 0, own = 0;

	for (unsigned i = 0; i < d->nr_holds; i++) {
		const struct demo_hold *h = &d->hold[i];

		say_hold(h, c);
		if (h->model->role == ROLE_THREADS && demo_ok(&h->outcome)) {
			thread = h;
			most = h->wanted;
		}
		if (h->model->role == ROLE_COROUTINES && held(h))
			own = h->wanted;
	}
	claim_figure(c, thread && !held(thread) ? thread->waiting : NAN,
		     "thread_ends_at");
	claim_figure(c, own ? own : NAN, "coroutine_held");
	if (!thread) {
		claim_not_measured(c, "the thread model was not measured");
	} else if (held(thread) && most < MANY_WAITING) {
		claim_not_measured(c,
				   "all models held up to %ld; --full measures "
				   "whether threads collapse beyond that (%d)",
				   most, MANY_WAITING);
	} else if (held(thread)) {
		claim_say(c, "%sthread also held %ld", *c->measured ? "; " : "",
			  most);
		claim_judge(c, false);
	} else {
		claim_say(c,
			  "; of %u other models %u held %ld and answered them",
			  others(d, most, false), others(d, most, true), most);
		claim_judge(c, others(d, most, true) &&
				       others(d, most, true) ==
					       others(d, most, false));
	}
}

/* ---- 5: bytes ---- */

static void say_bytes(struct demo_claim *c, const struct demo_hold *h,
		      const char *column, double bytes)
{
	if (isnan(bytes))
		claim_cell(c, h->model, column, "n/a");
	else
		claim_cell(c, h->model, column, "%.0f", bytes / h->waiting);
}

static void say_service(const struct demo *d, struct demo_claim *c)
{
	bool first = true;

	for (unsigned i = 0; i < d->options.nr_models; i++) {
		const struct model *m = d->options.model[i];
		const struct demo_hold *h = demo_hold(d, m, 0);

		if (!h)
			continue;
		claim_figure(c, h->process_bytes / h->waiting,
			     "process_bytes_%s", m->name);
		claim_figure(c, h->kernel_bytes / h->waiting, "kernel_bytes_%s",
			     m->name);
		if (first)
			claim_say(c,
				  ". In the service, with a read buffer of %d "
				  "and both ends of the sockets, bytes for "
				  "each request that waits",
				  HTTP_MAX);
		first = false;
		say_bytes(c, h, "process", h->process_bytes);
		say_bytes(c, h, "of it heap", h->heap_bytes);
		say_bytes(c, h, "and stacks", h->stack_bytes);
		say_bytes(c, h, "kernel", h->kernel_bytes);
	}
}

void judge_captured_bytes(const struct demo *d, struct demo_claim *c)
{
	double in_c = *model_of(ROLE_CALLBACKS)->captured - HTTP_MAX;
	double promise = demo_unit_bytes(d, UNIT_PROMISE);
	double coroutine = demo_unit_bytes(d, UNIT_COROUTINE);
	double goroutine = demo_unit_bytes(d, UNIT_GOROUTINE);
	double thread = demo_unit_bytes(d, UNIT_THREAD);

	claim_figure(c, in_c, "state_machine_bytes");
	claim_figure(c, promise, "promise_bytes");
	claim_figure(c, coroutine, "coroutine_bytes");
	claim_figure(c, goroutine, "goroutine_bytes");
	claim_figure(c, thread, "thread_bytes");
	if (isnan(coroutine) || isnan(thread)) {
		claim_not_measured(
			c, "%s: %s", isnan(coroutine) ? "coroutine" : "thread",
			d->unit[isnan(coroutine) ? UNIT_COROUTINE : UNIT_THREAD]
				.outcome.reason);
		return;
	}
	claim_say(c,
		  "alone, without sockets and buffers: the C state machine's "
		  "struct %.0f",
		  in_c);
	if (!isnan(promise))
		claim_say(c, ", a suspended async function in Node %.0f",
			  promise);
	if (!isnan(goroutine))
		claim_say(c, ", a goroutine %.0f", goroutine);
	claim_say(c,
		  ", a coroutine %.0f (stack touched and control block), a "
		  "thread %.0f bytes (%.0f of them the kernel's)",
		  coroutine, thread,
		  d->unit[UNIT_THREAD].kernel_bytes /
			  d->unit[UNIT_THREAD].count);
	say_service(d, c);
	claim_judge(c, in_c < coroutine && !(promise >= coroutine) &&
			       coroutine < thread);
}
