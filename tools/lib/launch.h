/* SPDX-License-Identifier: MIT */
/* Starting a program in a way that counting can begin exactly at its exec. */
#ifndef URT_LAUNCH_H
#define URT_LAUNCH_H

#include <signal.h>
#include <stddef.h>
#include <sys/types.h>

struct launch {
	pid_t pid;
	int gate;   /* written to let it go */
	int failed; /* tells why exec failed; closed by a successful exec */
};

/*
 * Forks a child that waits at the gate. mask: its blocked signals, or NULL:
 * ours. cpu: to pin it to, or -1. stdout_fd: what its stdout shall be, or -1.
 * It dies with this process. 0 or -errno.
 */
int launch(struct launch *, char *const argv[], const sigset_t *mask, int cpu,
	   int stdout_fd);

/* Lets it exec. 0, or -errno of the exec: then it is gone already. */
int launch_go(struct launch *);

/*
 * The same with its stdout in a pipe, of which *out is our end; and letting it
 * go: what it printed goes to buf, as a string. 0, or what went wrong: -errno,
 * or 1: its exit status was not 0.
 */
int launch_piped(struct launch *, char *const argv[], int cpu, int *out);
int launch_read(struct launch *, int out, char *buf, size_t size);

/* In a child: it dies when parent does, also if that has happened already. */
void launch_die_with(pid_t parent);

#endif
