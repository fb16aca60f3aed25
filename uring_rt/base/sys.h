/* SPDX-License-Identifier: MIT */
/*
 * The system-call seam: every system call by which the runtime itself can
 * fail goes through here, so that this is the one place where a test makes
 * the Nth call of a kind fail. All return >= 0 or -errno.
 */
#ifndef URT_BASE_SYS_H
#define URT_BASE_SYS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct io_uring_params;

enum urt__sys_kind {
	URT__SYS_RING_SETUP,
	URT__SYS_RING_ENTER,
	URT__SYS_RING_REGISTER,
	URT__SYS_MMAP,
	URT__SYS_MADVISE,
	URT__SYS_MPROTECT,
	URT__SYS_MEMFD,
	URT__SYS_KINDS,
};

/*
 * For tests: the next call of a kind for which countdown reaches 0 returns
 * -err instead of being made. Plain variables: one thread, before the run.
 */
struct urt__sys_fault {
	long countdown; /* 0: never */
	int err;
};
extern struct urt__sys_fault urt__sys_faults[URT__SYS_KINDS];

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
int urt__sys_memfd(const char *name);

/* A new file name.PID.N in the directory that the environment variable names:
 * what another process is to find. Negative: none is named, or it cannot be. */
int urt__sys_file_in(const char *variable, const char *name);

#endif
