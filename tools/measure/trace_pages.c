// SPDX-License-Identifier: MIT
/*
 * Reading trace rings; see trace_pages.h, and base/trace.h for the protocol.
 *
 * A round takes the time, then copies all events in the rings, then gives out
 * only those from before that time. Events are merged by time from the copies,
 * each of which is already in order. So if a coroutine parked on one worker and
 * runs on another, its parking comes first: it was written before the coroutine
 * could be readied, so it is in the copies if the other event is; or the other
 * event is later than the time taken, and waits for the next round.
 *
 * Pages belong to other programs (pages.h): a header is copied and checked
 * once; times are clamped to the possible range; a ring with impossible numbers
 * ends its page. Memory: a buffer of two rings' size for each worker that has
 * written, within bounds for each process and for all.
 */
#define _GNU_SOURCE
#include "trace_pages.h"
#include "../lib/proc.h"
#include "../lib/text.h"
#include "../lib/tool.h"
#include "pages.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIDS	    (1 << 22)
#define RINGS_MAX   4096
#define EVENTS_MAX  65536
#define OF_ONE_MAX  4		 /* pages of one process, at a time */
#define BYTES_MAX   (256u << 20) /* of buffers, for one process */
#define BYTES_ALL   (768u << 20)
#define RATE_MAX    2000 /* more events than can be written to a ring in a us */
#define REFUSED_MAX 64
#define TAKEN_MAX   4096 /* pages in one look */
#define FIND_ALL_NS (100 * NS_PER_MS)

struct reading {
	struct run *run;	      /* whose ring it is */
	uint64_t tail;		      /* number of the next event */
	uint64_t lost;		      /* before the next one in buf */
	int64_t last_ns;	      /* of the last one given out */
	int64_t copied_ns;	      /* of the last one in buf */
	struct urt__trace_event *buf; /* NULL: it never had any */
	unsigned n, pos, cap;
};

struct run {
	struct urt__trace_page *page; /* NULL: a free place */
	struct page_map map;	      /* not of ours */
	struct trace_head *head;
	unsigned number;
	pid_t pid;	  /* 0: not known */
	unsigned used;	  /* rings below this one may have events */
	uint64_t bytes;	  /* of buffers */
	int64_t until_ns; /* as we last set it */
	int64_t from_ns;  /* nothing of it can be older */
	int64_t read_ns;  /* last time */
	bool ours;	  /* mapped by us */
	bool ended;	  /* its process has; read once more, then given up */
	struct reading *ring;
};

struct trace_pages {
	struct run run[TRACE_PAGES_MAX];
	/* The rings that have events to give out, the earliest first: a heap,
	 * made anew by each round. */
	struct reading **heap;
	unsigned waiting, heap_places; /* one for each ring of all runs */
	unsigned top; /* runs from this place on were never used */
	unsigned runs, missed;
	ino_t refused[REFUSED_MAX]; /* pages, the last ones */
	const char *why;
	uint64_t lost, bytes;
	bool any_lost;	  /* not given out yet */
	bool any_ended;	  /* a run that is still to be given up */
	int64_t first_ns; /* no event that is still to be given out is older */
	int64_t moment_ns, begun_ns;
	struct page_inbox *inbox;
	uint8_t *looked_at; /* by PID: how often, for the search of all */
};

static bool plausible(const struct urt__trace_page *h, uint64_t size)
{
	uint64_t heads = sizeof(*h) +
			 (uint64_t)h->rings * sizeof(struct urt__trace_ring);

	return h->event_size == sizeof(struct urt__trace_event) && h->events &&
	       !(h->events & (h->events - 1)) && h->events <= EVENTS_MAX &&
	       h->rings && h->rings <= RINGS_MAX &&
	       h->events_offset % sizeof(uint64_t) == 0 &&
	       h->events_offset >= heads && h->events_offset <= size &&
	       (uint64_t)h->rings * h->events * h->event_size <=
		       size - h->events_offset;
}

