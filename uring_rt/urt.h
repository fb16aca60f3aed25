/* SPDX-License-Identifier: MIT */
/*
 * urt.h - uring_rt, coroutines for C on Linux with io_uring.
 *
 * Code is written straight-line and looks blocking. A call marked "may suspend"
 * parks the calling coroutine while it waits; the worker thread continues with
 * other coroutines, and the wait itself is an operation on the worker's
 * io_uring.
 *
 * The following holds unless a declaration says otherwise:
 *
 *  - Results are >= 0, or -errno. The variable errno carries no information: a
 *    call may leave any value in it, because other coroutines may have run on
 *    the thread meanwhile.
 *  - deadline_ns is an absolute time on CLOCK_MONOTONIC in nanoseconds, as
 *    urt_now() counts them; URT_NEVER waits without end. After its deadline, a
 *    call that need not wait still succeeds; a call that would have to wait
 *    returns -ETIME. Every call with a deadline may return -ETIME.
 *  - A call that may suspend is a cancellation point and may return
 *    -ECANCELED. In a cancelled coroutine, a call returns it instead of
 *    waiting, and an operation on a descriptor returns it always. If the
 *    operation finished before the cancellation, the call returns the
 *    operation's result, so that no completed work is lost.
 *  - Calls are made from coroutines. A plain thread may start, join and cancel
 *    coroutines, and use channels, select, semaphores and wait groups: a
 *    coroutine makes the call for the thread, which blocks meanwhile (some
 *    10 us). On a plain thread, every other call returns -EPERM, or false. A
 *    call that cannot return an error ends the program there, and its
 *    description says so. The same rules apply while there is no run.
 *  - A forked child has no run until it starts its own. Only the coroutine that
 *    forked continues in it; when that coroutine's function returns, the child
 *    exits with status 0 and does not return from urt_run. The child keeps
 *    those stacks of the parent's run that were in use.
 *  - A buffer that is lent to a call belongs to the caller again when the call
 *    returns: a timed-out or cancelled call returns only when the kernel no
 *    longer uses the buffer.
 *
 * Coroutines run on several threads at once. As between threads, data that they
 * share needs a lock, a channel or atomics. After any call that may suspend, a
 * coroutine may continue on another thread. Therefore C code must not
 *
 *  - keep the address of a thread-local variable across such a call (errno is
 *    safe: see urt_errno_location below),
 *  - hold a pthread lock across such a call,
 *  - end its thread, by pthread_exit(3), or
 *  - change attributes that the kernel keeps for each thread: user ids by
 *    setfsuid(2), namespaces by setns(2) and unshare(2), capabilities,
 *    personality(2), the signal mask, scheduling. Other coroutines would run
 *    with the change, and the caller's operations without it. There is no call
 *    that gives a coroutine a thread of its own. Instead, start a plain thread
 *    by pthread_create(3): it changes its attributes, receives its work from a
 *    channel, makes plain system calls, and sends the results over another
 *    channel.
 *
 * With URT_DEBUG=check in the environment, a coroutine that suspends with a
 * pthread lock held, or with other user ids, namespaces or personality than its
 * thread had, or that passes a duration as a deadline, ends the program with a
 * message that says where.
 *
 * C++: a coroutine may suspend in a catch block, and in a destructor while an
 * exception unwinds. Each coroutine has its own exceptions in flight, provided
 * that the C++ library was loaded when the run began (and not later, by
 * dlopen(3)). An exception that leaves a coroutine's function ends the program
 * by std::terminate. An exception must not leave a function that this library
 * calls (urt_once_do, urt_blocking, ...). Coroutines that still exist at the
 * end of a run are not unwound: their destructors do not run. thread_local
 * variables belong to the thread, as in C.
 *
 * A coroutine that computes for long is preempted where that is safe; where it
 * is not, another thread takes over the coroutines that wait for its worker:
 * see "preemption".
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
#include <bits/types/siginfo_t.h>
#if __GLIBC_PREREQ(2, 36)
#include <bits/types/idtype_t.h>
#endif
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
 * The address of errno on the current thread. glibc declares its own accessor
 * as const, so compilers keep the address across calls, in which a coroutine
 * may have moved to another thread.
 */
URT_API int *urt_errno_location(void);
#undef errno
#define errno (*urt_errno_location())

/* No deadline. */
#define URT_NEVER INT64_MAX

struct urt_coro;
typedef void urt_fn(void *arg);

/* ---- run --------------------------------------------------------------- */

/*
 * Settings of a run. Zero in a field means the default. Initialise with `struct
 * urt_options o = { 0 };` so that fields added later have their default.
 */
struct urt_options {
	unsigned workers;      /* threads that run coroutines at a time, at
	                          most 256. Default: URT_WORKERS of the
	                          environment, or else the number of CPUs that
	                          the process may use (affinity mask, cgroup's
	                          cpu.max) */
	size_t stack_size;     /* bytes per coroutine, rounded up to pages.
	                          Default 128 KiB, minimum 16 KiB. Compile with
	                          -fstack-clash-protection (pkg-config's cflags
	                          have it): a frame larger than the guard below
	                          a stack, 16 KiB, could otherwise reach past
	                          the guard into another coroutine's stack */
	size_t max_coroutines; /* that exist at once, for each size of stack.
	                          Default and maximum 2,097,152, or fewer if
	                          the address space has no room for them.
	                          Stacks that are kept for later count, too, up
	                          to 128 for each worker and 63 for the run */
	unsigned ring_entries; /* submission queue of each ring. Default 256 */
	unsigned max_blocking; /* threads for urt_blocking. Default 64 */

