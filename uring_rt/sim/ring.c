// SPDX-License-Identifier: MIT
/*
 * io_uring, simulated.
 *
 * A ring's memory is a memfd, its descriptor an eventfd, which can be polled.
 * Requests complete after delays that the seed chooses, often none, and in any
 * order (requests.c). A request is carried out by a system call that does not
 * block, on real descriptors (ops.c).
 *
 * As in the kernel: when the completion queue is full, further completions wait
 * until the next enter with GETEVENTS; a cancelled request completes with
 * ECANCELED, before or after the cancellation's own completion; a request that
 * is being carried out is not cancelled (EALREADY); enter may take a part of
 * the requests, or none.
 *
 * Completions appear at any moment, as without COOP_TASKRUN. Lent buffers,
 * registered rings and files, and multishot requests are refused, as by old
 * kernels.
 */
#define _GNU_SOURCE
#include "sim.h"
#include "../ring/abi.h"
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RINGS 1024

struct layout {
	_Atomic unsigned sq_head, sq_tail, sq_flags, cq_head, cq_tail;
};

struct ring {
	int fd; /* -1: free */
	int memfd;
	struct layout *map;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	unsigned *array;
	size_t rings_size;
	unsigned entries, cq_entries;
	struct io_uring_cqe *late; /* for which the queue had no room */
	unsigned nr_late, late_size;
	bool rung; /* the eventfd is readable */
	bool watched;
};

static struct ring ring[RINGS];
static unsigned nr_rings;
static struct ring *ring_of(int fd)
{
	for (unsigned i = 0; i < nr_rings; i++)
		if (ring[i].fd == fd)
			return fd < 0 ? NULL : &ring[i];
	return NULL;
}

bool sim_is_ring(int fd)
{
	return ring_of(fd);
}

static unsigned power_of_two(unsigned n)
{
	unsigned p = 1;

	while (p < n)
		p *= 2;
	return p;
}

static void lay_out(struct ring *r, struct io_uring_params *p)
{
	size_t cqes = 64, array = cqes + r->cq_entries * sizeof(*r->cqes);
	char *base;

	r->rings_size = array + r->entries * sizeof(unsigned);
	r->memfd = sim_call(SYS_memfd_create, "urt sim ring", 1 /* CLOEXEC */);
	r->memfd = sim_call(SYS_fcntl, r->memfd, F_DUPFD_CLOEXEC, 900);
	sim_call(SYS_ftruncate, r->memfd,
		 (long)(IORING_OFF_SQES + r->entries * sizeof(*r->sqes)));
	base = (char *)sim_call(SYS_mmap, 0, r->rings_size,
				PROT_READ | PROT_WRITE, MAP_SHARED, r->memfd,
				0);
	r->sqes = (void *)sim_call(SYS_mmap, 0, r->entries * sizeof(*r->sqes),
				   PROT_READ | PROT_WRITE, MAP_SHARED, r->memfd,
				   IORING_OFF_SQES);
	r->map = (void *)base;
	r->cqes = (void *)(base + cqes);
	r->array = p->flags & IORING_SETUP_NO_SQARRAY ? NULL
						      : (void *)(base + array);
	p->sq_entries = r->entries;
	p->cq_entries = r->cq_entries;
	p->features = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP |
		      IORING_FEAT_EXT_ARG | IORING_FEAT_SUBMIT_STABLE;
	p->sq_off.head = offsetof(struct layout, sq_head);
	p->sq_off.tail = offsetof(struct layout, sq_tail);
	p->sq_off.flags = offsetof(struct layout, sq_flags);
	p->sq_off.array = array;
	p->cq_off.head = offsetof(struct layout, cq_head);
	p->cq_off.tail = offsetof(struct layout, cq_tail);
	p->cq_off.cqes = cqes;
}

int sim_ring_setup(unsigned entries, void *params)
{
	struct io_uring_params *p = params;
	struct ring *r = NULL;

	sim_step(10000);
	for (unsigned i = 0; i < nr_rings && !r; i++)
		if (ring[i].fd < 0)
			r = &ring[i];
	if (!r && nr_rings == RINGS)
		return -ENFILE;
	if (!r)
		r = &ring[nr_rings++];
	memset(r, 0, sizeof(*r));
	r->entries = power_of_two(entries);
	r->cq_entries = power_of_two(
		p->flags & IORING_SETUP_CQSIZE ? p->cq_entries : 2 * entries);
	r->fd = sim_call(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->fd < 0)
		return r->fd;
	lay_out(r, p);
	sim_tell_ring();
	sim_trace("ring %d: %u entries", r->fd, r->entries);
	return r->fd;
}

void *sim_ring_map(int fd, size_t size, int64_t offset)
{
	struct ring *r = ring_of(fd);

	return (void *)sim_call(
		SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED, r->memfd,
		offset == (int64_t)IORING_OFF_SQES ? offset : 0L);
}

/* ---- completions ------------------------------------------------------- */

static unsigned ready(const struct ring *r)
{
	return atomic_load(&r->map->cq_tail) - atomic_load(&r->map->cq_head);
}

static void put(struct ring *r, const struct io_uring_cqe *cqe)
{
	unsigned tail = atomic_load(&r->map->cq_tail);
	struct io_uring_cqe *to = &r->cqes[tail & (r->cq_entries - 1)];

	to->user_data = cqe->user_data;
	to->res = cqe->res;
	to->flags = cqe->flags;
	atomic_store(&r->map->cq_tail, tail + 1);
}

