// SPDX-License-Identifier: MIT
/*
 * Reading counters pages; see user_stats.h. A page belongs to another program,
 * and may be of another version, half written, or false (pages.h). So its
 * header is copied and checked once; and since counters only grow, a page with
 * one that decreases is no longer used. Pages may come faster than they are
 * taken, so a look takes a bounded number.
 */
#define _GNU_SOURCE
#include "user_stats.h"
#include "../lib/text.h"
#include "pages.h"
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The first is more than any run of ours has (256 workers of 3.4 KB); the rest
 * of a larger page is not read. The bounds are low because reading a sparse
 * page allocates memory for its holes, which the other process may not be
 * allowed to take itself.
 */
#define PAGE_MAX_BYTES (1u << 20)
#define ALL_MAX_BYTES  (256u << 20) /* of all pages at one time */
#define SLOTS_MAX      1024
#define COUNT_MAX      (INT64_C(1) << 53) /* 104 days of one event each ns */
#define PAGES_MAX      4096 /* of programs that we started, at one time */
#define TAKEN_MAX      4096 /* pages in one look */
#define SWEEP_AFTER    64   /* pages, also when there is no room for them */
#define TIMES	       (URT__TIME_COUNT * URT__TIME_CELLS)

static_assert(256 * sizeof(struct urt__stats_slot) + (64 << 10) <
		      PAGE_MAX_BYTES,
	      "a page of ours fits");

static uint64_t all_bytes; /* of the pages that are mapped */

struct user_page {
	struct page_map map;
	pid_t pid; /* its process; 0: unknown */
	uint32_t header_size, slot_size;
	uint32_t room;	   /* in slots; the number of those used may grow */
	unsigned n;	   /* counters */
	unsigned times_at; /* cells of a slot before the times; 0: none */
	char name[USER_STATS_MAX][URT__STATS_NAME_LEN];
	uint64_t last[USER_STATS_MAX];
	const char *bad;
};

/* The header without the names, of which there may be more or less than ours. */
#define FIXED offsetof(struct urt__stats_page, name)

static bool plausible(const struct urt__stats_page *h, uint64_t size)
{
	uint64_t header = h->header_size, slot = h->slot_size;
	uint64_t cells = (uint64_t)h->counters + h->ops;

	return header <= size && header % sizeof(uint64_t) == 0 &&
	       FIXED + (uint64_t)h->counters * URT__STATS_NAME_LEN <= header &&
	       slot % sizeof(uint64_t) == 0 && slot >= sizeof(uint64_t) &&
	       cells * sizeof(uint64_t) <= slot && h->slots &&
	       h->slots * slot <= size - header;
}

static const char *page_check(struct user_page *u)
{
	const struct urt__stats_page *p = u->map.at;
	struct urt__stats_page head;

	if (u->map.size < sizeof(head))
		return "its counters page is too small";
	if (__atomic_load_n(&p->magic, __ATOMIC_ACQUIRE) != URT__STATS_MAGIC)
		return "its counters page is of another version";
	memcpy(&head, p, sizeof(head));
	if (!plausible(&head, u->map.size))
		return "its counters page is not plausible";
	u->header_size = head.header_size;
	u->slot_size = head.slot_size;
	u->room = (u->map.size - u->header_size) / u->slot_size;
	if (u->room > SLOTS_MAX)
		u->room = SLOTS_MAX;
	u->n = head.counters < USER_STATS_MAX ? head.counters : USER_STATS_MAX;
	u->times_at = head.counters + head.ops;
	if ((u->times_at + TIMES) * sizeof(uint64_t) > u->slot_size)
		u->times_at = 0;
	for (unsigned i = 0; i < u->n; i++)
		text_copy(u->name[i], sizeof(u->name[i]),
			  (const char *)p + FIXED + i * URT__STATS_NAME_LEN,
			  URT__STATS_NAME_LEN);
	return NULL;
}

