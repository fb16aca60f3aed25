// SPDX-License-Identifier: MIT
/*
 * io_uring, as far as the runtime can tell: rings with COOP_TASKRUN, whose
 * completions may appear at any moment. A completion is posted in the step that
 * causes it (a submission, bytes that come, a message of another thread), as the
 * kernel does under the ring's lock.
 */
#define _GNU_SOURCE
#include "kernel.h"
#include "../../uring_rt/base/sys.h"
#include "../../uring_rt/ring/abi.h"
#include <errno.h>
#include <string.h>

#define PC	   __builtin_return_address(0)
#define RINGS	   4
#define RING_FD	   50
#define ENTRIES	   8u
#define CQES	   64u
#define OPS	   16
#define TIMEOUT_FD -1

struct layout {
	unsigned sq_head, sq_tail, sq_flags, cq_head, cq_tail;
	struct io_uring_cqe cqe[CQES];
};

struct kring {
	struct layout *map;
	struct io_uring_sqe *sqes;
	struct urt__buf *buffers; /* to be lent; NULL: none */
	unsigned nr_buffers;
	uint16_t next; /* the first buffer with room */
	unsigned used; /* bytes of that */
};

/* A read that waits for bytes, or a timeout. */
struct waiting {
	struct kring *ring; /* NULL: free */
	uint64_t user_data;
	int fd; /* of a timeout: TIMEOUT_FD */
	unsigned len;
	bool missed; /* a cancellation has missed it */
};

static struct kring ring[RINGS];
static unsigned nr_rings;
static struct waiting waiting[OPS];
static unsigned bytes[K_FILES];
static bool closed[K_FILES];
static unsigned files_of[K_FILES];    /* that have had the number before */
static struct x_object file[K_FILES]; /* for steps that touch it */
static bool stubborn[K_FILES];	      /* see k_set_stubborn */
static unsigned refusals;	      /* see k_refuse */

int urt__sys_ring_setup(unsigned entries, struct io_uring_params *p)
{
	if (nr_rings == RINGS)
		return -ENFILE;
	(void)entries;
	p->sq_entries = ENTRIES;
	p->cq_entries = CQES;
	p->features = IORING_FEAT_EXT_ARG | IORING_FEAT_SINGLE_MMAP |
		      IORING_FEAT_NODROP | IORING_FEAT_NO_IOWAIT;
	p->sq_off.head = offsetof(struct layout, sq_head);
	p->sq_off.tail = offsetof(struct layout, sq_tail);
	p->sq_off.flags = offsetof(struct layout, sq_flags);
	p->sq_off.array = sizeof(struct layout);
	p->cq_off.head = offsetof(struct layout, cq_head);
	p->cq_off.tail = offsetof(struct layout, cq_tail);
	p->cq_off.cqes = offsetof(struct layout, cqe);
	return RING_FD + nr_rings++;
}

bool k_ring_mmap(void **out, size_t size, int fd, off_t offset)
{
	struct kring *r;

	if (fd < RING_FD || fd >= RING_FD + RINGS)
		return false;
	r = &ring[fd - RING_FD];
	*out = x_arena_alloc(size, 64);
	if (offset == IORING_OFF_SQES) {
		r->sqes = *out;
	} else {
		r->map = *out;
		explore_name(r->map, sizeof(*r->map), "ring %d", fd - RING_FD);
	}
	return true;
}

/* ---- completions ------------------------------------------------------- */

static uintptr_t id(const struct kring *r)
{
	return (uintptr_t)r->map + 1; /* for its lock in the kernel */
}

/* Posts a completion, in the current step of the calling thread. */
static void complete(struct kring *r, uint64_t user_data, int32_t res,
		     uint32_t flags)
{
	unsigned tail = r->map->cq_tail;
	struct io_uring_cqe *c = &r->map->cqe[tail % CQES];

	x_sync(id(r), true);
	if (tail - r->map->cq_head == CQES)
		explore_fail("the model's completion queue is full");
	c->user_data = user_data;
	c->res = res;
	c->flags = flags;
	x_store_now((uintptr_t)&r->map->cq_tail, 4, tail + 1, __ATOMIC_RELEASE);
}

static bool has_completions(void *arg)
{
	struct kring *r = arg;

	return r->map->cq_tail != r->map->cq_head;
}

/* ---- requests ---------------------------------------------------------- */

static int take_bytes(int fd, unsigned len)
{
	unsigned n = bytes[fd - 3] < len ? bytes[fd - 3] : len;

	bytes[fd - 3] -= n;
	return n;
}

