// SPDX-License-Identifier: MIT
/*
 * Child processes.
 *
 * posix_spawn starts them, on the thread pool, since it suspends its caller
 * until the new program is loaded. glibc's version shares the memory (as
 * vfork), blocks all signals meanwhile, and reports an error of exec.
 *
 * To wait for the end, the ring polls a pidfd, which works on every kernel.
 * Waiting does not reap: the zombie stays until urt_process_close, and with it
 * the pid and the group's id. So signals by pid reach no other process, opening
 * the pidfd after the start does not race, and several coroutines can wait. A
 * program can break that in two ways: by ignoring SIGCHLD (which is refused),
 * and by waiting for any child elsewhere.
 *
 * Structured: the caller closes each process on every way out, which kills it
 * if it still runs. Rejected: PR_SET_PDEATHSIG (it fires when the thread ends
 * that started it, and threads of the pool do), and reaping by a handler of
 * SIGCHLD (the program's own to use).
 */
#define _GNU_SOURCE
#include "../wait/io.h"
#include "../base/sys.h"
#include "fd.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#undef errno

/* ---- start ------------------------------------------------------------- */

struct start {
	const struct urt_command *command;
	struct urt_process *process;
	int child[3];	 /* what its 0, 1, 2 are made from; -1: nothing */
	int to_close[3]; /* ours, once it runs; -1: none */
};

static int last_error(void)
{
	return -*urt_errno_location();
}

static int check(const struct urt_command *c)
{
	struct sigaction chld;

	if (!c->argv || !c->argv[0] || c->in < URT_PIPE || c->out < URT_PIPE ||
	    c->err < URT_TO_STDOUT)
		return -EINVAL;
	sigaction(SIGCHLD, NULL, &chld);
	if (chld.sa_handler == SIG_IGN || chld.sa_flags & SA_NOCLDWAIT)
		return -ECHILD;
	return 0;
}

/* Makes a pipe; the child's index decides which end is the child's. */
static int add_pipe(struct start *s, int i, int *ours)
{
	int ends[2], err = urt__sys_own_pipe(ends, O_CLOEXEC);

	if (err)
		return err;
	*ours = ends[i == 0];
	s->child[i] = s->to_close[i] = ends[i != 0];
	return 0;
}

/*
 * A descriptor with a number that the child's will have would be overwritten
 * before it is used (out = 2, err = 1): a copy with a higher number is used
 * instead.
 */
static int move_up(struct start *s, int i)
{
	int fd;

	if (s->child[i] < 0 || s->child[i] > 2)
		return 0;
	fd = fcntl(s->child[i], F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return last_error();
	if (s->to_close[i] >= 0)
		close(s->to_close[i]);
	s->child[i] = s->to_close[i] = fd;
	return 0;
}

static int add_stdio(struct start *s, int i, int want, int *ours)
{
	int err = 0;

	if (want == URT_PIPE)
		err = add_pipe(s, i, ours);
	else if (want > 0)
		s->child[i] = want;
	return err ? err : move_up(s, i);
}

static int file_actions(const struct start *s, posix_spawn_file_actions_t *a)
{
	const struct urt_command *c = s->command;
	const int want[3] = { c->in, c->out, c->err };
	int err = 0;

	for (int i = 0; i < 3 && !err; i++) {
		if (want[i] == URT_NULL)
			err = posix_spawn_file_actions_addopen(
				a, i, "/dev/null", i ? O_WRONLY : O_RDONLY, 0);
		else if (want[i] == URT_TO_STDOUT)
			err = posix_spawn_file_actions_adddup2(a, 1, 2);
		else if (s->child[i] >= 0)
			err = posix_spawn_file_actions_adddup2(a, s->child[i],
							       i);
	}
	if (!err && c->cwd)
		err = posix_spawn_file_actions_addchdir_np(a, c->cwd);
	return -err;
}

static int attributes(const struct start *s, posix_spawnattr_t *a)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	sigset_t none, to_default;

	sigemptyset(&none);
	sigemptyset(&to_default);
	sigaddset(&to_default, SIGPIPE);
	posix_spawnattr_setsigmask(a, &none);
	posix_spawnattr_setsigdefault(a, &to_default);
	posix_spawnattr_setpgroup(a, 0);
	if (s->command->group)
		flags |= POSIX_SPAWN_SETPGROUP;
	return -posix_spawnattr_setflags(a, flags);
}

static int open_pidfd(struct urt_process *p)
{
	p->pidfd = urt__sys_pidfd(p->pid);
	if (p->pidfd >= 0)
		return 0;
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	return p->pidfd;
}

/* On a thread of the pool. */
static int64_t spawn(void *arg)
{
	struct start *s = arg;
	const struct urt_command *c = s->command;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int err;

	err = -posix_spawn_file_actions_init(&actions);
	if (err)
		return err;
	err = -posix_spawnattr_init(&attr);
	if (err)
		goto out_actions;
	err = file_actions(s, &actions);
	if (!err)
		err = attributes(s, &attr);
	if (!err)
		err = urt__sys_spawn(&s->process->pid, c->argv[0], &actions,
				     &attr, (char **)c->argv,
				     c->env ? (char **)c->env : environ);
	if (!err)
		err = open_pidfd(s->process);
	posix_spawnattr_destroy(&attr);
out_actions:
	posix_spawn_file_actions_destroy(&actions);
	return err;
}