static struct user_page *page_of_fd(int fd, pid_t pid, const char **why)
{
	struct user_page *u = calloc(1, sizeof(*u));
	const char *bad;

	if (!u)
		return NULL;
	u->pid = pid;
	bad = page_map(fd, PAGE_MAX_BYTES, false, &u->map);
	all_bytes += u->map.size;
	if (!bad)
		bad = all_bytes > ALL_MAX_BYTES
			      ? "too many programs on uring_rt at a time"
			      : page_check(u);
	if (!bad)
		return u;
	if (why)
		*why = bad;
	user_page_free(u);
	return NULL;
}

void user_page_free(struct user_page *u)
{
	if (!u)
		return;
	all_bytes -= u->map.size;
	page_unmap(&u->map);
	free(u);
}

ino_t user_page_id(const struct user_page *u)
{
	return u->map.ino;
}

struct finding {
	pid_t pid;
	struct user_page *page;
	const char **why;
};

static bool map_found(int fd, void *arg)
{
	struct finding *f = arg;

	f->page = page_of_fd(fd, f->pid, f->why);
	return f->page;
}

struct user_page *user_page_of(pid_t pid, const char **why)
{
	struct finding f = { pid, NULL, why };

	pages_each(pid, URT__STATS_NAME, map_found, &f, why);
	return f.page;
}

static struct user_counter *find(struct user_stats *s, const char *name)
{
	for (unsigned i = 0; i < s->n; i++)
		if (!strncmp(s->counter[i].name, name, URT__STATS_NAME_LEN - 1))
			return &s->counter[i];
	if (s->n == USER_STATS_MAX)
		return NULL;
	s->counter[s->n] = (struct user_counter){ .value = 0 };
	memcpy(s->counter[s->n].name, name, URT__STATS_NAME_LEN - 1);
	return &s->counter[s->n++];
}

static uint64_t sum_of(const struct user_page *u, unsigned c)
{
	const struct urt__stats_page *p = u->map.at;
	const char *slot = (const char *)p + u->header_size;
	uint32_t slots = __atomic_load_n(&p->slots, __ATOMIC_ACQUIRE);
	uint64_t n = 0;

	if (slots > u->room)
		slots = u->room;
	for (unsigned i = 0; i < slots; i++, slot += u->slot_size)
		n += __atomic_load_n((const uint64_t *)slot + c,
				     __ATOMIC_RELAXED);
	return n;
}

void user_stats_add(struct user_stats *s, struct user_page *u)
{
	for (unsigned c = 0; c < u->n && !u->bad; c++) {
		struct user_counter *counter = find(s, u->name[c]);
		uint64_t n = sum_of(u, c);

		/* A difference below 0, and a sum of too large counts, would
		 * wrap round. */
		if (n < u->last[c] || n > INT64_MAX)
			u->bad =
				"a counter of its page went back: not believed";
		else if (n > COUNT_MAX)
			u->bad = "a counter of its page is larger than any "
				 "run's: not believed";
		else if (counter)
			counter->value += n;
		u->last[c] = n;
	}
	for (unsigned i = 0; i < TIMES && u->times_at && !u->bad; i++)
		s->time[i / URT__TIME_CELLS][i % URT__TIME_CELLS] +=
			sum_of(u, u->times_at + i);
	if (u->bad)
		s->bad = u->bad;
}

const char *const user_time_names[] = {
#define X(symbol, name) name,
	URT__TIMES(X)
#undef X
};

int user_time_find(const char *name)
{
	for (int i = 0; i < URT__TIME_COUNT; i++)
		if (!strcmp(name, user_time_names[i]))
			return i;
	return -1;
}

uint64_t user_stats_times(const struct user_stats *s, enum urt__time t)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < URT__TIME_CELLS; i++)
		n += s->time[t][i];
	return n;
}