/* A copy of the page's description of itself; NULL: it is invalid. */
static struct trace_head *head_of(const struct urt__trace_page *p,
				  uint64_t size, uint32_t *own_pid)
{
	struct trace_head *h = NULL;
	struct urt__trace_page copy;

	if (size < sizeof(copy) ||
	    __atomic_load_n(&p->magic, __ATOMIC_ACQUIRE) != URT__TRACE_MAGIC)
		return NULL;
	memcpy(&copy, p, sizeof(copy));
	if (!plausible(&copy, size) || !(h = calloc(1, sizeof(*h))))
		return NULL;
	h->shape = urt__trace_shape(&copy);
	h->entry = copy.entry;
	h->exe_fd = -1;
	memcpy(h->exe, copy.exe, sizeof(h->exe) - 1);
	for (unsigned i = 0; i < URT__TRACE_REASONS; i++)
		text_copy(h->reason[i], sizeof(h->reason[i]), copy.reason[i],
			  sizeof(copy.reason[i]));
	*own_pid = copy.pid;
	return h;
}

/* Each page is counted once, however often it is found. */
static void refuse(struct trace_pages *t, ino_t page, const char *why)
{
	t->why = why;
	for (unsigned i = 0; i < REFUSED_MAX; i++)
		if (t->refused[i] == page)
			return;
	t->refused[t->missed++ % REFUSED_MAX] = page;
}

static unsigned pages_of(const struct trace_pages *t, pid_t pid)
{
	unsigned n = 0;

	for (unsigned i = 0; i < TRACE_PAGES_MAX; i++)
		n += t->run[i].page && t->run[i].ours && t->run[i].pid == pid;
	return n;
}

static bool make_rings(struct trace_pages *t, struct run *r)
{
	unsigned n = r->head->shape.rings;
	struct reading **heap =
		realloc(t->heap, (t->heap_places + n) * sizeof(*heap));

	if (!heap)
		return false;
	t->heap = heap;
	r->ring = calloc(n, sizeof(*r->ring));
	if (!r->ring)
		return false;
	t->heap_places += n;
	for (unsigned i = 0; i < n; i++)
		r->ring[i].run = r;
	return true;
}

static bool add(struct trace_pages *t, const struct run *found, bool from_start)
{
	if (found->ours && pages_of(t, found->pid) >= OF_ONE_MAX) {
		refuse(t, found->map.ino,
		       "one process has more pages than runs it can have");
		return false;
	}
	for (unsigned i = 0; i < TRACE_PAGES_MAX; i++) {
		struct run *r = &t->run[i];

		if (r->page)
			continue;
		*r = *found;
		if (!make_rings(t, r)) {
			r->page = NULL;
			break;
		}
		/* Events from before we found the ring do not count as lost. */
		for (unsigned k = 0; !from_start && k < r->head->shape.rings;
		     k++)
			r->ring[k].tail = __atomic_load_n(
				&r->page->ring[k].head, __ATOMIC_ACQUIRE);
		r->from_ns = from_start ? t->begun_ns : now_ns();
		r->read_ns = r->from_ns;
		r->number = t->runs++;
		if (i >= t->top)
			t->top = i + 1;
		return true;
	}
	refuse(t, found->map.ino, "too many programs at a time");
	return false;
}

bool trace_pages_add(struct trace_pages *t, struct urt__trace_page *p)
{
	uint32_t own;
	struct run r = {
		.page = p,
		.pid = p->pid,
		.head = head_of(p, urt__trace_size(p->rings, p->events), &own)
	};

	return r.head && add(t, &r, false);
}

static bool known(const struct trace_pages *t, ino_t ino)
{
	for (unsigned i = 0; i < TRACE_PAGES_MAX; i++)
		if (t->run[i].page && t->run[i].ours &&
		    t->run[i].map.ino == ino)
			return true;
	return false;
}

/* The pid by which a process knows itself, in a container. */
static uint32_t own_pid(pid_t pid)
{
	char path[64], line[256];
	const char *last;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (!proc_field(path, "NSpid:", line, sizeof(line)))
		return pid;
	last = strrchr(line, '\t');
	return atol(last ? last + 1 : line);
}

static int open_exe(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return pid ? open(path, O_PATH | O_CLOEXEC) : -1;
}

/* sent: a process that we started sent it; else it was found in pid, to which
 * it must belong. */
