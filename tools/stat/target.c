// SPDX-License-Identifier: MIT
/*
 * The processes that `urt stat` measures, from the options to counters: on the
 * highest rung that is available, BPF, then perf events, then /proc. A command
 * is forked first and held at a gate, so that all counters exist at its exec.
 */
#define _GNU_SOURCE
#include "session.h"
#include "../lib/proc.h"
#include "../measure/remote.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GATE_NS (100 * NS_PER_MS)

/* ---- the rung ---- */

void session_choose_rung(struct session *s)
{
	struct counter_options co = {
		.no_syscalls = s->o->no_syscalls,
		.times = s->o->times,
		.threads = s->o->per_thread ? STAT_THREADS_MAX : 0,
		.by = s->o->by,
		.latency = s->o->latency || s->o->errors,
		.inherit = !s->o->no_inherit ? URT_COUNT_STARTED
			   : s->o->by_tid    ? URT_COUNT_NO_THREADS
					     : URT_COUNT_NO_PROCESSES,
		.children = s->o->children,
		.cpus = s->o->some_cpus ? &s->o->cpus : NULL,
	};
	struct stat_result *r = s->r;

	r->source = STAT_PROC;
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
	r->source = STAT_BPF;
	r->has_uring = counter_has_uring(s->counter);
	counter_cost(s->counter, &s->runs0, &s->ns0);
}

