/* SPDX-License-Identifier: MIT */
/*
 * The simulator: a library that is preloaded below an unchanged program and an
 * unchanged runtime, and replaces the kernel's clock, scheduler, rings and
 * network. How it works: world.c (threads and time), ring.c (io_uring), net.c.
 */
#ifndef URT_SIM_SIM_H
#define URT_SIM_SIM_H

#include "faults.h"
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

#define SIM_API	  __attribute__((visibility("default")))
#define SIM_NEVER INT64_MAX
#define SIM_BEGIN_NS \
	INT64_C(1000000000000) /* the clock when a program begins */

struct io_uring_sqe;

/* Kinds of random decisions, each with a sequence of its own, so that a run
 * with fewer decisions of one kind is otherwise the same. */
enum sim_dice { SIM_SWITCH, SIM_DELAY, SIM_FAULT, SIM_BYTES, SIM_DICE };

enum sim_fault {
#define X(symbol, name, what) SIM_##symbol,
	SIM_FAULTS(X)
#undef X
		SIM_FAULT_KINDS,
};

/* ---- chance.c ---- */

/* Shares the counts of a run's events with `urt sim`, if that has asked for them. */
void sim_share_result(void);
/* Reads the value of URT_SIM. */
void sim_read_options(const char *);
extern char sim_seed_text[];
/* The next random number of that kind, below n. */
unsigned sim_random(enum sim_dice, unsigned n);
/* Whether a fault happens here; whether another thread runs here. */
bool sim_fault(enum sim_fault);
bool sim_switches(void);
void sim_tell_time(int64_t ns);
void sim_tell_pid(int pid); /* of the run's process */
void sim_tell_hang(void);
void sim_tell_ring(void);
void sim_tell_not_simulated(const char *name);

/* ---- serve.c ---- */

/* Returns once for each run that `urt sim` requests, in a child of its own. Without
 * `urt sim`, returns at once. */
void sim_serve(void);

/* ---- below.c ---- */

/* Opens the file that URT_SIM_TRACE names, if any. */
void sim_trace_open(void);
/* Writes a line of the trace, if there is one. */
void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints "urt sim: ..." to stderr. */
void sim_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Reports, once for each name, that this call of the program is not simulated. */
void sim_not_simulated(const char *name, const char *what);