static void add_fd(struct trace_pages *t, int fd, pid_t pid, bool sent)
{
	struct run r = { .ours = true, .pid = pid };
	struct stat st;
	uint32_t own = 0;
	const char *bad = NULL;

	if (fstat(fd, &st) || known(t, st.st_ino))
		return;
	bad = page_map(fd, SIZE_MAX / 2, true, &r.map);
	r.page = r.map.at;
	if (!bad && !(r.head = head_of(r.page, r.map.size, &own)))
		bad = "its trace page is not plausible";
	/* A forked child has its parent's open. */
	if (!bad && (sent || own == own_pid(pid))) {
		r.head->exe_fd = open_exe(pid);
		if (add(t, &r, sent))
			return;
	}
	if (bad)
		refuse(t, st.st_ino, bad);
	if (r.head && r.head->exe_fd >= 0)
		close(r.head->exe_fd);
	free(r.head);
	page_unmap(&r.map);
}

/* ---- finding ---- */

struct owner {
	struct trace_pages *pages;
	pid_t pid;
};

/* A process may have several pages, one for each run. */
static bool add_found(int fd, void *arg)
{
	const struct owner *o = arg;

	add_fd(o->pages, fd, o->pid, false);
	return false;
}

void trace_pages_find(struct trace_pages *t, pid_t pid)
{
	struct owner o = { t, pid };

	pages_each(pid, URT__TRACE_NAME, add_found, &o, NULL);
}

/* Looks at each process twice, as a run may begin a while after its process;
 * then only at new processes, since one may have many descriptors. */
void trace_pages_find_all(struct trace_pages *t)
{
	int64_t end = now_ns() + FIND_ALL_NS;
	DIR *d = opendir("/proc");
	struct dirent *e;

	if (!t->looked_at)
		t->looked_at = calloc(PIDS, 1);
	while (d && t->looked_at && now_ns() < end && (e = readdir(d))) {
		long pid = atol(e->d_name);

		if (pid <= 0 || pid >= PIDS || t->looked_at[pid] >= 2)
			continue;
		t->looked_at[pid]++;
		trace_pages_find(t, pid);
	}
	if (d)
		closedir(d);
}

bool trace_pages_launching(struct trace_pages *t)
{
	t->inbox = page_inbox_open(URT__TRACE_TO_ENV);
	return t->inbox;
}

void trace_pages_find_launched(struct trace_pages *t)
{
	pid_t pid;
	int fd;

	/* They may come faster than they are taken. */
	for (int i = 0; t->inbox && i < TAKEN_MAX; i++) {
		fd = page_inbox_next(t->inbox, &pid);
		if (fd < 0)
			break;
		add_fd(t, fd, pid, true);
		close(fd);
	}
}

/* ---- reading ---- */