/* Receives into a buffer of the ring's group, which is filled piece by piece. */
static void receive_lent(struct kring *r, const struct io_uring_sqe *sqe)
{
	uint16_t tail = x_load((uintptr_t)&r->buffers[0].tail, 2,
			       __ATOMIC_ACQUIRE, NULL);
	struct urt__buf *b = &r->buffers[r->next % r->nr_buffers];
	unsigned n;

	if (tail == r->next) {
		complete(r, sqe->user_data, -ENOBUFS, 0);
		return;
	}
	n = take_bytes(sqe->fd, b->len - r->used);
	r->used += n;
	complete(r, sqe->user_data, n,
		 (uint32_t)b->bid << IORING_CQE_BUFFER_SHIFT |
			 IORING_CQE_F_BUFFER |
			 (r->used < b->len ? IORING_CQE_F_BUF_MORE : 0));
	if (r->used == b->len) {
		r->next++;
		r->used = 0;
	}
}

static void wait_in_kernel(struct kring *r, const struct io_uring_sqe *sqe,
			   int fd)
{
	for (struct waiting *w = waiting; w < waiting + OPS; w++)
		if (!w->ring) {
			*w = (struct waiting){ r, sqe->user_data, fd, sqe->len,
					       false };
			return;
		}
	explore_fail("too many requests wait in the model");
}

/* The kernel does not find a request while it tries that again. */
static bool misses(struct waiting *w)
{
	w->missed = !w->missed && x_choose(2);
	return w->missed;
}

/* A kernel thread carries the request out, and forgets that it was interrupted. */
static bool forgets(struct waiting *w)
{
	if (w->fd == TIMEOUT_FD || !stubborn[w->fd - 3] || w->missed)
		return false;
	return w->missed = true;
}

/* ASYNC_CANCEL, of one request by its user_data, or of all. */
static int cancel(struct kring *r, const struct io_uring_sqe *sqe)
{
	bool all = sqe->cancel_flags & IORING_ASYNC_CANCEL_ANY;
	int n = 0;

	for (struct waiting *w = waiting; w < waiting + OPS; w++) {
		if (w->ring != r || (!all && w->user_data != sqe->addr))
			continue;
		if (!all && forgets(w))
			return -EALREADY;
		if (!all && misses(w))
			continue;
		if (w->fd != TIMEOUT_FD)
			x_touch(&file[w->fd - 3], true);
		w->ring = NULL;
		complete(r, w->user_data, -ECANCELED, 0);
		n++;
	}
	return n ? (all ? n : 0) : -ENOENT;
}

static bool is_file(int fd)
{
	if (fd < 3 || fd >= 3 + K_FILES)
		return false;
	x_touch(&file[fd - 3], true);
	return !closed[fd - 3];
}

static void request(struct kring *r, const struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_NOP:
		complete(r, sqe->user_data, 0, 0);
		break;
	case IORING_OP_ASYNC_CANCEL:
		complete(r, sqe->user_data, cancel(r, sqe), 0);
		break;
	case IORING_OP_READ:
	case IORING_OP_RECV:
		if (!is_file(sqe->fd))
			complete(r, sqe->user_data, -EBADF, 0);
		else if (bytes[sqe->fd - 3] && sqe->flags & IOSQE_BUFFER_SELECT)
			receive_lent(r, sqe);
		else if (bytes[sqe->fd - 3])
			complete(r, sqe->user_data,
				 take_bytes(sqe->fd, sqe->len), 0);
		else
			wait_in_kernel(r, sqe, sqe->fd);
		break;
	case IORING_OP_TIMEOUT:
		wait_in_kernel(r, sqe, TIMEOUT_FD);
		break;
	case IORING_OP_CLOSE:
		complete(r, sqe->user_data, is_file(sqe->fd) ? 0 : -EBADF, 0);
		if (is_file(sqe->fd))
			closed[sqe->fd - 3] = true;
		break;
	default:
		explore_fail("operation %u is not simulated", sqe->opcode);
	}
}

