// SPDX-License-Identifier: MIT
/*
 * Functions of libc that are the real kernel's, or know less than they would: the first
 * use of each is told by its name, since the same seed may then give another run.
 */
#define _GNU_SOURCE
#include "sim.h"
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>

/* Numbers, and this machine; there is no other. */
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

/* X(name, type, parameters, arguments, what happens) */
#define REAL(X)                                                                \
	X(timerfd_create, (int clock, int flags), (clock, flags),              \
	  "it goes by the real clock")                                         \
	X(system, (const char *command), (command),                            \
	  "the command runs on the real kernel")                               \
	X(waitid, (int type, int id, void *info, int options),                 \
	  (type, id, info, options), "it waits in real time")                  \
	X(waitpid, (int pid, int *status, int options),                        \
	  (pid, status, options), "it waits in real time")                     \
	X(select, (int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *t), \
	  (n, r, w, x, t), "it waits in real time")                            \
	X(sigwait, (const sigset_t *set, int *sig), (set, sig),                \
	  "it waits in real time")                                             \
	X(posix_spawn,                                                         \
	  (int *pid, const char *path, const void *actions, const void *attr,  \
	   char *const *argv, char *const *env),                               \
	  (pid, path, actions, attr, argv, env),                               \
	  "the child runs on the real kernel")                                 \
	X(posix_spawnp,                                                        \
	  (int *pid, const char *path, const void *actions, const void *attr,  \
	   char *const *argv, char *const *env),                               \
	  (pid, path, actions, attr, argv, env),                               \
	  "the child runs on the real kernel")

#define X(name, params, args, what)                                         \
	SIM_API int name params;                                            \
	SIM_API int name params                                             \
	{                                                                   \
		static void *cache;                                         \
		int(*real) params = (int(*) params)sim_next(&cache, #name); \
                                                                            \
		if (sim_on)                                                 \
			sim_not_simulated(#name, what);                     \
		return real args;                                           \
	}
REAL(X)
#undef X
