// SPDX-License-Identifier: MIT
/*
 * One measurement of `urt stat`: waiting, windows and intervals, the last
 * figures. target.c chooses the measured processes, look.c reads the counts.
 *
 * Counting itself continues from start to end. A part of it (from -D on,
 * between "enable" and "disable", an interval) is the difference of two looks,
 * so that no program in the kernel has to check whether it should count.
 *
 * The kernel measures the cost of counting, for 5 ms of each half second: all
 * the time, it would double the cost that it measures.
 */
#define _GNU_SOURCE
#include "../lib/privileges.h"
#include "../lib/text.h"
#include "session.h"
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COST_ON_NS  (5 * NS_PER_MS)
#define COST_OFF_NS (495 * NS_PER_MS)
#define LAST_NS	    (200 * NS_PER_MS) /* for last switches */

/* ---- windows and intervals ---- */

void session_enable(struct session *s)
{
	unsigned n;
	struct urt_thread *t;

	if (s->enabled)
		return;
	session_look(s, &s->base);
	if (s->o->by) /* rows count from the first event on */
		memset(&s->base.counts, 0, sizeof(s->base.counts));
	s->last = s->base;
	s->enabled = true;
	if (s->was_enabled || !s->counter)
		return;
	s->was_enabled = true;
	t = counter_threads(s->counter, &n);
	s->thread_base = t ? malloc(n * sizeof(*t)) : NULL;
	if (s->thread_base)
		memcpy(s->thread_base, t, n * sizeof(*t));
}

void session_disable(struct session *s, const struct look *at)
{
	static struct look now;

	if (!at) {
		session_look(s, &now);
		at = &now;
	}
	if (s->enabled)
		session_add(s, s->r, &s->base, at);
	s->enabled = false;
}

void session_tell_interval(struct session *s)
{
	static struct look now;
	static struct stat_result r;

	if (!s->enabled || !s->tell)
		return;
	session_look(s, &now);
	r = *s->r;
	memset(&r.counts, 0, sizeof(r.counts));
	r.perf = (struct perf_totals){ 0 };
	r.user.n = 0;
	r.wall_ns = 0;
	r.ops_told = 0;
	r.user_ns = r.system_ns = 0;
	r.reads = r.writes = 0;
	r.nvcsw = r.nivcsw = 0;
	r.start_ns = s->last.at_ns - s->begin_ns;
	session_add(s, &r, &s->last, &now);
	if (r.user_ns < 0)
		r.why_no_cpu = "not known of a part of a command's life";
	s->last = now;
	s->tell(&r, s->arg);
}

/* ---- the cost of counting ---- */

static void measure_cost(struct session *s, bool on)
{
	if (s->aide)
		aide_measure_cost(s->aide, on);
	else
		counter_measure_cost(s->counter, on);
}

static void cost_stop(struct session *s)
{
	if (!s->costing)
		return;
	measure_cost(s, false);
	s->r->cost.sampled_ns += now_ns() - s->cost_since;
	s->costing = false;
}

void session_cost_toggle(struct session *s, int64_t now)
{
	if (!s->counter || s->o->cost == STAT_COST_OFF) {
		s->cost_at = SESSION_NEVER;
		return;
	}
	if (s->costing) {
		cost_stop(s);
		s->cost_at = now + COST_OFF_NS;
		return;
	}
	measure_cost(s, true);
	s->costing = true;
	s->cost_since = now;
	s->cost_at = s->o->cost == STAT_COST_ALWAYS ? SESSION_NEVER
						    : now + COST_ON_NS;
}

static void cost_read(struct session *s)
{
	uint64_t runs, ns;

	if (!s->counter)
		return;
	cost_stop(s);
	counter_cost(s->counter, &runs, &ns);
	s->r->cost.runs = runs - s->runs0;
	s->r->cost.ns = ns - s->ns0;
}

/* ---- one measurement ---- */

static void set_times(struct session *s)
{
	const struct stat_options *o = s->o;
	int64_t now = now_ns();

	s->begin_ns = now;
	s->interval_at = o->interval_ns ? now + o->interval_ns : SESSION_NEVER;
	s->delay_at = o->delay_ns > 0 ? now + o->delay_ns : SESSION_NEVER;
	s->look_at = (!s->counter && o->pids) || o->cgroup || s->polled
			     ? now
			     : SESSION_NEVER;
	s->by_at = SESSION_NEVER;
	if (s->counter && o->by == URT_BY_CONTEXT)
		session_find_contexts(s);
	session_cost_toggle(s, now);
	if (!o->delay_ns)
		session_enable(s);
	/* A slow machine takes some ms to begin, which do not count. */
	s->timeout_at =
		o->timeout_ns ? now_ns() + o->timeout_ns : SESSION_NEVER;
}

