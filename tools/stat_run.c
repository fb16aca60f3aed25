// SPDX-License-Identifier: MIT
/*
 * One measurement of `urt stat`: from choosing the rung to the last figure.
 *
 * Counting itself goes on from start to end; what is wanted of it (from -D on,
 * between "enable" and "disable", by interval) is the difference of two looks,
 * so that no program in the kernel has to ask whether it should count.
 *
 * What counting costs is measured by the kernel, for 5 ms of each half second:
 * all the time, it would double the cost that it measures.
 */
#define _GNU_SOURCE
#include "launch.h"
#include "stat.h"
#include "stat_control.h"
#include "stat_proc.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define COST_ON_NS  (5 * NS_PER_MS)
#define COST_OFF_NS (495 * NS_PER_MS)
#define LOOK_NS	    (100 * NS_PER_MS) /* at /proc, and at a cgroup */
#define NEVER	    INT64_MAX
#define LAST_LOOKS  200 /* of 1 ms: threads that end are to be done */

/* All there is to read at one time. */
struct look {
	int64_t at_ns;
	struct counts counts;
	struct user_stats user;
	struct stat_perf perf;
	uint64_t nvcsw, nivcsw;
	int64_t user_ns, system_ns; /* CPU time; < 0: not known */
};

struct session {
	const struct stat_options *o;
	struct stat_result *r;
	stat_tell *tell;
	void *arg;
	struct counter *counter; /* NULL: on a lower rung */
	struct perf_counts *perf;
	struct launch child; /* the command */
	pid_t child_pid;     /* 0: there is none */
	int status;	     /* of its end */
	struct rusage usage; /* of its whole life */
	bool child_ended;
	bool ending;	/* we have asked it to end */
	char *user_dir; /* pages of what we start */
	struct urt__stats_page *page[STAT_PIDS_MAX];
	int pidfd[STAT_PIDS_MAX + 1]; /* the last: of the command */
	unsigned alive;		      /* of the processes given */
	int signal_fd;
	sigset_t old_mask;
	bool enabled, was_enabled; /* now; at any time */
	bool stop, *stopped;
	int control_fd;		/* or -1: closed by the other side */
	struct look base, last; /* of this window; of this interval */
	struct urt_thread *thread_base;
	uint64_t proc_nvcsw[STAT_PIDS_MAX]; /* when last seen */
	uint64_t proc_nivcsw[STAT_PIDS_MAX];
	int64_t begin_ns, interval_at, delay_at, timeout_at, cost_at, look_at;
	bool costing;	     /* the kernel measures the cost now */
	int64_t cost_since;  /* ... since */
	uint64_t runs0, ns0; /* when we began */
};

/* ---- looking ---- */

static void look_at_user(struct session *s, struct user_stats *u)
{
	u->n = 0;
	if (s->user_dir && user_stats_dir_read(s->user_dir, u))
		s->r->has_user = true;
	for (unsigned i = 0; i < s->o->pids; i++)
		if (s->page[i]) {
			user_stats_add(u, s->page[i]);
			s->r->has_user = true;
		}
}

static void look_at_proc(struct session *s, struct look *l)
{
	l->nvcsw = l->nivcsw = 0;
	for (unsigned i = 0; i < s->o->pids; i++) {
		proc_switches(s->o->pid[i], &s->proc_nvcsw[i],
			      &s->proc_nivcsw[i]);
		l->nvcsw += s->proc_nvcsw[i];
		l->nivcsw += s->proc_nivcsw[i];
	}
}

static void look_at_cpu(struct session *s, struct look *l)
{
	l->user_ns = l->system_ns = -1;
	if (s->o->cgroup) {
		cgroup_cpu(s->o->cgroup, &l->user_ns, &l->system_ns);
		return;
	}
	for (unsigned i = 0; i < s->o->pids; i++) {
		int64_t user, system;

		if (!proc_cpu(s->o->pid[i], &user, &system)) {
			l->user_ns = -1;
			return;
		}
		l->user_ns = (i ? l->user_ns : 0) + user;
		l->system_ns = (i ? l->system_ns : 0) + system;
	}
}

static bool agrees(const struct counts *c)
{
	uint64_t n = 0;

	for (int i = 0; i < URT_CLASSES; i++)
		n += c->class[i].voluntary + c->class[i].involuntary -
		     c->class[i].nvcsw - c->class[i].nivcsw;
	return !n;
}

