// SPDX-License-Identifier: MIT
/*
 * One measurement of `urt stat`: waiting, windows and intervals, the last
 * figures. What is measured is in stat_target.c, reading it in stat_look.c.
 *
 * Counting itself goes on from start to end; what is wanted of it (from -D on,
 * between "enable" and "disable", by interval) is the difference of two looks,
 * so that no program in the kernel has to ask whether it should count.
 *
 * What counting costs is measured by the kernel, for 5 ms of each half second:
 * all the time, it would double the cost that it measures.
 */
#define _GNU_SOURCE
#include "control.h"
#include "session.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COST_ON_NS  (5 * NS_PER_MS)
#define COST_OFF_NS (495 * NS_PER_MS)
#define LOOK_NS	    (100 * NS_PER_MS) /* at /proc, and at a cgroup */
#define NEVER	    INT64_MAX
#define LAST_LOOKS  200 /* of 1 ms: threads that end are to be done */

/* ---- windows and intervals ---- */

static void enable(struct session *s)
{
	unsigned n;
	struct urt_thread *t;

	if (s->enabled)
		return;
	session_look(s, &s->base);
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

static void disable(struct session *s, const struct look *now)
{
	if (s->enabled)
		session_add(s, s->r, &s->base, now);
	s->enabled = false;
}

static void tell_interval(struct session *s)
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
	r.user_ns = r.system_ns = 0;
	r.nvcsw = r.nivcsw = 0;
	r.start_ns = s->last.at_ns - s->begin_ns;
	session_add(s, &r, &s->last, &now);
	if (r.user_ns < 0)
		r.why_no_cpu = "not known of a part of a command's life";
	s->last = now;
	s->tell(&r, s->arg);
}

/* ---- the cost of counting ---- */

static void cost_stop(struct session *s)
{
	if (!s->costing)
		return;
	counter_measure_cost(s->counter, false);
	s->r->cost.sampled_ns += now_ns() - s->cost_since;
	s->costing = false;
}