	/*
	 * Descriptors and memory regions to register with every ring, so that
	 * the kernel need not look up the file or pin the memory at each
	 * operation. Calls with one of these descriptors, or with a buffer in
	 * one of these regions, use the registration. They must stay open and
	 * mapped until the run has ended. At most 1024 each; a region has at
	 * most 1 GiB, and all count towards the limit of locked memory
	 * (ulimit -l). The arrays belong to the caller again when the run has
	 * begun. NULL, 0: none.
	 */
	const int *files;
	unsigned nr_files;
	const struct iovec *buffers;
	unsigned nr_buffers;
};

/*
 * Runs fn(arg) as the first coroutine, on the calling thread and others, and
 * returns 0 when fn has returned. Coroutines that still exist then end where
 * they are, as goroutines do when Go's main returns. On other threads they may
 * run for a moment longer than the first one, so the data that they use must
 * not lie on its stack. The end of the run waits for a coroutine that is in a
 * system call or computes in a library, until it returns from there, and for a
 * loop that cannot be preempted, until it makes a call. There is one run per
 * process at a time. pthread_cancel(3) of the calling thread takes effect when
 * urt_run has returned. In a statically linked program, no coroutine is preempted
 * by a signal; link such a program by `pkg-config --static --libs
 * uring_rt-static`.
 *
 * After these errors, urt_why() gives the exact reason and the remedy:
 *
 *	-ENOSYS           the kernel has no io_uring, or is older than 6.1
 *	-EPERM, -EACCES   sysctl or seccomp forbids io_uring (Podman's profile:
 *	                  -ENOSYS)
 *	-EINVAL           wrong options, or a wrong URT_... in the environment
 *	-EBUSY            a run of this process exists already
 *	-ENOMEM           no more memory (ulimit -d), address space (ulimit -v),
 *	                  or locked memory of the user (ulimit -l; a ring counts some
 *	                  80 KiB a worker, and is retried for a second)
 *	-EAGAIN           no more threads (ulimit -u, pids.max)
 *	-EMFILE, -ENFILE  no more descriptors; a run needs one per thread, and seven
 *	-EBADF, -EFAULT   one of urt_options.files, or .buffers, does not exist
 *	-EOPNOTSUPP       the kernel cannot pin memory of that kind (.buffers)
 *
 * A run holds descriptors above 2, all close-on-exec: one per thread for its
 * ring, two memory files and two sockets for tools, and three for the monitor. It
 * reserves address space for max_coroutines stacks and a few tables; until that
 * space is used, it takes no memory, is not locked by mlockall(2), and is not
 * part of a core dump. Each worker keeps the stacks of up to 128 ended
 * coroutines. Further stacks stay for two seconds after their coroutine has
 * ended; then their memory returns to the system.
 */
URT_API int urt_run(urt_fn *fn, void *arg);
URT_API int urt_run_with(urt_fn *fn, void *arg, const struct urt_options *);

/* Why the last urt_run failed; in a run, why it has room for fewer coroutines
 * than requested. One line of text, never NULL. From any thread. */
URT_API const char *urt_why(void);

/* ---- coroutines -------------------------------------------------------- */

/*
 * Starts a detached coroutine, as Go's `go fn(arg)`. It runs when the caller
 * parks or yields, or on another worker. 0; -EAGAIN: max_coroutines exist, or
 * no memory is left; -EPERM: there is no run. Does not suspend.
 */
URT_API int urt_go(urt_fn *fn, void *arg);

/*
 * Starts a coroutine that must be joined exactly once, which frees it. NULL
 * where urt_go would return an error. Does not suspend.
 */
URT_API struct urt_coro *urt_spawn(urt_fn *fn, void *arg);

/* As urt_go and urt_spawn, with options for this coroutine; zero in a field
 * means the run's default. */
struct urt_spawn_options {
	size_t stack_size; /* bytes, rounded up to 16 KiB times a power of 4;
	                      at most 64 MiB */
};
URT_API int urt_go_with(urt_fn *fn, void *arg,
			const struct urt_spawn_options *);
URT_API struct urt_coro *urt_spawn_with(urt_fn *fn, void *arg,
					const struct urt_spawn_options *);

/*
 * Waits until the coroutine has returned, and frees it. 0; -ECANCELED: the
 * caller was cancelled, and the coroutine must still be joined. May suspend.
 */
URT_API int urt_join(struct urt_coro *);

/* As urt_join, with a deadline. -ETIME: the coroutine must still be joined. */
URT_API int urt_join_until(struct urt_coro *, int64_t deadline_ns);

/*
 * Cancels a spawned coroutine, waits until it has returned, and frees it. A
 * function calls this on its way out for the coroutines that it has started.
 * Neither a cancellation nor a deadline ends the wait, so that a cancelled
 * coroutine can call it, too. 0; -EPERM: there is no run. May suspend.
 */
URT_API int urt_end(struct urt_coro *);

/*
 * Asks a coroutine that was spawned and not yet joined to end: the call in
 * which it waits, and every later call that would have to wait, returns
 * -ECANCELED. May be called more than once. Returns 0. Does not suspend.
 */
URT_API int urt_cancel(struct urt_coro *);

/* The calling coroutine; NULL on a plain thread. */
URT_API struct urt_coro *urt_self(void);

/* A number that is unique among the coroutines of this run, from 1. */
URT_API uint64_t urt_id(const struct urt_coro *);

/* Lets the other runnable coroutines run first. May suspend. */
URT_API void urt_yield(void);

/* ---- scopes ------------------------------------------------------------ */

/*
 * A group of coroutines that are started, cancelled and waited for together. A
 * scope is a variable of the coroutine that opens it, and which must close it
 * before it returns; scopes nest. Its fields are private to the library.
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
 * Opens a scope. At deadline_ns, every wait of a member ends with -ETIME, and
 * urt_scope_close cancels the members that are left. A scope that is opened by
 * a member of another scope, or inside one, is cancelled with that scope, and
 * ends by the earlier of both deadlines. 0; -EPERM. Does not suspend.
 */
