// SPDX-License-Identifier: MIT
/*
 * Many runs from one start of the program. `urt sim` starts the program once; the
 * library's constructor stays here, before main(), and forks a child for each requested
 * run. The child returns from here and becomes the run. The program is loaded and linked
 * by then, so all runs find the same addresses.
 *
 * Messages on the socket: `urt sim` sends a run's settings (the value of URT_SIM); the
 * answer is the run's status, as of wait(2).
 */
#define _GNU_SOURCE
#include "sim.h"
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The child dies with the server, and the server with `urt sim`. */
static void become_run(int socket, pid_t server, const char *settings)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != server)
		_exit(1);
	sim_call(SYS_close, socket);
	setenv("URT_SIM", settings, 1);
	unsetenv("URT_SIM_SERVE");
}

/* The limit of processes, the machine's or the user's, may be reached for a moment. */
static pid_t fork_when_possible(void)
{
	const struct timespec pause = { 0, 100000000 };
	pid_t child;

	for (int tries = 0; (child = fork()) < 0 && errno == EAGAIN; tries++) {
		if (tries == 100)
			break;
		sim_call(SYS_clock_nanosleep, (long)CLOCK_MONOTONIC, 0L, &pause,
			 NULL);
	}
	return child;
}

void sim_serve(void)
{
	const char *s = getenv("URT_SIM_SERVE");
	int socket = s ? atoi(s) : -1, status;
	pid_t server = getpid(), child;
	char settings[512];
	long n;

	if (!s)
		return;
	dlopen("libgcc_s.so.1", RTLD_NOW); /* the runtime's, for backtraces */
	while ((n = sim_call(SYS_read, socket, settings,
			     sizeof(settings) - 1)) > 0) {
		settings[n] = '\0';
		child = fork_when_possible();
		if (!child) {
			become_run(socket, server, settings);
			return;
		}
		sim_tell_pid(child);
		if (child < 0)
			sim_say("cannot fork for seed %s: %s", settings,
				strerror(errno));
		if (child < 0 || waitpid(child, &status, 0) != child ||
		    sim_call(SYS_write, socket, &status, sizeof(status)) < 0)
			_exit(1);
	}
	_exit(0);
}