int urt__sys_ring_enter(int fd, unsigned to_submit, unsigned min_complete,
			unsigned flags, const void *arg, size_t arg_size)
{
	struct kring *r = &ring[fd - RING_FD];
	const struct io_uring_getevents_arg *ext = arg;
	const struct __kernel_timespec *ts;
	int64_t until_ns = INT64_MAX;
	unsigned head;

	(void)arg_size;
	if (!x_self)
		return 0;
	x_point(X_CALL, PC, id(r))->note = "enters its ring";
	x_sync(id(r), true);
	if (refusals) {
		refusals--;
		return -EAGAIN;
	}
	head = r->map->sq_head;
	for (unsigned i = 0; i < to_submit; i++)
		request(r, &r->sqes[head++ % ENTRIES]);
	if (to_submit)
		x_store_now((uintptr_t)&r->map->sq_head, 4, head,
			    __ATOMIC_RELEASE);
	ts = ext && ext->ts ? (void *)(uintptr_t)ext->ts : NULL;
	if (ts)
		until_ns = k_after(ts->tv_sec, ts->tv_nsec);
	if (min_complete)
		x_block(PC, id(r), has_completions, r, until_ns,
			"waits in its ring");
	(void)flags;
	return to_submit;
}

static int send_message(const struct io_uring_sqe *sqe, const void *pc)
{
	struct kring *to = &ring[sqe->fd - RING_FD];

	if (!x_self)
		return 0;
	x_point(X_CALL, pc, id(to))->note = "kicks";
	complete(to, sqe->off, 0, 0);
	return 0;
}

int urt__sys_ring_register(int fd, unsigned opcode, const void *arg,
			   unsigned nr_args)
{
	struct io_uring_probe *probe = (void *)arg;

	(void)fd, (void)nr_args;
	switch (opcode) {
	case IORING_REGISTER_PROBE:
		probe->last_op = 60;
		return 0;
	case URT__REGISTER_SEND_MSG_RING:
		return send_message(arg, PC);
	case URT__REGISTER_PBUF_RING: {
		const struct urt__buf_reg *reg = arg;

		ring[fd - RING_FD].buffers = (void *)reg->ring_addr;
		ring[fd - RING_FD].nr_buffers = reg->entries;
		return 0;
	}
	case IORING_UNREGISTER_FILES:
	case IORING_UNREGISTER_BUFFERS:
		return 0;
	}
	return -EINVAL;
}

/* ---- files ------------------------------------------------------------- */

void k_bytes_come(int fd, unsigned n)
{
	x_point(X_CALL, PC, (uintptr_t)&bytes[fd - 3])->note = "bytes come";
	x_touch(&file[fd - 3], true);
	bytes[fd - 3] += n;
	for (struct waiting *w = waiting; w < waiting + OPS; w++) {
		struct kring *r = w->ring;

		if (!r || w->fd != fd || !bytes[fd - 3])
			continue;
		w->ring = NULL;
		complete(r, w->user_data, take_bytes(fd, w->len), 0);
	}
}

static struct waiting *timeout(void)
{
	for (struct waiting *w = waiting; w < waiting + OPS; w++)
		if (w->ring && w->fd == TIMEOUT_FD)
			return w;
	return NULL;
}

static bool has_timeout(void *arg)
{
	(void)arg;
	return timeout();
}

void k_timeout_passes(void)
{
	struct waiting *w;

	x_block(PC, (uintptr_t)waiting, has_timeout, NULL, INT64_MAX,
		"a timeout passes");
	w = timeout();
	complete(w->ring, w->user_data, -ETIME, 0);
	w->ring = NULL;
}

void k_refuse(unsigned n)
{
	refusals = n;
}

void k_set_stubborn(int fd)
{
	stubborn[fd - 3] = true;
}

void k_set_bytes(int fd, unsigned n)
{
	bytes[fd - 3] = n;
}

unsigned k_buffers_given(void)
{
	unsigned n = 0;

	for (struct kring *r = ring; r < ring + nr_rings; r++)
		n += r->buffers ? r->buffers[0].tail : 0;
	return n;
}

unsigned k_in_kernel(int fd)
{
	unsigned n = 0;

	for (struct waiting *w = waiting; w < waiting + OPS; w++)
		n += w->ring && w->fd == fd;
	return n;
}

static bool is_closed(void *arg)
{
	return closed[(intptr_t)arg - 3];
}

void k_reuse(int fd, unsigned n)
{
	x_block(PC, (uintptr_t)&closed[fd - 3], is_closed, (void *)(intptr_t)fd,
		INT64_MAX, "opens a file of that number");
	x_touch(&file[fd - 3], true);
	closed[fd - 3] = false;
	files_of[fd - 3]++;
	bytes[fd - 3] = n;
}

unsigned k_files_of(int fd)
{
	if (x_self) {
		x_point(X_CALL, PC, (uintptr_t)&closed[fd - 3])->note =
			"looks which file has the number";
		x_touch(&file[fd - 3], false);
	}
	return files_of[fd - 3] + 1;
}

bool k_is_closed(int fd)
{
	return closed[fd - 3];
}
