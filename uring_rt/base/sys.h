/* SPDX-License-Identifier: MIT */
/*
 * The system-call seam: every call by which the runtime itself can fail goes
 * through here, so that a test can make the Nth call of a kind fail. All return
 * >= 0 or -errno, except those that return memory.
 */
#ifndef URT_BASE_SYS_H
#define URT_BASE_SYS_H

#include "base.h"
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

struct io_uring_params;

enum urt__sys_kind {
	URT__SYS_RING_SETUP,
	URT__SYS_RING_ENTER, /* err 0: half of the requests are taken */
	URT__SYS_RING_REGISTER,
	URT__SYS_OPERATION, /* a request on a ring; err 0: a short result */
	URT__SYS_MMAP,
	URT__SYS_MADVISE,
	URT__SYS_PROCESS_MADVISE,
	URT__SYS_MPROTECT,
	URT__SYS_MEMFD,
	URT__SYS_FTRUNCATE,
	URT__SYS_EVENTFD,
	URT__SYS_TIMERFD,
	URT__SYS_PIDFD,
	URT__SYS_MEMBARRIER,
	URT__SYS_SIGALTSTACK,
	URT__SYS_TIMER,
	URT__SYS_THREAD,
	URT__SYS_MEMORY,
	URT__SYS_SOCKET,
	URT__SYS_PIPE,
	URT__SYS_SPAWN,
	URT__SYS_KINDS,
};

/*
 * For tests: of the calls of a kind, the one that takes countdown to 0 returns
 * -err instead of being made, and so do the calls after it, `times` in all. Set
 * before the run; the calls of all threads count.
 */
struct urt__sys_fault {
	_Atomic long
		countdown; /* 0: never; < 0: this number of further calls fail */
	int err;
	int times;	   /* 0 is as 1 */
	_Atomic long hits; /* calls that failed */
	void (*meanwhile)(
		void); /* such a call makes this first; err may be 0 */
};
extern struct urt__sys_fault urt__sys_faults[URT__SYS_KINDS];

/* Whether a call of this kind has still to fail. */
static inline bool urt__sys_armed(enum urt__sys_kind kind)
{
	return urt__unlikely(atomic_load_explicit(
		&urt__sys_faults[kind].countdown, memory_order_relaxed));
}

/* Counts a call; true: it has to fail. */
bool urt__sys_fails(enum urt__sys_kind);

int urt__sys_ring_setup(unsigned entries, struct io_uring_params *);
int urt__sys_ring_enter(int fd, unsigned to_submit, unsigned min_complete,
			unsigned flags, const void *arg, size_t arg_size);
int urt__sys_ring_register(int fd, unsigned opcode, const void *arg,
			   unsigned nr_args);
/* Anonymous private memory if fd is -1; the result through *out. */
int urt__sys_mmap(void **out, size_t size, int prot, int flags, int fd,
		  off_t offset);
int urt__sys_madvise(void *addr, size_t size, int advice);
int urt__sys_mprotect(void *addr, size_t size, int prot);
/* process_madvise(2) on ourselves, through our own pidfd. */
ssize_t urt__sys_process_madvise(int pidfd, const struct iovec *, size_t n,
				 int advice);
/* A memory file that can be sealed, but not executed. */
int urt__sys_memfd(const char *name);
int urt__sys_ftruncate(int fd, off_t size);
int urt__sys_eventfd(void);
int urt__sys_timerfd(void);
int urt__sys_pidfd(pid_t);
int urt__sys_membarrier(int command);
int urt__sys_sigaltstack(const stack_t *, stack_t *old);
/* Has the timer expire at once. -ESRCH: it measures a thread that has ended. */
int urt__sys_timer_start(timer_t);

int urt__sys_socket(int domain, int type, int protocol);
int urt__sys_pipe(int fds[2], int flags);
/* The same for the runtime's own use: never a standard descriptor. */
int urt__sys_own_pipe(int fds[2], int flags);
/* Two connected sockets of type AF_UNIX, likewise. */
int urt__sys_own_sockets(int fds[2], int type);

/* posix_spawnp(3). */
int urt__sys_spawn(pid_t *, const char *file,
		   const posix_spawn_file_actions_t *,
		   const posix_spawnattr_t *, char *const argv[],
		   char *const env[]);

/* From now on, the calling thread preempts others when it wakes, as far as its
 * share of the CPU allows (Linux 6.12). Threads that it starts inherit that. */
void urt__sys_wake_first(void);

/* pthread_create(3), with all signals blocked in the new thread. */
int urt__sys_thread(pthread_t *, const pthread_attr_t *, void *(*fn)(void *),
		    void *arg);

/* malloc; calloc; realloc; in whole cache lines. To be freed by free. NULL. */
void *urt__sys_alloc(size_t size);
void *urt__sys_zalloc(size_t size);
void *urt__sys_realloc(void *, size_t size);
void *urt__sys_alloc_lines(size_t size);

#endif