static void cost_toggle(struct session *s, int64_t now)
{
	if (!s->counter || s->o->cost == STAT_COST_OFF) {
		s->cost_at = NEVER;
		return;
	}
	if (s->costing) {
		cost_stop(s);
		s->cost_at = now + COST_OFF_NS;
		return;
	}
	counter_measure_cost(s->counter, true);
	s->costing = true;
	s->cost_since = now;
	s->cost_at = s->o->cost == STAT_COST_ALWAYS ? NEVER : now + COST_ON_NS;
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

/* ---- waiting ---- */

static const int forwarded[] = { SIGINT,  SIGQUIT, SIGTERM,  SIGHUP, SIGUSR1,
				 SIGUSR2, SIGCONT, SIGWINCH, SIGALRM };

/* Blocks what is to be forwarded, and tells of it by a descriptor. */
static int signals_open(sigset_t *old)
{
	sigset_t set;

	sigemptyset(&set);
	for (unsigned i = 0; i < ARRAY_LEN(forwarded); i++)
		sigaddset(&set, forwarded[i]);
	sigprocmask(SIG_BLOCK, &set, old);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void on_signal(struct session *s)
{
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM)
		*s->stopped = true;
	if (!s->child_pid)
		s->stop |=
			info.ssi_signo != SIGWINCH && info.ssi_signo != SIGCONT;
	else if (info.ssi_code != SI_KERNEL)
		/* The terminal has sent its own to the whole group. */
		kill(s->child_pid, info.ssi_signo);
}

/* Asked to: its end by this signal is then no failure of its own. */
static void end_child(struct session *s)
{
	if (!s->child_pid)
		return;
	s->ending = true;
	kill(s->child_pid, SIGTERM);
}

static void on_control(struct session *s)
{
	static struct look now;

	switch (control_read(s->control_fd)) {
	case CONTROL_ENABLE:
		enable(s);
		break;
	case CONTROL_DISABLE:
		session_look(s, &now);
		disable(s, &now);
		break;
	case CONTROL_STOP:
		s->stop = !s->child_pid;
		end_child(s);
		break;
	case CONTROL_CLOSED:
		s->control_fd = -1;
		return;
	case CONTROL_PING:
	case CONTROL_NOTHING:
		break;
	}
	control_ack(s->o->ack_fd);
}

static void on_time(struct session *s, int64_t now)
{
	if (now >= s->delay_at) {
		s->delay_at = NEVER;
		enable(s);
	}
	if (now >= s->interval_at) {
		tell_interval(s);
		s->interval_at += s->o->interval_ns;
	}
	if (now >= s->cost_at)
		cost_toggle(s, now);
	if (now >= s->timeout_at) {
		s->timeout_at = NEVER;
		s->stop = !s->child_pid;
		end_child(s);
	}
	if (now >= s->look_at) {
		struct stat st;
		static struct look l;

		s->look_at = now + LOOK_NS;
		session_look_at_proc(s, &l);
		if (s->o->cgroup && stat(s->o->cgroup, &st)) {
			fprintf(stderr, "urt: the cgroup %s is gone\n",
				s->o->cgroup);
			s->stop = true;
		}
	}
}

static int64_t earliest(const struct session *s)
{
	int64_t at[] = { s->interval_at, s->delay_at, s->timeout_at, s->cost_at,
			 s->look_at };
	int64_t first = NEVER;

	for (unsigned i = 0; i < ARRAY_LEN(at); i++)
		if (at[i] < first)
			first = at[i];
	return first;
}

/* The command has ended, or all processes, or we are told to stop. */
static bool over(struct session *s)
{
	if (s->stop)
		return true;
	if (s->o->command)
		return s->child_ended;
	return s->o->pids && !s->alive;
}

static void reap(struct session *s)
{
	while (wait4(s->child_pid, &s->status, 0, &s->usage) < 0 &&
	       errno == EINTR)
		;
	s->child_ended = true;
}

static void wait_for_events(struct session *s)
{
	struct pollfd fds[STAT_PIDS_MAX + 3];
	int64_t now = now_ns(), at = earliest(s);
	int64_t ns = at == NEVER ? -1 : at > now ? at - now : 0;
	struct timespec ts = { ns / NS_PER_S, ns % NS_PER_S };

	for (int i = 0; i <= STAT_PIDS_MAX; i++)
		fds[i] = (struct pollfd){ s->pidfd[i], POLLIN, 0 };
	fds[STAT_PIDS_MAX + 1] = (struct pollfd){ s->signal_fd, POLLIN, 0 };
	fds[STAT_PIDS_MAX + 2] = (struct pollfd){ s->control_fd, POLLIN, 0 };
	if (ppoll(fds, ARRAY_LEN(fds), ns < 0 ? NULL : &ts, NULL) < 0)
		return;
	for (int i = 0; i < STAT_PIDS_MAX; i++)
		if (fds[i].revents) {
			close(s->pidfd[i]);
			s->pidfd[i] = -1;
			s->alive--;
		}
	if (fds[STAT_PIDS_MAX].revents)
		reap(s);
	if (fds[STAT_PIDS_MAX + 1].revents)
		on_signal(s);
	if (fds[STAT_PIDS_MAX + 2].revents)
		on_control(s);
	on_time(s, now_ns());
}

/* ---- one measurement ---- */

static void set_times(struct session *s)
{
	const struct stat_options *o = s->o;
	int64_t now = now_ns();

	s->begin_ns = now;
	s->interval_at = o->interval_ns ? now + o->interval_ns : NEVER;
	s->delay_at = o->delay_ns > 0 ? now + o->delay_ns : NEVER;
	s->look_at =
		(!s->counter && o->pids) || o->cgroup ? now + LOOK_NS : NEVER;
	cost_toggle(s, now);
	if (!o->delay_ns)
		enable(s);
	/* A slow machine takes some ms to begin, which do not count. */
	s->timeout_at = o->timeout_ns ? now_ns() + o->timeout_ns : NEVER;
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
			 WTERMSIG(s->status) == SIGTERM;
	if (o->pids || o->all || o->cgroup)
		return;
	if (o->delay_ns || o->control_fd >= 0) {
		r->why_no_cpu = "not known of a part of a command's life";
		return;
	}
	r->user_ns = timeval_ns(s->usage.ru_utime);
	r->system_ns = timeval_ns(s->usage.ru_stime);
	if (s->counter)
		return;
	r->nvcsw = s->usage.ru_nvcsw;
	r->nivcsw = s->usage.ru_nivcsw;
}

static void thread_figures(struct session *s)
{
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
		if (b && b->pid == to->pid && b->state) {
			to->voluntary -= b->voluntary;
			to->involuntary -= b->involuntary;
			to->syscalls -= b->syscalls;
			to->submitted -= b->submitted;
			to->completed -= b->completed;
			to->on_cpu_ns -= b->on_cpu_ns;
		}
		if (to->state != URT_THREAD_FREE ||
		    (!i && to->voluntary + to->involuntary + to->syscalls))
			s->r->threads++;
	}
}

