/* SPDX-License-Identifier: MIT */
/*
 * urt.h - uring_rt, coroutines for C on Linux with io_uring.
 *
 * Code is straight-line and looks blocking. A call marked "may suspend" parks
 * the calling coroutine while it waits; the worker thread goes on with other
 * coroutines and the wait itself is an operation on the worker's io_uring.
 *
 * Everywhere, unless a declaration says otherwise:
 *
 *  - Results are >= 0, or -errno. errno itself says nothing: after a call it
 *    has any value, as others may have run on the thread.
 *  - deadline_ns is an absolute time on CLOCK_MONOTONIC in nanoseconds, as
 *    urt_now() counts them; URT_NEVER waits without end. After its deadline, a
 *    call that need not wait still succeeds; a call that would have to wait
 *    returns -ETIME. Every call with a deadline may return -ETIME.
 *  - A call that may suspend is a cancellation point and may return
 *    -ECANCELED: in a coroutine that was cancelled, a call returns it instead
 *    of waiting, and an operation on a descriptor returns it always. If the
 *    operation finished first, the call returns its result: nothing that
 *    happened is lost.
 *  - Calls are made from coroutines. A plain thread may start, join and cancel
 *    coroutines, and use channels, select, semaphores and wait groups: a
 *    coroutine makes the call for the thread, which blocks meanwhile (some
 *    10 us). On a plain thread, every other call returns -EPERM, or false. A
 *    call that cannot return an error ends the program there, and its
 *    description says so. The same holds while there is no run. A forked child
 *    has no run until it starts its own. It goes on in the coroutine that
 *    forked, alone; when that function returns, the child exits with status 0
 *    and does not come back from urt_run. Of the parent's run it keeps the
 *    stacks that were in use.
 *  - A buffer lent to a call is the caller's again when the call returns:
 *    a timed-out or cancelled call returns only when the kernel has let go
 *    of the buffer.
 *
 * Coroutines run on several threads at once, so what they share needs a
 * lock, a channel or atomics, as between threads. A coroutine may go on on
 * another thread after any call that may suspend. Therefore C code must not
 *
 *  - keep the address of a thread-local variable across such a call (errno is
 *    taken care of, below), or
 *  - hold a pthread lock across one, or lock it on one side and unlock it on
 *    the other, or
 *  - change what the kernel keeps for each thread: user ids by setfsuid(2),
 *    namespaces by setns(2) and unshare(2), capabilities, personality(2), the
 *    signal mask, scheduling. Other coroutines would run with it, and the
 *    caller's operations without it. There is no call that gives a coroutine a
 *    thread to itself: start one with pthread_create(3), which changes itself,
 *    takes its work from a channel and makes plain system calls.
 *
 * URT_DEBUG=check in the environment ends the program where a coroutine suspends
 * with a pthread lock held, or gives a duration as a deadline, and says where.
 *
 * C++: a coroutine may suspend in a catch block, and in a destructor while an
 * exception unwinds; each has its own exceptions in flight, provided that the
 * C++ library was there when the run began (not first loaded by dlopen(3)). An
 * exception that leaves the function of a coroutine ends the program, by
 * std::terminate; one must not leave a function that a call of this library
 * calls (urt_once_do, urt_blocking, ...). Coroutines that are left at the end of
 * a run are not unwound: their destructors do not run. thread_local variables
 * are the thread's, as in C.
 *
 * A coroutine that computes for 10 ms is preempted where that is safe; where it
 * is not, another thread takes over the coroutines behind it: see "preemption".
 *
 * The header compiles as C11 and later and as C++, also without GNU extensions.
 * struct msghdr, POLLIN and other names of the system need the headers that
 * their manual pages name; <poll.h> is included for urt_poll.
 */
#ifndef URT_H
#define URT_H

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
/* With -std=c11, glibc declares these types only here. */
#ifdef __GLIBC__
#include <bits/types/idtype_t.h>
#include <bits/types/siginfo_t.h>
#else
#error "uring_rt needs glibc: other C libraries, such as musl, lack backtrace(3) \
and the definitions that its pthread locks are counted by"
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define URT_VERSION_MAJOR 0
#define URT_VERSION_MINOR 1

#ifndef URT_API
#define URT_API __attribute__((visibility("default")))
#endif

/*
 * The address of errno is that of the thread one runs on now. Compilers are
 * told that errno's own accessor always gives the same address and keep it
 * across calls; a coroutine may have moved to another thread in between.
 */
URT_API int *urt_errno_location(void);
#undef errno
#define errno (*urt_errno_location())

/* No deadline. */
#define URT_NEVER INT64_MAX

struct urt_coro;
typedef void urt_fn(void *arg);

/* ---- start and stop ---------------------------------------------------- */

/*
 * How to run. Zero in a field means the default. Initialise with
 * `struct urt_options o = { 0 };` so that later fields stay at theirs.
 */
struct urt_options {
	unsigned workers;      /* threads that run coroutines at a time, at
	                          most 256. Default: the environment's
	                          URT_WORKERS, or the CPUs that the process may
	                          use (affinity mask, cgroup's cpu.max) */
	size_t stack_size;     /* bytes per coroutine, rounded up to pages:
	                          128 KiB, 16 KiB at the least. Compile with
	                          -fstack-clash-protection (pkg-config says
	                          so): a frame larger than the guard below a
	                          stack, 16 KiB, could otherwise step over it
	                          into another coroutine's stack */
	size_t max_coroutines; /* alive at once, of each size of stack:
	                          2,097,152 (which is also the most), or as many
	                          as the address space allows */
	unsigned ring_entries; /* submission queue of each ring: 256 */
	unsigned max_blocking; /* threads for urt_blocking: 64 */

	/*
	 * Registered with every ring, so that the kernel need not look up or
	 * pin them at each operation; used wherever a call is given one of
	 * these descriptors, or a buffer within one of these regions. They must
	 * stay open, and mapped, until the run has ended. At most 1024 each;
	 * the regions at most 1 GiB each, and within the limit of locked memory
	 * (ulimit -l). The arrays are the caller's again when the run has
	 * begun. NULL, 0: none.
	 */
	const int *files;
	unsigned nr_files;
	const struct iovec *buffers;
	unsigned nr_buffers;
};

