// SPDX-License-Identifier: MIT
/*
 * The claims and what was measured of each. Nothing is decided here that a
 * measurement did not decide: the thresholds stand beside the texts.
 */
#include "demo.h"
#include <math.h>
#include <string.h>
#include <unistd.h>

static const char *const texts[DEMO_CLAIMS] = {
	"A switch between coroutines does not enter the kernel",
	"It costs about a function call and a stack swap",
	"A waiting request holds no thread",
	"Thread-per-connection collapses with the number of connections",
	"What is captured at suspension, in bytes",
	"CPU work freezes an event loop and not the scheduler",
	"The scheduler uses all CPUs for CPU work; the event loop uses one",
	"Kernel involvement per request: system calls and operations",
	"Hundreds of thousands of concurrent waits on modest hardware",
};

/* Kernel entries per user switch below this count as none: the rest is the
 * start of the process and the timer ticks that preempt any program. */
#define NO_ENTRY 0.001
/* "About a function call and a stack swap": at least this much cheaper than a
 * switch of threads on the same CPU. */
#define MUCH_CHEAPER 10.0

struct demo_per_request demo_per_request(const struct demo_row *r)
{
	struct demo_per_request p;
	double n = r->requests;
	uint64_t voluntary = 0, involuntary = 0;

	for (int i = 0; i < URT_CLASSES; i++) {
		voluntary += r->counts.class[i].voluntary;
		involuntary += r->counts.class[i].involuntary;
	}
	if (!r->has_counts) {
		/* /proc knows the main thread's only: right for one thread. */
		bool whole = r->threads == 1;

		p.voluntary = whole ? r->nvcsw / n : NAN;
		p.involuntary = whole ? r->nivcsw / n : NAN;
		p.syscalls = p.uring_ops = NAN;
	} else {
		p.voluntary = voluntary / n;
		p.involuntary = involuntary / n;
		p.syscalls = counts_syscalls(&r->counts) / n;
		p.uring_ops = counts_submitted(&r->counts) / n;
	}
	p.switches = p.voluntary + p.involuntary;
	p.user_switches =
		r->has_user ? user_stats_get(&r->user, "switches") / n : NAN;
	p.cpu_ns = r->cpu_ns / n;
	return p;
}

const struct demo_row *demo_row(const struct demo *d, const char *model,
				const char *path)
{
	for (unsigned i = 0; i < d->nr_rows; i++) {
		const struct demo_row *r = &d->row[i];
		size_t len = strcspn(r->path, "?");

		if (r->status == DEMO_OK && !strcmp(r->model->name, model) &&
		    strlen(path) == len && !strncmp(r->path, path, len))
			return r;
	}
	return NULL;
}

static void figure(struct demo_claim *c, const char *name, double value)
{
	if (c->nr_figures < ARRAY_LEN(c->figure))
		c->figure[c->nr_figures++] =
			(struct demo_figure){ name, value };
}

static void not_measured(struct demo_claim *c, const char *reason)
{
	c->verdict = CLAIM_NOT_MEASURED;
	snprintf(c->reason, sizeof(c->reason), "%s", reason);
}

static void judge(struct demo_claim *c, bool holds)
{
	c->verdict = holds ? CLAIM_HOLDS : CLAIM_FAILS;
}

static void judge_1(const struct demo *d, struct demo_claim *c)
{
	const struct demo_costs *m = &d->costs;
	double entries = m->kernel_switches + m->syscalls;

	if (!m->has_switch_counts) {
		not_measured(c, m->why_not);
		return;
	}
	figure(c, "user_switches", m->user_switches);
	figure(c, "kernel_switches", m->kernel_switches);
	figure(c, "syscalls", m->syscalls);
	figure(c, "entries_per_switch", entries / m->user_switches);
	snprintf(c->measured, sizeof(c->measured),
		 "%.0f million switches between coroutines, and in the whole "
		 "process %llu kernel switches and %llu system calls: %.2g per "
		 "switch",
		 m->user_switches / 1e6, (unsigned long long)m->kernel_switches,
		 (unsigned long long)m->syscalls, entries / m->user_switches);
	judge(c, entries / m->user_switches < NO_ENTRY);
}

