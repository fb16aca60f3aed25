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
 *  - Results are >= 0, or -errno. errno itself is never set.
 *  - deadline_ns is an absolute time on CLOCK_MONOTONIC in nanoseconds, as
 *    urt_now() counts them; URT_NEVER waits without end. A deadline that has
 *    passed still lets a call succeed that need not wait; one that would
 *    have to wait returns -ETIME.
 *  - A call that may suspend is a cancellation point: in a coroutine that
 *    was cancelled it returns -ECANCELED where it would have to wait, and
 *    operations on descriptors always do. If the operation had finished
 *    first, its result is returned: nothing that happened is lost.
 *  - Calls are made from coroutines; from a plain thread those that return an
 *    error return -EPERM, and to close, unlock or finish what a coroutine
 *    waits for is a bug that ends the program. A forked child has no run: the
 *    same holds there until it starts its own.
 *  - A buffer lent to a call is the caller's again when the call returns:
 *    a timed-out or cancelled call returns only when the kernel has let go
 *    of the buffer.
 *
 * What C code must not do in a coroutine: keep the address of a thread-local
 * variable across a call that may suspend, or hold a pthread lock across one.
 * A coroutine may go on on another thread.
 */
#ifndef URT_H
#define URT_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

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
	unsigned workers;      /* threads that run coroutines: 1 */
	size_t stack_size;     /* bytes per coroutine, rounded up to pages:
	                          128 KiB, 16 KiB at the least */
	size_t max_coroutines; /* alive at once: 2,097,152, or as many as the
	                          address space allows */
	unsigned ring_entries; /* submission queue of each ring: 256 */
};

/*
 * Runs fn(arg) as the first coroutine on the calling thread and returns 0
 * when it has returned, however many others are still there: these end
 * without being run again, as at the end of a Go program's main. One runtime
 * per process at a time.
 * Returns -ENOSYS or -EPERM where io_uring is missing or forbidden (urt_why()
 * says which and what to do), -EBUSY in a process that is running one, -EINVAL
 * for options that make no sense, -ENOMEM.
 */
URT_API int urt_run(urt_fn *fn, void *arg);
URT_API int urt_run_with(urt_fn *fn, void *arg, const struct urt_options *);

/* Why the last urt_run failed: one line for people; never NULL. */
URT_API const char *urt_why(void);

/* ---- coroutines -------------------------------------------------------- */

/*
 * Starts a coroutine that nobody waits for, as Go's `go fn(arg)`. It runs
 * when the caller parks or yields. 0; -EAGAIN: max_coroutines reached or no
 * memory; -EPERM: not in a coroutine.
 */
URT_API int urt_go(urt_fn *fn, void *arg);

/*
 * Starts a coroutine that is to be joined exactly once; its memory is kept
 * until then. NULL where urt_go would have failed.
 */
URT_API struct urt_coro *urt_spawn(urt_fn *fn, void *arg);

/*
 * Waits until the coroutine has returned and frees it. May suspend.
 * 0, or -ECANCELED: the caller was cancelled, and the coroutine is still to
 * be joined.
 */
URT_API int urt_join(struct urt_coro *);

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

/* Waits for POLLIN, POLLOUT, ...; returns the events that came. */
URT_API int urt_poll(int fd, short events, int64_t deadline_ns);

/* Always closes, also in a cancelled coroutine. */
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

/* Wakes all that wait on it. A second close changes nothing. */
URT_API void urt_chan_close(struct urt_chan *);

/* Elements that are queued now. */
URT_API size_t urt_chan_len(const struct urt_chan *);

/* Nobody may be using it any more. NULL is fine. */
URT_API void urt_chan_free(struct urt_chan *);

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
/* Whoever holds it. */
URT_API void urt_mutex_unlock(struct urt_mutex *);

/* ---- wait group -------------------------------------------------------- */

/* Counts what is still to be done; wait returns when that is nothing. */
struct urt_waitgroup {
	int64_t count;
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
 * it. */
URT_API void urt_waitgroup_add(struct urt_waitgroup *, int64_t n);
URT_API void urt_waitgroup_done(struct urt_waitgroup *);
/* 0; -ETIME; -ECANCELED. May suspend. */
URT_API int urt_waitgroup_wait(struct urt_waitgroup *, int64_t deadline_ns);

#ifdef __cplusplus
}
#endif

#endif
