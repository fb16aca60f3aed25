// SPDX-License-Identifier: MIT
/* The gate before exec; see launch.h. */
#define _GNU_SOURCE
#include "launch.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void launch_die_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
}

static void child(pid_t parent, char *const argv[], const sigset_t *mask,
		  int cpu, int stdout_fd, int gate, int failed)
{
	char go;
	int err;

	launch_die_with(parent);
	if (mask)
		sigprocmask(SIG_SETMASK, mask, NULL);
	if (cpu >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	if (stdout_fd >= 0)
		dup2(stdout_fd, STDOUT_FILENO);
	if (read(gate, &go, 1) != 1)
		_exit(127);
	execvp(argv[0], argv);
	err = errno;
	if (write(failed, &err, sizeof(err)) < 0)
		_exit(126);
	_exit(127);
}

int launch(struct launch *l, char *const argv[], const sigset_t *mask, int cpu,
	   int stdout_fd)
{
	int gate[2], failed[2];
	pid_t parent;

	if (pipe2(gate, O_CLOEXEC))
		return -errno;
	if (pipe2(failed, O_CLOEXEC)) {
		close(gate[0]);
		close(gate[1]);
		return -errno;
	}
	parent = getpid();
	l->pid = fork();
	if (!l->pid) {
		close(gate[1]);
		child(parent, argv, mask, cpu, stdout_fd, gate[0], failed[1]);
	}
	close(gate[0]);
	close(failed[1]);
	l->gate = gate[1];
	l->failed = failed[0];
	if (l->pid > 0)
		return 0;
	close(l->gate);
	close(l->failed);
	return -EAGAIN;
}

int launch_go(struct launch *l)
{
	int err = 0;
	ssize_t n;

	if (write(l->gate, "", 1) != 1)
		err = errno;
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
	ssize_t n = err ? -1 : read(out, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
	close(out);
	if (err)
		return err;
	while (waitpid(l->pid, &status, 0) < 0 && errno == EINTR)
		;
	return status != 0;
}