static void judge_2(const struct demo *d, struct demo_claim *c)
{
	const struct demo_costs *m = &d->costs;

	if (!(m->call_ns > 0 && m->coroutine_ns > 0 && m->thread_ns > 0)) {
		not_measured(c, demo_stop ? "interrupted before it was measured"
					  : "the run of uring_rt failed (see "
					    "above)");
		return;
	}
	figure(c, "call_ns", m->call_ns);
	figure(c, "coroutine_ns", m->coroutine_ns);
	figure(c, "thread_ns", m->thread_ns);
	snprintf(c->measured, sizeof(c->measured),
		 "function call %.1f ns, coroutine switch %.1f ns, thread "
		 "switch on one CPU %.0f ns: %.0f times cheaper (10 are asked)",
		 m->call_ns, m->coroutine_ns, m->thread_ns,
		 m->thread_ns / m->coroutine_ns);
	judge(c, m->thread_ns / m->coroutine_ns >= MUCH_CHEAPER);
}

static void judge_3(const struct demo *d, struct demo_claim *c)
{
	const struct demo_row *coroutine = demo_row(d, "coroutine", "/wait");
	const struct demo_row *thread = demo_row(d, "thread", "/wait");
	long n = d->options.connections;
	int len;

	if (!coroutine) {
		not_measured(c, "the coroutine model was not run on /wait");
		return;
	}
	if (n < 8) {
		not_measured(c, "too few connections (--connections)");
		return;
	}
	figure(c, "waiting", n);
	figure(c, "threads_coroutine", coroutine->threads);
	len = snprintf(c->measured, sizeof(c->measured),
		       "with %ld requests waiting at a time, coroutine has %ld "
		       "thread%s",
		       n, coroutine->threads,
		       coroutine->threads == 1 ? "" : "s");
	if (thread) {
		figure(c, "threads_thread", thread->threads);
		snprintf(c->measured + len, sizeof(c->measured) - len,
			 ", thread has %ld", thread->threads);
	}
	judge(c, coroutine->threads <= sysconf(_SC_NPROCESSORS_ONLN));
}

/*
 * Holds if the coroutine model makes fewer system calls than blocking threads
 * and than an event loop over epoll, and fewer switches than threads (epoll has
 * one thread, too, so there is nothing to gain on it). How many requests
 * share a system call depends on how many are ready at a time, hence on the
 * load, so uring-loop stands beside it but decides nothing.
 */
static void judge_8(const struct demo *d, struct demo_claim *c)
{
	const struct demo_row *row[4];
	static const char *const names[4] = { "coroutine", "thread", "epoll",
					      "uring-loop" };
	struct demo_per_request p[4];

	for (int i = 0; i < 4; i++) {
		row[i] = demo_row(d, names[i], "/");
		if (!row[i]) {
			not_measured(c, "coroutine, thread, epoll and "
					"uring-loop were not all run");
			return;
		}
		p[i] = demo_per_request(row[i]);
	}
	if (!d->counted) {
		not_measured(c, d->why_no_bpf);
		return;
	}
	figure(c, "syscalls_coroutine", p[0].syscalls);
	figure(c, "syscalls_thread", p[1].syscalls);
	figure(c, "syscalls_epoll", p[2].syscalls);
	figure(c, "syscalls_uring_loop", p[3].syscalls);
	figure(c, "switches_coroutine", p[0].switches);
	figure(c, "switches_thread", p[1].switches);
	figure(c, "uring_ops_coroutine", p[0].uring_ops);
	snprintf(c->measured, sizeof(c->measured),
		 "per request, coroutine: %.3f system calls, %.4f kernel "
		 "switches, %.2f operations; thread: %.2f and %.3f; epoll: "
		 "%.2f and %.3f; uring-loop: %.3f and %.3f, %.2f operations",
		 p[0].syscalls, p[0].switches, p[0].uring_ops, p[1].syscalls,
		 p[1].switches, p[2].syscalls, p[2].switches, p[3].syscalls,
		 p[3].switches, p[3].uring_ops);
	judge(c, p[0].syscalls < p[1].syscalls &&
			 p[0].syscalls < p[2].syscalls &&
			 p[0].switches < p[1].switches);
}

void demo_judge(struct demo *d)
{
	for (int i = 0; i < DEMO_CLAIMS; i++) {
		d->claim[i].id = i + 1;
		d->claim[i].text = texts[i];
		not_measured(&d->claim[i],
			     "its experiment is not built yet in this version");
	}
	judge_1(d, &d->claim[0]);
	judge_2(d, &d->claim[1]);
	judge_3(d, &d->claim[2]);
	judge_8(d, &d->claim[7]);
}
