// SPDX-License-Identifier: MIT
/*
 * The runs of `urt sim`: several at a time, until one fails. That run is shrunk
 * to the smallest number of faults, and then of switches between threads, with
 * which it still fails. Bisection finds these numbers, assuming that more of
 * them never make the run pass.
 */
#define _GNU_SOURCE
#include "sim.h"
#include "../lib/launch.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

static volatile sig_atomic_t stopped;

static void on_stop(int sig)
{
	stopped = 1;
}

static void catch_signals(void)
{
	struct sigaction act = { .sa_handler = on_stop };

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
}

/* ---- one after the other ----------------------------------------------- */

/* Waits for one run. */
static bool run_once(const struct sim_options *o, struct sim_job *j,
		     const struct sim_case *c, struct sim_run *r)
{
	if (!sim_job_begin(j, o, c, 0))
		return false;
	while (!sim_job_ended(j, stopped, r)) {
		struct pollfd p = { j->socket, POLLIN, 0 };

		poll(&p, 1, 100);
	}
	return true;
}

static bool still_fails(const struct sim_options *o, struct sim_job *j,
			const struct sim_case *c)
{
	struct sim_run r;

	if (stopped || !run_once(o, j, c, &r))
		return false;
	sim_run_close(&r);
	return sim_run_failed(&r) && !stopped;
}

/* The least limit, up to `all`, with which the case still fails, in *limit. */
static void shrink_one(const struct sim_options *o, struct sim_job *j,
		       struct sim_case *c, long *limit, long all)
{
	long passes = -1, fails = all;

	while (passes + 1 < fails) {
		*limit = passes + (fails - passes) / 2;
		if (still_fails(o, j, c))
			fails = *limit;
		else
			passes = *limit;
	}
	*limit = fails;
}

static void shrink(const struct sim_options *o, struct sim_run *r)
{
	struct sim_job j = { 0 };
	struct sim_case c = r->what;

	if (r->late)
		return;
	if (c.most_faults < 0)
		shrink_one(o, &j, &c, &c.most_faults, r->faults);
	if (c.switches < 0)
		shrink_one(o, &j, &c, &c.switches, r->switches);
	if (still_fails(o, &j, &c)) { /* else it depends on more than these */
		sim_run_close(r);
		run_once(o, &j, &c, r);
	}
	sim_job_close(&j);
}

/* ---- many -------------------------------------------------------------- */

struct lane {
	struct sim_job job;
	bool busy;
};

static bool more(const struct sim_sweep *s)
{
	const struct sim_options *o = s->o;

	if (stopped || s->failed || s->next > o->seeds.last)
		return false;
	return !o->time_s || now_ns() - s->begin_ns < o->time_s * NS_PER_S;
}

const char *sim_next_name(const char *name)
{
	return name + strcspn(name, "\n") + 1;
}

/* Adds those names that are not in `to` yet. */
static void add_names(char *to, size_t size, const char *names)
{
	for (const char *next; *names; names = next) {
		size_t have = strlen(to);
		const char *p = to;

		next = sim_next_name(names);
		while (*p && strncmp(p, names, next - names))
			p = sim_next_name(p);
		if (!*p && have + (next - names) < size)
			snprintf(to + have, size - have, "%.*s",
				 (int)(next - names), names);
	}
}

static void count(struct sim_sweep *s, const struct sim_run *r)
{
	s->done++;
	s->simulated_ns += r->simulated_ns;
	s->rings += r->rings;
	add_names(s->not_simulated, sizeof(s->not_simulated), r->not_simulated);
}

static void ended(struct sim_sweep *s, struct sim_run *r)
{
	count(s, r);
	if (!sim_run_failed(r) ||
	    (s->failed && r->what.seed > s->failure.what.seed)) {
		sim_run_close(r);
		return;
	}
	if (s->failed)
		sim_run_close(&s->failure);
	s->failed = true;
	s->failure = *r;
}

/* Starts and ends runs; false: no run continues. */
static bool round_of(struct sim_sweep *s, struct lane *lanes)
{
	struct pollfd p[SIM_JOBS_MAX];
	struct sim_run r;
	unsigned n = 0;

	for (unsigned i = 0; i < s->o->jobs; i++) {
		struct lane *l = &lanes[i];
		struct sim_case c = { .seed = s->next,
				      .switches = s->o->switches,
				      .most_faults = s->o->most_faults };

		if (l->busy && sim_job_ended(&l->job, stopped, &r)) {
			l->busy = false;
			if (!stopped)
				ended(s, &r);
		}
		if (!l->busy && more(s)) {
			s->next++;
			l->busy = sim_job_begin(&l->job, s->o, &c, i);
		}
		if (l->busy)
			p[n++] = (struct pollfd){ l->job.socket, POLLIN, 0 };
	}
	if (n)
		poll(p, n, 100);
	return n;
}

/* Whether the run was one of the program, in the simulator: 0, or the exit code
 * after the reason. */
static int check_simulated(const struct sim_options *o, const struct sim_run *r)
{
	if (!r->loaded)
		sim_run_show(r); /* its output may say why */
	if (r->exec_error) {
		fail("cannot run %s: %s", o->command[0],
		     strerror(-r->exec_error));
		return launch_exit_code(r->exec_error);
	}
	if (r->loaded)
		return 0;
	if (WIFSIGNALED(r->status))
		return fail("%s died of SIG%s at seed %llu, before it was "
			    "simulated: continue from that seed",
			    o->command[0], sigabbrev_np(WTERMSIG(r->status)),
			    (unsigned long long)r->what.seed);
	return fail("%s did not load the simulator: link it with libc.so, "
		    "without a sanitizer, and do not make it set-user-id",
		    o->command[0]);
}

int sim_sweep_one(struct sim_sweep *s)
{
	const struct sim_options *o = s->o;
	struct sim_case c = { .seed = o->seeds.first,
			      .switches = o->switches,
			      .most_faults = o->most_faults,
			      .shown = true };
	struct sim_job j = { 0 };
	int code;

	catch_signals();
	s->begin_ns = now_ns();
	if (!run_once(o, &j, &c, &s->failure))
		return fail("cannot start a run: %s", strerror(errno));
	sim_job_close(&j);
	code = check_simulated(o, &s->failure);
	if (code)
		return code;
	count(s, &s->failure);
	s->failed = sim_run_failed(&s->failure);
	return 0;
}

int sim_sweep(struct sim_sweep *s)
{
	static struct lane lanes[SIM_JOBS_MAX];
	int code;

	catch_signals();
	s->next = s->o->seeds.first;
	s->begin_ns = now_ns();
	while (round_of(s, lanes))
		;
	for (unsigned i = 0; i < s->o->jobs; i++)
		sim_job_close(&lanes[i].job);
	code = s->failed ? check_simulated(s->o, &s->failure) : 0;
	if (!code && s->failed && !stopped) {
		shrink(s->o, &s->failure);
		sim_run_show(&s->failure);
	}
	return code;
}