static int shell_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static int64_t timeval_ns(struct timeval tv)
{
	return tv.tv_sec * NS_PER_S + tv.tv_usec * 1000;
}

static void child_figures(struct session *s)
{
	struct stat_result *r = s->r;
	const struct stat_options *o = s->o;

	if (!s->child_ended)
		return;
	r->exit_code = shell_code(s->status);
	r->ended_by_us = s->ending && WIFSIGNALED(s->status) &&
			 (WTERMSIG(s->status) == SIGTERM ||
			  WTERMSIG(s->status) == SIGKILL);
	if (o->pids || o->all || o->cgroup)
		return;
	if (o->no_inherit) {
		r->why_no_cpu = "that of a command includes its children (-i)";
		return;
	}
	if (o->delay_ns || o->control_fd >= 0) {
		r->why_no_cpu = "not known of a part of a command's life";
		return;
	}
	r->user_ns = timeval_ns(s->usage.ru_utime);
	r->system_ns = timeval_ns(s->usage.ru_stime);
	if (s->counter)
		return;
	r->nvcsw = s->usage.ru_nvcsw - s->own_nvcsw;
	r->nivcsw = s->usage.ru_nivcsw - s->own_nivcsw;
}

/*
 * The kernel ends the events of a program that executes one with more rights, without
 * a word: only the exit that they did not see tells. A command's events begin when its
 * exec has succeeded; the BPF programs also count that call.
 */
static void perf_figures(struct session *s, bool command_ended)
{
	const struct stat_options *o = s->o;
	struct perf_totals *p = &s->r->perf;

	if (s->r->source != STAT_PERF || o->all || o->delay_ns ||
	    o->control_fd >= 0)
		return;
	if (!p->exits && (command_ended || (o->pids && !s->alive)))
		perf_cut(p);
	else if (!o->pids && p->syscalls >= 0)
		p->syscalls++;
}

/* It has run since then, and has not left the CPU. */
static uint64_t running_for(const struct urt_thread *t, int64_t now)
{
	return t->in_ns && now > (int64_t)t->in_ns ? now - t->in_ns : 0;
}

static void thread_figures(struct session *s)
{
	int64_t now = now_ns();
	unsigned n;
	struct urt_thread *t =
		s->counter ? counter_threads(s->counter, &n) : NULL;

	if (!t || !(s->r->thread = calloc(n, sizeof(*t))))
		return;
	for (unsigned i = 0; i < n; i++) {
		struct urt_thread *to = &s->r->thread[s->r->threads];
		struct urt_thread *b =
			s->thread_base ? &s->thread_base[i] : NULL;

		*to = t[i];
		to->on_cpu_ns += running_for(&t[i], now);
		if (b && b->pid == to->pid && b->state) {
			to->voluntary -= b->voluntary;
			to->involuntary -= b->involuntary;
			to->syscalls -= b->syscalls;
			to->submitted -= b->submitted;
			to->completed -= b->completed;
			to->on_cpu_ns -=
				b->on_cpu_ns + running_for(b, s->base.at_ns);
		}
		if (to->state != URT_THREAD_FREE ||
		    (!i && to->voluntary + to->involuntary + to->syscalls))
			s->r->threads++;
	}
}

static void by_figures(struct session *s)
{
	const struct stat_options *o = s->o;

	if (!o->by)
		return;
	if (s->counter) {
		s->r->by = stat_by_read(s->counter, o->by, s->by_key,
					o->by_unit, s->by_requests);
		s->by_requests = NULL;
	}
	if (s->r->by) {
		s->r->by->syscalls = !o->no_syscalls;
		s->r->by->uring = s->r->has_uring;
	}
	if (o->by_unit || o->by_names)
		stat_by_merge(s->r->by, o->by_names);
	if (o->by == URT_BY_CONTEXT && s->r->by && !s->by_found) {
		text_copy(s->r->by->why, sizeof(s->r->by->why), s->by_why,
			  sizeof(s->by_why));
		if (o->format != STAT_TEXT)
			fail("--by context: %s", s->by_why);
	}
}