/* Uses the second rung, if it is available. */
void session_choose_perf(struct session *s)
{
	struct stat_result *r = s->r;
	const struct stat_options *o = s->o;
	bool ok = true;

	if ((s->counter && !o->perf_too) || o->no_perf)
		return;
	if (o->cgroup || o->by_tid || o->some_cpus || o->no_inherit ||
	    o->children) {
		strcpy(r->why_no_perf, "-G, -t, -C, -i and --children are "
				       "counted by BPF only");
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
	r->has_perf = s->perf != NULL;
	if (s->perf && !s->counter)
		r->source = STAT_PERF;
}

/* ---- the measured processes ---- */

bool session_find_processes(struct session *s)
{
	for (unsigned i = 0; i < s->o->pids; i++) {
		s->pidfd[i] = s->o->by_tid ? thread_open(s->o->pid[i])
					   : process_open(s->o->pid[i]);
		if (s->pidfd[i] == -ENOSYS && s->o->by_tid)
			s->polled |= UINT64_C(1) << i;
		else if (s->pidfd[i] < 0)
			return false;
		if (!remote_answers(s->o->pid[i]))
			return !fail("cannot count %d: %s", s->o->pid[i],
				     REMOTE_SILENT);
		s->alive++;
	}
	return true;
}

bool session_was_there(const struct session *s, unsigned i)
{
	return s->pidfd[i] < 0 || process_has_number(s->pidfd[i]);
}

bool session_found_all(struct session *s)
{
	for (unsigned i = 0; i < s->o->pids; i++)
		if (!session_was_there(s, i))
			return !fail("the %s %d has ended",
				     s->o->by_tid ? "thread" : "process",
				     s->o->pid[i]);
	return true;
}

void session_find_pages(struct session *s)
{
	for (unsigned i = 0; i < s->o->pids && !s->o->by_tid; i++)
		s->page[i] = user_page_of(s->o->pid[i], &s->why_no_page);
}

static void find_left_out(struct session *s)
{
	pid_t child[1024];

	for (unsigned i = 0; i < s->o->pids; i++)
		if (!s->o->by_tid && !s->o->children)
			s->r->left_out += proc_children(s->o->pid[i], child,
							ARRAY_LEN(child));
}

bool session_attach(struct session *s)
{
	int err = 0;

	find_left_out(s);
	if ((s->o->by_tid || s->o->children || s->o->no_inherit ||
	     s->o->some_cpus) &&
	    !s->counter) {
		fail("-t, --children, -i and -C need BPF: %s",
		     s->r->why_no_bpf);
		return false;
	}
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
		err = s->o->by_tid
			      ? counter_attach_thread(s->counter, s->o->pid[i])
		      : s->o->children
			      ? counter_attach_children(s->counter,
							s->o->pid[i])
			      : counter_attach(s->counter, s->o->pid[i]);
	if (!err && s->o->all)
		err = counter_attach_all(s->counter);
	if (!err && s->o->cgroup)
		err = counter_attach_cgroup(s->counter, s->o->cgroup);
	if (err == -EMEDIUMTYPE)
		fail("\"%s\" is not a cgroup: expected a directory below a "
		     "cgroup2 mount (`mount -t cgroup2` lists them)",
		     s->o->cgroup);
	else if (err && s->o->cgroup)
		fail("cannot count cgroup %s: %s", s->o->cgroup,
		     strerror(-err));
	else if (err)
		fail("cannot count running processes: %s", strerror(-err));
	return !err;
}

/* ---- commands around the measured one ---- */

/* Forked to its gate now, so that it can run as that user when privileges are
 * dropped. */
static bool shell_prepare(struct session *s, struct launch *l, const char *text)
{
	char *argv[] = { "/bin/sh", "-c", (char *)text, NULL };
	int err =
		launch_command(l, argv, &s->old_mask, s->o->user, s->o->output);

	l->pid = err ? 0 : l->pid;
	return !err || !fail("cannot start a process: %s", strerror(-err));
}

static bool shell_run(struct launch *l, const char *when, const char *text)
{
	int err = launch_go(l), status = 0;

	while (!err && waitpid(l->pid, &status, 0) < 0 && errno == EINTR)
		;
	l->pid = 0;
	if (err)
		return !fail("cannot run \"%s\" %s the command: %s", text, when,
			     strerror(-err));
	return !status ||
	       !fail("\"%s\" failed, which runs %s the command", text, when);
}

static bool before(struct session *s)
{
	struct launch pre;

	if (s->o->pre && (!shell_prepare(s, &pre, s->o->pre) ||
			  !shell_run(&pre, "before", s->o->pre)))
		return false;
	return !s->o->post || shell_prepare(s, &s->post, s->o->post);
}

void session_after(struct session *s)
{
	if (s->post.pid)
		s->r->post_failed = !shell_run(&s->post, "after", s->o->post);
}

void session_forget_post(struct session *s)
{
	if (!s->post.pid)
		return;
	close(s->post.gate);
	close(s->post.failed);
	waitpid(s->post.pid, NULL, 0);
	s->post.pid = 0;
}

bool session_prepare_command(struct session *s)
{
	int err;

	if (!s->o->command)
		return true;
	if (!before(s))
		return false;
	s->user_pages = user_pages_open();
	err = launch_command(&s->child, s->o->command, &s->old_mask, s->o->user,
			     s->o->output);
	if (err) {
		fail("cannot start a process: %s", strerror(-err));
		return false;
	}
	s->child_pid = s->child.pid;
	s->pidfd[STAT_PIDS_MAX] = syscall(SYS_pidfd_open, s->child_pid, 0);
	return true;
}

/* rusage counts from the fork on, BPF from the exec on. The switch to wait at the
 * gate comes at once, unless the machine is very busy. */
static void look_at_gate(struct session *s)
{
	int64_t end = now_ns() + GATE_NS;
	struct proc_switches own = { 0 };

	while (proc_switches_look(&own, s->child_pid, false) &&
	       !own.voluntary && now_ns() < end)
		sleep_ns(NS_PER_MS / 20);
	s->own_nvcsw = own.voluntary;
	s->own_nivcsw = own.involuntary;
	proc_switches_free(&own);
}

int session_start_command(struct session *s)
{
	int err;

	if (!s->child_pid)
		return 0;
	if (s->counter && !s->o->pids && !s->o->all && !s->o->cgroup)
		counter_start_at_exec(s->counter, s->child_pid);
	if (!s->counter)
		look_at_gate(s);
	err = launch_go(&s->child);
	if (!err)
		return 0;
	s->child_pid = 0;
	fail("cannot run \"%s\": %s", s->o->command[0], strerror(-err));
	return launch_exit_code(err);
}
