// SPDX-License-Identifier: MIT
/* The system-call seam; see sys.h. Also printing, which must not allocate. */
#define _GNU_SOURCE
#include "sys.h"
#include "base.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

struct urt__sys_fault urt__sys_faults[URT__SYS_KINDS];
bool urt__shared;

/* countdown goes from N down to 1; the first failure sets it to 1 - times, from
 * where it goes up to 0. */
bool urt__sys_fails(enum urt__sys_kind kind)
{
	struct urt__sys_fault *f = &urt__sys_faults[kind];
	long now = atomic_load(&f->countdown), next;

	do {
		if (!now)
			return false;
		next = now > 1 ? now - 1 : now + 1;
		if (now == 1)
			next = f->times > 1 ? 1 - f->times : 0;
	} while (!atomic_compare_exchange_weak(&f->countdown, &now, next));
	if (now > 1)
		return false;
	atomic_fetch_add(&f->hits, 1);
	return true;
}

static int fault(enum urt__sys_kind kind)
{
	if (!urt__sys_armed(kind) || !urt__sys_fails(kind))
		return 0;
	if (urt__sys_faults[kind].meanwhile)
		urt__sys_faults[kind].meanwhile();
	return -urt__sys_faults[kind].err;
}

static int result(long ret)
{
	return ret < 0 ? -errno : (int)ret;
}

/*
 * Moves a new descriptor above those of standard input, output and error. A
 * program may have been started without these, and its messages would otherwise
 * go to a descriptor of the runtime's that has taken such a number.
 */
static int above_standard(int fd)
{
	int high = fd;

	if (fd >= 0 && fd <= STDERR_FILENO) {
		high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		high = high < 0 ? -errno : high;
		close(fd);
	}
	return high;
}

int urt__sys_ring_setup(unsigned entries, struct io_uring_params *p)
{
	int err = fault(URT__SYS_RING_SETUP);

	return err ? err
		   : above_standard(
			     result(syscall(__NR_io_uring_setup, entries, p)));
}

int urt__sys_ring_enter(int fd, unsigned to_submit, unsigned min_complete,
			unsigned flags, const void *arg, size_t arg_size)
{
	int err = 0;

	if (urt__sys_armed(URT__SYS_RING_ENTER) &&
	    urt__sys_fails(URT__SYS_RING_ENTER)) {
		err = -urt__sys_faults[URT__SYS_RING_ENTER].err;
		if (!err && to_submit > 1) { /* then it does not wait, too */
			to_submit /= 2;
			min_complete = 0;
		}
	}
	return err ? err
		   : result(syscall(__NR_io_uring_enter, fd, to_submit,
				    min_complete, flags, arg, arg_size));
}

int urt__sys_ring_register(int fd, unsigned opcode, const void *arg,
			   unsigned nr_args)
{
	int err = fault(URT__SYS_RING_REGISTER);

	return err ? err
		   : result(syscall(__NR_io_uring_register, fd, opcode, arg,
				    nr_args));
}

int urt__sys_mmap(void **out, size_t size, int prot, int flags, int fd,
		  off_t offset)
{
	int err = fault(URT__SYS_MMAP);
	void *p;

	if (err)
		return err;
	p = mmap(NULL, size, prot, flags, fd, offset);
	if (p == MAP_FAILED)
		return -errno;
	*out = p;
	return 0;
}

int urt__sys_madvise(void *addr, size_t size, int advice)
{
	int err = fault(URT__SYS_MADVISE);

	return err ? err : result(madvise(addr, size, advice));
}

int urt__sys_mprotect(void *addr, size_t size, int prot)
{
	int err = fault(URT__SYS_MPROTECT);

	return err ? err : result(mprotect(addr, size, prot));
}

int urt__sys_memfd(const char *name)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int err = fault(URT__SYS_MEMFD), fd;

	if (err)
		return err;
	fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create(name, flags);
	return above_standard(result(fd));
}

ssize_t urt__sys_process_madvise(int pidfd, const struct iovec *v, size_t n,
				 int advice)
{
	int err = fault(URT__SYS_PROCESS_MADVISE);
	ssize_t done;

	if (err)
		return err;
	done = syscall(__NR_process_madvise, pidfd, v, n, advice, 0);
	return done < 0 ? -errno : done;
}

int urt__sys_ftruncate(int fd, off_t size)
{
	int err = fault(URT__SYS_FTRUNCATE);

	return err ? err : result(ftruncate(fd, size));
}

