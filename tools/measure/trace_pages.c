// SPDX-License-Identifier: MIT
/*
 * Reading trace rings; see trace_pages.h, and base/trace.h for the protocol.
 *
 * A round: take the time, then copy all that is in the rings, then give out
 * only what happened before that time. What is given out is merged by time from
 * the copies, of which each is in order already. So a coroutine that parked on
 * one worker and runs on another is seen to park first: its parking was written
 * before it could be readied, so it is in the copies if the other event is, or
 * the other event is later than the time taken and waits for the next round.
 *
 * Memory: a buffer of two rings' size for each worker that has written.
 */
#define _GNU_SOURCE
#include "trace_pages.h"
#include "../lib/tool.h"
#include "user_stats.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIDS (1 << 22)

struct reading {
	uint64_t tail; /* number of the next event */
	uint64_t lost; /* before the next one in buf */
	int64_t last_ns;
	struct urt__trace_event *buf; /* NULL: it never had any */
	unsigned n, pos, cap;
};

struct run {
	struct urt__trace_page *page; /* NULL: a free place */
	size_t size;
	unsigned number;
	pid_t pid;
	unsigned used; /* rings below this one may have events */
	char *path;    /* to be removed at the end; or NULL */
	dev_t dev;
	ino_t ino;
	int64_t until_ns; /* as we last set it */
	bool ours;	  /* mapped by us */
	bool ended;	  /* its process has; read once more, then given up */
	struct reading *ring;
};

struct trace_pages {
	struct run run[TRACE_PAGES_MAX];
	unsigned runs, missed;
	uint64_t lost;
	bool any_lost; /* which was not given out yet */
	int64_t moment_ns;
	char *dir;
	uint8_t *looked_at; /* by PID: how often, for finding all */
};

/* A file of another version, or half made: believe nothing. */
static bool plausible(const struct urt__trace_page *p, size_t size)
{
	return size > sizeof(*p) &&
	       __atomic_load_n(&p->magic, __ATOMIC_ACQUIRE) ==
		       URT__TRACE_MAGIC &&
	       p->event_size == sizeof(struct urt__trace_event) && p->events &&
	       !(p->events & (p->events - 1)) && p->events <= 1 << 20 &&
	       p->rings && p->rings <= 4096 &&
	       urt__trace_size(p->rings, p->events) <= size &&
	       p->events_offset <= size &&
	       (size_t)p->rings * p->events * p->event_size <=
		       size - p->events_offset;
}

static bool add(struct trace_pages *t, const struct run *found)
{
	for (unsigned i = 0; i < TRACE_PAGES_MAX; i++) {
		struct run *r = &t->run[i];

		if (r->page)
			continue;
		*r = *found;
		r->ring = calloc(r->page->rings, sizeof(*r->ring));
		if (!r->ring)
			break;
		/* A ring that was written before we came is not lost. */
		for (unsigned k = 0; !r->path && k < r->page->rings; k++)
			r->ring[k].tail = __atomic_load_n(
				&r->page->ring[k].head, __ATOMIC_ACQUIRE);
		r->number = t->runs++;
		return true;
	}
	t->missed++;
	return false;
}

bool trace_pages_add(struct trace_pages *t, struct urt__trace_page *p)
{
	struct run r = { .page = p,
			 .pid = p->pid,
			 .size = urt__trace_size(p->rings, p->events) };

	return add(t, &r);
}

static bool known(const struct trace_pages *t, const struct stat *st)
{
	for (unsigned i = 0; i < TRACE_PAGES_MAX; i++)
		if (t->run[i].page && t->run[i].ours &&
		    t->run[i].dev == st->st_dev && t->run[i].ino == st->st_ino)
			return true;
	return false;
}

/* What a process calls itself, in a container. */
static uint32_t own_pid(pid_t pid)
{
	char path[64], line[256], *last = NULL;
	uint32_t own = pid;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && !last && fgets(line, sizeof(line), f))
		if (!strncmp(line, "NSpid:", 6))
			last = strrchr(line, '\t');
	if (last)
		own = atol(last);
	if (f)
		fclose(f);
	return own;
}