void sim_complete(struct ring *r, uint64_t user_data, int res)
{
	struct io_uring_cqe cqe = { .user_data = user_data, .res = res };

	if (r->watched)
		sim_changed();
	if (!r->nr_late && ready(r) < r->cq_entries) {
		put(r, &cqe);
		return;
	}
	if (r->nr_late == r->late_size) {
		r->late_size = 2 * r->late_size + 64;
		r->late = realloc(r->late, r->late_size * sizeof(*r->late));
	}
	memcpy(&r->late[r->nr_late++], &cqe, sizeof(cqe));
	atomic_fetch_or(&r->map->sq_flags, IORING_SQ_CQ_OVERFLOW);
}

static void move_late(struct ring *r)
{
	unsigned n = 0;

	while (n < r->nr_late && ready(r) < r->cq_entries)
		put(r, &r->late[n++]);
	r->nr_late -= n;
	memmove(r->late, r->late + n, r->nr_late * sizeof(*r->late));
	if (!r->nr_late)
		atomic_fetch_and(&r->map->sq_flags, ~IORING_SQ_CQ_OVERFLOW);
}

void sim_rings_polled(void)
{
	uint64_t n = 1;

	for (struct ring *r = ring; r < ring + nr_rings; r++) {
		bool rings = r->watched && ready(r);

		if (r->watched && rings != r->rung)
			sim_call(rings ? SYS_write : SYS_read, r->fd, &n,
				 sizeof(n));
		r->rung = rings;
	}
}

void sim_ring_watched(int fd)
{
	struct ring *r = ring_of(fd);

	if (r)
		r->watched = true;
}

static void submit_cancel(struct ring *r, const struct io_uring_sqe *sqe)
{
	uint64_t user_data = sqe->user_data;
	int res = sim_request_cancel(r, sqe);

	sim_trace("cancel on ring %d: %d", r->fd, res);
	sim_complete(r, user_data, res);
}

static unsigned submit(struct ring *r, unsigned n)
{
	unsigned head = atomic_load(&r->map->sq_head), taken = 0;

	for (; taken < n && head != atomic_load(&r->map->sq_tail); taken++) {
		unsigned i = head++ & (r->entries - 1);
		struct io_uring_sqe sqe;

		memcpy(&sqe, &r->sqes[r->array ? r->array[i] : i], sizeof(sqe));
		atomic_store(&r->map->sq_head, head);
		if (sqe.opcode == IORING_OP_ASYNC_CANCEL)
			submit_cancel(r, &sqe);
		else if (!sim_op_known(sqe.opcode))
			sim_complete(r, sqe.user_data, -EINVAL);
		else
			sim_request_begin(r, &sqe);
	}
	return taken;
}

/* ---- system calls ------------------------------------------------------ */

static bool has_completions(void *arg)
{
	return ready(arg);
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

static int64_t enter_until_ns(unsigned flags, const void *arg)
{
	const struct io_uring_getevents_arg *ext = arg;

	if (!(flags & IORING_ENTER_EXT_ARG) || !ext || !ext->ts)
		return SIM_NEVER;
	return sim_until((const struct timespec *)(uintptr_t)ext->ts);
}

int sim_ring_enter(int fd, unsigned to_submit, unsigned min_complete,
		   unsigned flags, const void *arg)
{
	struct ring *r = ring_of(fd);
	unsigned taken = 0;

	if (!r)
		return -EBADF;
	sim_step(500);
	if (sim_fault(SIM_ENTER)) {
		if (sim_random(SIM_FAULT, 2))
			return -EAGAIN;
		to_submit = (to_submit + 1) / 2;
		min_complete = 0;
	}
	/* As in a slow file system. */
	if (to_submit && sim_fault(SIM_BLOCK))
		sim_wait(never, NULL,
			 sim_after(sim_random(SIM_FAULT, 10000000)),
			 "io_uring_enter");
	if (to_submit)
		taken = submit(r, to_submit);
	sim_ring_run(false);
	if (flags & IORING_ENTER_GETEVENTS)
		move_late(r);
	if (taken)
		sim_step(200);
	if (!(flags & IORING_ENTER_GETEVENTS) || !min_complete || ready(r))
		return taken;
	if (!sim_wait(has_completions, r, enter_until_ns(flags, arg),
		      "io_uring_enter") &&
	    !taken)
		return -ETIME;
	return taken;
}

static int probe(struct io_uring_probe *p, unsigned n)
{
	p->last_op = 60;
	p->ops_len = n;
	for (unsigned i = 0; i < n; i++) {
		p->ops[i].op = i;
		p->ops[i].flags = sim_op_known(i) ? IO_URING_OP_SUPPORTED : 0;
	}
	return 0;
}

int sim_ring_register(int fd, unsigned opcode, void *arg, unsigned n)
{
	const struct io_uring_sqe *sqe = arg;
	struct ring *to;

	(void)fd;
	if (opcode == IORING_REGISTER_IOWQ_MAX_WORKERS)
		return 0;
	sim_step(500);
	if (opcode == IORING_REGISTER_PROBE)
		return probe(arg, n);
	if (opcode == IORING_UNREGISTER_FILES ||
	    opcode == IORING_UNREGISTER_BUFFERS)
		return -ENXIO;
	if (opcode != URT__REGISTER_SEND_MSG_RING)
		return -EINVAL;
	to = ring_of(sqe->fd);
	if (!to)
		return -EBADFD;
	sim_trace("message to ring %d", sqe->fd);
	sim_complete(to, sqe->off, sqe->len);
	return 0;
}

void sim_ring_close(int fd)
{
	struct ring *r = ring_of(fd);

	sim_requests_drop(r);
	munmap(r->map, r->rings_size);
	munmap(r->sqes, r->entries * sizeof(*r->sqes));
	sim_call(SYS_close, r->memfd);
	free(r->late);
	r->fd = -1;
	r->watched = false;
}
