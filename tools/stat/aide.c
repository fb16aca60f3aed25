// SPDX-License-Identifier: MIT
/* A privileged helper that takes single bytes; see aide.h. */
#define _GNU_SOURCE
#include "aide.h"
#include "../lib/tool.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COST_ON	    '1'
#define COST_OFF    '0'
#define FORGET	    'f' /* drop the signals so far */
#define PATIENCE_MS 500
#define SECOND_NS   (2 * NS_PER_MS) /* until the second look */

struct aide {
	pid_t pid;
	int fd;
};

/* ---- the aide ---- */

static void forget_signals(void)
{
	static const struct timespec now;
	sigset_t all;

	sigfillset(&all);
	while (sigtimedwait(&all, NULL, &now) > 0)
		;
}

/* Runs until the other side is closed, even by a kill. */
static void serve(int fd)
{
	int stats = -1;
	char c;

	while (read(fd, &c, 1) == 1) {
		if (c == COST_ON && stats < 0)
			stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
		else if (c == COST_OFF && stats >= 0)
			stats = (close(stats), -1);
		else if (c == FORGET)
			forget_signals();
		if (write(fd, &c, 1) != 1)
			break;
	}
	_exit(0);
}

/* ---- its employer ---- */

struct aide *aide_start(void)
{
	struct aide *a = calloc(1, sizeof(*a));
	sigset_t all, old;
	int fds[2];

	if (!a || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
		free(a);
		return NULL;
	}
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old); /* in the aide from its first
					       moment */
	a->pid = fork();
	if (!a->pid) {
		forget_signals();
		close(fds[0]);
		serve(fds[1]);
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(fds[1]);
	a->fd = fds[0];
	if (a->pid > 0)
		return a;
	close(a->fd);
	free(a);
	return NULL;
}

/* Sends the command, and waits until it is done. */
static void tell(struct aide *a, char c)
{
	struct pollfd p = { a->fd, POLLIN, 0 };

	if (send(a->fd, &c, 1, MSG_NOSIGNAL) != 1 ||
	    poll(&p, 1, PATIENCE_MS) <= 0 || read(a->fd, &c, 1) != 1)
		return;
}

void aide_measure_cost(struct aide *a, bool on)
{
	tell(a, on ? COST_ON : COST_OFF);
}

static bool is_pending(const struct aide *a, int signal)
{
	char path[64], line[256];
	uint64_t set = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", a->pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "ShdPnd: %" SCNx64, &set) == 1)
			break;
	if (f)
		fclose(f);
	return set >> (signal - 1) & 1;
}

bool aide_got_signal(struct aide *a, int signal)
{
	bool got = is_pending(a, signal);

	if (!got) { /* it may get the signal after us */
		sleep_ns(SECOND_NS);
		got = is_pending(a, signal);
	}
	if (got)
		tell(a, FORGET);
	return got;
}

void aide_end(struct aide *a)
{
	if (!a)
		return;
	close(a->fd);
	while (waitpid(a->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(a);
}