static void close_pipes(struct urt_process *p)
{
	int *const ours[3] = { &p->in, &p->out, &p->err };

	for (int i = 0; i < 3; i++) {
		if (*ours[i] >= 0)
			urt_close(*ours[i]);
		*ours[i] = -1;
	}
}

/* The child has been started by now, or never will be. */
static int start_until(struct urt_process *p, const struct urt_command *c,
		       int64_t deadline_ns)
{
	struct start s = { c, p, { -1, -1, -1 }, { -1, -1, -1 } };
	int err = check(c);

	*p = (struct urt_process){
		.pidfd = -1, .in = -1, .out = -1, .err = -1, .group = c->group
	};
	if (!err)
		err = urt__given_up(URT_NEVER);
	if (!err)
		err = add_stdio(&s, 0, c->in, &p->in);
	if (!err)
		err = add_stdio(&s, 1, c->out, &p->out);
	if (!err)
		err = add_stdio(&s, 2, c->err, &p->err);
	if (!err)
		err = urt_blocking_until(spawn, &s, deadline_ns);
	for (int i = 0; i < 3; i++)
		if (s.to_close[i] >= 0)
			close(s.to_close[i]);
	if (err)
		close_pipes(p);
	return err;
}

int urt_process_start(struct urt_process *p, const struct urt_command *c)
{
	return start_until(p, c, URT_NEVER);
}

/* ---- wait, signal, close ----------------------------------------------- */

/* The status as of waitpid, which cannot look without reaping. */
static int status_of(const siginfo_t *info)
{
	if (info->si_code == CLD_EXITED)
		return W_EXITCODE(info->si_status, 0);
	return info->si_status | (info->si_code == CLD_DUMPED ? WCOREFLAG : 0);
}

int urt_process_wait(const struct urt_process *p, int64_t deadline_ns)
{
	siginfo_t info = { 0 };
	int err;

	for (;;) {
		err = urt_poll(p->pidfd, POLLIN, deadline_ns);
		if (err < 0)
			return err;
		if (waitid(P_PID, p->pid, &info, WEXITED | WNOHANG | WNOWAIT))
			return last_error();
		if (info.si_pid)
			return status_of(&info);
		/* A debugger gets it first. */
		err = urt_now() < deadline_ns ? urt_sleep(1000000) : -ETIME;
		if (err)
			return err;
	}
}

int urt_process_signal(const struct urt_process *p, int signal)
{
	if (p->pidfd < 0)
		return -ESRCH;
	if (p->group && !kill(-p->pid, signal))
		return 0;
	/* The child may also have left its group. */
	return kill(p->pid, signal) ? last_error() : 0;
}

/* Waits for the child's end, whatever happens; if the ring fails, by
 * waitpid. */
static void wait_firm(int pidfd)
{
	struct io_uring_sqe r = { .opcode = URT__OP_POLL_ADD,
				  .fd = pidfd,
				  .poll32_events =
					  urt__ring_poll_mask(POLLIN) };

	urt__enter(true);
	while (urt__io(&r, URT__FIRM, URT_NEVER) == -EINTR)
		;
	urt__leave();
}

int urt_process_close(struct urt_process *p)
{
	int status = 0, err = 0;

	if (p->pidfd < 0)
		return -ESRCH;
	if (!urt__current())
		return -EPERM;
	close_pipes(p);
	urt_process_signal(p, SIGKILL);
	wait_firm(p->pidfd);
	while (waitpid(p->pid, &status, 0) < 0 && !err)
		err = last_error() == -EINTR ? 0 : last_error();
	close(p->pidfd);
	p->pidfd = -1;
	return err ? err : status;
}

/* ---- run --------------------------------------------------------------- */

int urt_process_run(const struct urt_command *command, char **output,
		    size_t *len, size_t max, int64_t deadline_ns)
{
	struct urt_command c = *command;
	struct urt_process p;
	ssize_t n = 0;
	int ret;

	if (output) {
		*output = NULL;
		c.out = URT_PIPE;
	}
	if (output && len)
		*len = 0;
	if (c.in == URT_PIPE || (!output && c.out == URT_PIPE) ||
	    c.err == URT_PIPE)
		return -EINVAL;
	ret = start_until(&p, &c, deadline_ns);
	if (ret)
		return ret;
	if (output)
		n = urt__read_to_end(p.out, output, max, deadline_ns);
	ret = n < 0 ? (int)n : urt_process_wait(&p, deadline_ns);
	urt_process_close(&p);
	if (output && ret < 0) {
		free(*output);
		*output = NULL;
	}
	if (output && len)
		*len = ret < 0 ? 0 : n;
	return ret == -EFBIG ? -EMSGSIZE : ret;
}