/*
 * Runs fn(arg) as the first coroutine, on the calling thread and others, and
 * returns 0 when it has returned, however many others are still there: these
 * end where they are, as at the end of a Go program's main. On other threads
 * they may run for a moment longer than the first one, so what they use must
 * not lie on its stack; one that is in a system call or a library's computation
 * is waited for until it comes back from there (a loop that cannot be
 * preempted, see there, until it makes a call). One runtime per process at a
 * time. In a statically linked program, no coroutine is preempted by signal; link
 * it with what `pkg-config --static --libs uring_rt-static` says.
 *
 * Otherwise, and urt_why() says which of the reasons it was and what to do:
 *
 *	-ENOSYS           the kernel has no io_uring, or one older than 6.1's
 *	-EPERM, -EACCES   io_uring is forbidden, by sysctl or seccomp
 *	-EINVAL           options, or the environment's URT_..., make no sense
 *	-EBUSY            the process is running one
 *	-ENOMEM           memory, address space (ulimit -v), or the user's locked
 *	                  memory (ulimit -l; rings count, for some 80 KiB a worker,
 *	                  and are asked for again for a second) is used up
 *	-EAGAIN           no more threads (ulimit -u, pids.max)
 *	-EMFILE, -ENFILE  no more descriptors; a run needs one a thread, and three
 *	-EBADF, -EFAULT   not all of urt_options.files, or .buffers, are there
 *	-EOPNOTSUPP       the kernel cannot pin memory of that kind (.buffers)
 *
 * What the run holds of the process, and gives back at its end: descriptors,
 * above 2 and close-on-exec (one a thread, its ring; two memory files for
 * tools); address space for max_coroutines stacks and a few tables, which is
 * neither memory, nor locked by mlockall(2), nor in a core dump, until it is
 * used; the stacks of up to 128 ended coroutines for each worker, and of those
 * that ended within the last two seconds, after which their memory goes back to
 * the system.
 */
URT_API int urt_run(urt_fn *fn, void *arg);
URT_API int urt_run_with(urt_fn *fn, void *arg, const struct urt_options *);

/* Why the last urt_run failed, or, in a run, that there is room for fewer
 * coroutines than were asked for: one line for people; never NULL. */
URT_API const char *urt_why(void);

/* ---- coroutines -------------------------------------------------------- */

/*
 * Starts a coroutine that nobody waits for, as Go's `go fn(arg)`. It runs
 * when the caller parks or yields, or on another worker. 0; -EAGAIN:
 * max_coroutines reached or no memory; -EPERM: no run. Does not suspend.
 */
URT_API int urt_go(urt_fn *fn, void *arg);

/*
 * Starts a coroutine that is to be joined exactly once; its memory is kept
 * until then. NULL where urt_go would have failed. Does not suspend.
 */
URT_API struct urt_coro *urt_spawn(urt_fn *fn, void *arg);

/* The same, with what differs from the run's options; zero: as there. */
struct urt_spawn_options {
	size_t stack_size; /* bytes, rounded up to 16 KiB times a power of 4;
	                      at most 64 MiB */
};
URT_API int urt_go_with(urt_fn *fn, void *arg,
			const struct urt_spawn_options *);
URT_API struct urt_coro *urt_spawn_with(urt_fn *fn, void *arg,
					const struct urt_spawn_options *);

/*
 * Waits until the coroutine has returned and frees it. May suspend.
 * 0, or -ECANCELED: the caller was cancelled, and the coroutine is still to
 * be joined.
 */
URT_API int urt_join(struct urt_coro *);

/* The same with a deadline; -ETIME: it is still to be joined. */
URT_API int urt_join_until(struct urt_coro *, int64_t deadline_ns);

/*
 * Cancels a coroutine that was spawned, waits until it has returned and frees
 * it: what one does on the way out with those one has started. Not cancellable,
 * and no deadline ends it, so it can be used by a coroutine that was cancelled.
 * 0; -EPERM: no run. May suspend.
 */
URT_API int urt_end(struct urt_coro *);

/*
 * Asks a coroutine that was spawned and not yet joined to end: the call it
 * is waiting in, and every later one that would have to wait, returns
 * -ECANCELED. May be called more than once. 0. Does not suspend.
 */
URT_API int urt_cancel(struct urt_coro *);

/* The calling coroutine; NULL on a plain thread. */
URT_API struct urt_coro *urt_self(void);

/* A number that is unique among the coroutines of this run, from 1. */
URT_API uint64_t urt_id(const struct urt_coro *);

/* Lets the other runnable coroutines go first. May suspend. */
URT_API void urt_yield(void);

/* ---- preemption -------------------------------------------------------- */

/*
 * A coroutine that has used 2 ms of CPU time while others wait gives way at its
 * next call that may suspend. If it makes none, another thread takes over the
 * coroutines that wait for its worker, and it is preempted by a signal (SIGURG),
 * provided that it is safe: it is executing the program's own code, not a
 * library's, and no library's function is below it on its stack (so it is not
 * inside malloc, nor in a callback of qsort); it holds no pthread mutex, rwlock or
 * spin lock and no locked stdio stream, which is known because uring_rt counts them
 * in its own definitions of these functions; its stack has room. It then goes on on
 * the same thread, and moves to another only at its next call that may suspend.
 * Where that is not safe, or the coroutine is blocked in a system call, it goes on
 * beside the others as an ordinary thread.
 *
 * Between disable and enable, which nest, the calling coroutine is not
 * preempted: for a lock of a library's own making, or data of the thread's.
 * Does nothing on plain threads. URT_PREEMPT=off in the environment leaves only
 * the taking over. The signal comes from a timer of the thread's CPU time, when it
 * returns to the program: it ends no blocking call early, except at the end of the run.
 */
URT_API void urt_preempt_disable(void);
URT_API void urt_preempt_enable(void);

/*
 * Says that the library which holds this address may be preempted like the
 * program itself: it takes no locks but pthread's. 0; -ENOENT: no library is
 * there; -ENOSPC: 16 are registered. From any thread.
 */
URT_API int urt_preempt_register(const void *address_in_library);

/* ---- blocking code ----------------------------------------------------- */

/*
 * Calls fn(arg) on a pool of threads and returns its result: for code that
 * blocks and for which io_uring has no operation (getaddrinfo, a library). The
 * pool grows to urt_options.max_blocking threads, beyond which calls queue; idle
 * threads end after 5 s. A call that no thread has begun is taken back, and fn
 * not called, when the coroutine is cancelled (-ECANCELED) or its scope's
 * deadline, or deadline_ns, passes (-ETIME). Once begun, nothing ends it: what fn
 * uses stays valid. -EAGAIN: not even one thread could be started. So that its
 * result can be told from these errors, fn should return other values. On a plain thread just calls fn. May
 * suspend. fn is on a plain thread.
 */