/*
 * A parent may be told of a thread's end before its last switch, which is some
 * microseconds away. The elapsed time ends after that, with the counts.
 */
static void wait_for_last_switches(struct session *s)
{
	int64_t end = now_ns() + LAST_NS;

	if (!s->counter || s->stop || (!s->child_ended && !s->o->pids))
		return;
	while (!counter_command_ended(s->counter) && now_ns() < end)
		sleep_ns(NS_PER_MS / 20);
}

static void finish(struct session *s)
{
	static struct look now;
	bool ending =
		s->child_ended && !s->o->pids && !s->o->all && !s->o->cgroup;
	int64_t stopped_ns;

	wait_for_last_switches(s);
	stopped_ns = now_ns();
	if (s->o->by && s->counter) /* totals and rows of one moment */
		counter_stop(s->counter);
	session_look(s, &now);
	if (s->o->by)
		now.at_ns = stopped_ns;
	if (s->o->interval_ns && !s->last_told)
		session_tell_interval(s);
	session_disable(s, &now);
	perf_figures(s, ending);
	s->r->live = !ending;
	if (s->r->user_ns < 0 || (!s->o->pids && !s->o->cgroup))
		s->r->user_ns = s->r->system_ns = -1;
	if (!s->r->why_no_cpu)
		s->r->why_no_cpu = s->o->some_cpus ? "not known by CPU (-C)"
				   : s->o->all	  ? "not known of all processes"
				   : s->o->cgroup ? "the cgroup has no cpu.stat"
						  : "the process has ended";
	child_figures(s);
	if ((s->o->latency || s->o->errors) && s->counter)
		s->r->latency = stat_latency_read(s->counter);
	by_figures(s);
	thread_figures(s);
	cost_read(s);
	session_after(s);
}

static void session_close(struct session *s)
{
	/* The child was not let go, or an error left it behind: end it. */
	if (s->child_pid && !s->child_ended) {
		kill(s->child_pid, SIGKILL);
		session_reap(s);
	}
	session_forget_post(s);
	free(s->image);
	stat_requests_free(s->by_requests);
	for (int i = 0; i <= STAT_PIDS_MAX; i++)
		if (s->pidfd[i] >= 0)
			close(s->pidfd[i]);
	for (unsigned i = 0; i < s->o->pids; i++) {
		user_page_free(s->page[i]);
		proc_switches_free(&s->switches[i]);
	}
	session_signals_close(s);
	aide_end(s->aide);
	user_pages_close(s->user_pages);
	free(s->thread_base);
	perf_close(s->perf);
	counter_close(s->counter);
}

/* First does all that needs privileges; the measured programs' data are read
 * without them. 0 or the exit code. */
static int begin(struct session *s)
{
	if (!session_find_processes(s))
		return EXIT_BAD;
	session_choose_rung(s);
	if (s->counter || s->o->command)
		s->aide = aide_start();
	if (!session_prepare_command(s))
		return EXIT_BAD;
	session_choose_perf(s);
	if (!session_attach(s))
		return EXIT_BAD;
	if (s->o->last)
		privileges_reduce();
	session_find_pages(s);
	if (!session_found_all(s))
		return EXIT_BAD;
	set_times(s);
	return session_start_command(s);
}

int stat_measure(const struct stat_options *o, struct stat_result *r,
		 stat_tell *tell, void *arg, bool *stopped)
{
	struct session *s = calloc(1, sizeof(*s));
	int code;

	if (!s)
		return fail("out of memory");
	memset(r, 0, sizeof(*r));
	r->options = o;
	s->o = o;
	s->r = r;
	s->tell = tell;
	s->arg = arg;
	s->stopped = stopped;
	s->control_fd = o->control_fd;
	memset(s->pidfd, -1, sizeof(s->pidfd));
	session_signals_open(s);
	code = begin(s);
	while (!code && !session_over(s))
		session_wait(s);
	if (!code)
		finish(s);
	session_close(s);
	free(s);
	return code;
}

void stat_result_free(struct stat_result *r)
{
	free(r->thread);
	stat_by_free(r->by);
	stat_latency_free(r->latency);
	r->thread = NULL;
}
