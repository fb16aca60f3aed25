// SPDX-License-Identifier: MIT
/*
 * Receiving into buffers that the kernel picks.
 *
 * A receive that brings its own buffer holds it while it waits: 4 KiB for each
 * of 100,000 silent connections. Here each worker's ring has a group of
 * buffers (IORING_REGISTER_PBUF_RING, 5.19), and an operation names the group;
 * the kernel takes a buffer when there is data. If it can (IOU_PBUF_RING_INC,
 * 6.12), the kernel consumes large buffers piece by piece, so that 64 received
 * bytes take 64 bytes; otherwise each piece is a buffer.
 *
 * The life of a buffer: the kernel gets it with one reference, the kernel's
 * own. Each completion adds one for the piece that it lends. The last piece
 * that the kernel takes from the buffer (no F_BUF_MORE) drops the kernel's
 * reference. The thread that drops the last reference gives the buffer to the
 * kernel again. Pieces follow each other in the order of the completions, so
 * they are cut in the completion's callback, on the ring's thread. Any thread
 * may give pieces back, so the group's tail has a lock; the kernel reads the
 * tail (acquire; ours is a release).
 *
 * All groups lie in one reservation, so a piece's address tells its group and
 * buffer. When a group is used up, the piece comes from malloc.
 *
 * Rejected: multishot receive. It saves one submission a message, but then data
 * arrive without a receive, perhaps on a ring that the coroutine has left; and
 * it is no faster: HACKING.md has the figures.
 */
#define _GNU_SOURCE
#include "lend.h"
#include "../base/memory.h"
#include "../base/sys.h"
#include "fds.h"
#include "io.h"
#include "ops.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#undef errno

#define GROUP_SIZE  (4u << 20) /* most bytes that a worker lends */
#define PIECE_SIZE  4096u      /* a buffer, if each is used once */
#define BUFFER_SIZE 65536u     /* a buffer that is consumed in pieces */
#define RING_SIZE   65536u     /* at least a struct urt__buf for each piece */
#define STRIDE	    (GROUP_SIZE + RING_SIZE)
#define LENDERS_MAX (2 * URT__PROCS_MAX) /* further workers copy */

static_assert(GROUP_SIZE / PIECE_SIZE * sizeof(struct urt__buf) <= RING_SIZE,
	      "and mappable with any size of page");

struct buffer {
	_Atomic uint32_t refs; /* pieces that are lent, and the kernel's own */
	uint32_t used;	       /* bytes; the ring's thread */
};

struct urt__lending {
	uint32_t lock;	       /* over tail, and the ring's entries */
	uint16_t tail;	       /* as the kernel sees it */
	unsigned size, count;  /* of the buffers; count is a power of two */
	char *base;	       /* the buffers */
	struct urt__buf *ring; /* shared with the kernel */
	struct buffer buffer[];
};

struct lent {
	struct urt__io io;
	void *data; /* the piece; NULL: none */
};

static uint32_t region_lock;
static char *region; /* STRIDE for each worker; NULL: not yet */

static void give_to_kernel(struct urt__lending *g, unsigned i)
{
	struct urt__buf *b;

	atomic_store(&g->buffer[i].refs, 1);
	g->buffer[i].used = 0;
	urt__lock(&g->lock);
	b = &g->ring[g->tail & (g->count - 1)];
	b->addr = (uintptr_t)g->base + (size_t)i * g->size;
	b->len = g->size;
	b->bid = i;
	/* The tail lies in the unused field of the first entry. */
	__atomic_store_n(&g->ring[0].tail, ++g->tail, __ATOMIC_RELEASE);
	urt__unlock(&g->lock);
}

static void drop(struct urt__lending *g, unsigned i)
{
	if (atomic_fetch_sub(&g->buffer[i].refs, 1) == 1)
		give_to_kernel(g, i);
}

static char *region_open(void)
{
	void *map;

	urt__lock(&region_lock);
	if (!region &&
	    !urt__mem_map(&map, STRIDE * LENDERS_MAX, URT__MEM_ANONYMOUS,
			  "uring_rt lent buffers")) {
		urt__sys_madvise(map, STRIDE * LENDERS_MAX, MADV_DONTFORK);
		region = map;
	}
	urt__unlock(&region_lock);
	return region;
}

/* Registers a group whose buffers are consumed in pieces, or as a whole. */
static int group_register(struct urt__worker *w, struct urt__lending *g,
			  bool pieces)
{
	struct urt__buf_reg reg = { .ring_addr = (uintptr_t)g->ring };

	g->size = pieces ? BUFFER_SIZE : PIECE_SIZE;
	g->count = GROUP_SIZE / g->size;
	reg.entries = g->count;
	reg.flags = pieces ? URT__PBUF_RING_INC : 0;
	return urt__sys_ring_register(w->ring.fd, URT__REGISTER_PBUF_RING, &reg,
				      1);
}