URT_API int urt_scope_open(struct urt_scope *, int64_t deadline_ns);

/*
 * Starts fn(arg) as a member of the scope; any coroutine may call this while
 * the scope is open. The first negative value that a member returns is kept as
 * the scope's error and cancels the scope. 0; -ECANCELED: the scope is
 * cancelled, and no coroutine was started; -EAGAIN; -EPERM. Does not suspend.
 */
URT_API int urt_scope_go(struct urt_scope *, int (*fn)(void *arg), void *arg);

/* Cancels all members and the scopes within. From any thread; does not wait. */
URT_API void urt_scope_cancel(struct urt_scope *);

/*
 * Waits until all members have returned. If the caller is cancelled or the
 * deadline passes meanwhile, the call cancels the members and continues to
 * wait. Returns the first error of a member. Without one, it returns -ECANCELED
 * or -ETIME if the caller was cancelled or the deadline passed, or else 0. May
 * suspend.
 */
URT_API int urt_scope_close(struct urt_scope *);

/* ---- time -------------------------------------------------------------- */

/* CLOCK_MONOTONIC in ns. From any thread. */
URT_API int64_t urt_now(void);

/* The deadline `ns` from now; URT_NEVER if the sum is beyond the clock's
 * range. */
URT_API int64_t urt_after(int64_t ns);

/* Parks for `ns`, or until a deadline, without a system call. 0, or -ECANCELED.
 * May suspend. */
URT_API int urt_sleep(int64_t ns);
URT_API int urt_sleep_until(int64_t deadline_ns);

/* ---- channels ---------------------------------------------------------- */

/*
 * A queue of up to `capacity` elements of elem_size bytes, which are copied in
 * and out. With capacity 0, a sender waits until a receiver takes its element.
 * elem_size 0 is allowed: only the event counts. NULL: no memory is left. Does
 * not suspend.
 */
struct urt_chan;
URT_API struct urt_chan *urt_chan_new(size_t elem_size, size_t capacity);

/*
 * Send or receive one element. Waiters are served in the order of arrival. With
 * elem NULL, urt_chan_recv drops the element. Both may suspend. send: 0;
 * -EPIPE: the channel is closed, and nothing was sent; -ETIME; -ECANCELED.
 * recv: 0; -EPIPE: the channel is closed and empty; -ETIME; -ECANCELED.
 */
URT_API int urt_chan_send(struct urt_chan *, const void *elem,
			  int64_t deadline_ns);
URT_API int urt_chan_recv(struct urt_chan *, void *elem, int64_t deadline_ns);

/* Closes the channel and wakes all its waiters. A second close has no effect.
 * Queued elements can still be received: `while (!urt_chan_recv(...))` ends
 * after the last one. Does not suspend. */
URT_API void urt_chan_close(struct urt_chan *);

/* The number of elements that are queued now. */
URT_API size_t urt_chan_len(const struct urt_chan *);

/* Frees a channel that no coroutine or thread uses any more, or NULL. */
URT_API void urt_chan_free(struct urt_chan *);

/* ---- select ------------------------------------------------------------ */

enum urt_op { URT_RECV, URT_SEND };

struct urt_case {
	struct urt_chan *chan; /* NULL: the case is never ready */
	enum urt_op op;
	void *elem; /* element to send, memory for the one received, or NULL */
	int result; /* of the case taken: 0, or -EPIPE: its channel is closed */
};

/*
 * Waits until one of the cases is ready, takes that case and returns its index.
 * If several are ready, each has the same chance. With deadline_ns 0 the call
 * does not wait: the "default" of other selects. -ETIME; -ECANCELED; -ENOMEM
 * (for more than 16 cases). May suspend.
 */
URT_API int urt_select(struct urt_case *, size_t n, int64_t deadline_ns);

/* The waiters of one of the objects below, in order of arrival. The fields of
 * this struct and of the objects are private to the library. */
struct urt__waiter;
struct urt_waitq {
	struct urt__waiter *head, *tail;
};

/* ---- mutex ------------------------------------------------------------- */

/*
 * A lock between coroutines; it never blocks a thread. Not recursive. An unlock
 * wakes the first waiter without handing the lock over: the first to run takes
 * it, which keeps a busy lock cheap. A waiter that has waited for 1 ms is
 * handed the lock (the policy of Go's sync.Mutex).
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
/* True if the caller has the lock now. */
URT_API bool urt_mutex_trylock(struct urt_mutex *);
/* Any coroutine may unlock; on a plain thread the call ends the program. */
URT_API void urt_mutex_unlock(struct urt_mutex *);

/* ---- read-write lock --------------------------------------------------- */

/*
 * Readers hold the lock together, a writer alone. A waiting writer keeps new
 * readers out; when a writer unlocks, the waiting readers go first. So neither
 * side starves.
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
/* After either kind of lock; on a plain thread the call ends the program. */
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
 * Unlocks the mutex, waits for a signal and locks the mutex again, also when it
 * returns an error. Waiters are signalled in the order of arrival, and none
 * wakes without a signal. 0; -ETIME; -ECANCELED. May suspend.
 */
URT_API int urt_cond_wait(struct urt_cond *, struct urt_mutex *,
			  int64_t deadline_ns);
/* On a plain thread these calls end the program. */
URT_API void urt_cond_signal(struct urt_cond *);
URT_API void urt_cond_broadcast(struct urt_cond *);

/* ---- semaphore --------------------------------------------------------- */

/* A post goes to the coroutine that has waited longest. */
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
 * The first call runs fn(arg); every call returns 0 when fn has returned. The
 * other callers may give up waiting: -ETIME; -ECANCELED. May suspend.
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
 * Waits until `count` coroutines have arrived. 1 in the last of them, 0 in the
 * others; -ETIME and -ECANCELED: the caller no longer counts as arrived. May
 * suspend.
 */