static void finish(struct session *s)
{
	static struct look now;
	bool ending =
		s->child_ended && !s->o->pids && !s->o->all && !s->o->cgroup;

	session_look(s, &now);
	/* Its parent may be told of a thread's end before its last switch. */
	for (int i = 0; i < LAST_LOOKS && s->counter &&
			((ending || (s->o->pids && !s->alive)) &&
			 !counts_all_ended(&now.counts));
	     i++) {
		sleep_ns(NS_PER_MS);
		counter_read(s->counter, &now.counts);
	}
	if (s->o->interval_ns)
		tell_interval(s);
	disable(s, &now);
	s->r->live = !ending;
	if (s->r->user_ns < 0 || (!s->o->pids && !s->o->cgroup))
		s->r->user_ns = s->r->system_ns = -1;
	if (!s->r->why_no_cpu)
		s->r->why_no_cpu = s->o->all	  ? "not known of all processes"
				   : s->o->cgroup ? "the cgroup has no cpu.stat"
						  : "the process has ended";
	child_figures(s);
	thread_figures(s);
	cost_read(s);
}

static void session_close(struct session *s)
{
	/* Not let go, or left behind by an error: it must not stay. */
	if (s->child_pid && !s->child_ended) {
		kill(s->child_pid, s->stop ? SIGTERM : SIGKILL);
		reap(s);
	}
	sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	for (int i = 0; i <= STAT_PIDS_MAX; i++)
		if (s->pidfd[i] >= 0)
			close(s->pidfd[i]);
	for (unsigned i = 0; i < s->o->pids; i++)
		user_page_free(s->page[i]);
	close(s->signal_fd);
	user_pages_close(s->user_pages);
	free(s->thread_base);
	perf_close(s->perf);
	counter_close(s->counter);
}

int stat_measure(const struct stat_options *o, struct stat_result *r,
		 stat_tell *tell, void *arg, bool *stopped)
{
	struct session *s = calloc(1, sizeof(*s));
	bool ok;

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
	s->signal_fd = signals_open(&s->old_mask);
	ok = session_find_processes(s);
	if (ok)
		session_choose_rung(s);
	ok = ok && session_prepare_command(s);
	if (ok)
		session_choose_perf(s);
	ok = ok && session_attach(s);
	if (ok) {
		set_times(s);
		ok = session_start_command(s);
	}
	while (ok && !over(s))
		wait_for_events(s);
	if (ok)
		finish(s);
	session_close(s);
	free(s);
	return ok ? 0 : EXIT_BAD;
}

void stat_result_free(struct stat_result *r)
{
	free(r->thread);
	r->thread = NULL;
}
