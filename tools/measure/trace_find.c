// SPDX-License-Identifier: MIT
/*
 * Finding the trace rings of running programs, and of those that we start; see
 * trace_pages.h. A page belongs to another program (pages.h), so its
 * description of itself is copied and checked once.
 */
#define _GNU_SOURCE
#include "../lib/proc.h"
#include "../lib/text.h"
#include "../lib/tool.h"
#include "remote.h"
#include "trace_parts.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIDS	    (1 << 22)
#define RINGS_MAX   4096
#define EVENTS_MAX  65536
#define OF_ONE_MAX  4	 /* pages of one process, at a time */
#define TAKEN_MAX   4096 /* pages in one look */
#define FIND_ALL_NS (100 * NS_PER_MS)

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

/* How many there are now; pid: of that process, or 0: of all. */
static unsigned pages_of(const struct trace_pages *t, pid_t pid)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->top; i++)
		n += t->run[i].page &&
		     (!pid || (t->run[i].ours && t->run[i].pid == pid));
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
	for (unsigned i = 0;
	     i < TRACE_RUNS_MAX && pages_of(t, 0) < TRACE_PAGES_MAX; i++) {
		struct run *r = &t->run[i];

		if (r->head)
			continue;
		*r = *found;
		r->launched = from_start;
		if (!make_rings(t, r)) {
			r->head = NULL;
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
	for (unsigned i = 0; i < t->top; i++)
		if (t->run[i].page && t->run[i].ours &&
		    t->run[i].map.ino == ino)
			return true;
	return false;
}

static uint32_t own_pid(pid_t pid)
{
	char path[64];
	pid_t own;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	own = proc_own_number(path);
	return own < 0 ? pid : own;
}

static int open_exe(pid_t pid)
{
	return pid ? remote_open(pid, "exe") : -1;
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
	char n[16];

	snprintf(n, sizeof(n), "%u", t->sample);
	if (t->sample)
		setenv(URT__TRACE_SAMPLE_ENV, n, 1);
	else
		unsetenv(URT__TRACE_SAMPLE_ENV);
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