uint64_t user_stats_time(const struct user_stats *s, enum urt__time t, double p)
{
	uint64_t n = user_stats_times(s, t), seen = 0;

	for (unsigned i = 0; i < URT__TIME_CELLS && n; i++) {
		seen += s->time[t][i];
		if (seen >= p * n)
			return urt__time_end(i);
	}
	return 0;
}

static const struct user_counter *named(const struct user_stats *s,
					const char *name)
{
	for (unsigned i = 0; i < s->n; i++)
		if (!strcmp(s->counter[i].name, name))
			return &s->counter[i];
	return NULL;
}

bool user_stats_has(const struct user_stats *s, const char *name)
{
	return named(s, name);
}

uint64_t user_stats_get(const struct user_stats *s, const char *name)
{
	const struct user_counter *c = named(s, name);

	return c ? c->value : 0;
}

void user_stats_sum(struct user_stats *a, const struct user_stats *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct user_counter *c = find(a, b->counter[i].name);

		if (c)
			c->value += b->counter[i].value;
	}
	for (unsigned t = 0; t < URT__TIME_COUNT; t++)
		for (unsigned i = 0; i < URT__TIME_CELLS; i++)
			a->time[t][i] += b->time[t][i];
	if (b->bad)
		a->bad = b->bad;
}

void user_stats_subtract(struct user_stats *a, const struct user_stats *b)
{
	for (unsigned i = 0; i < a->n; i++)
		a->counter[i].value -= user_stats_get(b, a->counter[i].name);
	for (unsigned t = 0; t < URT__TIME_COUNT; t++)
		for (unsigned i = 0; i < URT__TIME_CELLS; i++)
			a->time[t][i] -= b->time[t][i] < a->time[t][i]
						 ? b->time[t][i]
						 : a->time[t][i];
}

/* ---- of programs that we start ---- */

struct user_pages {
	struct page_inbox *inbox;
	struct user_page *page[PAGES_MAX];
	unsigned n, since_sweep; /* pages; those that came since the last */
	struct user_stats ended; /* of processes that are gone */
	bool any;
	const char *bad;
};

struct user_pages *user_pages_open(void)
{
	struct user_pages *p = calloc(1, sizeof(*p));

	if (p && (p->inbox = page_inbox_open(URT__STATS_TO_ENV)))
		return p;
	free(p);
	return NULL;
}

int user_pages_fd(const struct user_pages *p)
{
	return p ? page_inbox_fd(p->inbox) : -1;
}

/* The counts of ended processes are final: their pages are not kept. */
static void sweep(struct user_pages *p)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < p->n; i++) {
		struct user_page *u = p->page[i];

		if (!u->pid || !kill(u->pid, 0) || errno != ESRCH) {
			p->page[kept++] = u;
			continue;
		}
		user_stats_add(&p->ended, u);
		user_page_free(u);
	}
	p->n = kept;
	p->since_sweep = 0;
}

void user_pages_take(struct user_pages *p)
{
	pid_t pid;
	int fd;

	for (int i = 0; i < TAKEN_MAX; i++) {
		struct user_page *u = NULL;

		fd = page_inbox_next(p->inbox, &pid);
		if (fd < 0)
			break;

		if (++p->since_sweep == SWEEP_AFTER)
			sweep(p);
		if (p->n < PAGES_MAX)
			u = page_of_fd(fd, pid, &p->bad);
		else
			p->bad = "too many programs on uring_rt at a time";
		close(fd);
		if (!u)
			continue;
		p->page[p->n++] = u;
		p->any = true;
	}
}

bool user_pages_read(struct user_pages *p, struct user_stats *s)
{
	user_pages_take(p);
	user_stats_sum(s, &p->ended);
	for (unsigned i = 0; i < p->n; i++)
		user_stats_add(s, p->page[i]);
	if (p->bad)
		s->bad = p->bad;
	return p->any || s->bad;
}

void user_pages_close(struct user_pages *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->n; i++)
		user_page_free(p->page[i]);
	page_inbox_close(p->inbox);
	free(p);
}