/* pid: whose it must be, or 0. True: it is a page that is known now. */
static bool add_file(struct trace_pages *t, const char *path, pid_t pid,
		     bool remove)
{
	struct run r = { .ours = true };
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !st.st_size || known(t, &st)) {
		if (fd >= 0)
			close(fd);
		return fd >= 0;
	}
	r.size = st.st_size;
	r.dev = st.st_dev;
	r.ino = st.st_ino;
	r.page = mmap(NULL, r.size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_NORESERVE, fd, 0);
	close(fd);
	if (r.page == MAP_FAILED)
		return false;
	/* A forked child has its parent's open. */
	if (plausible(r.page, r.size) &&
	    (!pid || r.page->pid == own_pid(pid))) {
		r.pid = pid ? pid : (pid_t)r.page->pid;
		r.path = remove ? strdup(path) : NULL;
		if (add(t, &r))
			return true;
		free(r.path);
	}
	munmap(r.page, r.size);
	return false;
}

/* ---- finding ---- */

struct owner {
	struct trace_pages *pages;
	pid_t pid;
};

/* There may be several: one for each run. */
static bool add_found(const char *path, void *arg)
{
	const struct owner *o = arg;

	add_file(o->pages, path, o->pid, false);
	return false;
}

void trace_pages_find(struct trace_pages *t, pid_t pid)
{
	struct owner o = { t, pid };

	user_stats_each_file(pid, URT__TRACE_NAME, add_found, &o);
}

/* Each process twice, as a run may begin a while after its process; then only
 * new ones: a process may have many descriptors. */
void trace_pages_find_all(struct trace_pages *t)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	if (!t->looked_at)
		t->looked_at = calloc(PIDS, 1);
	while (d && t->looked_at && (e = readdir(d))) {
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
	/* In memory, if possible: a disk's writing back would stop writers. */
	t->dir = strdup("/dev/shm/urt-trace.XXXXXX");
	if (t->dir && !mkdtemp(t->dir)) {
		free(t->dir);
		t->dir = strdup("/tmp/urt-trace.XXXXXX");
		if (t->dir && !mkdtemp(t->dir)) {
			free(t->dir);
			t->dir = NULL;
		}
	}
	return t->dir && !setenv(URT__TRACE_DIR_ENV, t->dir, 1);
}

void trace_pages_find_launched(struct trace_pages *t)
{
	DIR *d = t->dir ? opendir(t->dir) : NULL;
	char path[600];
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", t->dir, e->d_name);
		add_file(t, path, 0, true);
	}
	if (d)
		closedir(d);
}

/* ---- reading ---- */

