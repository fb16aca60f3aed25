// SPDX-License-Identifier: MIT
/*
 * The trace rings: no torn event is ever read, the events are true and in
 * order, and there are none while tracing is off.
 */
#define _GNU_SOURCE
#include "../../tools/measure/pages.h"
#include "../../tools/measure/held.h"
#include "../../tools/measure/trace_pages.h"
#include "../lib/workers.h"
#include <errno.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#undef errno

/* ---- the protocol, between two processes ---- */

static struct urt__trace_event nth(uint64_t n)
{
	return (struct urt__trace_event){ .ns = n,
					  .kind = n,
					  .opcode = n >> 8,
					  .coro = n * 3,
					  .fn = ~n,
					  .arg = n ^ UINT64_C(0x5555555555) };
}

static struct urt__trace_page *small_page(uint32_t events)
{
	struct urt__trace_page *p =
		mmap(NULL, urt__trace_size(1, events), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	urt__trace_init(p, 1, events);
	return p;
}

/* Returns the number read; the rest of n was lost. */
static uint64_t read_all(struct urt__trace_page *p, uint64_t n)
{
	struct urt__trace_shape shape = urt__trace_shape(p);
	struct urt__trace_event out[256];
	uint64_t tail = 0, lost = 0, got = 0;

	while (tail < n) {
		unsigned k =
			urt__trace_read(p, &shape, 0, &tail, out, 256, &lost);

		for (unsigned i = 0; i < k; i++) {
			struct urt__trace_event e = nth(tail - k + i);

			ck_assert_msg(!memcmp(&e, &out[i], sizeof(e)),
				      "event %llu is torn",
				      (unsigned long long)(tail - k + i));
		}
		got += k;
		/* The writer is at the end: of a full ring, one event is too
		 * many. */
		ck_assert_uint_eq(got + lost, tail);
	}
	return got;
}

START_TEST(reader_in_another_process_sees_no_torn_event)
{
	static const uint32_t sizes[] = { 2, 16, 256 };
	uint64_t n = FEWER(3000000);

	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		struct urt__trace_page *p = small_page(sizes[i]);
		uint64_t got;
		pid_t pid = fork();

		if (!pid) {
			for (uint64_t k = 0; k < n; k++) {
				struct urt__trace_event e = nth(k);

				urt__trace_write(p, 0, &e);
			}
			_exit(0);
		}
		while (__atomic_load_n(&p->ring[0].head, __ATOMIC_ACQUIRE) <=
		       sizes[i])
			; /* some are lost for certain */
		got = read_all(p, n);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
		/* Otherwise nothing was tested. */
		ck_assert_uint_gt(got, 0);
		ck_assert_uint_lt(got, n);
		munmap(p, urt__trace_size(1, sizes[i]));
	}
}
END_TEST

/* ---- the events of a run ---- */

static struct urt__trace_event seen[4096];
static unsigned nr_seen;

static void trace_on(void)
{
	urt__rt.trace->until_ns = INT64_MAX;
	urt__trace_look(urt__worker());
}

/* The events of all threads, from the first on, ring by ring: on a slow
 * machine, another worker takes over. */
static void take_events(void)
{
	struct urt__trace_shape shape = urt__trace_shape(urt__rt.trace);

	nr_seen = 0;
	for (unsigned ring = 0; ring < shape.rings; ring++) {
		uint64_t tail = 0, lost = 0;
		unsigned first = nr_seen;

		nr_seen += urt__trace_read(urt__rt.trace, &shape, ring, &tail,
					   seen + first,
					   ARRAY_LEN(seen) - first, &lost);
		ck_assert_uint_eq(lost, 0);
		for (unsigned i = first + 1; i < nr_seen; i++)
			ck_assert(seen[i].ns >= seen[i - 1].ns);
	}
}