URT_API int64_t urt_blocking(int64_t (*fn)(void *), void *arg);
URT_API int64_t urt_blocking_until(int64_t (*fn)(void *), void *arg,
				   int64_t deadline_ns);

/* ---- coroutine-local values -------------------------------------------- */

#define URT_LOCAL_KEYS 64

/*
 * A key for a value of which each coroutine has its own, NULL at first. When a
 * coroutine ends with one that is not NULL, destroy(value) is called, if given,
 * in that coroutine. Keys are never given back: 0 .. 63, or -EAGAIN.
 */
URT_API int urt_local_key(void (*destroy)(void *value));
/* 0; -EINVAL: no such key; -ENOMEM; -EPERM. */
URT_API int urt_local_set(int key, void *value);
URT_API void *urt_local_get(int key);

/* ---- context ----------------------------------------------------------- */

/*
 * Which request a coroutine works for, so that tools outside can tell: `urt
 * stat --by context`, `urt dump`, and profilers that know OpenTelemetry's
 * thread contexts, whose layout this is (OTEP 4947). Coroutines that are started
 * have the context of the one that starts them. So a server sets it where it
 * has read a request, and all that is done for that request is known as such.
 *
 *	struct urt_context ctx = { 0 };
 *
 *	urt_context_from_traceparent(&ctx, header);
 *	urt_context_add(&ctx, route_key, "/users/:id");
 *	urt_context_set(&ctx);
 */
struct urt_context {
	uint8_t trace_id[16], span_id[8]; /* both zero: none */
	uint8_t valid;			  /* urt_context_set writes it */
	uint8_t trace_flags;
	uint16_t attrs_size; /* bytes of attrs that are used */
	uint8_t attrs[612];  /* urt_context_add's: key, length, UTF-8 value */
};

/*
 * The number of a key for urt_context_add, such as "http.route". It is the same
 * for the same name, from any thread, at any time. 0 to 255; -ENOSPC: 256 keys
 * are in use; -EINVAL: the name is empty or longer than 64 bytes.
 */
URT_API int urt_context_key(const char *name);

/*
 * Adds an attribute, in place of the one with the same key. 0; -ENOSPC: the
 * value is longer than 255 bytes or does not fit; -EINVAL: no such key. From
 * any thread.
 */
URT_API int urt_context_add(struct urt_context *, int key, const char *value);

/*
 * Sets the calling coroutine's context, which is copied; NULL: none. 0;
 * -EINVAL: attrs is no sequence of whole attributes; -ENOMEM; -EPERM. Does not
 * suspend. From the first call on, a switch costs 2 to 3 ns more.
 */
URT_API int urt_context_set(const struct urt_context *);
/* The calling coroutine's; false: it has none, and *ctx is zero. */
URT_API bool urt_context_get(struct urt_context *ctx);

/*
 * The ids and flags of a `traceparent` header (W3C Trace Context); -EINVAL: it
 * is not one, and nothing was changed. And the header for a context.
 */
URT_API int urt_context_from_traceparent(struct urt_context *, const char *);
URT_API void urt_context_to_traceparent(const struct urt_context *,
					char header[56]);

/* ---- scopes ------------------------------------------------------------ */

/*
 * Coroutines that are started, cancelled and waited for together. A scope is a
 * variable of the coroutine that opens it, which must close it before it
 * returns; scopes nest. Its fields are the library's.
 */
struct urt_scope {
	uint32_t lock;
	bool cancelled;
	int error;
	int64_t deadline_ns;
	struct urt_coro *members, *closer;
	uint64_t closer_seq;
	struct urt_scope *parent, *outer, *children, *next, *prev;
};

/*
 * deadline_ns: all waits of its members end by then, with -ETIME, and close
 * cancels those who are still there. A scope that is opened in a coroutine of
 * another scope, or inside it, is cancelled with that and keeps its deadline
 * if that is earlier. 0; -EPERM.
 */
URT_API int urt_scope_open(struct urt_scope *, int64_t deadline_ns);

/*
 * Starts fn(arg) in the scope, from any coroutine while it is open. If fn
 * returns a negative value, the first one such is kept and the scope is
 * cancelled. 0; -ECANCELED: it is cancelled, nothing was started; -EAGAIN;
 * -EPERM.
 */
URT_API int urt_scope_go(struct urt_scope *, int (*fn)(void *arg), void *arg);

/* Cancels all members and the scopes below. From any thread; does not wait. */
URT_API void urt_scope_cancel(struct urt_scope *);

/*
 * Waits until all members have returned; if the caller is cancelled or the
 * deadline passes meanwhile, cancels them and still waits. Returns the first
 * error of a member, else -ECANCELED or -ETIME if that happened, else 0. May
 * suspend.
 */
URT_API int urt_scope_close(struct urt_scope *);

/* ---- time -------------------------------------------------------------- */

/* CLOCK_MONOTONIC in ns. From any thread. */
URT_API int64_t urt_now(void);

/* The deadline ns from now; URT_NEVER if that is beyond counting. */
URT_API int64_t urt_after(int64_t ns);

/* Parks for ns. 0, or -ECANCELED. May suspend; makes no system call itself. */
URT_API int urt_sleep(int64_t ns);
URT_API int urt_sleep_until(int64_t deadline_ns);

/* ---- input and output: all may suspend --------------------------------- */

/*
 * As the POSIX calls of the same name. Lengths over 2,147,479,552 bytes are
 * cut to that, as Linux does. Non-blocking descriptors wait like others.
 *
 * As there, writing to a pipe or a connection that the other side has closed
 * raises SIGPIPE besides -EPIPE: servers ignore it, by signal(SIGPIPE, SIG_IGN),
 * or send with MSG_NOSIGNAL.
 *
 * Who is given a descriptor must have used it before another closes it: after
 * urt_go(serve, &fd), urt_close(fd) closes it before serve has begun.
 */
URT_API ssize_t urt_read(int fd, void *buf, size_t len, int64_t deadline_ns);
URT_API ssize_t urt_write(int fd, const void *buf, size_t len,
			  int64_t deadline_ns);
URT_API ssize_t urt_pread(int fd, void *buf, size_t len, off_t offset,
			  int64_t deadline_ns);
URT_API ssize_t urt_pwrite(int fd, const void *buf, size_t len, off_t offset,
			   int64_t deadline_ns);
