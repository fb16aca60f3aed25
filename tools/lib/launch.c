// SPDX-License-Identifier: MIT
/* The gate before exec; see launch.h. */
#define _GNU_SOURCE
#include "launch.h"
#include "proc.h"
#include "tool.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

void launch_die_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
}

/* ---- as another user ---- */

/* Used if no user database here knows the user who called sudo (a static urt
 * does not ask all of them): the command must not run as root because of
 * that. */
static void unknown_caller(uid_t uid, struct launch_user *u)
{
	const char *gid = secure_getenv("SUDO_GID");

	*u = (struct launch_user){ .uid = uid,
				   .gid = gid ? strtol(gid, NULL, 10) : uid,
				   .home = "/",
				   .shell = "/bin/sh" };
	snprintf(u->name, sizeof(u->name), "%u", uid);
}

bool launch_user_find(const char *name, struct launch_user *u)
{
	const char *text = name ? name : secure_getenv("SUDO_UID");
	struct passwd *p;
	char *end;
	long uid;

	if (!text || (!name && geteuid()))
		return false;
	uid = strtol(text, &end, 10);
	p = end > text && !*end ? getpwuid(uid) : name ? getpwnam(name) : NULL;
	if (!p && !name && end > text && !*end) {
		unknown_caller(uid, u);
		return true;
	}
	if (!p) {
		if (name)
			fail("--user: there is no user \"%s\"", name);
		return false;
	}
	*u = (struct launch_user){ .uid = p->pw_uid, .gid = p->pw_gid };
	snprintf(u->name, sizeof(u->name), "%s", p->pw_name);
	snprintf(u->home, sizeof(u->home), "%s", p->pw_dir);
	snprintf(u->shell, sizeof(u->shell), "%s", p->pw_shell);
	return true;
}

/* 0 or errno. */
static int become(const struct launch_user *u)
{
	if (u->uid == getuid() && u->uid == geteuid())
		return 0;
	if (initgroups(u->name, u->gid) || setresgid(u->gid, u->gid, u->gid) ||
	    setresuid(u->uid, u->uid, u->uid))
		return errno;
	setenv("HOME", u->home, 1);
	setenv("USER", u->name, 1);
	setenv("LOGNAME", u->name, 1);
	setenv("SHELL", u->shell, 1);
	return 0;
}

/* ---- the gate ---- */

static void wait_and_exec(const struct launch *l, char *const argv[], int err)
{
	char go;

	if (read(l->gate, &go, 1) != 1)
		_exit(127);
	if (!err) {
		execvp(argv[0], argv);
		err = errno;
	}
	if (write(l->failed, &err, sizeof(err)) < 0)
		_exit(126);
	_exit(127);
}

int launch_exit_code(int err)
{
	return err == -ENOENT || err == -ENOTDIR ? 127 : 126;
}

/* Forks a child with its ends of the pipes. 0 in the child; < 0: failed. */
static pid_t fork_at_gate(struct launch *l)
{
	int gate[2], failed[2];

	if (pipe2(gate, O_CLOEXEC))
		return -errno;
	if (pipe2(failed, O_CLOEXEC)) {
		close(gate[0]);
		close(gate[1]);
		return -errno;
	}
	l->pid = fork();
	l->gate = gate[!!l->pid];
	l->failed = failed[!l->pid];
	close(gate[!l->pid]);
	close(failed[!!l->pid]);
	if (l->pid >= 0)
		return l->pid;
	close(l->gate);
	close(l->failed);
	return -EAGAIN;
}

void launch_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (cpu < 0)
		return;
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

int launch(struct launch *l, char *const argv[], const sigset_t *mask, int cpu,
	   int stdout_fd)
{
	pid_t parent = getpid(), pid = fork_at_gate(l);

	if (pid)
		return pid < 0 ? pid : 0;
	launch_die_with(parent);
	if (mask)
		sigprocmask(SIG_SETMASK, mask, NULL);
	launch_pin(cpu);
	if (stdout_fd >= 0)
		dup2(stdout_fd, STDOUT_FILENO);
	wait_and_exec(l, argv, 0);
	return 0;
}

int launch_command(struct launch *l, char *const argv[], const sigset_t *mask,
		   const struct launch_user *user, const int output[2])
{
	pid_t pid = fork_at_gate(l);

	if (pid)
		return pid < 0 ? pid : 0;
	if (mask)
		sigprocmask(SIG_SETMASK, mask, NULL);
	if (output && (dup2(output[0], STDOUT_FILENO) < 0 ||
		       dup2(output[1], STDERR_FILENO) < 0))
		_exit(126);
	wait_and_exec(l, argv, user ? become(user) : 0);
	return 0;
}

int launch_go(struct launch *l)
{
	/* The child may have been killed; writing to it must not end this
	 * program. */
	void (*before)(int) = signal(SIGPIPE, SIG_IGN);
	int err = 0;
	ssize_t n;

	if (write(l->gate, "", 1) != 1)
		err = errno;
	signal(SIGPIPE, before);
	close(l->gate);
	do
		n = read(l->failed, &err, sizeof(err));
	while (n < 0 && errno == EINTR);
	close(l->failed);
	if (n != sizeof(err))
		return 0;
	waitpid(l->pid, NULL, 0);
	return -err;
}

int launch_piped(struct launch *l, char *const argv[], int cpu, int *out)
{
	int fds[2], err;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	err = launch(l, argv, NULL, cpu, fds[1]);
	close(fds[1]);
	if (err)
		close(fds[0]);
	*out = fds[0];
	return err;
}

int launch_read(struct launch *l, int out, char *buf, size_t size)
{
	int status, err = launch_go(l);
	ssize_t n = err ? 0 : 1;
	size_t len = 0;

	while (n > 0 && len < size - 1) {
		n = read(out, buf + len, size - 1 - len);
		len += n > 0 ? n : 0;
	}
	buf[len] = '\0';
	close(out);
	if (err)
		return err;
	while (waitpid(l->pid, &status, 0) < 0 && errno == EINTR)
		;
	return status != 0;
}

int process_open(pid_t pid)
{
	struct pollfd p = { syscall(SYS_pidfd_open, pid, 0), POLLIN, 0 };

	if (p.fd >= 0 && !proc_is_ours())
		fail("the process %d cannot be told from others: /proc is that "
		     "of another PID namespace: as root, mount -t proc proc "
		     "/proc",
		     pid);
	else if (p.fd >= 0 && poll(&p, 1, 0) == 0)
		return p.fd;
	else if (p.fd < 0 && (errno == EINVAL || errno == ENOENT))
		fail("%d is a thread: give the PID of its process", pid);
	else if (p.fd < 0)
		fail("no process has the PID %d", pid);
	else
		fail("the process %d has ended", pid);
	if (p.fd >= 0)
		close(p.fd);
	return -1;
}

bool process_has_number(int pidfd)
{
	return !syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) ||
	       errno != ESRCH;
}

int thread_open(pid_t tid)
{
	struct pollfd p = { syscall(SYS_pidfd_open, tid, PIDFD_THREAD), POLLIN,
			    0 };
	char path[64];

	if (p.fd >= 0 && poll(&p, 1, 0) == 0)
		return p.fd;
	snprintf(path, sizeof(path), "/proc/%d", tid);
	if (p.fd < 0 && errno == EINVAL && !access(path, F_OK))
		return -ENOSYS;
	fail("no thread has the TID %d", tid);
	if (p.fd >= 0)
		close(p.fd);
	return -1;
}