URT_API int urt_barrier_wait(struct urt_barrier *, int64_t deadline_ns);

/* ---- wait group -------------------------------------------------------- */

/* A count of unfinished work; urt_waitgroup_wait returns when it is zero. */
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
/* A negative count is a bug of the program and ends it. Does not suspend. */
URT_API void urt_waitgroup_add(struct urt_waitgroup *, int64_t n);
URT_API void urt_waitgroup_done(struct urt_waitgroup *);
/* 0; -ETIME; -ECANCELED. May suspend. */
URT_API int urt_waitgroup_wait(struct urt_waitgroup *, int64_t deadline_ns);

/* ---- input and output: all may suspend --------------------------------- */

/*
 * As the POSIX calls of the same name. Lengths over 2,147,479,552 bytes are
 * cut to that, as Linux does. A call on a non-blocking descriptor waits, too.
 *
 * As in POSIX, a write to a pipe or connection that the other side has closed
 * raises SIGPIPE in addition to -EPIPE. Servers ignore the signal, by
 * signal(SIGPIPE, SIG_IGN), or send with MSG_NOSIGNAL.
 *
 * A coroutine that is given a descriptor must have used it before another
 * coroutine closes it: after urt_go(serve, &fd), urt_close(fd) closes the
 * descriptor before serve has begun.
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
 * In urt_send, MSG_ZEROCOPY differs from send(2): the kernel sends from the
 * caller's memory instead of a copy, and the call returns only when the kernel
 * no longer uses that memory, for TCP when the other side has acknowledged the
 * data. The socket's error queue stays empty. The flag is worthwhile for large
 * sends over a network card (10 KB or more: the kernel's Documentation/
 * networking/msg_zerocopy.rst). Smaller sends, and all before Linux 6.0, are
 * copied. The kernel always copies to a socket of the same machine.
 */

/* As recvmsg(2) and sendmsg(2); the buffers that the msghdr names are lent to
 * the call, too. */
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
 * Receives from a stream socket into a buffer of the runtime, which the kernel
 * takes when data arrive: a connection that waits holds no buffer. Returns the
 * number of bytes at *data (at most 64 KiB), 0 at the end of the stream, or an
 * error of urt_recv. The memory is lent to the caller until urt_lent_return,
 * which any coroutine or thread of the run may call, in any order; the end of
 * the run frees it. Each worker lends up to 4 MiB; more comes from malloc.
 */
URT_API ssize_t urt_recv_lent(int fd, void **data, int flags,
			      int64_t deadline_ns);
/* data: the pointer from urt_recv_lent, or NULL. Does not suspend. */
URT_API void urt_lent_return(void *data);

/* As preadv2(2), pwritev2(2), readv(2), writev(2), splice(2), tee(2) and
 * shutdown(2). */
URT_API ssize_t urt_preadv2(int fd, const struct iovec *iov, int n,
			    off_t offset, int flags, int64_t deadline_ns);
URT_API ssize_t urt_pwritev2(int fd, const struct iovec *iov, int n,
			     off_t offset, int flags, int64_t deadline_ns);
URT_API ssize_t urt_readv(int fd, const struct iovec *iov, int n,
			  int64_t deadline_ns);
URT_API ssize_t urt_writev(int fd, const struct iovec *iov, int n,
			   int64_t deadline_ns);
URT_API ssize_t urt_splice(int in, off_t *in_offset, int out, off_t *out_offset,
			   size_t len, unsigned flags, int64_t deadline_ns);
URT_API ssize_t urt_tee(int in, int out, size_t len, unsigned flags,
			int64_t deadline_ns);
URT_API int urt_shutdown(int fd, int how, int64_t deadline_ns);

/* Waits for POLLIN, POLLOUT, ...; returns the events that occurred. */
URT_API int urt_poll(int fd, short events, int64_t deadline_ns);

/* As epoll_wait(2): returns the number of events, at most max. */
struct epoll_event;
URT_API int urt_epoll_wait(int epfd, struct epoll_event *, int max,
			   int64_t deadline_ns);

/*
 * Sleeps while *word is `expected`, until a wake: as futex(2) with FUTEX_WAIT
 * and FUTEX_WAKE, without FUTEX_PRIVATE_FLAG. So they work between processes,
 * but not together with private futexes. wait: 0; -EAGAIN: *word had another
 * value. A wait may also end without a wake. wake: the number of waiters that
 * were woken, at most n.
 */
URT_API int urt_futex_wait(uint32_t *word, uint32_t expected,
			   int64_t deadline_ns);
URT_API int urt_futex_wake(uint32_t *word, int n);

/* As the system calls of the same name, but they return -errno and never wait;
 * urt_listen_on is listen(2), and urt_pipe is pipe2(2). */
URT_API int urt_socket(int domain, int type, int protocol);
URT_API int urt_bind(int fd, const struct sockaddr *, socklen_t);
URT_API int urt_listen_on(int fd, int backlog);
URT_API int urt_getsockopt(int fd, int level, int name, void *value,
			   socklen_t *len);
URT_API int urt_setsockopt(int fd, int level, int name, const void *value,
			   socklen_t len);
URT_API int urt_pipe(int fds[2], int flags);

/*
 * Closes the descriptor, also in a cancelled coroutine. Calls on it that wait
 * in other coroutines first return -ECANCELED; plain close(2) would leave them
 * waiting. A call that had written a part returns the number of bytes written
 * and writes no more. The close does not end calls of the thread pool, the `in`
 * of splice and tee, or epoll_wait on another descriptor, and it waits for
 * requests that a disk has begun. May suspend.
 */
URT_API int urt_close(int fd);

/* ---- files: all may suspend -------------------------------------------- */

