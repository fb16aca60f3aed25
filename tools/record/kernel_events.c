// SPDX-License-Identifier: MIT
/*
 * The kernel's side of a recording: loading and attaching bpf/record.bpf.c, and
 * taking its events out of their rings (record.h), in the order of time.
 *
 * A look takes the time T, then the rings' heads, and copies only the events from
 * before T to memory (held.h). All of them are in places before these heads. If one of those places
 * is not yet filled, the event in it may be older than T: then the look ends, and
 * T stays that of the look before. A ring's events are almost in order, since
 * writers may interrupt each other; each look puts them in order.
 */
#define _GNU_SOURCE
#include "kernel_events.h"
#include "../../uring_rt/base/trace.h"
#include "../lib/privileges.h"
#include "../lib/proc.h"
#include "../lib/tool.h"
#include "../measure/bpf_setup.h"
#include "record.skel.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE  ((size_t)sysconf(_SC_PAGESIZE))
#define SPARE 4096 /* places for writers that all find the last one free */

static void choose(struct record_bpf *bpf)
{
	const struct bpf_optional optional[] = {
		{ bpf->progs.rec_submit_req, "io_uring_submit_req" },
		{ bpf->progs.rec_submit_sqe, "io_uring_submit_sqe" },
		{ bpf->progs.rec_punt, "io_uring_queue_async_work" },
		{ bpf->progs.rec_complete, "io_uring_complete" },
		{ bpf->progs.rec_refused, "io_uring_req_failed" },
		{ bpf->progs.rec_overflow, "io_uring_cqe_overflow" },
	};
	bpf_choose(optional, ARRAY_LEN(optional));
	bpf_choose_events(bpf->obj);
	bpf->rodata->ns_inum = pid_namespace();
}

/* As many rings as CPUs, if each can have 1 MiB; sizes are powers of two. */
static void choose_rings(struct kernel_events *k, long buffer_mb)
{
	unsigned cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct record_bpf *bpf = k->bpf;

	k->rings = 1;
	while (k->rings < cpus && k->rings * 2 <= buffer_mb)
		k->rings *= 2;
	k->bits = 14;
	while (sizeof(struct urt_event) * k->rings << (k->bits + 1) <=
	       (uint64_t)buffer_mb << 20)
		k->bits++;
	bpf_map__set_max_entries(bpf->maps.rings, k->rings);
	bpf_map__set_max_entries(bpf->maps.events, k->rings << k->bits);
	bpf->rodata->ring_mask = k->rings - 1;
	bpf->rodata->ring_bits = k->bits;
	bpf->rodata->ring_events = (1u << k->bits) - SPARE;
}

static void *map_memory(struct bpf_map *map, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
		       bpf_map__fd(map), 0);

	return p == MAP_FAILED ? NULL : p;
}

static size_t events_size(const struct kernel_events *k)
{
	return ((sizeof(struct urt_event) * k->rings << k->bits) + PAGE - 1) &
	       -PAGE;
}

static size_t shared_size(const struct kernel_events *k)
{
	return (sizeof(struct urt_event_ring) * k->rings + PAGE - 1) & -PAGE;
}

static bool map_rings(struct kernel_events *k)
{
	k->ring = calloc(k->rings, sizeof(*k->ring));
	k->event = map_memory(k->bpf->maps.events, events_size(k));
	k->shared = map_memory(k->bpf->maps.rings, shared_size(k));
	for (unsigned i = 0; k->ring && i < k->rings; i++)
		k->ring[i].event = k->event + ((size_t)i << k->bits);
	return k->ring && k->event && k->shared;
}

int kernel_events_running(struct kernel_events *k, long pid, bool all)
{
	struct bpf_link *link;
	int err;

	k->bpf->bss->attach_tgid = pid;
	k->bpf->bss->attach_all = all;
	link = bpf_program__attach_iter(k->bpf->progs.rec_find, NULL);
	if (libbpf_get_error(link))
		return (int)libbpf_get_error(link);
	err = bpf_iterate(link);
	/* The threads are found. Later, the number may be another process's. */
	k->bpf->bss->attach_tgid = 0;
	bpf_link__destroy(link);
	return err;
}

void kernel_events_starting(struct kernel_events *k, pid_t pid)
{
	k->bpf->bss->start_tgid = pid;
}

void kernel_events_hold(struct kernel_events *k, struct held *h)
{
	for (unsigned i = 0; i < k->rings; i++)
		held_begin(h, &k->ring[i].queue, 0);
}

int kernel_events_open(struct kernel_events *k, struct held *h, long buffer_mb)
{
	int err;

	bpf_setup();
	k->bpf = record_bpf__open();
	if (!k->bpf)
		return -errno;
	choose(k->bpf);
	choose_rings(k, buffer_mb);
	err = bpf_load(k->bpf->skeleton);
	if (err)
		return err;
	if (!map_rings(k))
		return -ENOMEM;
	kernel_events_hold(k, h);
	return bpf_attach_all(k->bpf->obj, k->link, &k->links);
}

static struct urt_event *place(const struct kernel_events *k,
			       const struct kernel_ring *r, uint64_t n)
{
	return &r->event[n & ((1u << k->bits) - 1)];
}

/* Event number n is put before those of the ring that are later. */
static void put_in_order(const struct kernel_events *k, struct kernel_ring *r,
			 uint64_t n)
{
	struct urt_event e = *place(k, r, n);

	for (; n > r->tail && place(k, r, n - 1)->ns > e.ns; n--)
		*place(k, r, n) = *place(k, r, n - 1);
	*place(k, r, n) = e;
}