static void look(struct session *s, struct look *l)
{
	l->at_ns = now_ns();
	if (s->counter)
		counter_read(s->counter, &l->counts);
	/* A switch on another CPU may be half counted. */
	for (int i = 0; s->counter && i < 20 && !agrees(&l->counts); i++)
		counter_read(s->counter, &l->counts);
	if (s->perf)
		perf_read(s->perf, &l->perf);
	look_at_user(s, &l->user);
	if (!s->counter)
		look_at_proc(s, l);
	look_at_cpu(s, l);
}

static void add_perf(int64_t *to, int64_t a, int64_t b)
{
	*to = a < 0 ? -1 : *to + a - b;
}

/* Adds what came from one look to the next. */
static void add_difference(struct session *s, struct stat_result *r,
			   const struct look *from, const struct look *to)
{
	static struct look d;

	d = *to;
	counts_subtract(&d.counts, &from->counts);
	counts_add(&r->counts, &d.counts);
	r->counts.lost = to->counts.lost;
	/* Of these, those that were there at the beginning are ours too. */
	for (int i = 0; i < URT_CLASSES; i++)
		r->counts.class[i].tasks = to->counts.class[i].tasks;
	user_stats_subtract(&d.user, &from->user);
	user_stats_sum(&r->user, &d.user);
	add_perf(&r->perf.switches, to->perf.switches, from->perf.switches);
	add_perf(&r->perf.migrations, to->perf.migrations,
		 from->perf.migrations);
	add_perf(&r->perf.faults, to->perf.faults, from->perf.faults);
	add_perf(&r->perf.syscalls, to->perf.syscalls, from->perf.syscalls);
	add_perf(&r->perf.submitted, to->perf.submitted, from->perf.submitted);
	add_perf(&r->perf.completed, to->perf.completed, from->perf.completed);
	r->wall_ns += to->at_ns - from->at_ns;
	r->nvcsw = r->counts.class[0].nvcsw;
	r->nivcsw = r->counts.class[0].nivcsw;
	for (int i = 1; i < URT_CLASSES; i++) {
		r->nvcsw += r->counts.class[i].nvcsw;
		r->nivcsw += r->counts.class[i].nivcsw;
	}
	if (!s->counter) {
		r->nvcsw += to->nvcsw - from->nvcsw;
		r->nivcsw += to->nivcsw - from->nivcsw;
	}
	if (to->user_ns >= 0 && from->user_ns >= 0 && r->user_ns >= 0) {
		r->user_ns += to->user_ns - from->user_ns;
		r->system_ns += to->system_ns - from->system_ns;
	} else {
		r->user_ns = r->system_ns = -1;
	}
}

/* ---- windows and intervals ---- */

static void enable(struct session *s)
{
	unsigned n;
	struct urt_thread *t;

	if (s->enabled)
		return;
	look(s, &s->base);
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
		add_difference(s, s->r, &s->base, now);
	s->enabled = false;
}