/*
 * As the system calls of the same name (urt_renameat is renameat2, with its
 * flags). Offset -1 means the current position. Where the kernel's io_uring
 * lacks an operation, the runtime makes the call by a system call or on the
 * thread pool, with the same meaning (`urt doctor` lists these). Neither a
 * deadline nor a cancellation ends a call on the pool. struct statx and struct
 * open_how need their own headers. Opening a FIFO without O_NONBLOCK waits for
 * its other side and holds a thread of the kernel meanwhile; opening a serial
 * line does not wait for its carrier.
 */
struct statx;
struct open_how;
URT_API int urt_openat(int dir, const char *path, int flags, mode_t mode,
		       int64_t deadline_ns);
URT_API int urt_openat2(int dir, const char *path, const struct open_how *how,
			size_t size, int64_t deadline_ns);
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

/*
 * Reads a whole file of at most max bytes, also one of /proc, whose size is not
 * known. *data is memory that the caller frees by free(3), with a 0 byte after
 * the contents. Returns the length; -EFBIG: the file has more than max bytes;
 * -ENOMEM; errors of open and read.
 */
URT_API ssize_t urt_read_file(const char *path, char **data, size_t max,
			      int64_t deadline_ns);

/*
 * Creates or replaces a file atomically: the file then has all of data, or,
 * after an error or a crash, its old contents. The call writes and syncs a new
 * file in the same directory, renames it to path and syncs the directory. So
 * other names of the old file keep the old contents, a symbolic link is
 * replaced itself, and owner and mode are new (mode, less the umask). 0 or
 * -errno; an error of the last step can come after the rename.
 */
URT_API int urt_write_file(const char *path, const void *data, size_t len,
			   mode_t mode, int64_t deadline_ns);

/*
 * Copies from one descriptor to another until the end of `in` or, if it comes
 * first, `len` bytes (SIZE_MAX: no limit). *copied is the number of bytes
 * written, also after an error. An error loses the bytes that were read and not
 * yet written. 0 or -errno; -EPIPE from sockets comes without SIGPIPE.
 */
URT_API int urt_copy(int in, int out, size_t len, uint64_t *copied,
		     int64_t deadline_ns);

/*
 * As sendfile(2): sends from a file at *offset, which moves by the bytes sent,
 * or, with offset NULL, at the file's position. Sends all of len, or up to the
 * end of the file. Returns the bytes sent, or an error if there were none.
 */
URT_API ssize_t urt_sendfile(int out, int in, off_t *offset, size_t len,
			     int64_t deadline_ns);

/* ---- addresses ---------------------------------------------------------- */

/*
 * An address is written as one string, [NETWORK:]WHERE:
 *
 *	example.org:80   127.0.0.1:80   [::1]:80   [fe80::1%eth0]:80   :80
 *	tcp:...          the same: TCP is the default network
 *	udp:host:port    datagrams
 *	unix:/path       a stream socket in the file system; unix:@name an
 *	                 abstract one. unixgram: the same with datagrams
 *
 * A port is a decimal number without leading zeros (names such as "http" are
 * not looked up). Without a host, dialling uses this machine's loopback, and
 * listening uses all its addresses of both families. Names have the characters
 * of host names, and their last label does not consist of digits only: "127.1"
 * is an error. -EINVAL: any other string; -ENAMETOOLONG: a host over 253 bytes,
 * or a path over 107.
 */
struct urt_addr {
	int type;      /* SOCK_STREAM or SOCK_DGRAM */
	socklen_t len; /* of the address that follows, as for bind, connect */
	union {
		struct sockaddr sa;
		struct sockaddr_storage storage;
	};
};

/* Bytes, with the final 0, that suffice for the text of any address. */
#define URT_ADDR_TEXT 160

/* Writes the address in the form above. Returns the text's length; -ENOSPC: the
 * text needs more than size - 1 bytes, and buf is empty; -EAFNOSUPPORT. From
 * any thread, does not suspend. */
URT_API int urt_addr_text(const struct urt_addr *, char *buf, size_t size);

/* The address of a socket's own end, and of the other end: getsockname(2),
 * getpeername(2). 0 or -errno. From any thread, does not suspend. */
URT_API int urt_addr_local(int fd, struct urt_addr *);
URT_API int urt_addr_peer(int fd, struct urt_addr *);

/*
 * Finds the addresses of an address string: at most n, best first, in the order
 * of RFC 6724 with alternating families (RFC 8305, section 4). Returns their
 * number, at least 1. getaddrinfo(3) looks names up on the thread pool; strings
 * without a name need no wait. At the deadline or when cancelled the call
 * returns, and the look-up continues without it: until it ends, it holds one of
 * urt_options.max_blocking threads, and the end of the run waits for it.
 * Errors: -ENOENT: no such host (EAI_NONAME, EAI_NODATA, EAI_ADDRFAMILY);
 * -EAGAIN: no answer, try again later (EAI_AGAIN); -EIO: the name server failed
 * (EAI_FAIL); -ENOMEM; the errno of EAI_SYSTEM; -EINVAL (all other errors, and
 * invalid strings). May suspend.
 */
URT_API int urt_resolve(const char *address, struct urt_addr *, size_t n,
			int64_t deadline_ns);

/* ---- dial and listen ---------------------------------------------------- */

/*
 * Returns a socket connected to an address: blocking, close-on-exec, and for
 * TCP with TCP_NODELAY (as in Go: small writes are sent at once; a stream
 * gathers them). The addresses of a name race as in RFC 8305: the next attempt
 * starts when the last one failed, or 250 ms after it began; the first to
 * connect wins, and the others are cancelled and closed. A datagram socket is
 * connected, too: send and recv need no address. Errors: of urt_resolve; if no
 * address connects, the first one's error; -ETIME; -ECANCELED. May suspend.
 */
URT_API int urt_dial(const char *address, int64_t deadline_ns);

