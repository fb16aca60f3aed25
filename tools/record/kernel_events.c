// SPDX-License-Identifier: MIT
/*
 * The kernel's side of a recording: loading and attaching bpf/record.bpf.c, and
 * taking its events out of the ring buffer.
 */
#define _GNU_SOURCE
#include "kernel_events.h"
#include "../lib/privileges.h"
#include "../lib/tool.h"
#include "../measure/bpf_setup.h"
#include "record.skel.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void choose(struct record_bpf *bpf, long buffer_mb)
{
	const struct bpf_optional optional[] = {
		{ bpf->progs.rec_submit_req, "io_uring_submit_req" },
		{ bpf->progs.rec_submit_sqe, "io_uring_submit_sqe" },
		{ bpf->progs.rec_punt, "io_uring_queue_async_work" },
		{ bpf->progs.rec_complete, "io_uring_complete" },
	};
	size_t bytes = 1 << 20;

	bpf_choose(optional, ARRAY_LEN(optional));
	bpf_choose_events(bpf->obj);
	while (bytes < (size_t)buffer_mb << 20)
		bytes *= 2; /* the kernel wants a power of two */
	bpf_map__set_max_entries(bpf->maps.events, bytes);
	bpf->rodata->ns_inum = pid_namespace();
}

static bool make_room(struct kernel_events *k)
{
	k->max = bpf_map__max_entries(k->bpf->maps.events) / sizeof(*k->event);
	k->event = calloc(k->max, sizeof(*k->event));
	return k->event;
}

/* Non-zero: no room is left. */
static int on_event(void *arg, void *data, size_t size)
{
	struct kernel_events *k = arg;

	memcpy(&k->event[k->n++], data, sizeof(*k->event));
	return k->n == k->max ? -EAGAIN : 0;
}

int kernel_events_running(struct kernel_events *k, long pid, bool all)
{
	struct bpf_link *link;
	char buf[64];
	int fd;

	k->bpf->bss->attach_tgid = pid;
	k->bpf->bss->attach_all = all;
	link = bpf_program__attach_iter(k->bpf->progs.rec_find, NULL);
	if (libbpf_get_error(link))
		return (int)libbpf_get_error(link);
	fd = bpf_iter_create(bpf_link__fd(link));
	while (fd >= 0 && read(fd, buf, sizeof(buf)) > 0)
		;
	/* The threads are found. Later, the number may be another process's. */
	k->bpf->bss->attach_tgid = 0;
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	return fd < 0 ? -errno : 0;
}

void kernel_events_starting(struct kernel_events *k, pid_t pid)
{
	k->bpf->bss->start_tgid = pid;
}

int kernel_events_open(struct kernel_events *k, long buffer_mb)
{
	int err;

	bpf_setup();
	k->bpf = record_bpf__open();
	if (!k->bpf)
		return -errno;
	choose(k->bpf, buffer_mb);
	err = record_bpf__load(k->bpf);
	if (err)
		return err;
	if (!make_room(k))
		return -ENOMEM;
	k->ring = ring_buffer__new(bpf_map__fd(k->bpf->maps.events), on_event,
				   k, NULL);
	if (!k->ring)
		return -errno;
	return bpf_attach_all(k->bpf->obj, k->link, &k->links);
}

bool kernel_events_take(struct kernel_events *k)
{
	if (k->n < k->max)
		ring_buffer__consume(k->ring);
	return k->n < k->max / 2;
}

void kernel_events_done(struct kernel_events *k, unsigned n)
{
	k->n -= n;
	memmove(k->event, k->event + n, k->n * sizeof(*k->event));
}

uint64_t kernel_events_dropped(const struct kernel_events *k)
{
	return k->bpf ? k->bpf->bss->dropped + bpf_missed(k->bpf->obj) : 0;
}

void kernel_events_close(struct kernel_events *k)
{
	for (unsigned i = 0; i < k->links; i++)
		bpf_link__destroy(k->link[i]);
	ring_buffer__free(k->ring);
	record_bpf__destroy(k->bpf);
	free(k->event);
}