int urt__sys_eventfd(void)
{
	int err = fault(URT__SYS_EVENTFD);

	return err ? err
		   : above_standard(
			     result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
}

int urt__sys_timerfd(void)
{
	int err = fault(URT__SYS_TIMERFD);

	return err ? err
		   : above_standard(result(
			     syscall(__NR_timerfd_create, CLOCK_MONOTONIC,
				     TFD_CLOEXEC | TFD_NONBLOCK)));
}

int urt__sys_pidfd(pid_t pid)
{
	int err = fault(URT__SYS_PIDFD);

	return err ? err
		   : above_standard(result(syscall(__NR_pidfd_open, pid, 0)));
}

int urt__sys_membarrier(int command)
{
	int err = fault(URT__SYS_MEMBARRIER);

	return err ? err : result(syscall(__NR_membarrier, command, 0, 0));
}

int urt__sys_sigaltstack(const stack_t *new, stack_t *old)
{
	int err = fault(URT__SYS_SIGALTSTACK);

	return err ? err : result(sigaltstack(new, old));
}

int urt__sys_timer_start(timer_t t)
{
	const struct itimerspec at_once = { .it_value.tv_nsec = 1 };
	int err = fault(URT__SYS_TIMER);

	return err ? err : result(timer_settime(t, 0, &at_once, NULL));
}

int urt__sys_socket(int domain, int type, int protocol)
{
	int err = fault(URT__SYS_SOCKET);

	return err ? err : result(socket(domain, type, protocol));
}

int urt__sys_pipe(int fds[2], int flags)
{
	int err = fault(URT__SYS_PIPE);

	return err ? err : result(pipe2(fds, flags));
}

/* Both or none of them. */
static int both_above_standard(int fds[2])
{
	int err;

	fds[0] = above_standard(fds[0]);
	fds[1] = above_standard(fds[1]);
	if (fds[0] >= 0 && fds[1] >= 0)
		return 0;
	err = fds[0] < 0 ? fds[0] : fds[1];
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return err;
}

int urt__sys_own_pipe(int fds[2], int flags)
{
	int err = urt__sys_pipe(fds, flags);

	return err ? err : both_above_standard(fds);
}

int urt__sys_own_sockets(int fds[2], int type)
{
	int err = fault(URT__SYS_SOCKET);

	if (!err)
		err = result(socketpair(AF_UNIX, type, 0, fds));
	return err ? err : both_above_standard(fds);
}

int urt__sys_spawn(pid_t *pid, const char *file,
		   const posix_spawn_file_actions_t *actions,
		   const posix_spawnattr_t *attr, char *const argv[],
		   char *const env[])
{
	int err = fault(URT__SYS_SPAWN);

	return err ? err : -posix_spawnp(pid, file, actions, attr, argv, env);
}

int urt__sys_thread(pthread_t *t, const pthread_attr_t *attr,
		    void *(*fn)(void *), void *arg)
{
	int err = fault(URT__SYS_THREAD);
	sigset_t all, old;

	if (err)
		return err;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(t, attr, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

/*
 * A thread that computes keeps its CPU for a slice, 1.4 to 2.8 ms, though
 * others wake; and if these wait already, up to the next tick, 4 ms where there
 * are 250 a second. Threads whose slice is shorter need not wait: see
 * PREEMPT_SHORT in the kernel's sched/fair.c. Others ignore the value. Where a
 * filter of system calls is in place, we do not ask: systemd's ~@resources ends
 * the program.
 */
#define SHORT_SLICE_NS 100000 /* the kernel's minimum */

void urt__sys_wake_first(void)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime_ns, deadline_ns, period_ns;
	} a = { 0 }; /* struct sched_attr, version 0 */

	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) ||
	    syscall(__NR_sched_getattr, 0, &a, sizeof(a), 0) ||
	    a.policy != SCHED_OTHER)
		return;
	a.runtime_ns = SHORT_SLICE_NS;
	syscall(__NR_sched_setattr, 0, &a, 0);
}

void *urt__sys_alloc(size_t size)
{
	return fault(URT__SYS_MEMORY) ? NULL : malloc(size);
}

void *urt__sys_zalloc(size_t size)
{
	return fault(URT__SYS_MEMORY) ? NULL : calloc(1, size);
}

void *urt__sys_realloc(void *p, size_t size)
{
	return fault(URT__SYS_MEMORY) ? NULL : realloc(p, size);
}

void *urt__sys_alloc_lines(size_t size)
{
	size = (size + URT__CACHELINE - 1) & ~(size_t)(URT__CACHELINE - 1);
	return fault(URT__SYS_MEMORY) ? NULL
				      : aligned_alloc(URT__CACHELINE, size);
}

int64_t urt__clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

void urt__print(const char *format, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 1)
		n = sizeof(line) - 1;
	if (n > 0 && write(STDERR_FILENO, line, n) < 0)
		return;
}

void (*urt__print_where)(void);

void urt__mistake(const char *format, ...)
{
	char what[400];
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	urt__print("uring_rt: mistake in the program: %s\n", what);
	if (urt__print_where)
		urt__print_where();
	abort();
}

void urt__bug(const char *what, const char *file, int line)
{
	urt__print("uring_rt: bug: %s at %s:%d\n", what, file, line);
	abort();
}