/* The number of switches that left as `how`, for `reason` if they parked. */
static unsigned left(enum urt__trace_how how, enum urt__reason reason)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nr_seen; i++)
		n += seen[i].kind == URT__TRACE_SWITCH && seen[i].how == how &&
		     (how != URT__TRACE_PARKED || seen[i].reason == reason);
	return n;
}

static unsigned kinds(enum urt__trace_kind kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nr_seen; i++)
		n += seen[i].kind == kind;
	return n;
}

static void nothing(void *arg)
{
	urt_yield();
}

CORO_TEST(trace_is_off_unless_asked_for)
{
	struct urt_coro *c = urt_spawn(nothing, NULL);

	for (int i = 0; i < 200; i++)
		urt_yield();
	urt_join(c);
	take_events();
	ck_assert_uint_eq(nr_seen, 0);
}

struct reader {
	int fds[2];
	const struct urt_coro *joiner;
	unsigned sleeps;
};

static void reader(void *arg)
{
	struct reader *r = arg;
	char c;

	ck_assert_int_eq(urt_read(r->fds[0], &c, 1, URT_NEVER), 1);
	do {
		ck_assert_int_eq(urt_sleep(MS), 0);
		r->sleeps++;
	} while (atomic_load(&r->joiner->reason) != URT__R_JOIN);
}

CORO_TEST(parks_tell_their_reason_and_operation)
{
	struct reader r = { .joiner = urt_self() };
	struct urt_coro *c;
	unsigned reads = 0;

	ck_assert_int_eq(pipe(r.fds), 0);
	trace_on();
	c = urt_spawn(reader, &r);
	do { /* another thread may take the reader: then a yield is no switch */
		urt_yield();
		take_events();
	} while (!left(URT__TRACE_YIELDED, 0));
	ck_assert_int_eq(write(r.fds[1], "x", 1), 1);
	ck_assert_int_eq(urt_join(c), 0);
	take_events();
	ck_assert_uint_eq(left(URT__TRACE_PARKED, URT__R_IO), 1);
	ck_assert_uint_eq(left(URT__TRACE_PARKED, URT__R_SLEEP), r.sleeps);
	ck_assert_uint_eq(left(URT__TRACE_PARKED, URT__R_JOIN), 1);
	ck_assert_uint_eq(left(URT__TRACE_ENDED, 0), 1);
	ck_assert_uint_eq(kinds(URT__TRACE_SPAWN), 1);
	ck_assert_uint_eq(kinds(URT__TRACE_READY), r.sleeps + 2);
	for (unsigned i = 0; i < nr_seen; i++) {
		reads += seen[i].how == URT__TRACE_PARKED &&
			 seen[i].opcode == IORING_OP_READ && seen[i].arg;
		if (seen[i].kind == URT__TRACE_SPAWN) {
			ck_assert_uint_eq(seen[i].fn, (uintptr_t)reader);
			ck_assert_uint_eq(seen[i].arg, urt_id(urt_self()));
		}
	}
	ck_assert_uint_eq(reads, 1);
	close(r.fds[0]);
	close(r.fds[1]);
}

static void reads_once(void *arg)
{
	char c;

	ck_assert_int_eq(urt_read(*(int *)arg, &c, 1, URT_NEVER), 1);
}

CORO_TEST(completions_of_one_reap_ready_at_one_time)
{
	struct urt_coro *c[8];
	unsigned same = 0;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	trace_on();
	for (unsigned i = 0; i < ARRAY_LEN(c); i++)
		c[i] = urt_spawn(reads_once, fds);
	do {
		urt_yield();
		take_events();
	} while (left(URT__TRACE_PARKED, URT__R_IO) < ARRAY_LEN(c));
	ck_assert_int_eq(write(fds[1], "12345678", 8), 8);
	for (unsigned i = 0; i < ARRAY_LEN(c); i++)
		urt_join(c[i]);
	take_events();
	close(fds[0]);
	close(fds[1]);
	for (unsigned i = 1; i < nr_seen; i++)
		same += seen[i].kind == URT__TRACE_READY &&
			seen[i - 1].kind == URT__TRACE_READY &&
			seen[i].ns == seen[i - 1].ns;
	/* One write completes them all. */
	ck_assert_uint_ge(same, 1);
}