URT_API ssize_t urt_recv(int fd, void *buf, size_t len, int flags,
			 int64_t deadline_ns);
URT_API ssize_t urt_send(int fd, const void *buf, size_t len, int flags,
			 int64_t deadline_ns);
URT_API int urt_accept(int fd, struct sockaddr *, socklen_t *, int flags,
		       int64_t deadline_ns);
URT_API int urt_connect(int fd, const struct sockaddr *, socklen_t,
			int64_t deadline_ns);

/*
 * Of urt_send's flags MSG_ZEROCOPY means something else than in send(2): the
 * kernel sends from the caller's memory instead of a copy, and the call returns
 * only when it has let go of that, for TCP when the other side has acknowledged
 * it. Nothing is read from the socket's error queue. Worth it for large sends
 * over a network card (10 KB or more: the kernel's Documentation/networking/
 * msg_zerocopy.rst); below that, and before Linux 6.0, it is copied. To the
 * same machine the kernel always copies.
 */

/* As recvmsg(2) and sendmsg(2); what the msghdr names is lent, too. */
URT_API ssize_t urt_recvmsg(int fd, struct msghdr *, int flags,
			    int64_t deadline_ns);
URT_API ssize_t urt_sendmsg(int fd, const struct msghdr *, int flags,
			    int64_t deadline_ns);
URT_API ssize_t urt_recvfrom(int fd, void *buf, size_t len, int flags,
			     struct sockaddr *, socklen_t *,
			     int64_t deadline_ns);
URT_API ssize_t urt_sendto(int fd, const void *buf, size_t len, int flags,
			   const struct sockaddr *, socklen_t,
			   int64_t deadline_ns);

/*
 * Receives from a stream socket into a buffer of the runtime's, which the
 * kernel takes when data comes: a connection that waits holds none. Returns how
 * many bytes there are at *data (never more than 64 KiB), 0 at the end of the
 * stream, or as urt_recv. The memory is lent to the caller until
 * urt_lent_return, from any coroutine or thread of the run and in any order; it
 * is gone when the run ends. Each worker lends up to 4 MiB, beyond that it
 * comes from malloc.
 */
URT_API ssize_t urt_recv_lent(int fd, void **data, int flags,
			      int64_t deadline_ns);
/* data as it came from urt_recv_lent, or NULL. Does not suspend. */
URT_API void urt_lent_return(void *data);

/*
 * Files and the rest, as the system calls of the same name (renameat is
 * renameat2, with its flags). offset -1: the current position. What the running
 * kernel's io_uring does not have is done by other means with the same meaning
 * (`urt doctor` says how). Where that is the thread pool, neither a deadline
 * nor a cancellation ends it there. statx(2) and open_how need their own
 * headers. Opening a FIFO waits for its other side, unless O_NONBLOCK is given,
 * and holds a thread of the kernel's meanwhile; opening a serial line does not
 * wait for its carrier.
 */
struct statx;
struct open_how;
URT_API int urt_openat(int dir, const char *path, int flags, mode_t mode,
		       int64_t deadline_ns);
URT_API int urt_openat2(int dir, const char *path, const struct open_how *how,
			size_t size, int64_t deadline_ns);
URT_API ssize_t urt_preadv2(int fd, const struct iovec *iov, int n,
			    off_t offset, int flags, int64_t deadline_ns);
URT_API ssize_t urt_pwritev2(int fd, const struct iovec *iov, int n,
			     off_t offset, int flags, int64_t deadline_ns);
URT_API ssize_t urt_readv(int fd, const struct iovec *iov, int n,
			  int64_t deadline_ns);
URT_API ssize_t urt_writev(int fd, const struct iovec *iov, int n,
			   int64_t deadline_ns);
URT_API int urt_fsync(int fd, int64_t deadline_ns);
URT_API int urt_fdatasync(int fd, int64_t deadline_ns);
URT_API int urt_sync_file_range(int fd, off_t offset, size_t len,
				unsigned flags, int64_t deadline_ns);
URT_API int urt_fallocate(int fd, int mode, off_t offset, off_t len,
			  int64_t deadline_ns);
URT_API int urt_ftruncate(int fd, off_t size, int64_t deadline_ns);
URT_API int urt_fadvise(int fd, off_t offset, size_t len, int advice,
			int64_t deadline_ns);
URT_API int urt_madvise(void *address, size_t len, int advice,
			int64_t deadline_ns);
URT_API int urt_statx(int dir, const char *path, int flags, unsigned mask,
		      struct statx *st, int64_t deadline_ns);
URT_API int urt_renameat(int from_dir, const char *from, int to_dir,
			 const char *to, unsigned flags, int64_t deadline_ns);
URT_API int urt_unlinkat(int dir, const char *path, int flags,
			 int64_t deadline_ns);
URT_API int urt_mkdirat(int dir, const char *path, mode_t mode,
			int64_t deadline_ns);
URT_API int urt_symlinkat(const char *target, int dir, const char *path,
			  int64_t deadline_ns);
URT_API int urt_linkat(int from_dir, const char *from, int to_dir,
		       const char *to, int flags, int64_t deadline_ns);
URT_API int urt_fsetxattr(int fd, const char *name, const void *value,
			  size_t size, int flags, int64_t deadline_ns);
URT_API int urt_setxattr(const char *path, const char *name, const void *value,
			 size_t size, int flags, int64_t deadline_ns);
URT_API ssize_t urt_fgetxattr(int fd, const char *name, void *value,
			      size_t size, int64_t deadline_ns);
URT_API ssize_t urt_getxattr(const char *path, const char *name, void *value,
			     size_t size, int64_t deadline_ns);
URT_API ssize_t urt_tee(int in, int out, size_t len, unsigned flags,
			int64_t deadline_ns);
URT_API int urt_shutdown(int fd, int how, int64_t deadline_ns);
URT_API ssize_t urt_splice(int in, off_t *in_offset, int out, off_t *out_offset,
			   size_t len, unsigned flags, int64_t deadline_ns);
URT_API int urt_waitid(idtype_t, unsigned id, siginfo_t *, int options,
		       int64_t deadline_ns);

/* Waits for POLLIN, POLLOUT, ...; returns the events that came. */
URT_API int urt_poll(int fd, short events, int64_t deadline_ns);

/* Waits for events of an epoll instance, at most max; how many came. */
struct epoll_event;
URT_API int urt_epoll_wait(int epfd, struct epoll_event *, int max,
			   int64_t deadline_ns);

