/* SPDX-License-Identifier: MIT */
/* Starting a program so that counting begins exactly at its exec. */
#ifndef URT_LAUNCH_H
#define URT_LAUNCH_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* For pidfd_open: a thread, not a process. */
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* Linux 6.9 */
#endif

struct launch {
	pid_t pid;
	int gate;   /* a write lets the child go */
	int failed; /* tells why exec failed; closed by a successful exec */
};

struct launch_user {
	uid_t uid;
	gid_t gid;
	char name[64], home[256], shell[256];
};

/*
 * A user by name or number; or, for NULL, the user who called sudo. False:
 * there is none; if a name was given, an error was printed.
 */
bool launch_user_find(const char *name, struct launch_user *);

/* As in env(1): 127, there is no such command; 126, it cannot be run. */
int launch_exit_code(int err);

/*
 * Forks a child that waits at the gate. mask: its blocked signals, or NULL:
 * ours. cpu: to pin it to, or -1. stdout_fd: its stdout, or -1: ours. It dies
 * with this process. 0 or -errno.
 */
int launch(struct launch *, char *const argv[], const sigset_t *mask, int cpu,
	   int stdout_fd);

/* Lets it exec. 0, or -errno of the exec, after which the child is gone. */
int launch_go(struct launch *);

/*
 * The same with its stdout in a pipe, of which *out is our end; and letting it
 * go: its output goes to buf, as a string. 0, -errno, or 1: its exit status was
 * not 0.
 */
int launch_piped(struct launch *, char *const argv[], int cpu, int *out);
int launch_read(struct launch *, int out, char *buf, size_t size);

/*
 * The same for a command of the user's: it continues when this process is
 * killed, and runs as that user (NULL: as this process). output: its stdout and
 * stderr; NULL: ours.
 */
int launch_command(struct launch *, char *const argv[], const sigset_t *mask,
		   const struct launch_user *, const int output[2]);

/* A pidfd of the process. -1: pid is not a process, or it has ended, and an
 * error was printed. */
int process_open(pid_t pid);

/* The same for a thread; -ENOSYS: the thread exists, but this kernel (before
 * 6.9) has no such descriptors. */
int thread_open(pid_t tid);

/* Whether that process (or thread) still has its number, which another may get when it
 * has been waited for. */
bool process_has_number(int pidfd);

/* Binds the calling thread to that CPU; no effect if it is negative. */
void launch_pin(int cpu);

/* In a child: makes it die when parent does, or at once if parent has died. */
void launch_die_with(pid_t parent);

#endif