/*
 * Returns a listening socket, or a bound one for datagrams: blocking and
 * close-on-exec. Port 0 takes any free port, which urt_addr_local returns. A
 * TCP socket has SO_REUSEADDR, so that a server can restart at once, and
 * TCP_NODELAY, which accepted sockets inherit. Without a host, one socket
 * serves both families, or IPv4 where there is no IPv6. A name with several
 * addresses listens at the first. The backlog is the most that the system
 * allows (net.core.somaxconn, 4096). The path of a Unix socket must not exist
 * (-EADDRINUSE): unlink it first. After a server was killed, the kernel needs
 * some 5 ms to end its ring; until then its port returns -EADDRINUSE, too.
 * Errors: of urt_resolve, socket(2), bind(2), listen(2). May suspend, to look
 * up a name.
 */
URT_API int urt_listen(const char *address, int64_t deadline_ns);

/*
 * Starts a coroutine in the scope that accepts connections and calls serve(fd,
 * arg) for each of them in a coroutine of the same scope; fd is closed when
 * serve returns. When descriptors, memory or coroutines run short, accepting
 * pauses, then tries again. Accepting ends when the scope is cancelled, which
 * cancels the connections, too, or by urt_shutdown(listener, SHUT_RD, ...),
 * which leaves them alone; any other error of accept(2) becomes a member's
 * error. The listener still belongs to the caller and must stay open until the
 * scope is closed. 0; -ENOMEM; errors of urt_scope_go. Does not suspend.
 */
URT_API int urt_serve(struct urt_scope *, int listener,
		      void (*serve)(int fd, void *arg), void *arg);

/*
 * Ends a connection whose input was not read to its end: tells the other side
 * that nothing more comes (shutdown(2)), then reads and drops what that side
 * still sends, until it ends its side, too. A close without that resets the
 * connection, and a reset that overtakes the last answer destroys the answer.
 * The descriptor stays open. 0; -ETIME: the other side has not ended by then;
 * errors of shutdown(2) and recv(2). May suspend.
 */
URT_API int urt_linger(int fd, int64_t deadline_ns);

/* ---- buffered streams --------------------------------------------------- */

/*
 * Reading and writing with a buffer in each direction. One coroutine may read
 * while another writes; two readers, or two writers, need a lock. All calls may
 * suspend except new, free and buffered. A deadline, a cancellation or an error
 * loses no data: bytes that were received can still be read, bytes that were
 * accepted can still be flushed, and the call can be repeated.
 */
struct urt_stream;

/*
 * A stream over a descriptor, with buffers of `size` bytes, which limit a line
 * and a peek (0: 8192; at least 16, at most 2^30). NULL: no memory is left. The
 * descriptor belongs to the caller, unless urt_stream_close closes it.
 */
URT_API struct urt_stream *urt_stream_new(int fd, size_t size);

/*
 * A stream over other calls, such as those of TLS (urt_tls.h). The calls get
 * `self` as their first argument and may suspend. read and write are as read(2)
 * and write(2), but return >= 0 or -errno. write may accept bytes before it
 * sends them; flush then sends the rest and returns 0 or -errno.
 * urt_stream_close calls close; both urt_stream_close and urt_stream_free call
 * free. NULL: no action.
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
/* The `self` of a stream over these calls; NULL: the stream uses others. Does
 * not suspend. */
URT_API void *urt_stream_self(const struct urt_stream *,
			      const struct urt_stream_io *);

/* Frees a stream, or NULL, and drops bytes that were not flushed. */
URT_API void urt_stream_free(struct urt_stream *);

/* Flushes; then closes the descriptor and frees the stream, even if the flush
 * failed. 0, or the flush's error. NULL is allowed. */
URT_API int urt_stream_close(struct urt_stream *, int64_t deadline_ns);

/* As read(2): waits for at least one byte; 0: the end of the stream. */
URT_API ssize_t urt_stream_read(struct urt_stream *, void *buf, size_t len,
				int64_t deadline_ns);

/*
 * Reads all len bytes. Returns fewer if the stream ended or failed after them;
 * the next call returns the error. 0: the end of the stream. An error is
 * returned only if no byte came before it.
 */
URT_API ssize_t urt_stream_read_full(struct urt_stream *, void *buf, size_t len,
				     int64_t deadline_ns);

/*
 * Waits for n bytes and shows them without taking them: *data points into the
 * buffer and is valid until the next call that reads. Returns the number of
 * bytes there, n or more; fewer: the stream ends after them. -EMSGSIZE: n is
 * more than the buffer's size.
 */
URT_API ssize_t urt_stream_peek(struct urt_stream *, size_t n,
				const char **data, int64_t deadline_ns);

/* The number of bytes that can be read without waiting. */
URT_API size_t urt_stream_buffered(const struct urt_stream *);

/*
 * Takes all bytes up to and including the delimiter; *data as for peek. Returns
 * their number; 0: the end of the stream. -EMSGSIZE: the buffer is full without
 * a delimiter; -ENODATA: the stream ends without one. After both errors, the
 * bytes can still be read by other calls. -EINVAL: the delimiter is empty.
 */
URT_API ssize_t urt_stream_read_until(struct urt_stream *,
				      const char *delimiter, const char **data,
				      int64_t deadline_ns);

/*
 * Takes a line: *line is a string without the final "\n" or "\r\n" (valid as
 * for peek; the caller may change it), *len its length unless len is NULL. Text
 * after the last "\n" counts as a line. 1; 0: the end of the stream; -EMSGSIZE:
 * the line is longer than the buffer, and nothing was taken.
 */
URT_API int urt_stream_read_line(struct urt_stream *, char **line, size_t *len,
				 int64_t deadline_ns);

/*
 * Accepts all len bytes into the buffer and writes the buffer out when it is
 * full. Returns fewer if an error came after them, and an error only if no byte
 * was accepted. A broken connection is -EPIPE, on a socket without SIGPIPE.
 */
