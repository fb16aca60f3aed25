/* SPDX-License-Identifier: MIT */
/*
 * The trace rings: what every worker did with its coroutines, for a timeline
 * that another process draws (`urt record`). Off, it costs a predicted branch.
 *
 * Shared memory of fixed layout (share.h): a header, then a ring of events for
 * each worker and, as number 0, one for all threads that are not workers. A
 * ring's memory is only touched once there are events. It is found as the
 * counters page is (stats.h), as a memfd named "urt-trace". If URT_TRACE_TO
 * names a socket that takes the memfd, tracing is on from the start, of one in
 * URT_TRACE_SAMPLE requests.
 *
 * On and off. A reader writes into until_ns the time until which it wants
 * events, and renews it while it reads; 0 is off. The first writer that finds
 * the time passed makes it 0, so a killed reader leaves nothing behind.
 *
 * A reader may want one request in `sample` only, which it sets as it switches the
 * tracing on; another one that wants something else makes it 0, for all events. Then
 * the writers choose: events are written for coroutines that work for a chosen
 * request, as if all others did not exist. Such a coroutine begins by a switch to it,
 * and ends, for the reader, where it begins to work for another request.
 *
 * One writer for each ring: the worker's thread, inside the runtime (ring 0:
 * under a lock). It never waits for a reader: the oldest events are
 * overwritten. Writing event number n, into slot n % events:
 *
 *	1. a release fence, after the store of head in step 3 of event n - 1
 *	2. the words, by relaxed atomic stores
 *	3. head = n + 1, release
 *
 * Reading: head = h1, acquire; the words of the events before h1 are copied, by
 * relaxed atomic loads; an acquire fence; head = h2. A reader that copied a
 * word of event n sees, by the fences of step 1 and here, h2 >= n. So of the
 * copied events, all up to h2 - events are lost or torn, because event h2 may
 * at that moment have been written over the oldest; all younger ones are whole.
 * Lost events are counted by their numbers.
 *
 * Order. An event is written before another worker can see what it reports: a
 * coroutine's parking before the coroutine can be readied, its readying before
 * it can run. So a reader that takes the time T, then reads all rings, and then
 * uses only events before T, has each coroutine's events without a gap. The
 * coroutines that one reap of completions readies have one time, which may be
 * older than T for events written after it: these come late, but each is still
 * after the coroutine's parking and before its run.
 */
#ifndef URT_BASE_TRACE_H
#define URT_BASE_TRACE_H

#include "base.h"
#include "san.h"

#define URT__TRACE_MAGIC      UINT64_C(0x3165636172747275) /* "urtrace1" */
#define URT__TRACE_NAME	      "urt-trace"
#define URT__TRACE_TO_ENV     "URT_TRACE_TO"
#define URT__TRACE_SAMPLE_ENV "URT_TRACE_SAMPLE"
#define URT__TRACE_EVENTS     32768u		  /* per ring; power of two */
#define URT__TRACE_LEASE      INT64_C(2000000000) /* ns that until_ns is ahead */

#define URT__TRACE_REASONS    32
#define URT__TRACE_REASON_LEN 24
#define URT__TRACE_PATH	      256
#define URT__TRACE_NO_OPCODE  255

enum urt__trace_kind {
	URT__TRACE_SWITCH, /* to coro, entry fn, or 0: the loop; the one that
	                       ran until now left as `how` says */
	URT__TRACE_READY, /* coro, entry fn, by coroutine arg; 0: by a completion or a
	                       timer; on ring 0, by the thread arg */
	URT__TRACE_SPAWN,   /* coro, entry fn, by coroutine arg or 0 */
	URT__TRACE_STEAL,   /* their number is in coro, from processor arg */
	URT__TRACE_HANDOFF, /* the processor of worker coro, to worker arg */
	URT__TRACE_CONTEXT, /* coro works for a request from now on: fn and arg are
	                       the 16 bytes of its trace id. If coro does not run
	                       on this worker, it has the context of the one that
	                       does. how: whether the writer chose it as one of
	                       `sample`. The next event of the ring is: */
	URT__TRACE_ROUTE, /* coro; fn and arg are 16 bytes of text, the begin of
	                       the context's first attribute */
	URT__TRACE_NO_CONTEXT, /* coro works for no request any more */
};

enum urt__trace_how {
	URT__TRACE_LOOP,      /* the loop: no coroutine ran */
	URT__TRACE_YIELDED,   /* it is runnable */
	URT__TRACE_PARKED,    /* for `reason`; if for an operation, arg is that
	                         request's user_data */
	URT__TRACE_PREEMPTED, /* it is runnable, on this worker */
	URT__TRACE_ENDED,
};