static void renew(struct run *r, int64_t now_ns_)
{
	int64_t seen = r->until_ns;

	/* A time further ahead than ours: another reader's, or set at the
	 * start. */
	r->until_ns = now_ns_ + URT__TRACE_LEASE;
	while (seen < r->until_ns &&
	       !__atomic_compare_exchange_n(&r->page->until_ns, &seen,
					    r->until_ns, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

static bool make_buffer(struct trace_pages *t, struct run *r, unsigned i)
{
	struct reading *g = &r->ring[i];
	uint64_t bytes;

	if (g->buf)
		return true;
	g->cap = 2 * r->head->shape.events;
	bytes = g->cap * sizeof(*g->buf);
	if (r->bytes + bytes > BYTES_MAX || t->bytes + bytes > BYTES_ALL) {
		t->why = "its rings need too much memory";
		return false;
	}
	g->buf = malloc(bytes);
	if (!g->buf)
		return false; /* overwritten, and counted then */
	r->bytes += bytes;
	t->bytes += bytes;
	if (i >= r->used)
		r->used = i + 1;
	return true;
}

/* Impossible times are clamped: a timeline must not reach back to the boot, and
 * events must not wait for a time that never comes. */
static void fit_times(struct run *r, struct reading *g,
		      struct urt__trace_event *e, unsigned n, int64_t now)
{
	int64_t least = g->copied_ns > r->from_ns ? g->copied_ns : r->from_ns;

	for (unsigned i = 0; i < n; i++) {
		if (e[i].ns > now)
			e[i].ns = now;
		if (e[i].ns < least)
			e[i].ns = least;
		least = e[i].ns;
	}
	g->copied_ns = least;
}

/* False: more than half of the ring was new. */
static bool read_ring(struct trace_pages *t, struct run *r, unsigned i)
{
	struct urt__trace_page *p = r->page;
	const struct urt__trace_shape *shape = &r->head->shape;
	struct reading *g = &r->ring[i];
	uint64_t lost = 0, before = g->tail;
	int64_t now;
	unsigned n;

	if (__atomic_load_n(&p->ring[i].head, __ATOMIC_RELAXED) == g->tail ||
	    !make_buffer(t, r, i))
		return true;
	memmove(g->buf, g->buf + g->pos, (g->n - g->pos) * sizeof(*g->buf));
	g->n -= g->pos;
	g->pos = 0;
	n = urt__trace_read(p, shape, i, &g->tail, g->buf + g->n, g->cap - g->n,
			    &lost);
	now = now_ns();
	if (r->ours && (g->tail - before) / RATE_MAX >
			       (uint64_t)(now - r->read_ns + NS_PER_S) / 1000) {
		t->why = "more events than a thread can write: not believed";
		r->ended = true;
		return true;
	}
	fit_times(r, g, g->buf + g->n, n, now);
	if (lost && g->n) { /* in the middle: the events before it are given
			       up */
		g->lost += g->n;
		memmove(g->buf, g->buf + g->n, n * sizeof(*g->buf));
		g->n = 0;
	}
	g->lost += lost;
	t->any_lost |= lost;
	g->n += n;
	return n < shape->events / 2;
}

/* ---- the heap ---- */

static bool comes_first(const struct reading *a, const struct reading *b)
{
	int64_t ns = a->buf[a->pos].ns, than = b->buf[b->pos].ns;

	if (ns != than)
		return ns < than;
	return a->run != b->run ? a->run < b->run : a < b;
}

/* The entry at i may be too late for its place. */
static void sift_down(struct trace_pages *t, unsigned i)
{
	struct reading *g = t->heap[i];

	for (unsigned k; (k = 2 * i + 1) < t->waiting; i = k) {
		if (k + 1 < t->waiting &&
		    comes_first(t->heap[k + 1], t->heap[k]))
			k++;
		if (comes_first(g, t->heap[k]))
			break;
		t->heap[i] = t->heap[k];
	}
	t->heap[i] = g;
}

static void make_heap(struct trace_pages *t)
{
	t->waiting = 0;
	for (unsigned i = 0; i < t->top; i++)
		for (unsigned k = 0; t->run[i].page && k < t->run[i].used; k++)
			if (t->run[i].ring[k].pos < t->run[i].ring[k].n)
				t->heap[t->waiting++] = &t->run[i].ring[k];
	for (unsigned i = t->waiting / 2; i-- > 0;)
		sift_down(t, i);
}

/* The earliest event was given out. */
static void heap_next(struct trace_pages *t)
{
	struct reading *g = t->heap[0];

	if (++g->pos == g->n)
		t->heap[0] = t->heap[--t->waiting];
	if (t->waiting)
		sift_down(t, 0);
}

/* ---- a round ---- */

static bool is_over(const struct run *r)
{
	return r->ours && r->pid && kill(r->pid, 0) && errno == ESRCH;
}

bool trace_pages_read(struct trace_pages *t)
{
	bool calm = true, ended;

	t->moment_ns = now_ns();
	t->first_ns = 0;
	for (unsigned i = 0; i < t->top; i++) {
		struct run *r = &t->run[i];

		if (!r->page || r->ended)
			continue;
		ended = is_over(r); /* before its last events are read */
		renew(r, t->moment_ns);
		for (unsigned k = 0; k < r->head->shape.rings && !r->ended; k++)
			calm &= read_ring(t, r, k);
		r->ended |= ended;
		t->any_ended |= r->ended;
		r->read_ns = now_ns();
	}
	make_heap(t);
	return calm;
}

int64_t trace_pages_moment(const struct trace_pages *t)
{
	return t->moment_ns;
}

static void give_up(struct trace_pages *t, struct run *r)
{
	if (r->until_ns)
		__atomic_compare_exchange_n(&r->page->until_ns, &r->until_ns, 0,
					    false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	for (unsigned i = 0; i < r->head->shape.rings; i++)
		free(r->ring[i].buf);
	t->heap_places -= r->head->shape.rings;
	t->bytes -= r->bytes;
	free(r->ring);
	if (r->head->exe_fd >= 0)
		close(r->head->exe_fd);
	free(r->head);
	page_unmap(&r->map);
	r->page = NULL;
}

static bool is_empty(const struct run *r)
{
	for (unsigned i = 0; i < r->used; i++)
		if (r->ring[i].n != r->ring[i].pos)
			return false;
	return true;
}

/* A run that has ended, and of which all events were given out. */
static bool next_over(struct trace_pages *t, struct trace_seen *s)
{
	bool more = false;

	for (unsigned i = 0; t->any_ended && i < t->top; i++) {
		struct run *r = &t->run[i];

		if (!r->page || !r->ended)
			continue;
		more = true;
		if (!is_empty(r))
			continue;
		*s = (struct trace_seen){ .kind = TRACE_OVER,
					  .run = r->number,
					  .ns = t->moment_ns };
		give_up(t, r);
		return true;
	}
	t->any_ended = more;
	return false;
}

/* A ring that lost events since its last one comes before all others, as no
 * event that is still to be given out is older. */
static bool next_lost(struct trace_pages *t, struct trace_seen *s)
{
	for (unsigned i = 0; i < t->top; i++) {
		struct run *r = &t->run[i];

		for (unsigned k = 0; r->page && k < r->used; k++) {
			struct reading *g = &r->ring[k];

			if (!g->lost)
				continue;
			*s = (struct trace_seen){ .kind = TRACE_LOST,
						  .run = r->number,
						  .ring = k,
						  .pid = r->pid,
						  .head = r->head,
						  .ns = g->last_ns,
						  .lost = g->lost };
			t->lost += g->lost;
			g->lost = 0;
			return true;
		}
	}
	t->any_lost = false;
	return false;
}

bool trace_pages_next(struct trace_pages *t, int64_t before_ns,
		      struct trace_seen *s)
{
	struct reading *g;
	struct run *r;

	if (before_ns > t->moment_ns)
		before_ns = t->moment_ns;
	if (before_ns <= t->first_ns && !t->any_lost && !t->any_ended)
		return false;
	if (t->any_lost && next_lost(t, s))
		return true;
	g = t->waiting ? t->heap[0] : NULL;
	t->first_ns = g ? g->buf[g->pos].ns : t->moment_ns;
	if (t->first_ns >= before_ns)
		return next_over(t, s);
	r = g->run;
	*s = (struct trace_seen){ .run = r->number,
				  .ring = g - r->ring,
				  .pid = r->pid,
				  .head = r->head,
				  .tid = __atomic_load_n(
					  &r->page->ring[g - r->ring].tid,
					  __ATOMIC_RELAXED),
				  .ns = g->buf[g->pos].ns,
				  .event = g->buf[g->pos] };
	g->last_ns = s->ns;
	heap_next(t);
	return true;
}

/* ---- the whole ---- */

struct trace_pages *trace_pages_new(void)
{
	struct trace_pages *t = calloc(1, sizeof(*t));

	if (t)
		t->begun_ns = now_ns();
	return t;
}

uint64_t trace_pages_lost(const struct trace_pages *t)
{
	return t->lost;
}

unsigned trace_pages_runs(const struct trace_pages *t)
{
	return t->runs;
}

unsigned trace_pages_missed(const struct trace_pages *t)
{
	return t->missed;
}

const char *trace_pages_why(const struct trace_pages *t)
{
	return t->why;
}

void trace_pages_free(struct trace_pages *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < TRACE_PAGES_MAX; i++)
		if (t->run[i].page)
			give_up(t, &t->run[i]);
	page_inbox_close(t->inbox);
	free(t->heap);
	free(t->looked_at);
	free(t);
}