/*
 * Sleeps while *word is `expected`, until a wake; as futex(2) with FUTEX_WAIT
 * and FUTEX_WAKE, without FUTEX_PRIVATE_FLAG: also between processes, and a
 * private one is another futex. wait: 0, or -EAGAIN: *word was another value. A
 * wait may also end without a wake. wake: how many of at most n it woke.
 */
URT_API int urt_futex_wait(uint32_t *word, uint32_t expected,
			   int64_t deadline_ns);
URT_API int urt_futex_wake(uint32_t *word, int n);

/* As their namesakes, but -errno. They never wait; urt_listen_on is listen(2),
 * and urt_pipe is pipe2(2). */
URT_API int urt_socket(int domain, int type, int protocol);
URT_API int urt_bind(int fd, const struct sockaddr *, socklen_t);
URT_API int urt_listen_on(int fd, int backlog);
URT_API int urt_getsockopt(int fd, int level, int name, void *value,
			   socklen_t *len);
URT_API int urt_setsockopt(int fd, int level, int name, const void *value,
			   socklen_t len);
URT_API int urt_pipe(int fds[2], int flags);

/*
 * Always closes, also in a cancelled coroutine. Other coroutines that wait for
 * the descriptor in a call on it return -ECANCELED first, where POSIX leaves
 * open what becomes of them; plain close(2) leaves them waiting. One that had
 * written a part returns how much that was, and writes no more. Not ended are
 * calls of the thread pool, the `in` of splice and tee, and epoll_wait on
 * another descriptor; what a disk has begun is waited for. May suspend.
 */
URT_API int urt_close(int fd);

/* ---- channels ---------------------------------------------------------- */

/*
 * A queue of up to `capacity` elements of elem_size bytes, copied in and out;
 * capacity 0: sender and receiver meet. elem_size 0 is allowed: only the
 * event counts. NULL: out of memory. Does not suspend.
 */
struct urt_chan;
URT_API struct urt_chan *urt_chan_new(size_t elem_size, size_t capacity);

/*
 * Both may suspend. Waiters are served in the order they came. elem NULL in
 * recv: the element is thrown away.
 * send: 0; -EPIPE: closed, nothing was sent; -ETIME; -ECANCELED.
 * recv: 0; -EPIPE: closed and empty; -ETIME; -ECANCELED.
 */
URT_API int urt_chan_send(struct urt_chan *, const void *elem,
			  int64_t deadline_ns);
URT_API int urt_chan_recv(struct urt_chan *, void *elem, int64_t deadline_ns);

/* Wakes all that wait on it. A second close changes nothing. Elements that are
 * queued can still be received: `while (!urt_chan_recv(...))` ends after the
 * last one. */
URT_API void urt_chan_close(struct urt_chan *);

/* Elements that are queued now. */
URT_API size_t urt_chan_len(const struct urt_chan *);

/* Nobody may be using it any more. NULL is fine. */
URT_API void urt_chan_free(struct urt_chan *);

/* ---- select ------------------------------------------------------------ */

enum urt_op { URT_RECV, URT_SEND };

struct urt_case {
	struct urt_chan *chan; /* NULL: never goes ahead */
	enum urt_op op;
	void *elem; /* to send, or where to receive to, or NULL */
	int result; /* of the case that went ahead: 0, or -EPIPE: closed */
};

/*
 * Waits until one of the cases can go ahead, does that one and returns its
 * index; if several can, one of them, each with the same chance. With deadline_ns 0 it does not wait: the
 * "default" of other selects. -ETIME; -ECANCELED; -ENOMEM (for more than 16
 * cases). May suspend.
 */
URT_API int urt_select(struct urt_case *, size_t n, int64_t deadline_ns);

/* Those that wait for something, in order of arrival. For the structs below:
 * their fields are the library's. */
struct urt__waiter;
struct urt_waitq {
	struct urt__waiter *head, *tail;
};

/* ---- mutex ------------------------------------------------------------- */

/*
 * Between coroutines; never blocks a thread. Not recursive. Unlocking wakes
 * the first waiter but does not hand over: whoever runs first takes it, which
 * keeps a busy lock cheap. A waiter that has been passed over for 1 ms gets
 * it handed over (the policy of Go's sync.Mutex).
 */
struct urt_mutex {
	uint32_t state;
	uint32_t lock;
	struct urt_waitq waiters;
};
#define URT_MUTEX_INIT             \
	{                          \
		0, 0,              \
		{                  \
			NULL, NULL \
		}                  \
	}
URT_API void urt_mutex_init(struct urt_mutex *);
/* 0; -ETIME; -ECANCELED. May suspend. */
URT_API int urt_mutex_lock(struct urt_mutex *, int64_t deadline_ns);
/* True if it is now the caller's. */
URT_API bool urt_mutex_trylock(struct urt_mutex *);
/* Any coroutine; on a plain thread it ends the program. */
URT_API void urt_mutex_unlock(struct urt_mutex *);

/* ---- read-write lock --------------------------------------------------- */

/*
 * Readers together, writers alone. A writer that waits keeps new readers out;
 * when a writer leaves, the readers that wait go first. None starves.
 */
struct urt_rwlock {
	uint32_t lock;
	bool writing;
	uint32_t readers;
	struct urt_waitq waiting_readers, writers;
};
#define URT_RWLOCK_INIT                      \
	{                                    \
		0, false, 0, { NULL, NULL }, \
		{                            \
			NULL, NULL           \
		}                            \
	}
URT_API void urt_rwlock_init(struct urt_rwlock *);
/* 0; -ETIME; -ECANCELED; -EPERM. May suspend. */
URT_API int urt_rwlock_rdlock(struct urt_rwlock *, int64_t deadline_ns);
URT_API int urt_rwlock_wrlock(struct urt_rwlock *, int64_t deadline_ns);
URT_API bool urt_rwlock_tryrdlock(struct urt_rwlock *);
URT_API bool urt_rwlock_trywrlock(struct urt_rwlock *);
/* Of either kind; on a plain thread it ends the program. */
URT_API void urt_rwlock_unlock(struct urt_rwlock *);

/* ---- condition --------------------------------------------------------- */

struct urt_cond {
	uint32_t lock;
	struct urt_waitq waiters;
};
#define URT_COND_INIT              \
	{                          \
		0,                 \
		{                  \
			NULL, NULL \
		}                  \
	}