static void renew(struct run *r, int64_t now_ns_)
{
	int64_t seen = r->until_ns;

	/* Longer ahead than ours: another reader's, or a start's. */
	r->until_ns = now_ns_ + URT__TRACE_LEASE;
	while (seen < r->until_ns &&
	       !__atomic_compare_exchange_n(&r->page->until_ns, &seen,
					    r->until_ns, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/* False: more than half of the ring was new. */
static bool read_ring(struct trace_pages *t, struct run *r, unsigned i)
{
	struct urt__trace_page *p = r->page;
	struct reading *g = &r->ring[i];
	uint64_t lost = 0;
	unsigned n;

	if (__atomic_load_n(&p->ring[i].head, __ATOMIC_RELAXED) == g->tail)
		return true;
	if (!g->buf) {
		g->cap = 2 * p->events;
		g->buf = malloc(g->cap * sizeof(*g->buf));
		if (!g->buf)
			return true; /* overwritten, and counted then */
		if (i >= r->used)
			r->used = i + 1;
	}
	memmove(g->buf, g->buf + g->pos, (g->n - g->pos) * sizeof(*g->buf));
	g->n -= g->pos;
	g->pos = 0;
	n = urt__trace_read(p, i, &g->tail, g->buf + g->n, g->cap - g->n,
			    &lost);
	if (lost && g->n) { /* in the middle: what came before is given up */
		g->lost += g->n;
		memmove(g->buf, g->buf + g->n, n * sizeof(*g->buf));
		g->n = 0;
	}
	g->lost += lost;
	t->any_lost |= lost;
	g->n += n;
	return n < p->events / 2;
}

static bool is_over(const struct run *r)
{
	return r->ours && kill(r->pid, 0) && errno == ESRCH;
}

bool trace_pages_read(struct trace_pages *t)
{
	bool calm = true, ended;

	t->moment_ns = now_ns();
	for (unsigned i = 0; i < TRACE_PAGES_MAX; i++) {
		struct run *r = &t->run[i];

		if (!r->page)
			continue;
		ended = is_over(r); /* before its last events are read */
		renew(r, t->moment_ns);
		for (unsigned k = 0; k < r->page->rings; k++)
			calm &= read_ring(t, r, k);
		r->ended = ended;
	}
	return calm;
}

int64_t trace_pages_moment(const struct trace_pages *t)
{
	return t->moment_ns;
}

static void give_up(struct run *r)
{
	if (r->until_ns)
		__atomic_compare_exchange_n(&r->page->until_ns, &r->until_ns, 0,
					    false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	for (unsigned i = 0; i < r->page->rings; i++)
		free(r->ring[i].buf);
	free(r->ring);
	if (r->path)
		unlink(r->path);
	free(r->path);
	if (r->ours)
		munmap(r->page, r->size);
	r->page = NULL;
}

static bool is_empty(const struct run *r)
{
	for (unsigned i = 0; i < r->used; i++)
		if (r->ring[i].n != r->ring[i].pos)
			return false;
	return true;
}

static struct reading *earliest(struct trace_pages *t, struct run **of)
{
	struct reading *first = NULL;

	for (unsigned i = 0; i < TRACE_PAGES_MAX; i++) {
		struct run *r = &t->run[i];

		for (unsigned k = 0; r->page && k < r->used; k++) {
			struct reading *g = &r->ring[k];

			if (g->pos == g->n ||
			    (first &&
			     g->buf[g->pos].ns >= first->buf[first->pos].ns))
				continue;
			first = g;
			*of = r;
		}
	}
	return first;
}

/* One that has ended and of which all was given out. */
static bool next_over(struct trace_pages *t, struct trace_seen *s)
{
	for (unsigned i = 0; i < TRACE_PAGES_MAX; i++) {
		struct run *r = &t->run[i];

		if (!r->page || !r->ended || !is_empty(r))
			continue;
		*s = (struct trace_seen){ .kind = TRACE_OVER,
					  .run = r->number,
					  .ns = t->moment_ns };
		give_up(r);
		return true;
	}
	return false;
}

/* A ring that lost some since its last event: before all else, as none of what
 * is still to be given out is older. */
static bool next_lost(struct trace_pages *t, struct trace_seen *s)
{
	for (unsigned i = 0; i < TRACE_PAGES_MAX; i++) {
		struct run *r = &t->run[i];

		for (unsigned k = 0; r->page && k < r->used; k++) {
			struct reading *g = &r->ring[k];

			if (!g->lost)
				continue;
			*s = (struct trace_seen){ .kind = TRACE_LOST,
						  .run = r->number,
						  .ring = k,
						  .pid = r->pid,
						  .page = r->page,
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
	struct run *r = NULL;
	struct reading *g;

	if (t->any_lost && next_lost(t, s))
		return true;
	g = earliest(t, &r);
	if (before_ns > t->moment_ns)
		before_ns = t->moment_ns;
	if (!g || g->buf[g->pos].ns >= before_ns)
		return next_over(t, s);
	*s = (struct trace_seen){ .run = r->number,
				  .ring = g - r->ring,
				  .pid = r->pid,
				  .page = r->page,
				  .ns = g->buf[g->pos].ns,
				  .event = g->buf[g->pos] };
	g->last_ns = s->ns;
	g->pos++;
	return true;
}

/* ---- the whole ---- */

struct trace_pages *trace_pages_new(void)
{
	return calloc(1, sizeof(struct trace_pages));
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

void trace_pages_free(struct trace_pages *t)
{
	if (!t)
		return;
	trace_pages_find_launched(t); /* and so removes them, too */
	for (unsigned i = 0; i < TRACE_PAGES_MAX; i++)
		if (t->run[i].page)
			give_up(&t->run[i]);
	if (t->dir)
		rmdir(t->dir);
	free(t->dir);
	free(t->looked_at);
	free(t);
}