static void tell_interval(struct session *s)
{
	static struct look now;
	static struct stat_result r;

	if (!s->enabled || !s->tell)
		return;
	look(s, &now);
	r = *s->r;
	memset(&r.counts, 0, sizeof(r.counts));
	r.perf = (struct stat_perf){ 0 };
	r.user.n = 0;
	r.wall_ns = 0;
	r.user_ns = r.system_ns = 0;
	r.nvcsw = r.nivcsw = 0;
	r.start_ns = s->last.at_ns - s->begin_ns;
	add_difference(s, &r, &s->last, &now);
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

/* ---- the rung ---- */

static void choose_rung(struct session *s)
{
	struct counter_options co = {
		.no_syscalls = s->o->no_syscalls,
		.times = s->o->times,
		.threads = s->o->per_thread ? STAT_THREADS_MAX : 0,
	};
	struct stat_result *r = s->r;

	r->source = "proc";
	if (s->o->no_bpf)
		strcpy(r->why_no_bpf, "not wanted (--no-bpf)");
	else
		s->counter = counter_open_with(&co, r->why_no_bpf,
					       sizeof(r->why_no_bpf));
	if (!s->counter) {
		if (s->o->no_perf)
			strcpy(r->why_no_perf, "not wanted (--no-perf)");
		return;
	}
	r->source = "bpf";
	r->has_uring = counter_has_uring(s->counter);
	counter_cost(s->counter, &s->runs0, &s->ns0);
}

/* On the second rung, if it can be had. */
static void choose_perf(struct session *s)
{
	struct stat_result *r = s->r;
	const struct stat_options *o = s->o;
	bool ok = true;

	if (s->counter || o->no_perf)
		return;
	if (o->cgroup) {
		strcpy(r->why_no_perf, "a cgroup is counted by BPF only");
		return;
	}
	if (o->all)
		ok = perf_open(&s->perf, 0, false, r->why_no_perf,
			       sizeof(r->why_no_perf));
	else if (!o->pids)
		ok = perf_open(&s->perf, s->child_pid, true, r->why_no_perf,
			       sizeof(r->why_no_perf));
	for (unsigned i = 0; ok && i < o->pids; i++)
		ok = perf_open(&s->perf, o->pid[i], false, r->why_no_perf,
			       sizeof(r->why_no_perf));
	if (s->perf)
		r->source = "perf";
}

/* ---- what is measured ---- */

static int pidfd_open_(pid_t pid)
{
	return syscall(SYS_pidfd_open, pid, 0);
}

/* A descriptor of the process, if it is one and has not ended; else says so. */
static int running_process(pid_t pid)
{
	struct pollfd p = { pidfd_open_(pid), POLLIN, 0 };

	if (p.fd >= 0 && poll(&p, 1, 0) == 0)
		return p.fd;
	if (p.fd < 0 && errno == EINVAL)
		fail("%d is a thread: give the PID of its process", pid);
	else if (p.fd < 0)
		fail("no process has the PID %d", pid);
	else
		fail("the process %d has ended", pid);
	if (p.fd >= 0)
		close(p.fd);
	return -1;
}

static bool find_processes(struct session *s)
{
	for (unsigned i = 0; i < s->o->pids; i++) {
		s->pidfd[i] = running_process(s->o->pid[i]);
		if (s->pidfd[i] < 0)
			return false;
		s->page[i] = user_stats_map(s->o->pid[i]);
		s->alive++;
	}
	return true;
}

static bool attach(struct session *s)
{
	int err = 0;

	if (s->o->cgroup && !s->counter) {
		fail("a cgroup is counted by BPF only: %s", s->r->why_no_bpf);
		return false;
	}
	if (s->o->all && !s->counter && !s->perf) {
		fail("-a needs BPF or perf events: %s; %s", s->r->why_no_bpf,
		     s->r->why_no_perf);
		return false;
	}
	if (!s->counter)
		return true;
	for (unsigned i = 0; !err && i < s->o->pids; i++)
		err = counter_attach(s->counter, s->o->pid[i]);
	if (!err && s->o->all)
		err = counter_attach_all(s->counter);
	if (!err && s->o->cgroup)
		err = counter_attach_cgroup(s->counter, s->o->cgroup);
	if (err == -EMEDIUMTYPE)
		fail("%s is no directory of a cgroup2 mount (see `mount -t "
		     "cgroup2`)",
		     s->o->cgroup);
	else if (err && s->o->cgroup)
		fail("cannot count cgroup %s: %s", s->o->cgroup,
		     strerror(-err));
	else if (err)
		fail("cannot count what is running: %s", strerror(-err));
	return !err;
}

static bool prepare_command(struct session *s)
{
	int err;

	if (!s->o->command)
		return true;
	s->user_dir = user_stats_dir_new();
	err = launch(&s->child, s->o->command, &s->old_mask, -1, -1);
	if (err) {
		fail("cannot start a process: %s", strerror(-err));
		return false;
	}
	s->child_pid = s->child.pid;
	s->pidfd[STAT_PIDS_MAX] = pidfd_open_(s->child_pid);
	return true;
}

static bool start_command(struct session *s)
{
	int err;

	if (!s->child_pid)
		return true;
	if (s->counter && !s->o->pids && !s->o->all && !s->o->cgroup)
		counter_start_at_exec(s->counter, s->child_pid);
	err = launch_go(&s->child);
	if (!err)
		return true;
	s->child_pid = 0;
	fail("cannot run \"%s\": %s", s->o->command[0], strerror(-err));
	return false;
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
		look(s, &now);
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
		look_at_proc(s, &l);
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
	s->timeout_at = o->timeout_ns ? now + o->timeout_ns : NEVER;
	s->delay_at = o->delay_ns > 0 ? now + o->delay_ns : NEVER;
	s->look_at =
		(!s->counter && o->pids) || o->cgroup ? now + LOOK_NS : NEVER;
	cost_toggle(s, now);
	if (!o->delay_ns)
		enable(s);
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

	look(s, &now);
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
		user_stats_unmap(s->page[i]);
	close(s->signal_fd);
	unsetenv(URT__STATS_DIR_ENV);
	user_stats_dir_free(s->user_dir);
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
	ok = find_processes(s);
	if (ok)
		choose_rung(s);
	ok = ok && prepare_command(s);
	if (ok)
		choose_perf(s);
	ok = ok && attach(s);
	if (ok) {
		set_times(s);
		ok = start_command(s);
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