URT_API void urt_cond_init(struct urt_cond *);
/*
 * Gives up the mutex, waits to be signalled, and has the mutex again when it
 * returns, whatever it returns: 0; -ETIME; -ECANCELED. Waiters are signalled in
 * the order they came, and never without a signal. May suspend.
 */
URT_API int urt_cond_wait(struct urt_cond *, struct urt_mutex *,
			  int64_t deadline_ns);
/* On a plain thread they end the program. */
URT_API void urt_cond_signal(struct urt_cond *);
URT_API void urt_cond_broadcast(struct urt_cond *);

/* ---- semaphore --------------------------------------------------------- */

/* A post goes to the one that has waited longest. */
struct urt_sem {
	uint32_t count;
	uint32_t lock;
	struct urt_waitq waiters;
};
#define URT_SEM_INIT(n)            \
	{                          \
		(n), 0,            \
		{                  \
			NULL, NULL \
		}                  \
	}
URT_API void urt_sem_init(struct urt_sem *, uint32_t count);
/* 0; -ETIME; -ECANCELED. May suspend. */
URT_API int urt_sem_wait(struct urt_sem *, int64_t deadline_ns);
URT_API bool urt_sem_trywait(struct urt_sem *);
URT_API void urt_sem_post(struct urt_sem *);

/* ---- once -------------------------------------------------------------- */

struct urt_once {
	uint32_t state;
	uint32_t lock;
	struct urt_waitq waiters;
};
#define URT_ONCE_INIT              \
	{                          \
		0, 0,              \
		{                  \
			NULL, NULL \
		}                  \
	}
/*
 * The first call runs fn(arg); all return 0 when it has returned. The others
 * may give up waiting: -ETIME; -ECANCELED. May suspend.
 */
URT_API int urt_once_do(struct urt_once *, urt_fn *fn, void *arg,
			int64_t deadline_ns);

/* ---- barrier ----------------------------------------------------------- */

struct urt_barrier {
	uint32_t count, arrived, round;
	uint32_t lock;
	struct urt_waitq waiters;
};
#define URT_BARRIER_INIT(n)        \
	{                          \
		(n), 0, 0, 0,      \
		{                  \
			NULL, NULL \
		}                  \
	}
URT_API void urt_barrier_init(struct urt_barrier *, uint32_t count);
/*
 * Waits until `count` have come: 1 for the last of them, 0 for the others.
 * -ETIME and -ECANCELED: given up, and not counted. May suspend.
 */
URT_API int urt_barrier_wait(struct urt_barrier *, int64_t deadline_ns);

/* ---- wait group -------------------------------------------------------- */

/* Counts what is still to be done; wait returns when that is nothing. */
struct urt_waitgroup {
	int64_t state;
	uint32_t lock;
	struct urt_waitq waiters;
};
#define URT_WAITGROUP_INIT         \
	{                          \
		0, 0,              \
		{                  \
			NULL, NULL \
		}                  \
	}
URT_API void urt_waitgroup_init(struct urt_waitgroup *);
/* The count may not become negative: that is a bug of the program, and ends
 * it. Does not suspend. */
URT_API void urt_waitgroup_add(struct urt_waitgroup *, int64_t n);
URT_API void urt_waitgroup_done(struct urt_waitgroup *);
/* 0; -ETIME; -ECANCELED. May suspend. */
URT_API int urt_waitgroup_wait(struct urt_waitgroup *, int64_t deadline_ns);

/* ---- addresses ---------------------------------------------------------- */

/*
 * An address is written as one string, [NETWORK:]WHERE:
 *
 *	example.org:80   127.0.0.1:80   [::1]:80   [fe80::1%eth0]:80   :80
 *	tcp:...          the same: TCP is what is meant without a network
 *	udp:host:port    datagrams
 *	unix:/path       a stream socket in the file system; unix:@name an
 *	                 abstract one. unixgram: the same with datagrams
 *
 * A port is a decimal number without leading zeros (names such as "http" are
 * not looked up). Without a host, dialling means this machine's loopback, and
 * listening means all its addresses of both families. Names have the characters
 * of host names and do not end in a label of digits only: "127.1" is a mistake,
 * not an address. -EINVAL: any other string; -ENAMETOOLONG: host over 253
 * bytes, or path over 107.
 */
struct urt_addr {
	int type;      /* SOCK_STREAM or SOCK_DGRAM */
	socklen_t len; /* of what follows, as bind and connect take it */
	union {
		struct sockaddr sa;
		struct sockaddr_storage storage;
	};
};

/* Bytes, the 0 included, that any address as text has room in. */
#define URT_ADDR_TEXT 160

/* In the form above. The text's length; -ENOSPC: it is more than size - 1, and
 * buf is empty; -EAFNOSUPPORT. From any thread, does not suspend. */
URT_API int urt_addr_text(const struct urt_addr *, char *buf, size_t size);

/* Of a socket's own end and of the other: getsockname(2), getpeername(2).
 * 0 or -errno. From any thread, does not suspend. */
URT_API int urt_addr_local(int fd, struct urt_addr *);
URT_API int urt_addr_peer(int fd, struct urt_addr *);

/*
 * What an address string stands for: at most n addresses, best first, in the
 * order of RFC 6724 with the families taking turns (RFC 8305, section 4). How
 * many there are, at least 1. Names are looked up by getaddrinfo(3) on the
 * thread pool; everything else does not suspend. At the deadline or when
 * cancelled the call returns, and the look-up ends on its own later: until then
 * it holds one of urt_options.max_blocking threads, and the end of the run
 * waits for it. Errors: -ENOENT: no such host (EAI_NONAME,
 * EAI_NODATA, EAI_ADDRFAMILY); -EAGAIN: no answer, perhaps later (EAI_AGAIN);
 * -EIO: the name server failed (EAI_FAIL); -ENOMEM; errno's of EAI_SYSTEM;
 * -EINVAL (all others, and bad strings).
 */
URT_API int urt_resolve(const char *address, struct urt_addr *, size_t n,
			int64_t deadline_ns);

/* ---- dial and listen ---------------------------------------------------- */

/*
 * A socket connected to an address; it is blocking and close-on-exec, and TCP's
 * has TCP_NODELAY (as Go's: small writes are not held back; gather them in a
 * stream instead). If a name has several addresses they race as RFC 8305 has
 * it: the next one is tried when the one before failed or 250 ms after it was
 * begun; the first to connect wins, the others are cancelled and closed.
 * Errors: of urt_resolve; the first address's error if none connects; -ETIME;
 * -ECANCELED. A datagram socket is connected, too: send and recv need no
 * address. May suspend.
 */
