// SPDX-License-Identifier: MIT
/*
 * The search of `urt dump --leaked`. A coroutine is leaked if nothing that can still
 * run can reach the object it waits for: then nothing can end its wait. Go's leak
 * profile uses the same rule.
 *
 * This is a garbage collector's search, from outside. Roots are the globals, the
 * stacks and registers of threads, and the stacks of coroutines that can continue:
 * those that run, are runnable, or wait for the kernel or for a time. Each word that
 * points into a block of the heap (measure/heap.h) reaches that block, and the search
 * goes on with the block's words. When it reaches the object that a coroutine waits
 * for (for a select, one of its objects), that coroutine can continue, so its stack
 * becomes a root, too. When nothing more is reached, all coroutines not reached are
 * leaked. This finds two coroutines that wait for each other; a counter of references
 * would miss them.
 *
 * A coroutine that waits for another's end can continue if the other can; that
 * somebody might cancel the first one does not count. A wait with a deadline ends by
 * itself: its timer's word lies in the run's memory. The control block of a leaked
 * coroutine points to the object, and the worker that parked it may, too: neither
 * pointer counts. Nor do stale words below a thread's stack pointer, or on the stack
 * for a worker's signals, where a signal leaves the registers of what it interrupted,
 * unless the worker's thread is there.
 *
 * Any word that looks like a pointer counts as one, so stale values hide leaks. False
 * leaks have one possible cause: the program continues, so a pointer may move from
 * memory that is yet to be searched to memory that already was. The search is
 * therefore made twice, and only leaks that both find are printed.
 *
 * In memory whose blocks are unknown, an object is reached only by pointers to it or
 * close below it, and all words there are roots. If such an object is not reached, its
 * coroutines are "maybe" leaked. If it is reached, nothing is known of them, since the
 * pointer may lie in unused memory: they are counted as untold. If the registers of
 * threads cannot be read (measure/registers.h), all leaks are "maybe".
 *
 * The program may say anything: that it has millions of coroutines, whose stacks overlap
 * and whose timers' words meet in one place of a table. So each loop over its numbers
 * looks at the clock, and the table's hash has a factor that the program cannot know.
 */
#define _GNU_SOURCE
#include "leaked_search.h"
#include "leaked_kernel.h"
#include "../../uring_rt/base/outside.h"
#include "../lib/proc.h"
#include "../lib/tool.h"
#include "../measure/heap.h"
#include "../measure/registers.h"
#include "../measure/remote.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define CLOSE	  512 /* bytes: how far below an object its owner may begin */
#define RED_ZONE  128
#define CASES_MAX 1024
#define COROS_MAX (4u << 20)
#define WAITS_MAX (16u << 20)
#define TIME_MAX  (30 * NS_PER_S) /* of one search */

/* What reaches an object. */
enum by {
	BY_BLOCK, /* a pointer into its block of the heap */
	BY_CLOSE, /* a pointer to it, or close below it */
	BY_END,	  /* it is a coroutine's control block, and that one can end */
};

/* A coroutine waits for an object; the waits for one object are neighbours. */
struct wait {
	uint64_t object;
	uint32_t coro;
	enum by by;
	bool reached; /* the object; set in the first of its waits */
};

/* Memory still to be searched: a block of the heap, or a coroutine's stack. */
struct work {
	uint64_t from, to;
};

struct worker {
	uint64_t at;
	uint64_t signal_stack; /* address; 0: none */
	int tid;	       /* in the namespace of its process */
};

struct search {
	struct coros *coros;
	const struct urt__outside *o;
	struct registers_reader *registers; /* or NULL */
	struct heap *heap;
	struct leaked_coro *coro;
	size_t coros_n, coros_room;
	struct wait *wait;
	size_t waits, waits_room;
	uint32_t *by_timer; /* coroutine + 1 by a hash of the word; 0: none */
	size_t timers;	    /* a power of two */
	unsigned timers_shift; /* 64 - its logarithm */
	uint64_t factor;       /* of the hash: odd, by chance */
	struct worker *worker;
	size_t workers;
	uint8_t *marked; /* by block of the heap */
	struct work *work;
	size_t works, works_room;
	uint64_t bytes, close_from, close_to;
	int64_t now_ns;
	bool no_registers; /* registers were not read */
	bool failed;	   /* out of memory */
	bool late;
};

