// SPDX-License-Identifier: MIT
/*
 * Making a ring with as many of the wanted features as the kernel has, and
 * destroying it.
 *
 * The mapping is made here and not by io_uring_queue_init, because liburing
 * before 2.5 does not know IORING_SETUP_NO_SQARRAY.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "ring.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Setup flags in the order in which they are given up, and their features. */
static const struct {
	unsigned feature, flags;
} setup_flags[] = {
	{ URT__F_NO_SQARRAY, IORING_SETUP_NO_SQARRAY },
	{ URT__F_COOP_TASKRUN,
	  IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG },
	{ URT__F_SUBMIT_ALL, IORING_SETUP_SUBMIT_ALL },
};

/* Completion queue entries for each submission queue entry. */
#define CQ_FACTOR 16
#define IOWQ_MAX  10000 /* threads of the kernel for one ring; as many as Go's */

static int ring_setup(struct urt__ring *r, unsigned entries,
		      struct io_uring_params *p)
{
	unsigned n = URT__ARRAY_LEN(setup_flags);
	int fd;

	for (unsigned given_up = 0;; given_up++) {
		memset(p, 0, sizeof(*p));
		p->flags = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
		p->cq_entries = entries * CQ_FACTOR;
		for (unsigned i = 0; i < n; i++)
			if (r->features & setup_flags[i].feature)
				p->flags |= setup_flags[i].flags;
		fd = urt__sys_ring_setup(entries, p);
		if (fd != -EINVAL || given_up == n)
			return fd;
		r->features &= ~setup_flags[given_up].feature;
	}
}