URT_API int urt_dial(const char *address, int64_t deadline_ns);

/*
 * A listening socket (of datagrams: a bound one), blocking and close-on-exec.
 * Port 0 takes any; urt_addr_local says which. TCP: SO_REUSEADDR, so that a
 * server can start again at once; TCP_NODELAY, which accepted sockets inherit;
 * without a host one socket for both families, or of IPv4 where there is no
 * IPv6; a name that has several addresses listens at the first. The backlog is
 * the most that the system allows (net.core.somaxconn, 4096). A path must not
 * exist: -EADDRINUSE, unlink it first. The port of a server that was killed is
 * free some 5 ms later, when the kernel has ended its ring; until then, too,
 * -EADDRINUSE. Errors: of urt_resolve, socket(2),
 * bind(2), listen(2). May suspend, to look up a name.
 */
URT_API int urt_listen(const char *address, int64_t deadline_ns);

/*
 * Starts to accept connections, in a coroutine in the scope, and calls
 * serve(fd, arg) for each, in a coroutine of its own in the same scope; when
 * serve returns, fd is closed. Where descriptors, memory or coroutines are
 * short, it waits a little. Accepting ends when the scope is cancelled, which
 * cancels the connections, too, or by urt_shutdown(listener, SHUT_RD, ...),
 * which leaves them alone; any other error of accept(2) is that of a member.
 * The listener stays the caller's and must stay open until the scope is closed.
 * 0; -ENOMEM and the errors of urt_scope_go. Does not suspend.
 */
URT_API int urt_serve(struct urt_scope *, int listener,
		      void (*serve)(int fd, void *arg), void *arg);

/* ---- buffered streams --------------------------------------------------- */

/*
 * Reading and writing with a buffer each way. One coroutine may read while
 * another writes; two that read, or two that write, need a lock. All may
 * suspend but new, free and buffered. A deadline, a cancellation or an error
 * loses nothing: what had come is still there to be read, what was accepted is
 * still there to be flushed, and the call can be made again.
 */
struct urt_stream;

/*
 * Over a descriptor, with buffers of `size` bytes: the longest line and the
 * longest peek (0: 8192; at least 16, at most 2^30). NULL: no memory. The
 * descriptor stays the caller's, unless urt_stream_close is used.
 */
URT_API struct urt_stream *urt_stream_new(int fd, size_t size);

/*
 * Over anything else that reads and writes, such as TLS (urt_tls.h): calls with
 * `self`, as read(2) and write(2) but >= 0 or -errno, which may suspend. write
 * may accept more than has been sent; then flush sends the rest: 0 or -errno.
 * close is for urt_stream_close, free for both ends. Zero: there is nothing to
 * do.
 */
struct urt_stream_io {
	ssize_t (*read)(void *self, void *buf, size_t len, int64_t deadline_ns);
	ssize_t (*write)(void *self, const void *buf, size_t len,
			 int64_t deadline_ns);
	int (*flush)(void *self, int64_t deadline_ns);
	int (*close)(void *self, int64_t deadline_ns);
	void (*free)(void *self);
};
URT_API struct urt_stream *urt_stream_over(const struct urt_stream_io *,
					   void *self, size_t size);
/* The `self` of a stream over these calls; NULL: it is over others. Does not
 * suspend. */
URT_API void *urt_stream_self(const struct urt_stream *,
			      const struct urt_stream_io *);

/* Gives back the memory; what was not flushed is dropped. NULL is fine. */
URT_API void urt_stream_free(struct urt_stream *);

/* Flushes, closes the descriptor and frees, these two whatever happens. 0, or
 * why the flush failed. NULL is fine. */
URT_API int urt_stream_close(struct urt_stream *, int64_t deadline_ns);

/* What there is, as read(2): at least a byte; 0: the end. */
URT_API ssize_t urt_stream_read(struct urt_stream *, void *buf, size_t len,
				int64_t deadline_ns);

/*
 * All len bytes. Fewer: after these the stream ended or an error came, which
 * the next call returns; 0: the end; an error only if no byte came.
 */
URT_API ssize_t urt_stream_read_full(struct urt_stream *, void *buf, size_t len,
				     int64_t deadline_ns);

/*
 * Waits for n bytes and shows them without taking them: *data is in the buffer
 * and valid until the next call that reads. How many are there, which may be
 * more; fewer than n: the stream ends with them. -EMSGSIZE: n is more than the
 * buffer's size.
 */
URT_API ssize_t urt_stream_peek(struct urt_stream *, size_t n,
				const char **data, int64_t deadline_ns);

/* Bytes that can be read without waiting. */
URT_API size_t urt_stream_buffered(const struct urt_stream *);

/*
 * Takes everything up to and including the delimiter; *data as for peek. How
 * many bytes; 0: the end, and nothing before it. -EMSGSIZE: the buffer is full
 * and has no delimiter in it; -ENODATA: the stream ends without one. After both,
 * the bytes can still be read otherwise. -EINVAL: an empty delimiter.
 */
URT_API ssize_t urt_stream_read_until(struct urt_stream *,
				      const char *delimiter, const char **data,
				      int64_t deadline_ns);

/*
 * Takes a line: *line is it as a string, without its "\n" or "\r\n" (valid as
 * for peek, and the caller's to change), *len its length, if len is not NULL.
 * What stands after the last "\n" counts as a line. 1; 0: the end; -EMSGSIZE:
 * it is longer than the buffer, and nothing was taken.
 */
URT_API int urt_stream_read_line(struct urt_stream *, char **line, size_t *len,
				 int64_t deadline_ns);

/*
 * Accepts all len bytes, into the buffer and, when that is full, to the
 * descriptor. Fewer: an error came after these; an error only if none was
 * accepted. A broken connection is -EPIPE, without SIGPIPE if it is a socket.
 */
URT_API ssize_t urt_stream_write(struct urt_stream *, const void *buf,
				 size_t len, int64_t deadline_ns);

/* As printf(3). The length; -EMSGSIZE: more than the buffer's size; on an error
 * nothing of it was accepted. */
