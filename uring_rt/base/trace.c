// SPDX-License-Identifier: MIT
/* Making the trace rings; their layout and protocol: trace.h. */
#define _GNU_SOURCE
#include "trace.h"
#include "memory.h"
#include "share.h"
#include "sys.h"
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PAGE 4096u

static size_t header_size(unsigned rings)
{
	size_t n = sizeof(struct urt__trace_page) +
		   rings * sizeof(struct urt__trace_ring);

	return (n + PAGE - 1) & ~(size_t)(PAGE - 1);
}

size_t urt__trace_size(unsigned rings, uint32_t events)
{
	return header_size(rings) +
	       (size_t)rings * events * sizeof(struct urt__trace_event);
}

void urt__trace_init(struct urt__trace_page *p, unsigned rings, uint32_t events)
{
	p->rings = rings;
	p->events = events;
	p->event_size = sizeof(struct urt__trace_event);
	p->events_offset = header_size(rings);
	p->pid = getpid();
	p->entry = getauxval(AT_ENTRY);
	if (readlink("/proc/self/exe", p->exe, sizeof(p->exe) - 1) < 0)
		p->exe[0] = '\0';
}

int urt__trace_open(struct urt__trace_page **out, int *fd, unsigned rings,
		    const char *const *reasons, unsigned nr_reasons)
{
	size_t size = urt__trace_size(rings, URT__TRACE_EVENTS);
	const char *n = secure_getenv(URT__TRACE_SAMPLE_ENV);
	struct urt__trace_page *p;
	void *map;
	int err;

	*fd = urt__share_new(URT__TRACE_NAME, size);
	if (*fd < 0) /* no shared memory */
		*fd = -1;
	err = urt__mem_map(&map, size, *fd, "uring_rt trace rings");
	if (err) {
		if (*fd >= 0)
			close(*fd);
		return err;
	}
	/* Reading shared memory fills it: a core dump would be 40 MiB a ring. */
	if (*fd >= 0)
		urt__sys_madvise(map, size, MADV_DONTDUMP);
	p = map;
	urt__trace_init(p, rings, URT__TRACE_EVENTS);
	for (unsigned i = 0; i < nr_reasons && i < URT__TRACE_REASONS; i++)
		strncpy(p->reason[i], reasons[i], URT__TRACE_REASON_LEN - 1);
	__atomic_store_n(&p->magic, URT__TRACE_MAGIC, __ATOMIC_RELEASE);
	/* A tool waits for the events, from the first one on. */
	if (*fd >= 0 && !urt__share_send(*fd, URT__TRACE_TO_ENV)) {
		if (n)
			p->sample = strtoul(n, NULL, 10);
		p->until_ns = urt__clock_ns() + 5 * URT__TRACE_LEASE;
	}
	*out = p;
	return 0;
}

void urt__trace_close(struct urt__trace_page *p, int fd)
{
	munmap(p, urt__trace_size(p->rings, p->events));
	if (fd >= 0)
		close(fd);
}

struct urt__trace_shape urt__trace_shape(const struct urt__trace_page *p)
{
	return (struct urt__trace_shape){ p->rings, p->events,
					  p->events_offset };
}

/* The words of event number n of ring i. */
static const uint64_t *event_words(const struct urt__trace_page *p,
				   const struct urt__trace_shape *s, unsigned i,
				   uint64_t n)
{
	size_t at = (size_t)i * s->events + (n & (s->events - 1));

	return (const uint64_t *)((const char *)p + s->events_offset) +
	       at * URT__TRACE_WORDS;
}

/* Of n events copied from number tail on, the number at the start that may be
 * torn. More than n: events after them are lost, too. */
static uint64_t torn(const struct urt__trace_page *p,
		     const struct urt__trace_shape *s, unsigned i,
		     uint64_t tail)
{
	uint64_t head, whole;

	urt__trace_fence(memory_order_acquire);
	head = __atomic_load_n(&p->ring[i].head, __ATOMIC_RELAXED);
	whole = head >= s->events ? head - s->events + 1 : 0;
	return whole > tail ? whole - tail : 0;
}

unsigned urt__trace_read(const struct urt__trace_page *p,
			 const struct urt__trace_shape *s, unsigned i,
			 uint64_t *tail, struct urt__trace_event *out,
			 unsigned max, uint64_t *lost)
{
	uint64_t head = __atomic_load_n(&p->ring[i].head, __ATOMIC_ACQUIRE);
	uint64_t first = *tail, gone;
	unsigned n;

	if (head - first > s->events)
		first = head - s->events;
	n = head - first < max ? (unsigned)(head - first) : max;
	for (unsigned k = 0; k < n; k++) {
		const uint64_t *from = event_words(p, s, i, first + k);
		uint64_t word[URT__TRACE_WORDS];

		for (unsigned j = 0; j < URT__TRACE_WORDS; j++)
			word[j] = __atomic_load_n(&from[j], __ATOMIC_RELAXED);
		memcpy(&out[k], word, sizeof(word));
	}
	gone = torn(p, s, i, first);
	*lost += first - *tail + gone;
	if (gone >= n) {
		*tail = first + gone;
		return 0;
	}
	memmove(out, out + gone, (n - gone) * sizeof(*out));
	*tail = first + n;
	return n - gone;
}