static int ring_map(struct urt__ring *r, const struct io_uring_params *p)
{
	size_t sq = p->sq_off.array + p->sq_entries * sizeof(unsigned);
	size_t cq =
		p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	int err;

	r->rings_size = sq > cq ? sq : cq;
	r->sqes_size = p->sq_entries * sizeof(struct io_uring_sqe);
	err = urt__sys_mmap(&r->rings_map, r->rings_size,
			    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			    r->fd, IORING_OFF_SQ_RING);
	if (err)
		return err;
	err = urt__sys_mmap(&r->sqes_map, r->sqes_size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
	if (err)
		munmap(r->rings_map, r->rings_size);
	if (err)
		return err;
	/* A forked child must not fill the queues that it would share. */
	urt__sys_madvise(r->rings_map, r->rings_size, MADV_DONTFORK);
	urt__sys_madvise(r->sqes_map, r->sqes_size, MADV_DONTFORK);
	return 0;
}

static void ring_layout(struct urt__ring *r, const struct io_uring_params *p)
{
	char *base = r->rings_map;

	r->sq_khead = (unsigned *)(base + p->sq_off.head);
	r->sq_ktail = (unsigned *)(base + p->sq_off.tail);
	r->sq_kflags = (unsigned *)(base + p->sq_off.flags);
	r->sq_entries = p->sq_entries;
	r->sq_mask = p->sq_entries - 1;
	r->sqes = r->sqes_map;
	r->cq_khead = (unsigned *)(base + p->cq_off.head);
	r->cq_ktail = (unsigned *)(base + p->cq_off.tail);
	r->cqes = (struct io_uring_cqe *)(base + p->cq_off.cqes);
	r->cq_mask = p->cq_entries - 1;
	if (!(p->flags & IORING_SETUP_NO_SQARRAY)) {
		unsigned *array = (unsigned *)(base + p->sq_off.array);

		for (unsigned i = 0; i < p->sq_entries; i++)
			array[i] = i;
	}
}

/*
 * Linux 5.19: without ASYNC_CANCEL_ANY, a run could not be ended. That feature
 * has no flag; URT__OP_SOCKET, which is probed here, came with it.
 */
static int probe_cancel_any(const struct urt__ring *r)
{
	struct io_uring_probe probe = { 0 };
	int err =
		urt__sys_ring_register(r->fd, IORING_REGISTER_PROBE, &probe, 0);

	if (err && err != -EINVAL) /* that is Linux before 5.6 */
		return err;
	return !err && probe.last_op >= URT__OP_SOCKET ? 0 : -ENOSYS;
}

uint64_t urt__ring_ops(const struct urt__ring *r)
{
	size_t size = sizeof(struct io_uring_probe) +
		      64 * sizeof(struct io_uring_probe_op);
	struct io_uring_probe *p = urt__sys_zalloc(size);
	uint64_t ops = 0;

	if (p && urt__sys_ring_register(r->fd, IORING_REGISTER_PROBE, p, 64))
		p->ops_len = 0;
	for (unsigned i = 0; p && i < p->ops_len && i < 64; i++)
		if (p->ops[i].flags & IO_URING_OP_SUPPORTED)
			ops |= UINT64_C(1) << p->ops[i].op;
	free(p);
	return ops;
}

static void ring_register_self(struct urt__ring *r)
{
	struct io_uring_rsrc_update u = { .offset = -1U, .data = r->fd };

	r->enter_fd = r->fd;
	if (!(r->features & URT__F_REG_RING))
		return;
	if (urt__sys_ring_register(r->fd, URT__REGISTER_RING_FDS, &u, 1) == 1) {
		r->enter_fd = u.offset;
		r->enter_flags |= IORING_ENTER_REGISTERED_RING;
	} else {
		r->features &= ~URT__F_REG_RING;
	}
}

/*
 * Operations that block in the kernel's threads, such as opening on a file system that
 * does not answer, must not keep the ring's other work from them. By default there are
 * four threads a CPU for all operations on files. The kernel makes another only
 * when all of them sleep.
 */
static void allow_threads(const struct urt__ring *r)
{
	unsigned max[2] = { IOWQ_MAX, 0 };

	urt__sys_ring_register(r->fd, IORING_REGISTER_IOWQ_MAX_WORKERS, max, 2);
}

int urt__ring_init(struct urt__ring *r, unsigned entries, unsigned features,
		   struct urt__stats_slot *stats)
{
	struct io_uring_params p;
	int err;

	memset(r, 0, sizeof(*r));
	r->features = features;
	r->stats = stats;
	r->fd = ring_setup(r, entries, &p);
	if (r->fd < 0)
		return r->fd;
	err = probe_cancel_any(r);
	if ((p.features & (IORING_FEAT_EXT_ARG | IORING_FEAT_SINGLE_MMAP)) !=
	    (IORING_FEAT_EXT_ARG | IORING_FEAT_SINGLE_MMAP))
		err = -ENOSYS;
	if (err)
		goto out_close;
	err = ring_map(r, &p);
	if (err)
		goto out_close;
	ring_layout(r, &p);
	if (!(p.features & IORING_FEAT_NO_IOWAIT))
		r->features &= ~URT__F_NO_IOWAIT;
	if (r->features & URT__F_NO_IOWAIT)
		r->enter_flags |= IORING_ENTER_NO_IOWAIT;
	ring_register_self(r);
	allow_threads(r);
	err = urt__ring_init_kick(r);
	if (!err)
		return 0;
	urt__ring_destroy(r);
	return err;
out_close:
	close(r->fd);
	return err;
}

int urt__ring_register(struct urt__ring *r, const int *files, unsigned nr_files,
		       const struct iovec *buffers, unsigned nr_buffers)
{
	int err = 0;

	if (nr_files)
		err = urt__sys_ring_register(r->fd, IORING_REGISTER_FILES,
					     files, nr_files);
	if (!err && nr_buffers)
		err = urt__sys_ring_register(r->fd, IORING_REGISTER_BUFFERS,
					     buffers, nr_buffers);
	return err;
}

/* Otherwise the ring, and the kernel's threads for it, would live as long as
 * the calling thread. */
static void ring_unregister_self(struct urt__ring *r)
{
	struct io_uring_rsrc_update u = { .offset = r->enter_fd };
	int err;

	if (!(r->enter_flags & IORING_ENTER_REGISTERED_RING))
		return;
	do
		err = urt__sys_ring_register(r->fd, URT__UNREGISTER_RING_FDS,
					     &u, 1);
	while (err == -ENOMEM || err == -EAGAIN || err == -EINTR);
}

void urt__ring_unregister(struct urt__ring *r)
{
	urt__sys_ring_register(r->fd, IORING_UNREGISTER_FILES, NULL, 0);
	urt__sys_ring_register(r->fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
}

void urt__ring_settle(struct urt__ring *r)
{
	ring_register_self(r);
	r->event_armed = false; /* the poll was the last thread's */
}

void urt__ring_leave(struct urt__ring *r)
{
	ring_unregister_self(r);
	r->enter_fd = r->fd;
	r->enter_flags &= ~IORING_ENTER_REGISTERED_RING;
}

void urt__ring_destroy(struct urt__ring *r)
{
	urt__ring_leave(r);
	if (r->event_fd >= 0)
		close(r->event_fd);
	munmap(r->sqes_map, r->sqes_size);
	munmap(r->rings_map, r->rings_size);
	close(r->fd);
}

void urt__ring_forget(struct urt__ring *r)
{
	if (r->event_fd >= 0)
		close(r->event_fd);
	close(r->fd);
}