CORO_TEST(reader_that_is_gone_ends_the_tracing)
{
	struct urt_coro *c;

	trace_on();
	urt__rt.trace->until_ns = urt_now() - 1;
	c = urt_spawn(nothing, NULL);
	urt_join(c);
	ck_assert_int_eq(urt__rt.trace->until_ns, 0);
	take_events();
	ck_assert_uint_eq(nr_seen, 0);
}

static void works_for(uint8_t n)
{
	struct urt_context ctx = { .trace_id = { n }, .valid = 1 };

	ck_assert_int_eq(urt_context_set(n ? &ctx : NULL), 0);
}

static void asks(void *arg)
{
	urt_yield();
}

/* Of requests 1 to 6: 3 and 6. */
CORO_TEST(sample_has_events_of_chosen_requests_only)
{
	unsigned begun = 0;

	trace_on();
	urt__rt.trace->sample = 3;
	for (uint8_t i = 1; i <= 6; i++) {
		works_for(i);
		works_for(i); /* the same one */
		urt_join(urt_spawn(asks, NULL));
	}
	works_for(0);
	urt_join(urt_spawn(asks, NULL));
	take_events();
	for (unsigned i = 0; i < nr_seen; i++) {
		if (seen[i].kind == URT__TRACE_CONTEXT) {
			ck_assert_int_eq(seen[i].how, true);
			ck_assert_int_eq((uint8_t)seen[i].fn % 3, 0);
		}
		begun += seen[i].kind == URT__TRACE_SWITCH &&
			 seen[i].how == URT__TRACE_LOOP &&
			 seen[i].coro == urt_id(urt_self());
	}
	/* By itself twice, and by what it starts. */
	ck_assert_uint_eq(kinds(URT__TRACE_CONTEXT), 6);
	ck_assert_uint_eq(kinds(URT__TRACE_SPAWN), 2);
	ck_assert_uint_ge(begun, 2);
	ck_assert_uint_eq(left(URT__TRACE_ENDED, 0), 4);
	urt__rt.trace->sample = 0;
}

/* ---- the order, over workers ---- */

enum state { UNKNOWN, RUNNABLE, RUNNING, PARKED, ENDED };

#define COROUTINES 400
#define ROUNDS	   40 /* all events fit one ring: a late watcher loses none */

static enum state state[2][1 << 16]; /* by processor that started it, number */
static uint64_t *current;	     /* by ring */
static uint64_t switches, out_of_order;
static _Atomic bool run_over;
static pthread_t watcher;
static struct urt_chan *chan;
static struct urt_mutex mutex = URT_MUTEX_INIT;

static enum state *state_of(uint64_t coro)
{
	ck_assert_uint_lt(coro >> 48, 2);
	return &state[coro >> 48][coro & 0xffff];
}

/* It was in one of these two states, if its state is known. */
static void becomes(uint64_t coro, enum state a, enum state b, enum state to)
{
	enum state *s = state_of(coro);

	out_of_order += *s != UNKNOWN && *s != a && *s != b;
	*s = to;
}

static void check_event(const struct trace_seen *s)
{
	const struct urt__trace_event *e = &s->event;

	ck_assert_int_eq(s->kind, TRACE_EVENT); /* none is lost */
	if (e->kind == URT__TRACE_SPAWN)
		becomes(e->coro, ENDED, ENDED, RUNNABLE);
	else if (e->kind == URT__TRACE_READY)
		becomes(e->coro, PARKED, PARKED, RUNNABLE);
	if (e->kind != URT__TRACE_SWITCH)
		return;
	switches++;
	if (current[s->ring])
		becomes(current[s->ring], RUNNING, RUNNING,
			e->how == URT__TRACE_PARKED  ? PARKED
			: e->how == URT__TRACE_ENDED ? ENDED
						     : RUNNABLE);
	current[s->ring] = e->coro;
	if (e->coro)
		becomes(e->coro, RUNNABLE, RUNNABLE, RUNNING);
}

