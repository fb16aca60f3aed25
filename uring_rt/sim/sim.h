/* SPDX-License-Identifier: MIT */
/*
 * The simulator: a library that is preloaded below an unchanged program and an
 * unchanged runtime, and stands for the kernel's clock, scheduler, rings and
 * network. How it works: world.c (threads and time), ring.c (io_uring), net.c.
 */
#ifndef URT_SIM_SIM_H
#define URT_SIM_SIM_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

#define SIM_API	  __attribute__((visibility("default")))
#define SIM_NEVER INT64_MAX

struct io_uring_sqe;

/* Kinds of random decisions, each with a sequence of its own, so that a run
 * with fewer decisions of one kind is otherwise the same. */
enum sim_dice { SIM_SWITCH, SIM_DELAY, SIM_FAULT, SIM_BYTES, SIM_DICE };

/* X(symbol, name, what happens): faults, by probability or by number. */
#define SIM_FAULTS(X)                                                         \
	X(NET, "net", "a connection is refused or reset, or a datagram lost") \
	X(PART, "partition", "a port of the network is cut off for a while")  \
	X(SHORT, "short",                                                     \
	  "a stream or pipe gives or takes less than it could")               \
	X(ENTER, "enter", "io_uring_enter: EAGAIN, or half of the requests")  \
	X(BLOCK, "block", "io_uring_enter holds its thread for a while")      \
	X(FILE, "file", "a read, write or sync of a file: EIO")               \
	X(THREAD, "thread", "pthread_create: EAGAIN")

enum sim_fault {
#define X(symbol, name, what) SIM_##symbol,
	SIM_FAULTS(X)
#undef X
		SIM_FAULT_KINDS,
};

/* ---- chance.c ---- */

/* Where the events of runs are counted is shared with `urt sim`, if that asks. */
void sim_share_result(void);
/* The value of URT_SIM. */
void sim_read_options(const char *);
extern char sim_seed_text[];
/* The next number of a kind, below n. */
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

/* Returns once for each run that `urt sim` asks for, in a child of its own; at once
 * without `urt sim`. */
void sim_serve(void);

/* ---- world.c ---- */

extern bool sim_on;	   /* the process is simulated, and not at its end */
extern bool sim_anyway;	   /* what is waited for may have come unseen */
extern int64_t sim_now_ns; /* since a fixed day */

/* A call of the kernel by the running thread: time passes, and another thread may
 * run before it is made. */
void sim_step(int64_t ns);
/* The same, and another runs if one can. */
void sim_yield(void);
/*
 * The thread waits until ready(arg) or the time; false: the time came first. ready
 * is asked by whichever thread runs, and must have no effect.
 */
bool sim_wait(bool (*ready)(void *), void *arg, int64_t until_ns,
	      const char *what);
/* now + ns, without overflow. */
int64_t sim_after(int64_t ns);
int64_t sim_until(const struct timespec *relative);

/* A line of the trace, if there is one. */
void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "urt sim: ..." to stderr. */
void sim_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Once for each name: that what the program calls is not simulated. */
void sim_not_simulated(const char *name, const char *what);