/* Makes the system call, not through our own syscall(). Errors: -errno. */
long sim_call(long nr, ...);
/* The next definition of a function, which is libc's. */
void *sim_next(void **cache, const char *name);
#define NEXT(type, name, params) \
	static void *cache;      \
	type(*real) params = (type(*) params)sim_next(&cache, #name)

/* ---- world.c ---- */

extern bool sim_on;	   /* the process is simulated, and not at its end */
extern bool sim_anyway;	   /* an awaited event may have come unnoticed */
extern int64_t sim_now_ns; /* since a fixed day */

/* To be called before the running thread calls the kernel: time passes, and another
 * thread may run first. */
void sim_step(int64_t ns);
/* Another thread runs, if one can. */
void sim_yield(void);
/*
 * The thread waits until ready(arg) holds or the time has come; false: the time came
 * first. Any thread may call ready, so it must have no side effects.
 */
bool sim_wait(bool (*ready)(void *), void *arg, int64_t until_ns,
	      const char *what);
/* now + ns, without overflow. */
int64_t sim_after(int64_t ns);
int64_t sim_until(const struct timespec *relative);

/* The number of the calling thread; -1: it is not simulated. */
int sim_thread_number(void);
/* The state of the thread with that tid, for /proc: 'R' or 'S'; its CPU time. */
char sim_thread_state(int tid);
int64_t sim_thread_cpu_ns(int tid);
/* Sends a signal to one thread, which gets it when it runs next. */
void sim_signal(int tid, int sig);
/* pthread_create for a simulated thread; pthread_join. */
int sim_thread_new(pthread_t *, const pthread_attr_t *, void *(*)(void *),
		   void *);
int sim_thread_join(pthread_t, void **);
/* No thread will join it; false: it is not simulated. Its tid, or 0. */
bool sim_thread_detach(pthread_t);
int sim_thread_tid(pthread_t);
/* From now on, the program may have child processes. */
void sim_has_children(void);

/* ---- ring.c ---- */

int sim_ring_setup(unsigned entries, void *params);
int sim_ring_enter(int fd, unsigned to_submit, unsigned min_complete,
		   unsigned flags, const void *arg);
int sim_ring_register(int fd, unsigned opcode, void *arg, unsigned n);
bool sim_is_ring(int fd);
void *sim_ring_map(int fd, size_t size, int64_t offset); /* MAP_FAILED */
void sim_ring_close(int fd);
/* Makes the descriptors of rings readable that have completions; _watched: from now
 * on, an epoll instance polls that descriptor. */
void sim_rings_polled(void);
void sim_ring_watched(int fd);
struct ring;
void sim_complete(struct ring *, uint64_t user_data, int res);

/* ---- requests.c ---- */

void sim_request_begin(struct ring *, const struct io_uring_sqe *);
/* Cancels one request, or with ANY all of the ring; returns the cancellation's result. */
int sim_request_cancel(struct ring *, const struct io_uring_sqe *);
void sim_requests_drop(const struct ring *);
/* Completes requests that are due; true: at least one. Waiting requests are checked if
 * something has changed, or anyway. */
bool sim_ring_run(bool anyway);
/* Notes a change that others may wait for; _changes: the number of changes so far. */
void sim_changed(void);
unsigned sim_changes(void);
/* When the next request is due. */
int64_t sim_ring_next_ns(void);
/* The number of requests in flight. In a hang, only the program itself could cause the
 * events for which they wait. */
unsigned sim_ring_waiting(void);

/* ---- ops.c: carrying out requests ---- */

/* Tries the request without blocking; -EAGAIN: it would block. _waits: such a request
 * then waits, and does not fail. */
int sim_op_try(const struct io_uring_sqe *);
/* Whether it would not block now. */
bool sim_op_ready(const struct io_uring_sqe *);
bool sim_op_waits(const struct io_uring_sqe *);
bool sim_op_reads(const struct io_uring_sqe *);
bool sim_op_sends(const struct io_uring_sqe *); /* or ends the output */
bool sim_op_moves(const struct io_uring_sqe *); /* from another descriptor */
/* Whether it completes only when all bytes have been transferred. */
bool sim_op_wants_all(const struct io_uring_sqe *);
bool sim_op_known(unsigned opcode);
const char *sim_op_name(unsigned opcode);

/* ---- net.c ---- */

int sim_socket(int domain, int type, int protocol);
int sim_bind(int fd, const struct sockaddr *, socklen_t);
int sim_connect(int fd, const struct sockaddr *, socklen_t); /* never blocks */
int sim_accept(int fd, struct sockaddr *, socklen_t *, int flags);
int sim_name(int fd, struct sockaddr *, socklen_t *, bool peer);
ssize_t sim_sendmsg(int fd, const struct msghdr *, int flags);
ssize_t sim_recvmsg(int fd, struct msghdr *, int flags);
void sim_net_close(int fd);
void sim_net_copy(int from, int to);
bool sim_is_net(int fd);
/* The end of the partition in which the socket receives no data, or cannot connect to
 * that address; 0: there is none. */
int64_t sim_net_cut_ns(int fd, bool writes);
int64_t sim_net_cut_to_ns(int fd, const struct sockaddr *, socklen_t);
/* Breaks the connection, for both sides. */
void sim_net_reset(int fd);

/* ---- files.c ---- */

bool sim_readable(int fd);
bool sim_writable(int fd);
short sim_poll_now(int fd, short events);
bool sim_is_nonblocking(int fd);
/* Reports the use of a device of random bytes. */
void sim_note_path(const char *path);
/* Called before a call that reads or writes, to wait here in its place. */
void sim_before(int fd, bool writes, int flags);
/* The result of a libc function for this result of a system call; sets errno. */
long sim_result(long);

/* ---- threads.c ---- */

long sim_futex(uint32_t *word, int op, uint32_t value, const struct timespec *,
	       uint32_t mask);
/* A request that waits for a futex, as a thread does. */
struct sim_sleeper {
	const void *on; /* address; NULL: woken, or not asleep */
	uint64_t order;
};
void sim_sleeper_add(struct sim_sleeper *, const void *on);
void sim_sleeper_forget(struct sim_sleeper *);
bool sim_is_awake(void *sleeper);
/* The thread sleeps on the address; true: it was woken; false: the time came first. */
bool sim_sleep_on(const void *on, int64_t until_ns, const char *what);
/* Wakes up to n sleepers, in the order in which they fell asleep. */
#define SIM_ALL INT64_MAX
long sim_wake(const void *on, long n);
/* Converts a time of that clock to the simulation's time. */
int64_t sim_until_clock(clockid_t, const struct timespec *);

#endif