struct urt__trace_event {
	int64_t ns; /* CLOCK_MONOTONIC */
	uint8_t kind, how, reason, opcode;
	uint32_t unused;
	uint64_t coro, fn, arg;
};

#define URT__TRACE_WORDS (sizeof(struct urt__trace_event) / sizeof(uint64_t))

/* Of one ring; all rings' heads lie together, so that reading touches few
 * pages. */
struct urt__trace_ring {
	URT__ALIGNED uint64_t head; /* events so far; its writer */
	uint32_t tid;		    /* of the worker; 0: none yet */
};

struct urt__trace_page {
	uint64_t magic;
	uint32_t rings;
	uint32_t events;	/* per ring; power of two */
	uint32_t event_size;	/* bytes */
	uint32_t events_offset; /* of ring 0's events; bytes */
	uint32_t pid;
	uint32_t sample;	   /* see above; readers */
	uint64_t entry;		   /* the program's entry point */
	char exe[URT__TRACE_PATH]; /* its file */
	char reason[URT__TRACE_REASONS][URT__TRACE_REASON_LEN];
	URT__ALIGNED int64_t until_ns; /* see above; readers and writers */
	struct urt__trace_ring ring[];
};

static_assert(sizeof(struct urt__trace_event) == 40, "read by urt");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "urt__trace_write");
static_assert(sizeof(struct urt__trace_ring) == URT__CACHELINE, "read by urt");

/* Bytes of a page; and making a page of that many zeroed bytes. */
size_t urt__trace_size(unsigned rings, uint32_t events);
void urt__trace_init(struct urt__trace_page *, unsigned rings, uint32_t events);

/*
 * A new page for a run. *fd has to stay open for the page to be found; -1: it
 * is in memory that no tool finds, because descriptors or a limit of file sizes
 * did not allow a memory file. 0 or -errno.
 */
int urt__trace_open(struct urt__trace_page **out, int *fd, unsigned rings,
		    const char *const *reasons, unsigned nr_reasons);
void urt__trace_close(struct urt__trace_page *, int fd);

/* TSan knows no fences; all words are atomic, so nothing else is missing. */
#ifdef URT__TSAN
#define urt__trace_fence(order) atomic_signal_fence(memory_order_seq_cst)
#else
#define urt__trace_fence(order) atomic_thread_fence(order)
#endif

/* The words of event number n of ring i. */
static inline uint64_t *urt__trace_slot(const struct urt__trace_page *p,
					unsigned i, uint64_t n)
{
	size_t at = (size_t)i * p->events + (n & (p->events - 1));

	return (uint64_t *)((char *)p + p->events_offset) +
	       at * URT__TRACE_WORDS;
}

/* The writer's; partner: urt__trace_read. */
static inline void urt__trace_write(struct urt__trace_page *p, unsigned i,
				    const struct urt__trace_event *e)
{
	struct urt__trace_ring *r = &p->ring[i];
	uint64_t head = __atomic_load_n(&r->head, __ATOMIC_RELAXED);
	uint64_t *to = urt__trace_slot(p, i, head);
	uint64_t what = e->kind | e->how << 8 | e->reason << 16 |
			(uint64_t)e->opcode << 24;

	/* Not by memcpy: a load of a word whose bytes were just stored one by
	 * one waits until these stores are in the cache. */
	urt__trace_fence(memory_order_release);
	__atomic_store_n(&to[0], (uint64_t)e->ns, __ATOMIC_RELAXED);
	__atomic_store_n(&to[1], what, __ATOMIC_RELAXED);
	__atomic_store_n(&to[2], e->coro, __ATOMIC_RELAXED);
	__atomic_store_n(&to[3], e->fn, __ATOMIC_RELAXED);
	__atomic_store_n(&to[4], e->arg, __ATOMIC_RELAXED);
	__atomic_store_n(&r->head, head + 1, __ATOMIC_RELEASE);
}

/* The layout of a page, checked and copied once by a reader, because the page
 * itself may change at any time. */
struct urt__trace_shape {
	uint32_t rings, events;
	uint64_t events_offset; /* bytes */
};

struct urt__trace_shape urt__trace_shape(const struct urt__trace_page *);

/*
 * A reader's: copies the events of ring i from number *tail on into out, at
 * most max, and returns how many; *tail is the next one's number then. The
 * number of events that were overwritten is added to *lost: they come before
 * all in out.
 */
unsigned urt__trace_read(const struct urt__trace_page *,
			 const struct urt__trace_shape *, unsigned i,
			 uint64_t *tail, struct urt__trace_event *out,
			 unsigned max, uint64_t *lost);

#endif