/* False: a place before the head is not yet filled. */
static bool look_at(const struct kernel_events *k, struct kernel_ring *r,
		    const struct urt_event_ring *shared)
{
	uint64_t head = __atomic_load_n(&shared->head, __ATOMIC_ACQUIRE);
	uint64_t before = 0;

	if (r->tail != r->filled)
		before = place(k, r, r->filled - 1)->ns;
	for (; r->filled != head; r->filled++) {
		struct urt_event *e = place(k, r, r->filled);
		uint64_t ns = __atomic_load_n(&e->ns, __ATOMIC_ACQUIRE);

		if (!ns)
			return false;
		if (ns < before)
			put_in_order(k, r, r->filled);
		else
			before = ns;
	}
	return true;
}

/* What our time namespace adds to the clock. */
static int64_t read_offset(void)
{
	FILE *f = fopen("/proc/self/timens_offsets", "re");
	long long s = 0, ns = 0;
	char line[128];

	while (f && proc_next_line(f, line, sizeof(line)))
		if (sscanf(line, "boottime %lld %lld", &s, &ns) == 2)
			break;
	if (f)
		fclose(f);
	return s * NS_PER_S + ns;
}

int64_t kernel_events_now(void)
{
	static int64_t offset_ns;
	static bool known;
	struct timespec ts;

	if (!known)
		offset_ns = read_offset();
	known = true;
	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec - offset_ns;
}

/* Copies the ring's events from before the moment; then their places are free. If
 * there is no room, the moment is that of the last one copied. */
static bool copy(struct kernel_events *k, struct kernel_ring *r,
		 struct urt_event_ring *shared, uint64_t before_ns)
{
	bool room = true;

	for (; r->tail != r->filled; r->tail++) {
		struct urt_event *e = place(k, r, r->tail);

		if (e->ns >= before_ns)
			break;
		room = held_put(&r->queue, e);
		if (!room)
			break;
		r->copied_ns = e->ns;
		e->ns = 0;
	}
	__atomic_store_n(&shared->tail, r->tail, __ATOMIC_RELEASE);
	if (!room && r->copied_ns < k->moment_ns)
		k->moment_ns = r->copied_ns + 1;
	return room;
}

double kernel_events_look(struct kernel_events *k)
{
	int64_t now = kernel_events_now();
	uint64_t fullest = 0;
	bool all = true, room = true;

	urt__trace_fence(memory_order_seq_cst);
	for (unsigned i = 0; i < k->rings; i++) {
		struct kernel_ring *r = &k->ring[i];

		all &= look_at(k, r, &k->shared[i]);
		if (r->filled - r->tail > fullest)
			fullest = r->filled - r->tail;
	}
	if (all)
		k->moment_ns = now;
	for (unsigned i = 0; all && i < k->rings; i++)
		room &= copy(k, &k->ring[i], &k->shared[i], now);
	k->first = NULL;
	return room ? (double)fullest / (1u << k->bits) : 1;
}

uint64_t kernel_events_moment(const struct kernel_events *k)
{
	return k->moment_ns;
}

void kernel_events_again(struct kernel_events *k)
{
	k->first = NULL;
}

static uint64_t first_ns(struct kernel_ring *r)
{
	const struct urt_event *e = held_next(&r->queue);

	return e ? e->ns : UINT64_MAX;
}

/* Finds the ring with the earliest event. */
static void find_first(struct kernel_events *k)
{
	uint64_t best = UINT64_MAX;

	k->first = NULL;
	k->second_ns = UINT64_MAX;
	for (unsigned i = 0; i < k->rings; i++) {
		uint64_t ns = first_ns(&k->ring[i]);

		if (ns < best) {
			k->second_ns = best;
			best = ns;
			k->first = &k->ring[i];
		} else if (ns < k->second_ns) {
			k->second_ns = ns;
		}
	}
}

uint64_t kernel_events_next_ns(struct kernel_events *k, uint64_t ns)
{
	if (!k->first || first_ns(k->first) > k->second_ns)
		find_first(k);
	if (ns > k->moment_ns)
		ns = k->moment_ns;
	return k->first && first_ns(k->first) < ns ? first_ns(k->first) : ns;
}

const struct urt_event *kernel_events_next(struct kernel_events *k,
					   uint64_t before_ns)
{
	if (before_ns > k->moment_ns)
		before_ns = k->moment_ns;
	if (kernel_events_next_ns(k, before_ns) >= before_ns)
		return NULL;
	k->given = *(const struct urt_event *)held_next(&k->first->queue);
	held_given(&k->first->queue);
	return &k->given;
}

uint64_t kernel_events_dropped(const struct kernel_events *k)
{
	return k->bpf ? k->bpf->bss->dropped + bpf_missed(k->bpf->obj) : 0;
}

void kernel_events_close(struct kernel_events *k)
{
	for (unsigned i = 0; i < k->links; i++)
		bpf_link__destroy(k->link[i]);
	if (k->event)
		munmap(k->event, events_size(k));
	if (k->shared)
		munmap(k->shared, shared_size(k));
	for (unsigned i = 0; k->ring && i < k->rings; i++)
		held_end(&k->ring[i].queue);
	free(k->ring);
	record_bpf__destroy(k->bpf);
}