/* Adds an element at the end of an array; NULL: no memory. */
static void *grow(struct search *s, void **array, size_t *n, size_t *room,
		  size_t size)
{
	if (*n == *room) {
		size_t more = *room ? 2 * *room : 64;
		void *p = realloc(*array, more * size);

		s->failed |= !p;
		if (!p)
			return NULL;
		*array = p;
		*room = more;
	}
	return (char *)*array + size * (*n)++;
}

static bool is_late(struct search *s)
{
	s->late |= now_ns() > s->heap->end_ns;
	return s->late;
}

/* ---- the coroutines ---- */

static bool waits_for_others(const char *reason)
{
	static const char *const reasons[] = {
		"chan send", "chan receive", "select",	  "mutex",
		"rwlock",    "condition",    "semaphore", "wait group",
		"once",	     "barrier",	     "join",	  "scope close"
	};

	for (unsigned i = 0; i < ARRAY_LEN(reasons); i++)
		if (!strcmp(reasons[i], reason))
			return true;
	return false;
}

static void seen(const struct coro_seen *c, void *arg)
{
	struct search *s = arg;
	struct leaked_coro *to;

	if (c->state == CORO_ENDED || s->coros_n == COROS_MAX)
		return;
	to = grow(s, (void **)&s->coro, &s->coros_n, &s->coros_room,
		  sizeof(*to));
	if (!to)
		return;
	*to = (struct leaked_coro){
		.block = c->block,
		.lowest = c->lowest,
		.sp = c->sp,
		.park = c->park,
		.object = c->object,
		.timer = (uint64_t)c->number << URT__OUTSIDE_SEQ |
			 (c->park >> 2 &
			  ((UINT64_C(1) << URT__OUTSIDE_SEQ) - 1)),
		.parked = c->state == CORO_PARKED && !c->changed
	};
	to->alive = !to->parked || (c->park & 3) != 1 ||
		    !waits_for_others(c->reason);
	to->is_select = !strcmp(c->reason, "select");
	to->is_join = !strcmp(c->reason, "join");
}

static void add_wait(struct search *s, uint64_t object, uint32_t coro)
{
	struct wait *w;

	s->late |= s->waits == WAITS_MAX; /* that many are not searched for */
	if (s->late)
		return;
	w = grow(s, (void **)&s->wait, &s->waits, &s->waits_room, sizeof(*w));
	if (w)
		*w = (struct wait){ .object = object, .coro = coro };
}

/* The object of a select is the call's record on its own stack (sync/select.c),
 * which lists the channels. */
static void add_cases(struct search *s, uint32_t i)
{
	static uint64_t cases[CASES_MAX][4]; /* the first word: a channel */
	uint64_t record[2];		     /* cases, how many */
	struct leaked_coro *c = &s->coro[i];

	if (!remote_read(s->heap->pid, c->object, record, sizeof(record)) ||
	    record[1] > CASES_MAX ||
	    !remote_read(s->heap->pid, record[0], cases,
			 record[1] * sizeof(*cases))) {
		c->alive = true; /* as far as is known */
		return;
	}
	for (uint64_t k = 0; k < record[1]; k++)
		if (cases[k][0])
			add_wait(s, cases[k][0], i);
}

static int by_object(const void *a, const void *b)
{
	const struct wait *x = a, *y = b;

	return (x->object > y->object) - (x->object < y->object);
}

static size_t slot_of(const struct search *s, uint64_t word)
{
	return word * s->factor >> s->timers_shift;
}