URT_API ssize_t urt_stream_write(struct urt_stream *, const void *buf,
				 size_t len, int64_t deadline_ns);

/* As printf(3). Returns the length; -EMSGSIZE: the text is longer than the
 * buffer; after an error, no part of it was accepted. */
URT_API int urt_stream_printf(struct urt_stream *, int64_t deadline_ns,
			      const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Writes all accepted bytes out. 0 or -errno. */
URT_API int urt_stream_flush(struct urt_stream *, int64_t deadline_ns);

/* ---- processes ---------------------------------------------------------- */

/* Instead of a descriptor for a command's in, out or err. */
enum {
	URT_INHERIT = 0,    /* the caller's own: 0, 1 or 2 */
	URT_NULL = -1,	    /* /dev/null */
	URT_PIPE = -2,	    /* a pipe, whose other end is in urt_process */
	URT_TO_STDOUT = -3, /* err only: the same as out, as 2>&1 */
};

/* A command to run. Initialise with `{ .argv = ... }`; zero is a good
 * default. */
struct urt_command {
	const char *const *argv; /* ends with NULL; argv[0] is looked up in
	                            PATH unless it has a slash */
	const char *const *env;	 /* "NAME=value", ends with NULL. NULL: the
	                            caller's */
	const char *cwd;	 /* NULL: the caller's */
	int in, out, err; /* a descriptor above 0 (which still belongs to the
	                     caller), or one of the above */
	bool group; /* the process starts a group of its own, and signals go to
		       the whole group: for shells and other programs that have
		       children */
};

/*
 * A process between start and close; each process needs a variable of its own.
 * in, out and err are the caller's ends of pipes (blocking, close-on-exec), or
 * -1. urt_process_close closes them; a program that closes one itself sets it
 * to -1.
 */
struct urt_process {
	pid_t pid;
	int pidfd; /* readable when the process has ended */
	int in, out, err;
	bool group;
};

/*
 * Starts a command on the thread pool. In the child, no signal is blocked;
 * SIGPIPE and the signals that the caller handles have their default action,
 * and other ignored signals stay ignored (nohup). Descriptors without
 * close-on-exec are inherited, as always. 0; an error of chdir(2) or execve(2)
 * in the child (-ENOENT: no such program); -ECHILD: SIGCHLD is ignored, so that
 * nobody could wait for the process; -EINVAL. May suspend.
 */
URT_API int urt_process_start(struct urt_process *, const struct urt_command *);

/*
 * Waits until the process has ended and returns its status as of waitpid(2),
 * for WIFEXITED and the like; 0 is success. -ETIME and -ECANCELED: the process
 * still runs. Several coroutines may wait, and each may wait again: the process
 * is not reaped, and its pid not reused, before urt_process_close. May suspend.
 */
URT_API int urt_process_wait(const struct urt_process *, int64_t deadline_ns);

/* Sends a signal to the process, or to its whole group if it has one. 0, also
 * if the process has already ended; -EINVAL; -EPERM. Does not suspend. */
URT_API int urt_process_signal(const struct urt_process *, int signal);

/*
 * Closes the pipes, kills the process if it still runs (and the remaining
 * members of its group), waits for its end, reaps it and returns its status. So
 * a coroutine that is cancelled kills its processes on its way out. -ESRCH: the
 * process was never started, or is closed. Not cancellable. May suspend.
 */
URT_API int urt_process_close(struct urt_process *);

/*
 * Runs a command to its end and returns its status. *output is the text of its
 * standard output, a string of *len bytes that the caller frees by free(3);
 * with output NULL, the text goes where the command's `out` says. The process
 * is killed at the deadline, when the caller is cancelled, and if it writes
 * more than max bytes (-EMSGSIZE). -EINVAL: in or err is URT_PIPE. May suspend.
 */
URT_API int urt_process_run(const struct urt_command *, char **output,
			    size_t *len, size_t max, int64_t deadline_ns);

/* As waitid(2). May suspend. Before glibc 2.36, -std=c11 hides idtype_t. */
#if __GLIBC_PREREQ(2, 36) || defined(__USE_XOPEN2K8)
URT_API int urt_waitid(idtype_t, unsigned id, siginfo_t *, int options,
		       int64_t deadline_ns);
#endif

/* ---- signals ------------------------------------------------------------ */

/*
 * Collects signals, given as a list that ends with 0:
 *
 *	int signals = urt_signal_open(SIGINT, SIGTERM, 0);
 *	int signal = urt_signal_wait(signals, NULL, URT_NEVER);
 *
 * The signals lose their other effect until urt_signal_close or the end of the
 * run; if several calls collect the same signal, each gets it. This works with
 * any number of threads, and no thread needs to block the signals (a thread
 * that blocks one does not get it, as always). Processes that are started do
 * not inherit the collection. Blocking calls of other threads are restarted
 * where SA_RESTART does that, and end with EINTR elsewhere. Returns a
 * descriptor for the two calls below and for urt_poll, which only
 * urt_signal_close may close: after another close, the next signal finds a
 * broken pipe. -EINVAL: a signal that cannot be caught, or SIGURG, SIGSEGV or
 * the like; -EMFILE: 16 are open; -ENFILE; -EPERM: there is no run. Does not
 * suspend.
 */
URT_API int urt_signal_open(int signal, ...);

/* Returns the number of the next signal, in the order of arrival; info may be
 * NULL. As with sigwaitinfo(2), signals may be lost if some hundreds are sent
 * before they are taken. May suspend. */
URT_API int urt_signal_wait(int fd, siginfo_t *info, int64_t deadline_ns);

/* Ends the collection and restores the former effect of the signals. 0; -EBADF:
 * urt_signal_open did not return fd. May suspend. */
URT_API int urt_signal_close(int fd);

/* ---- blocking code ----------------------------------------------------- */

/*
 * Calls fn(arg) on a thread of a pool and returns its result: for code that
 * blocks and for which io_uring has no operation (getaddrinfo, a library). fn
 * runs on a plain thread. The pool grows to urt_options.max_blocking threads;
 * further calls queue. Idle threads end after 5 s. A call that no thread has
 * begun is taken back, without calling fn, when the coroutine is cancelled
 * (-ECANCELED) or when deadline_ns or its scope's deadline passes (-ETIME).
 * Once fn has begun, the call waits for its end, so that the memory it uses
 * stays valid. -EAGAIN: no thread could be started. fn should return none of
 * these values, so that the caller can tell them apart. On a plain thread,
 * urt_blocking simply calls fn. May suspend.
 */
URT_API int64_t urt_blocking(int64_t (*fn)(void *), void *arg);
URT_API int64_t urt_blocking_until(int64_t (*fn)(void *), void *arg,
				   int64_t deadline_ns);

/* ---- coroutine-local values -------------------------------------------- */

#define URT_LOCAL_KEYS 64

/*
 * Returns a new key, 0 to 63, or -EAGAIN. Each coroutine has a value of its own
 * for each key, NULL at first. When a coroutine ends with a value that is not
 * NULL, destroy(value) is called in that coroutine, unless destroy is NULL.
 * Keys are never freed.
 */
URT_API int urt_local_key(void (*destroy)(void *value));
/* 0; -EINVAL: no such key; -ENOMEM; -EPERM. */
URT_API int urt_local_set(int key, void *value);
URT_API void *urt_local_get(int key);

/* ---- context ----------------------------------------------------------- */

/*
 * Names the request for which a coroutine works, so that tools outside can see
 * it: `urt stat --by context`, `urt dump`, and profilers that know
 * OpenTelemetry's thread contexts, whose layout this is (OTEP 4947). A new
 * coroutine inherits the context of the coroutine that starts it. So a server
 * sets the context when it has read a request, and all further work for that
 * request carries it.
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
	uint8_t attrs[612];  /* by urt_context_add: key, length, UTF-8 value */
};