static struct urt__lending *group_open(struct urt__worker *w)
{
	char *base = region_open();
	struct urt__lending *g = urt__sys_zalloc(
		sizeof(*g) + GROUP_SIZE / PIECE_SIZE * sizeof(struct buffer));

	if (!base || !g)
		goto out_free;
	g->base = base + STRIDE * w->index;
	g->ring = (struct urt__buf *)(g->base + GROUP_SIZE);
	if ((!(w->ring.features & URT__F_BUFFER_PIECES) ||
	     group_register(w, g, true)) &&
	    group_register(w, g, false))
		goto out_free;
	for (unsigned i = 0; i < g->count; i++)
		give_to_kernel(g, i);
	w->lending = g;
	return g;
out_free:
	free(g);
	return NULL;
}

/* The worker whose ring has the buffer; another thread may reap for that
 * worker. */
static struct urt__worker *lender(const struct lent *l)
{
	return atomic_load_explicit(&l->io.op.coro->op_worker,
				    memory_order_relaxed);
}

static void lent_done(struct urt__op *op, int32_t res, uint32_t flags)
{
	struct lent *l = urt__container_of(op, struct lent, io.op);
	unsigned i = flags >> IORING_CQE_BUFFER_SHIFT;

	if (flags & IORING_CQE_F_BUFFER) {
		struct urt__lending *g = lender(l)->lending;
		struct buffer *b = &g->buffer[i];

		if (res > 0) {
			atomic_fetch_add(&b->refs, 1);
			l->data = g->base + (size_t)i * g->size + b->used;
			b->used += res;
		}
		if (!(flags & IORING_CQE_F_BUF_MORE))
			drop(g, i);
	}
	urt__io_done(op, res, flags);
}

/* -ENOBUFS: no group, or it is used up. */
static int receive(int fd, struct lent *l, int flags, int64_t deadline_ns)
{
	struct io_uring_sqe r = { .opcode = URT__OP_RECV,
				  .fd = fd,
				  .flags = IOSQE_BUFFER_SELECT,
				  .msg_flags = flags };
	struct urt__worker *w = urt__worker();

	if (w->index >= LENDERS_MAX || (!w->lending && !group_open(w)))
		return -ENOBUFS;
	l->io = (struct urt__io){ .op.done = lent_done, .op.fd = urt__fd(fd) };
	return urt__io_on(&l->io, &r, 0, deadline_ns);
}

static ssize_t receive_copied(int fd, void **data, int flags,
			      int64_t deadline_ns)
{
	char *p = urt__sys_alloc(PIECE_SIZE);
	ssize_t n =
		p ? urt_recv(fd, p, PIECE_SIZE, flags, deadline_ns) : -ENOMEM;

	if (n > 0)
		*data = p;
	else
		free(p);
	return n;
}

ssize_t urt_recv_lent(int fd, void **data, int flags, int64_t deadline_ns)
{
	struct lent l = { .data = NULL };
	unsigned tries = 0;
	int ret;

	*data = NULL;
	if (flags & (MSG_WAITALL | MSG_TRUNC))
		return -EINVAL; /* more than one piece, or none */
	if (!urt__enter(true))
		return -EPERM;
	do
		ret = receive(fd, &l, flags, deadline_ns);
	while (urt__io_again(&ret, fd, flags & MSG_DONTWAIT ? 0 : POLLIN,
			     deadline_ns, &tries));
	urt__leave();
	if (ret == -ENOBUFS)
		return receive_copied(fd, data, flags, deadline_ns);
	*data = l.data;
	return ret;
}

void urt_lent_return(void *data)
{
	size_t offset = (char *)data - region;
	struct urt__worker *w, *caller;

	if (!region || (char *)data < region ||
	    offset >= STRIDE * LENDERS_MAX) {
		free(data);
		return;
	}
	/* Inside the runtime, no signal handler reaps, which may need the
	 * lock. */
	caller = urt__enter(false);
	w = atomic_load(&urt__rt.worker[offset / STRIDE]);
	drop(w->lending, offset % STRIDE / w->lending->size);
	if (caller)
		urt__leave();
}

void urt__lend_close(void)
{
	for (unsigned i = 0; i < urt__rt.nr_workers; i++)
		free(urt__rt.worker[i]->lending);
	if (region)
		munmap(region, STRIDE * LENDERS_MAX);
	urt__lend_forget();
}

void urt__lend_forget(void)
{
	region = NULL;
	region_lock = 0;
}