static void *watch(void *arg)
{
	struct trace_pages *t = arg;
	struct trace_seen s;
	bool last;

	do {
		last = atomic_load(&run_over);
		trace_pages_read(t);
		while (trace_pages_next(t, INT64_MAX, &s))
			check_event(&s);
		usleep(1000);
	} while (!last);
	return NULL;
}

static void busy(void *arg)
{
	uint64_t chance = (uintptr_t)arg * 7919 + 1;
	char c = 0;

	for (int i = 0; i < ROUNDS; i++) {
		switch (rnd(&chance) % 4) {
		case 0:
			urt_yield();
			break;
		case 1:
			urt_sleep(rnd(&chance) % 200000);
			break;
		case 2:
			urt_mutex_lock(&mutex, URT_NEVER);
			urt_yield();
			urt_mutex_unlock(&mutex);
			break;
		default: /* sends and receives are equal, or the deadline ends
			    it */
			if (i % 2)
				urt_chan_send(chan, &c, urt_after(MS));
			else
				urt_chan_recv(chan, &c, urt_after(MS));
		}
	}
}

static void many(void *arg)
{
	struct urt_coro *c[COROUTINES];

	current = calloc(urt__rt.trace->rings, sizeof(*current));
	ck_assert_ptr_nonnull(current);
	ck_assert(trace_pages_add(arg, urt__rt.trace));
	ck_assert_int_eq(pthread_create(&watcher, NULL, watch, arg), 0);
	chan = urt_chan_new(1, 0);
	for (uintptr_t i = 0; i < COROUTINES; i++)
		ck_assert_ptr_nonnull(c[i] = urt_spawn(busy, (void *)i));
	for (int i = 0; i < COROUTINES; i++)
		urt_join(c[i]);
	urt_chan_free(chan);
	/* Read while this run's rings exist. */
	atomic_store(&run_over, true);
	pthread_join(watcher, NULL);
	trace_pages_free(arg);
	free(current);
}

START_TEST(events_of_workers_are_in_order)
{
	struct urt_options two = { .workers = 2 };
	struct held *h = held_new(64 << 20, 0);
	struct trace_pages *t = trace_pages_new(h, 0);
	struct page_inbox *inbox = page_inbox_open(URT__TRACE_TO_ENV);

	ck_assert_ptr_nonnull(t);
	/* All workers trace from their first step: one that begins later would
	 * make others' coroutines runnable without an event. */
	ck_assert_ptr_nonnull(inbox);
	ck_assert_msg(!urt_run_with(many, t, &two), "%s", urt_why());
	page_inbox_close(inbox);
	held_free(h);
	/* A quarter of the steps are sleeps. */
	ck_assert_uint_gt(switches, COROUTINES * ROUNDS / 5);
	ck_assert_uint_eq(out_of_order, 0);
}
END_TEST

Suite *trace_suite(void)
{
	Suite *s = suite_create("trace");
	TCase *t = tcase_create("trace");

	tcase_add_test(t, reader_in_another_process_sees_no_torn_event);
	tcase_add_test(t, trace_is_off_unless_asked_for);
	tcase_add_test(t, parks_tell_their_reason_and_operation);
	tcase_add_test(t, completions_of_one_reap_ready_at_one_time);
	tcase_add_test(t, reader_that_is_gone_ends_the_tracing);
	tcase_add_test(t, sample_has_events_of_chosen_requests_only);
	tcase_add_test(t, events_of_workers_are_in_order);
	suite_add_tcase(s, t);
	return s;
}