/* The system call, past our own syscall(): -errno. */
long sim_call(long nr, ...);
/* The next definition of a function: libc's. */
void *sim_next(void **cache, const char *name);
#define NEXT(type, name, params) \
	static void *cache;      \
	type(*real) params = (type(*) params)sim_next(&cache, #name)

/* The state of the thread with that tid, for /proc: 'R' or 'S'; its CPU time. */
char sim_thread_state(int tid);
int64_t sim_thread_cpu_ns(int tid);
/* A signal for one thread, which gets it when it runs next. */
void sim_signal(int tid, int sig);
/* pthread_create for a simulated thread; pthread_join. */
int sim_thread_new(pthread_t *, const pthread_attr_t *, void *(*)(void *),
		   void *);
int sim_thread_join(pthread_t, void **);
/* Nobody will join it; false: it is not ours. Its tid, or 0. */
bool sim_thread_detach(pthread_t);
int sim_thread_tid(pthread_t);
/* The program has child processes, from now on perhaps. */
void sim_has_children(void);

/* ---- ring.c ---- */

int sim_ring_setup(unsigned entries, void *params);
int sim_ring_enter(int fd, unsigned to_submit, unsigned min_complete,
		   unsigned flags, const void *arg);
int sim_ring_register(int fd, unsigned opcode, void *arg, unsigned n);
bool sim_is_ring(int fd);
void *sim_ring_map(int fd, size_t size, int64_t offset); /* MAP_FAILED */
void sim_ring_close(int fd);
/* Descriptors of rings are readable when they have completions; _watched: one is polled
 * by an epoll instance from now on. */
void sim_rings_polled(void);
void sim_ring_watched(int fd);
struct ring;
void sim_complete(struct ring *, uint64_t user_data, int res);

/* ---- requests.c ---- */

void sim_request_begin(struct ring *, const struct io_uring_sqe *);
/* One, or with ANY all of the ring: what its completion says. */
int sim_request_cancel(struct ring *, const struct io_uring_sqe *);
void sim_requests_drop(const struct ring *);
/* Completes requests that are due; true: at least one. _next: when the next is. Those
 * that wait are looked at if something has changed, or anyway. */
bool sim_ring_run(bool anyway);
/* Something that others may wait for; _changes: how often. */
void sim_changed(void);
unsigned sim_changes(void);
int64_t sim_ring_next_ns(void);
/* Requests that wait for an event that only the program itself can cause. */
unsigned sim_ring_waiting(void);

/* ---- ops.c: what requests do ---- */

/* It does not block: -EAGAIN. _waits: what would block waits, and does not fail. */
int sim_op_try(const struct io_uring_sqe *);
/* Whether it could be tried with success. */
bool sim_op_ready(const struct io_uring_sqe *);
bool sim_op_waits(const struct io_uring_sqe *);
bool sim_op_reads(const struct io_uring_sqe *);
bool sim_op_sends(const struct io_uring_sqe *); /* also that no more comes */
bool sim_op_moves(const struct io_uring_sqe *); /* from another descriptor */
/* It completes when all bytes have come or gone, however many come at a time. */
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
/* Until when nothing passes, or no connection is made to there; 0: it does. */
int64_t sim_net_cut_ns(int fd, bool writes);
int64_t sim_net_cut_to_ns(int fd, const struct sockaddr *, socklen_t);
/* Breaks the connection, for both sides. */
void sim_net_reset(int fd);

/* ---- files.c ---- */

bool sim_readable(int fd);
bool sim_writable(int fd);
short sim_poll_now(int fd, short events);
bool sim_is_nonblocking(int fd);
/* Tells if it is a device of random bytes. */
void sim_note_path(const char *path);
/* Before a call that reads or writes: it waits here. */
void sim_before(int fd, bool writes, int flags);
/* What a function of libc returns for -errno. */
long sim_result(long);

/* ---- threads.c ---- */

long sim_futex(uint32_t *word, int op, uint32_t value, const struct timespec *,
	       uint32_t mask);
/* A request that waits for a futex; as a thread does. */
struct sim_sleeper {
	const void *on; /* NULL: woken, or none */
	uint64_t order;
};
void sim_sleeper_add(struct sim_sleeper *, const void *on);
void sim_sleeper_forget(struct sim_sleeper *);
bool sim_is_awake(void *sleeper);
/* The thread sleeps on the address until it is woken: true, or until then. */
bool sim_sleep_on(const void *on, int64_t until_ns, const char *what);
/* Wakes up to n, the first ones first. */
#define SIM_ALL INT64_MAX
long sim_wake(const void *on, long n);
/* The simulation's time for one of that clock. */
int64_t sim_until_clock(clockid_t, const struct timespec *);

#endif
