// SPDX-License-Identifier: MIT
/*
 * Functions of libc that go to the real kernel, or know less than the real ones. The
 * first use of each is reported by its name, since the same seed may then give another
 * run.
 */
#define _GNU_SOURCE
#include "sim.h"
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/time.h>

/* Knows numeric addresses and this machine; no other machine exists. */
SIM_API int getaddrinfo(const char *node, const char *service,
			const struct addrinfo *hints, struct addrinfo **out)
{
	static void *cache;
	int (*real)(const char *, const char *, const struct addrinfo *,
		    struct addrinfo **) = sim_next(&cache, "getaddrinfo");
	struct addrinfo h = { 0 };
	int err;

	if (!sim_on)
		return real(node, service, hints, out);
	if (hints)
		h = *hints;
	h.ai_flags = (h.ai_flags & ~AI_ADDRCONFIG) | AI_NUMERICHOST;
	if (node && !strcmp(node, "localhost"))
		node = h.ai_family == AF_INET6 ? "::1" : "127.0.0.1";
	sim_step(1000000);
	err = real(node, service, &h, out);
	if (err == EAI_NONAME)
		sim_not_simulated("getaddrinfo", "only numeric addresses and "
						 "localhost are known");
	return err;
}

/* X(type, name, parameters, arguments, what happens) */
#define REAL_TIME  "it waits in real time"
#define REAL_CHILD "the child runs on the real kernel"
#define REAL_EXEC  "the new program runs on the real kernel"
#define REAL_CPU   "it differs from run to run"
#define REAL(X)                                                                \
	X(int, timerfd_create, (int clock, int flags), (clock, flags),         \
	  "it goes by the real clock")                                         \
	X(unsigned, alarm, (unsigned s), (s), "it goes by the real clock")     \
	X(int, setitimer,                                                      \
	  (__itimer_which_t which, const struct itimerval *new,                \
	   struct itimerval *old),                                             \
	  (which, new, old), "it goes by the real clock")                      \
	X(int, system, (const char *command), (command), REAL_CHILD)           \
	X(FILE *, popen, (const char *command, const char *mode),              \
	  (command, mode), REAL_CHILD)                                         \
	X(pid_t, wait, (int *status), (status), REAL_TIME)                     \
	X(pid_t, wait3, (int *status, int options, void *usage),               \
	  (status, options, usage), REAL_TIME)                                 \
	X(pid_t, wait4, (pid_t pid, int *status, int options, void *usage),    \
	  (pid, status, options, usage), REAL_TIME)                            \
	X(int, waitid, (int type, int id, void *info, int options),            \
	  (type, id, info, options), REAL_TIME)                                \
	X(pid_t, waitpid, (pid_t pid, int *status, int options),               \
	  (pid, status, options), REAL_TIME)                                   \
	X(int, select,                                                         \
	  (int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *t),         \
	  (n, r, w, x, t), REAL_TIME)                                          \
	X(int, pselect,                                                        \
	  (int n, fd_set *r, fd_set *w, fd_set *x, const struct timespec *t,   \
	   const sigset_t *mask),                                              \
	  (n, r, w, x, t, mask), REAL_TIME)                                    \
	X(int, sigwait, (const sigset_t *set, int *sig), (set, sig),           \
	  REAL_TIME)                                                           \
	X(int, sigwaitinfo, (const sigset_t *set, siginfo_t *info),            \
	  (set, info), REAL_TIME)                                              \
	X(int, sigtimedwait,                                                   \
	  (const sigset_t *set, siginfo_t *info, const struct timespec *t),    \
	  (set, info, t), REAL_TIME)                                           \
	X(int, sigsuspend, (const sigset_t *mask), (mask), REAL_TIME)          \
	X(int, pause, (void), (), REAL_TIME)                                   \
	X(int, pthread_timedjoin_np,                                           \
	  (pthread_t t, void **ret, const struct timespec *ts), (t, ret, ts),  \
	  REAL_TIME)                                                           \
	X(int, pthread_clockjoin_np,                                           \
	  (pthread_t t, void **ret, int clock, const struct timespec *ts),     \
	  (t, ret, clock, ts), REAL_TIME)                                      \
	X(int, eventfd_read, (int fd, uint64_t *value), (fd, value),           \
	  REAL_TIME)                                                           \
	X(ssize_t, splice,                                                     \
	  (int in, off_t *from, int out, off_t *to, size_t n, unsigned flags), \
	  (in, from, out, to, n, flags), REAL_TIME)                            \
	X(ssize_t, tee, (int in, int out, size_t n, unsigned flags),           \
	  (in, out, n, flags), REAL_TIME)                                      \
	X(ssize_t, sendfile64, (int out, int in, off_t *from, size_t n),       \
	  (out, in, from, n), REAL_TIME)                                       \
	X(ssize_t, sendfile, (int out, int in, off_t *from, size_t n),         \
	  (out, in, from, n), REAL_TIME)                                       \
	X(int, lockf, (int fd, int how, off_t n), (fd, how, n), REAL_TIME)     \
	X(int, flock, (int fd, int how), (fd, how), REAL_TIME)                 \
	X(int, lockf64, (int fd, int how, off_t n), (fd, how, n), REAL_TIME)   \
	X(ssize_t, mq_receive, (int q, char *p, size_t n, unsigned *priority), \
	  (q, p, n, priority), REAL_TIME)                                      \
	X(ssize_t, msgrcv, (int q, void *p, size_t n, long type, int flags),   \
	  (q, p, n, type, flags), REAL_TIME)                                   \
	X(int, semop, (int id, void *ops, size_t n), (id, ops, n), REAL_TIME)  \
	X(int, thrd_sleep, (const struct timespec *ts, struct timespec *left), \
	  (ts, left), REAL_TIME)                                               \
	X(int, getrusage, (int who, void *usage), (who, usage), REAL_CPU)      \
	X(clock_t, times, (void *t), (t), REAL_CPU)                            \
	X(int, execve,                                                         \
	  (const char *path, char *const *argv, char *const *env),             \
	  (path, argv, env), REAL_EXEC)                                        \
	X(int, execv, (const char *path, char *const *argv), (path, argv),     \
	  REAL_EXEC)                                                           \
	X(int, execvp, (const char *path, char *const *argv), (path, argv),    \
	  REAL_EXEC)                                                           \
	X(int, daemon, (int a, int b), (a, b), REAL_CHILD)                     \
	X(int, thrd_create, (void *t, void *fn, void *arg), (t, fn, arg),      \
	  "the thread runs beside the others; those of pthread_create take "   \
	  "turns")                                                             \
	X(int, mtx_lock, (void *lock), (lock), REAL_TIME)                      \
	X(int, cnd_wait, (void *cond, void *lock), (cond, lock), REAL_TIME)    \
	X(int, getnameinfo,                                                    \
	  (const struct sockaddr *s, socklen_t len, char *host,                \
	   socklen_t host_size, char *service, socklen_t size, int flags),     \
	  (s, len, host, host_size, service, size, flags),                     \
	  "the network answers")                                               \
	X(struct hostent *, gethostbyname, (const char *name), (name),         \
	  "the network answers")                                               \
	X(int, posix_spawn,                                                    \
	  (pid_t * pid, const char *path, const void *actions,                 \
	   const void *attr, char *const *argv, char *const *env),             \
	  (pid, path, actions, attr, argv, env), REAL_CHILD)                   \
	X(int, posix_spawnp,                                                   \
	  (pid_t * pid, const char *path, const void *actions,                 \
	   const void *attr, char *const *argv, char *const *env),             \
	  (pid, path, actions, attr, argv, env), REAL_CHILD)

#define X(type, name, params, args, what)                                     \
	SIM_API type name params;                                             \
	SIM_API type name params                                              \
	{                                                                     \
		static void *cache;                                           \
		type(*real) params = (type(*) params)sim_next(&cache, #name); \
                                                                              \
		if (sim_on)                                                   \
			sim_not_simulated(#name, what);                       \
		if (sim_on && !strcmp(what, REAL_CHILD))                      \
			sim_has_children();                                   \
		return real args;                                             \
	}
REAL(X)
#undef X