/*
 * The number of a key for urt_context_add, such as "http.route"; the same name
 * always has the same number. 0 to 255; -ENOSPC: 256 keys are in use; -EINVAL:
 * the name is empty or longer than 64 bytes. From any thread.
 */
URT_API int urt_context_key(const char *name);

/*
 * Adds an attribute, or replaces the one with the same key. 0; -ENOSPC: the
 * value is longer than 255 bytes or does not fit; -EINVAL: no such key. From
 * any thread.
 */
URT_API int urt_context_add(struct urt_context *, int key, const char *value);

/*
 * Sets the calling coroutine's context to a copy of this one; NULL: none. 0;
 * -EINVAL: attrs is not a sequence of whole attributes; -ENOMEM; -EPERM. After
 * the first call, a switch costs 2 to 3 ns more. Does not suspend.
 */
URT_API int urt_context_set(const struct urt_context *);
/* The calling coroutine's context; false: it has none, and *ctx is zero. */
URT_API bool urt_context_get(struct urt_context *ctx);

/*
 * Take the ids and flags from a `traceparent` header (W3C Trace Context), and
 * write the header of a context. -EINVAL: the header is invalid, and the
 * context is unchanged.
 */
URT_API int urt_context_from_traceparent(struct urt_context *, const char *);
URT_API void urt_context_to_traceparent(const struct urt_context *,
					char header[56]);

/* ---- preemption -------------------------------------------------------- */

/*
 * A coroutine that has used 2 ms of CPU time while others wait, or half a
 * millisecond in a row of calls, gives way at its next call that may suspend. If
 * it makes no call, another thread takes over the coroutines that wait for its
 * worker, and a signal (SIGURG) preempts it where that is safe:
 *
 *  - it executes the program's own code or libm's, not another library's, and
 *    no such library's function is below it on its stack (so it is neither inside
 *    malloc nor in a callback of qsort);
 *  - it holds no pthread mutex, rwlock or spin lock and no locked stdio stream.
 *    uring_rt counts them in its own definitions of these functions;
 *  - its stack has room.
 *
 * A coroutine that holds no such lock can also be preempted in calls that do
 * not suspend (urt_go, urt_sem_post, urt_mutex_trylock and the like, but not in
 * an unlock), if it makes them without a pause.
 *
 * A preempted coroutine later continues on the same thread, and moves to
 * another one only at its next call that may suspend. Where preemption is not
 * safe, or the coroutine is blocked in a system call, it runs next to the
 * others as an ordinary thread. Where more of these compute than there are
 * workers, the signal makes them pause, also inside libraries, so that the
 * workers have their share of the CPUs. The signal comes from a timer of the
 * thread's CPU time, on the return to the program: it interrupts no blocking
 * call, except at the end of the run. But calls that Linux never restarts
 * (signal(7): epoll_wait, semop, sigtimedwait, those on sockets with a timeout)
 * may return EINTR when an operation that another coroutine began on the same
 * thread completes. With URT_PREEMPT=off in the environment, no coroutine is
 * preempted; other threads still take over the coroutines that wait.
 *
 * Between disable and enable, which nest, the calling coroutine is not
 * preempted: for locks that a library implements itself, and for thread-local
 * data. On plain threads these calls have no effect.
 */
URT_API void urt_preempt_disable(void);
URT_API void urt_preempt_enable(void);

/*
 * Declares that the library which contains this address may be preempted like
 * the program itself, because it takes no locks except pthread's. 0; -ENOENT:
 * no library is there; -ENOSPC: 16 are registered. From any thread.
 */
URT_API int urt_preempt_register(const void *address_in_library);

#ifdef __cplusplus
}
#endif

#endif