URT_API int urt_stream_printf(struct urt_stream *, int64_t deadline_ns,
			      const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Writes out what was accepted. 0 or -errno. */
URT_API int urt_stream_flush(struct urt_stream *, int64_t deadline_ns);

/* ---- files and copies: all may suspend ---------------------------------- */

/*
 * A whole file, of at most max bytes, into memory that the caller frees with
 * free(3); one byte more is 0. Also those of /proc, whose size is not known.
 * The length; -EFBIG: it has more than max bytes; -ENOMEM; of open and read.
 */
URT_API ssize_t urt_read_file(const char *path, char **data, size_t max,
			      int64_t deadline_ns);

/*
 * Replaces a file, or makes it, with all of data or, whatever happens, not at
 * all: writes to a new file beside it, syncs that, renames it over path and
 * syncs the directory. What is at path is replaced, not written to: other names
 * of the file keep the old contents, a symbolic link is replaced itself, owner
 * and mode are new (mode, less the umask). 0 or -errno; an error of the last
 * step can come after the rename.
 */
URT_API int urt_write_file(const char *path, const void *data, size_t len,
			   mode_t mode, int64_t deadline_ns);

/*
 * Copies from one descriptor to another until the end of `in`, or, if it comes
 * first, `len` bytes (SIZE_MAX: no limit). How many in *copied, which is right
 * after an error, too (but what was read and could not be written is lost). 0
 * or -errno; -EPIPE comes without SIGPIPE from sockets.
 */
URT_API int urt_copy(int in, int out, size_t len, uint64_t *copied,
		     int64_t deadline_ns);

/*
 * As sendfile(2): from a file, at *offset, which moves by what was sent, or at
 * its own position, which then moves. Sends all of len, or up to the end of the
 * file. The bytes sent; an error only if none were.
 */
URT_API ssize_t urt_sendfile(int out, int in, off_t *offset, size_t len,
			     int64_t deadline_ns);

/* ---- processes ---------------------------------------------------------- */

/* In place of a descriptor for a command's in, out or err. */
enum {
	URT_INHERIT = 0,    /* the caller's own: 0, 1 or 2 */
	URT_NULL = -1,	    /* /dev/null */
	URT_PIPE = -2,	    /* a pipe, whose other end urt_process has */
	URT_TO_STDOUT = -3, /* err only: where out goes, as 2>&1 */
};

/* What to run. Initialise with `{ .argv = ... }`: zero is a good default. */
struct urt_command {
	const char *const *argv; /* ends with NULL; argv[0] is looked up in
	                            PATH unless it has a slash */
	const char *const *env;	 /* "NAME=value", ends with NULL. NULL: the
	                            caller's */
	const char *cwd;	 /* NULL: the caller's */
	int in, out, err; /* a descriptor above 0 (it stays the caller's), or
	                     one of the above */
	bool group; /* leads a process group of its own, and signals go to all
	               of it: for shells, and what else has children */
};

/*
 * A running process: one variable per process, from start to close. in, out and
 * err are the caller's ends of pipes (blocking, close-on-exec), else -1. close
 * closes them; a program that closes one itself sets it to -1.
 */
struct urt_process {
	pid_t pid;
	int pidfd; /* readable when it has ended */
	int in, out, err;
	bool group;
};

/*
 * Starts it. It has no signal blocked, those that the caller handles are at
 * their default, and so is SIGPIPE; others that are ignored stay so (nohup).
 * Descriptors that are not close-on-exec are inherited, as always. 0; what
 * went wrong in the child, of chdir(2) and execve(2), is the result, too
 * (-ENOENT: no such program); -ECHILD: SIGCHLD is ignored, so that nothing could
 * be waited for; -EINVAL. Runs on the thread pool. May suspend.
 */
URT_API int urt_process_start(struct urt_process *, const struct urt_command *);

/*
 * Waits until it has ended: its status as of waitpid(2), for WIFEXITED and so
 * on; 0 is success. -ETIME and -ECANCELED: it still runs. May be called again
 * and by several coroutines, since it is close that reaps it: its pid
 * stays its own until then. May suspend.
 */
URT_API int urt_process_wait(const struct urt_process *, int64_t deadline_ns);

/* Sends a signal, to the whole group if it has one. 0, also if it has ended
 * already; -EINVAL; -EPERM. Does not suspend. */
URT_API int urt_process_signal(const struct urt_process *, int signal);

/*
 * Closes the pipes, kills it (its group, too, where that has members left) if
 * it still runs, waits for that and reaps it: its status. So what is left in a
 * cancelled coroutine is killed on its way out. -ESRCH: it never started, or is
 * closed. Not cancellable. May suspend.
 */
URT_API int urt_process_close(struct urt_process *);

/*
 * Runs it to its end and returns its status; *output (unless NULL; then `out`
 * says where it goes) is what it wrote to its standard output, a string of
 * *len bytes that the caller frees with free(3). At the deadline, when
 * cancelled, and if it writes more than max bytes (-EMSGSIZE), it is killed.
 * -EINVAL: in or err is URT_PIPE. May suspend.
 */
URT_API int urt_process_run(const struct urt_command *, char **output,
			    size_t *len, size_t max, int64_t deadline_ns);

/* ---- signals ------------------------------------------------------------ */

/*
 * Begins to collect signals, given as a list that ends with 0:
 *
 *	int signals = urt_signal_open(SIGINT, SIGTERM, 0);
 *	int signal = urt_signal_wait(signals, NULL, URT_NEVER);
 *
 * From now on they do not do what they did, until close or the end of the run;
 * if several collect the same signal, each gets it. Works whatever threads
 * there are: nothing must be blocked (a thread that blocks the signal does not
 * get it, as always), and processes that are started inherit nothing of it.
 * Other threads' blocking calls are restarted where SA_RESTART does that, else
 * end with EINTR. A descriptor for the two calls below and for urt_poll; to be
 * closed by urt_signal_close only, or the next signal finds a broken pipe.
 * -EINVAL: not one that can be caught, or SIGURG, SIGSEGV and its like;
 * -EMFILE: 16 are open; -ENFILE; -EPERM: no run. Does not suspend.
 */
URT_API int urt_signal_open(int signal, ...);

/* The number of the next one that came, in the order they came; info may be
 * NULL. Like those of sigwaitinfo(2), signals that are sent faster than
 * they are taken may be lost (more than some hundred). May suspend. */
URT_API int urt_signal_wait(int fd, siginfo_t *info, int64_t deadline_ns);

/* Ends it, and the signals do what they did before. 0; -EBADF: it is none. May
 * suspend. */
URT_API int urt_signal_close(int fd);

#ifdef __cplusplus
}
#endif

#endif