static void index_waits(struct search *s)
{
	for (uint32_t i = 0; i < s->coros_n && !is_late(s); i++) {
		struct leaked_coro *c = &s->coro[i];

		if (!c->alive && c->is_select)
			add_cases(s, i);
		else if (!c->alive)
			add_wait(s, c->object, i);
	}
	qsort(s->wait, s->waits, sizeof(*s->wait), by_object);
	s->timers_shift = 58;
	for (s->timers = 64; s->timers < 2 * s->coros_n; s->timers *= 2)
		s->timers_shift--;
	s->by_timer = calloc(s->timers, sizeof(*s->by_timer));
	s->failed |= !s->by_timer || getrandom(&s->factor, 8, 0) != 8;
	s->factor |= 1;
	for (uint32_t i = 0; s->by_timer && i < s->coros_n; i++) {
		size_t at = slot_of(s, s->coro[i].timer);

		while (s->by_timer[at])
			at = (at + 1) & (s->timers - 1);
		if (!s->coro[i].alive)
			s->by_timer[at] = i + 1;
	}
}

/* ---- reaching ---- */

static void reach(struct search *s, uint32_t i);

/* The first wait for an object at or above the address. */
static size_t first_wait(const struct search *s, uint64_t address)
{
	size_t low = 0, high = s->waits;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (s->wait[mid].object < address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Reaches the coroutines that wait for an object in [from, to), if `by` is what
 * reaches the object. */
static void reach_waits(struct search *s, uint64_t from, uint64_t to,
			enum by by)
{
	size_t i = first_wait(s, from);

	while (i < s->waits && s->wait[i].object < to) {
		uint64_t object = s->wait[i].object;

		if (s->wait[i].reached || s->wait[i].by != by) {
			i = first_wait(s, object + 1);
			continue;
		}
		s->wait[i].reached = true;
		for (; i < s->waits && s->wait[i].object == object; i++)
			reach(s, s->wait[i].coro);
	}
}

static void push(struct search *s, uint64_t from, uint64_t to)
{
	struct work *w = grow(s, (void **)&s->work, &s->works, &s->works_room,
			      sizeof(*w));

	if (w)
		*w = (struct work){ from, to };
}

static void push_stack(struct search *s, const struct leaked_coro *c)
{
	uint64_t from = c->lowest, object = c->block + s->o->block_object;

	if (c->parked && c->sp > c->lowest + RED_ZONE && c->sp < c->block)
		from = c->sp - RED_ZONE;
	if (from < c->block && c->block - from < UINT64_C(1) << 36) {
		push(s, from, object);
		push(s, object + 8, c->block + s->o->block_size);
	}
}

/* Coroutine i can continue. Its stack and block are now work; with these, the search
 * finds the coroutines that wait for its end. */
static void reach(struct search *s, uint32_t i)
{
	struct leaked_coro *c = &s->coro[i];

	if (!c->alive) {
		c->alive = true;
		push_stack(s, c);
	}
}

/* Whether the address is in those fields of a worker that are known to be its own. */
static bool is_worker(const struct search *s, uint64_t at)
{
	uint64_t size = s->o->worker_current;

	if (size < s->o->worker_tid)
		size = s->o->worker_tid;
	for (size_t i = 0; i < s->workers; i++)
		if (at - s->worker[i].at < size)
			return true;
	return false;
}

static void take_timer(struct search *s, uint64_t word, int64_t when_ns)
{
	size_t at = slot_of(s, word);

	for (; s->by_timer[at]; at = (at + 1) & (s->timers - 1))
		if (s->coro[s->by_timer[at] - 1].timer == word &&
		    when_ns > s->now_ns - NS_PER_S && when_ns < INT64_MAX)
			reach(s, s->by_timer[at] - 1);
}

/* A worker keeps the address of the lock of the last object that a coroutine of its
 * waited for. */
static void take_pointer(struct search *s, uint64_t word, uint64_t at)
{
	ssize_t block = heap_block_at(s->heap, word);
	size_t i;

	if (word >= s->close_from && word < s->close_to && !is_worker(s, at))
		reach_waits(s, word, word + CLOSE, BY_CLOSE);
	if (block < 0 || s->marked[block])
		return;
	i = first_wait(s, s->heap->block[block].from);
	if (i < s->waits && s->wait[i].object <= word && is_worker(s, at))
		return;
	s->marked[block] = 1;
	push(s, s->heap->block[block].from, s->heap->block[block].to);
	reach_waits(s, s->heap->block[block].from, s->heap->block[block].to,
		    BY_BLOCK);
}

static bool take_words(const uint64_t *word, size_t n, uint64_t at, void *arg)
{
	struct search *s = arg;

	s->bytes += n * 8;
	for (size_t i = 0; i < n; i++) {
		if (!word[i])
			continue;
		take_timer(s, word[i], i ? (int64_t)word[i - 1] : s->now_ns);
		if (word[i] >= 4096 && word[i] < UINT64_C(1) << 47)
			take_pointer(s, word[i], at + 8 * i);
	}
	return !s->failed;
}

/* ---- roots ---- */

/* Finds the kind of memory in which each object lies. */
static void place_objects(struct search *s)
{
	s->close_from = UINT64_MAX;
	for (size_t i = 0; i < s->waits && !is_late(s); i++) {
		struct wait *w = &s->wait[i];
		struct heap_span *span;

		w->by = s->coro[w->coro].is_join ? BY_END : BY_CLOSE;
		if (heap_block_at(s->heap, w->object) >= 0)
			w->by = BY_BLOCK;
		if (w->by != BY_CLOSE)
			continue;
		span = heap_span_at(s->heap, w->object);
		if (span && !span->unknown)
			reach(s, w->coro); /* global or on a stack */
		else if (span)
			s->coro[w->coro].unknown = true;
		if (w->object - CLOSE < s->close_from)
			s->close_from = w->object - CLOSE;
		if (w->object >= s->close_to)
			s->close_to = w->object + 1;
	}
}

static void exclude_coroutines(struct search *s)
{
	for (unsigned i = 0; i < s->o->nr_stacks; i++) {
		uint64_t at = s->o->stacks + (uint64_t)i * s->o->stacks_size;
		uint64_t base, stride, used;

		if (remote_read(s->heap->pid, at + s->o->stacks_base, &base,
				8) &&
		    remote_read(s->heap->pid, at + s->o->stacks_stride, &stride,
				8) &&
		    remote_read(s->heap->pid, at + s->o->stacks_used, &used,
				8) &&
		    base && used < UINT64_C(1) << 28 &&
		    stride < UINT64_C(1) << 32)
			heap_exclude(s->heap, base, base + used * stride);
	}
}

/* A thread's stack pointer; 0: it runs, or has ended. */
static uint64_t stack_pointer(pid_t pid, const char *tid)
{
	char name[48], line[256];
	const char *at;

	snprintf(name, sizeof(name), "task/%.16s/syscall", tid);
	if (!remote_text(pid, name, line, sizeof(line)) ||
	    !(at = strrchr(line, ' ')))
		return 0;
	while (at > line && at[-1] != ' ') /* the last word but one */
		at--;
	return strtoull(at, NULL, 16);
}

/* Leaves out a worker's signal stack while its thread is elsewhere. */
static void cut_signal_stack(struct search *s, const char *tid, uint64_t sp)
{
	char path[64];
	int own;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/status", s->heap->pid,
		 tid);
	own = proc_own_number(path);
	for (size_t i = 0; i < s->workers; i++) {
		uint64_t from = s->worker[i].signal_stack;

		if (s->worker[i].tid == own && from &&
		    sp - from >= URT__SIGNAL_STACK)
			heap_exclude(s->heap, from, from + URT__SIGNAL_STACK);
	}
}

/* Leaves out the stale parts of the stacks of a thread that does not run. */
static void cut_stack(struct search *s, const char *tid)
{
	uint64_t sp = stack_pointer(s->heap->pid, tid), low;
	struct heap_span *span;

	if (!sp)
		return;
	cut_signal_stack(s, tid, sp);
	span = heap_span_at(s->heap, sp);
	if (!span)
		return;
	low = heap_guard_below(s->heap, span->from, sp);
	if (!low && span->guarded)
		low = span->from;
	if (low && sp - RED_ZONE > low)
		heap_exclude(s->heap, low, (sp - RED_ZONE) & ~UINT64_C(7));
	heap_span_at(s->heap, sp)->unknown = false; /* not what lies below */
}

static void cut_stacks(struct search *s)
{
	char path[64];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", s->heap->pid);
	d = opendir(path);
	while (d && !is_late(s) && (e = readdir(d)))
		if (e->d_name[0] != '.')
			cut_stack(s, e->d_name);
	if (d)
		closedir(d);
}

static void read_worker(const struct search *s, struct worker *w)
{
	struct remote_piece p[] = {
		{ w->at + s->o->worker_tid, &w->tid, 4 },
		{ w->at + s->o->worker_signal_stack, &w->signal_stack, 8 },
	};

	if (!s->o->worker_signal_stack ||
	    remote_read_all(s->heap->pid, p, ARRAY_LEN(p)) || !p[1].size ||
	    w->signal_stack >= UINT64_C(1) << 47)
		w->signal_stack = 0;
}

static void read_workers(struct search *s)
{
	uint32_t n = 0;

	if (!remote_read(s->heap->pid, s->o->nr_workers, &n, sizeof(n)) ||
	    n > 4096)
		return;
	s->worker = calloc(n + 1, sizeof(*s->worker));
	for (uint32_t i = 0; s->worker && i < n; i++) {
		struct worker *w = &s->worker[i];

		if (!remote_read(s->heap->pid, s->o->workers + 8 * i, &w->at,
				 8))
			return;
		read_worker(s, w);
		s->workers++;
	}
}

static void take_registers(struct search *s)
{
	size_t n;
	uint64_t *word = s->registers ? registers_read(s->registers, &n) : NULL;

	if (word)
		take_words(word, n, 0, s);
	s->no_registers = !word;
	free(word);
}

/* ---- a search ---- */

/* False: the search could not be completed. */
static bool search_all(struct search *s)
{
	bool ok = true;

	for (size_t i = 0; i < s->heap->spans && ok; i++)
		ok = heap_read(s->heap, s->heap->span[i].from,
			       s->heap->span[i].to, take_words, s);
	ok = ok &&
	     leaked_kernel_words(s->heap->pid, s->heap->end_ns, take_words, s);
	take_registers(s);
	for (uint32_t i = 0; i < s->coros_n; i++)
		if (s->coro[i].alive)
			push_stack(s, &s->coro[i]);
	while (s->works && ok) {
		struct work w = s->work[--s->works];

		/* Objects on a stack, and the block, which joiners wait for. */
		reach_waits(s, w.from, w.to, BY_CLOSE);
		reach_waits(s, w.from, w.to, BY_END);
		ok = heap_read(s->heap, w.from, w.to, take_words, s);
	}
	return ok && !s->failed && !s->late;
}

static const char too_long[] = "its memory cannot be searched in 30 s";

static const char *search(struct search *s, struct coros *c, pid_t pid)
{
	struct coros_look look;
	int err;

	s->coros = c;
	s->o = coros_layout(c);
	s->now_ns = now_ns();
	s->heap = heap_open(pid);
	if (!s->heap)
		return "its maps cannot be read";
	s->heap->end_ns = s->now_ns + TIME_MAX;
	err = coros_look(c, false, seen, s, &look, TIME_MAX);
	if (err)
		return err == -E2BIG
			       ? too_long
			       : "the program or its run ended during the search";
	exclude_coroutines(s);
	read_workers(s);
	cut_stacks(s);
	index_waits(s);
	s->marked = calloc(s->heap->blocks + 1, 1);
	if (s->failed || !s->marked)
		return "out of memory";
	place_objects(s);
	if (!search_all(s))
		return s->failed ? "out of memory" : too_long;
	return NULL;
}

static void search_end(struct search *s)
{
	heap_close(s->heap);
	free(s->coro);
	free(s->wait);
	free(s->by_timer);
	free(s->worker);
	free(s->marked);
	free(s->work);
}

const char *leaked_search(struct coros *c, pid_t pid,
			  struct registers_reader *registers,
			  struct leaked_search *out)
{
	struct search s = { .registers = registers };
	const char *bad = search(&s, c, pid);
	size_t n = 0;

	for (size_t i = 0; i < s.coros_n && !bad; i++) {
		struct leaked_coro *coro = &s.coro[i];

		coro->maybe = coro->unknown || s.no_registers;
		if (!coro->alive)
			s.coro[n++] = *coro;
		else
			out->untold += coro->unknown;
	}
	out->coro = s.coro;
	out->n = n;
	out->bytes = s.bytes;
	s.coro = NULL;
	search_end(&s);
	return bad;
}
