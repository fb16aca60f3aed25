// SPDX-License-Identifier: MIT
/*
 * Goroutines from outside.
 *
 * Go's runtime has a pointer to each goroutine that ever was in an array, allgs,
 * and never frees one. It has names in the program's symbol table: so do its
 * version and the texts of its reasons to wait. The layout of a goroutine
 * (runtime.g) differs by version and is described nowhere but in the debugging
 * information, which many programs lack; so the few fields that are needed are a
 * table here, and another version is n/a by name. The first goroutine, which is
 * number 1 and began in runtime.main, proves the table: there are changed copies of
 * Go under the name of a version of Go.
 *
 * Stacks are followed by frame pointers, which Go has on amd64 and arm64. A
 * goroutine that waits left its registers in g.sched, and one that is in a system
 * call in g.syscall*. Of one that is runnable, the innermost frame may not be
 * complete, and one that runs has its registers in a thread: their stacks are n/a.
 *
 * As in coros.c, a goroutine is read, then its stack, then the goroutine again.
 * Each time that a goroutine stops running, Go counts it in g.trackingSeq. If that,
 * its state, its stack's place and its registers are as before, it has waited all
 * the time. The counter does not change from running to a system call and back:
 * then the stack is read twice, and the two must be equal, too.
 *
 * Nothing that is read is trusted: the program may say anything and change it at
 * any time. Each number is bounded by a buffer, and each look by a time.
 */
#define _GNU_SOURCE
#include "goroutines.h"
#include "../lib/text.h"
#include "../lib/tool.h"
#include "remote.h"
#include "symbols.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK	   64
#define TRIES	   4
#define STACK_MAX  (16 * 1024) /* most bytes that are read of a stack */
#define G_SIZE	   320	       /* of a goroutine */
#define REASONS	   64
#define REASON_LEN 32
#define EXIT_SIZE \
	16 /* of runtime.goexit, to which the outermost function returns */

/* Offsets in runtime.g of all these versions. */
#define STACK_LO 0
#define STACK_HI 8
#define THREAD	 48 /* m */
#define SP	 56 /* of sched; then pc */

/* The other ones, of runtime/runtime2.go in go1.`first` to go1.`last`. */
static const struct layout {
	uint16_t first, last;
	uint16_t bp;	    /* of sched; then syscallsp, syscallpc */
	uint16_t syscallbp; /* 0: none */
	uint16_t status, goid, waitsince, waitreason, tracking_seq;
	uint16_t parent; /* 0: none */
	uint16_t gopc, startpc;
	uint16_t procid; /* in runtime.m */
} layouts[] = {
	{ 19, 20, 104, 0, 144, 152, 168, 176, 189, 0, 296, 312, 72 },
	{ 21, 21, 104, 0, 144, 152, 168, 176, 188, 272, 280, 296, 72 },
	{ 22, 22, 104, 0, 144, 152, 168, 176, 191, 272, 280, 296, 72 },
	{ 23, 24, 104, 128, 152, 160, 176, 184, 199, 280, 288, 304, 72 },
	{ 25, 25, 96, 120, 144, 152, 168, 176, 191, 272, 280, 296, 64 },
	{ 26, 27, 96, 120, 144, 152, 168, 176, 191, 280, 288, 304, 64 },
};
#define NEWEST 27

const struct goroutines_missing goroutines_missing[] = {
	{ "wait_ns",
	  "Go's estimate: when a garbage collection finds a goroutine "
	  "waiting, it notes the time of the collection before it" },
	{ "stack",
	  "of a goroutine that runs or is runnable, it is not in memory "
	  "or not complete; of one in a system call, go1.19 to go1.22 keep "
	  "the innermost function only" },
	{ "object", "urt does not read Go's channels and locks" },
	{ "operation", "Go's runtime does not use io_uring" },
	{ "descriptor", "Go's poller does not note it in the goroutine" },
	{ "context", "urt does not read the labels of runtime/pprof" },
	{ 0 },
};

/* By g.atomicstatus; -1: it is not a goroutine now. */
static const int8_t states[] = {
	[0] = -1,
	[1] = CORO_RUNNABLE,
	[2] = CORO_RUNNING,
	[3] = CORO_SYSCALL,
	[4] = CORO_PARKED,
	[5] = -1,
	[6] = -1, /* dead */
	[7] = -1,
	[8] = CORO_RUNNING,  /* copies its stack */
	[9] = CORO_RUNNABLE, /* preempted */
	[10] = CORO_PARKED,  /* leaked, as Go has found out */
	[11] = -1,
};
#define SCAN 0x1000 /* added while the garbage collector looks at it */

/* The pieces of memory that are read after a goroutine itself. */
enum { STACK, STACK_AGAIN, TID, G_AGAIN, PIECES };

struct reading {
	uint64_t at;
	uint8_t g[G_SIZE], g_again[G_SIZE];
	uint8_t stack[STACK_MAX], stack_again[STACK_MAX];
	size_t stack_size;
	uint64_t tid;
	bool done, lost;
};

struct goroutines {
	pid_t pid;
	struct unwind *unwind;
	const struct layout *l;
	char version[64];
	uint64_t len, array; /* addresses of allglen and allgptr */
	uint64_t goexit;
	unsigned reasons;
	char reason[REASONS][REASON_LEN];
	struct reading reading[CHUNK];
	uint64_t all[CHUNK];
	struct remote_piece piece[CHUNK * PIECES];
};

static uint64_t word(const uint8_t *g, unsigned offset)
{
	uint64_t v;

	memcpy(&v, g + offset, sizeof(v));
	return v;
}

static uint32_t status_of(const struct goroutines *go, const uint8_t *g)
{
	uint32_t v;

	memcpy(&v, g + go->l->status, sizeof(v));
	return v & ~SCAN;
}

/* -1: none, or a state that is not known. */
static int state_of(const struct goroutines *go, const uint8_t *g)
{
	uint32_t status = status_of(go, g);

	return status < ARRAY_LEN(states) ? states[status] : -1;
}

/* ---- opening ---- */

/* A string of Go: its address and its length. */
static bool read_text(pid_t pid, uint64_t at, char *to, size_t size)
{
	uint64_t text[2];

	*to = '\0';
	if (!remote_read(pid, at, text, sizeof(text)))
		return false;
	if (text[1] >= size)
		text[1] = size - 1;
	to[text[1]] = '\0';
	if (!remote_read(pid, text[0], to, text[1]))
		return false;
	text_clean(to);
	return true;
}

static const struct layout *layout_of(const char *version)
{
	unsigned minor = 0;

	if (sscanf(version, "go1.%u", &minor) == 1)
		for (unsigned i = 0; i < ARRAY_LEN(layouts); i++)
			if (minor >= layouts[i].first &&
			    minor <= layouts[i].last)
				return &layouts[i];
	return NULL;
}

static bool is_as_expected(const struct goroutines *go, uint64_t fn)
{
	uint64_t array, first;
	uint8_t g[G_SIZE];

	return remote_read(go->pid, go->array, &array, sizeof(array)) &&
	       remote_read(go->pid, array, &first, sizeof(first)) &&
	       remote_read(go->pid, first, g, sizeof(g)) &&
	       word(g, go->l->goid) == 1 && word(g, go->l->startpc) == fn;
}

static const char *const names[] = {
	".go.buildinfo",	"runtime.allglen",
	"runtime.allgptr",	"runtime.main",
	"runtime.buildVersion", "runtime.waitReasonStrings",
	"runtime.goexit.abi0",	NULL
};

static void learn(struct goroutines *go, const struct symbols *s, char *why,
		  size_t size)
{
	uint64_t n, version = symbols_find(s, "runtime.buildVersion", &n);
	uint64_t first = symbols_find(s, "runtime.main", &n);
	uint64_t reasons;

	go->len = symbols_find(s, "runtime.allglen", &n);
	go->array = symbols_find(s, "runtime.allgptr", &n);
	go->goexit = symbols_find(s, "runtime.goexit.abi0", &n);
	reasons = symbols_find(s, "runtime.waitReasonStrings", &n);
	if (!version || !first || !go->len || !go->array || !reasons) {
		snprintf(
			why, size,
			"process %d is a Go program without a symbol table "
			"(linked with -s, or stripped), so its goroutines are "
			"n/a; its SIGQUIT or /debug/pprof/goroutine prints them",
			go->pid);
		return;
	}
	if (!remote_allowed(go->pid, version, why, size))
		return;
	read_text(go->pid, version, go->version, sizeof(go->version));
	go->l = layout_of(go->version);
	if (!go->l)
		snprintf(why, size,
			 "process %d is a Go program of version \"%s\", so its "
			 "goroutines are n/a: urt knows how go1.%u to go1.%u "
			 "lay them out; its SIGQUIT or /debug/pprof/goroutine "
			 "prints them",
			 go->pid, go->version, layouts[0].first, NEWEST);
	else if (!is_as_expected(go, first))
		snprintf(
			why, size,
			"process %d is a Go program (%s), whose goroutines are "
			"n/a: the first one is not where it should be",
			go->pid, go->version);
	for (; go->reasons < REASONS && go->reasons < n / 16; go->reasons++)
		read_text(go->pid, reasons + 16 * go->reasons,
			  go->reason[go->reasons], REASON_LEN);
}

struct goroutines *goroutines_open(struct modules *m, struct unwind *u,
				   char *why, size_t size)
{
	struct symbols *s = modules_symbols(m, names);
	struct goroutines *go = s ? calloc(1, sizeof(*go)) : NULL;
	uint64_t any;

	if (go && symbols_find(s, ".go.buildinfo", &any)) {
		go->pid = m->pid;
		go->unwind = u;
		learn(go, s, why, size);
	}
	symbols_close(s);
	if (go && go->l && !*why)
		return go;
	free(go);
	return NULL;
}

void goroutines_close(struct goroutines *go)
{
	free(go);
}

const char *goroutines_version(const struct goroutines *go)
{
	return go->version;
}

/* ---- reading ---- */

/* The registers of its innermost frame, if they are in memory. */
static bool registers(const struct goroutines *go, const uint8_t *g,
		      struct unwind_stack *s)
{
	const struct layout *l = go->l;
	int state = state_of(go, g);
	unsigned sp = state == CORO_SYSCALL ? l->bp + 8u : SP;

	*s = (struct unwind_stack){ .sp = word(g, sp), .pc = word(g, sp + 8) };
	if (state != CORO_SYSCALL)
		s->fp = word(g, l->bp);
	else if (l->syscallbp)
		s->fp = word(g, l->syscallbp);
#if defined(__aarch64__)
	s->sp -= 8; /* where Go saves the caller's frame pointer */
#endif
	s->from = s->sp;
	if (word(g, STACK_LO) <= s->sp && s->sp < word(g, STACK_HI))
		s->size = word(g, STACK_HI) - s->sp;
	if (s->size > STACK_MAX)
		s->size = STACK_MAX;
	return state == CORO_SYSCALL || state == CORO_PARKED;
}

static void add_pieces(struct goroutines *go, struct reading *r, bool stacks,
		       struct remote_piece p[PIECES])
{
	int state = state_of(go, r->g);
	struct unwind_stack s;

	memset(p, 0, PIECES * sizeof(*p));
	r->tid = 0;
	r->done |= state != CORO_PARKED && state != CORO_SYSCALL;
	if (!r->lost && (state == CORO_RUNNING || state == CORO_SYSCALL))
		p[TID] = (struct remote_piece){ word(r->g, THREAD) +
							go->l->procid,
						&r->tid, sizeof(r->tid) };
	if (r->done || !registers(go, r->g, &s))
		return;
	if (stacks)
		p[STACK] = (struct remote_piece){ s.from, r->stack, s.size };
	if (stacks && state == CORO_SYSCALL)
		p[STACK_AGAIN] =
			(struct remote_piece){ s.from, r->stack_again, s.size };
	p[G_AGAIN] = (struct remote_piece){ r->at, r->g_again, G_SIZE };
}

/* Whether it has stood still from the first reading to the second. */
static bool is_same(const struct goroutines *go, const struct reading *r,
		    const struct remote_piece p[PIECES])
{
	const struct layout *l = go->l;
	const uint8_t *a = r->g, *b = r->g_again;
	unsigned end = l->syscallbp ? l->syscallbp : l->bp + 16;

	return p[G_AGAIN].size &&
	       (!p[STACK_AGAIN].to || p[STACK_AGAIN].size == p[STACK].size) &&
	       status_of(go, a) == status_of(go, b) &&
	       !memcmp(a, b, STACK_HI + 8) &&
	       !memcmp(a + THREAD, b + THREAD, end + 8 - THREAD) &&
	       word(a, l->goid) == word(b, l->goid) &&
	       a[l->tracking_seq] == b[l->tracking_seq] &&
	       !memcmp(r->stack, r->stack_again, p[STACK_AGAIN].size);
}

/* One pass over the unfinished goroutines of a chunk. Returns the number that
 * continued meanwhile, or -errno. */
static int pass(struct goroutines *go, unsigned n, bool stacks)
{
	unsigned moved = 0;
	int err;

	for (unsigned i = 0; i < n; i++) {
		struct reading *r = &go->reading[i];

		go->piece[i] = (struct remote_piece){ r->at, r->g,
						      r->done ? 0 : G_SIZE };
	}
	err = remote_read_all(go->pid, go->piece, n);
	for (unsigned i = 0; i < n && !err; i++)
		if (!go->reading[i].done && !go->piece[i].size)
			go->reading[i].done = go->reading[i].lost = true;
	for (unsigned i = 0; i < n && !err; i++)
		add_pieces(go, &go->reading[i], stacks, &go->piece[i * PIECES]);
	if (!err)
		err = remote_read_all(go->pid, go->piece, n * PIECES);
	for (unsigned i = 0; i < n && !err; i++) {
		struct reading *r = &go->reading[i];

		if (r->done)
			continue;
		r->stack_size = go->piece[i * PIECES + STACK].size;
		r->done = is_same(go, r, &go->piece[i * PIECES]);
		moved += !r->done;
	}
	return err ? err : (int)moved;
}

/* ---- telling ---- */

static void tell_stack(struct goroutines *go, const struct reading *r,
		       struct coro_seen *s)
{
	struct unwind_stack stack;

	if (!registers(go, r->g, &stack))
		return;
	stack.bytes = r->stack;
	stack.size = r->stack_size;
	s->frames = unwind(go->unwind, &stack, s->pc, &s->whole);
	s->whole |= s->frames && go->goexit &&
		    s->pc[s->frames - 1] - go->goexit < EXIT_SIZE;
}

/* False: it is not a goroutine now. */
static bool describe(struct goroutines *go, const struct reading *r,
		     bool stacks, struct coro_seen *s)
{
	const struct layout *l = go->l;
	const uint8_t *g = r->g;
	uint8_t reason = g[l->waitreason];
	int64_t since = word(g, l->waitsince);
	int state = state_of(go, g);

	if (state < 0)
		return false;
	*s = (struct coro_seen){ .id = word(g, l->goid),
				 .parent = l->parent ? word(g, l->parent) : 0,
				 .state = state,
				 .reason = state != CORO_PARKED ? ""
					   : reason < go->reasons
						   ? go->reason[reason]
						   : "?",
				 .wait_ns = -1,
				 .opcode = -1,
				 .fd = -1,
				 .fn = word(g, l->startpc),
				 .created = word(g, l->gopc),
				 .tid = r->tid <= INT32_MAX ? r->tid : 0,
				 .changed = !r->done,
				 .block = r->at,
				 .lowest = word(g, STACK_LO),
				 .sp = word(g, SP),
				 .top = word(g, STACK_HI) };
	if ((state == CORO_PARKED || state == CORO_SYSCALL) && since > 0) {
		s->wait_ns = now_ns() - since;
		if (s->wait_ns < 0)
			s->wait_ns = 0;
	}
	if (stacks && r->done)
		tell_stack(go, r, s);
	return true;
}

static int look_at_chunk(struct goroutines *go, unsigned n, bool stacks,
			 void (*seen)(const struct coro_seen *, void *),
			 void *arg, struct coros_look *look)
{
	static struct coro_seen s;
	unsigned lost = 0;
	int moved;

	for (int i = 0; i < TRIES; i++) {
		moved = pass(go, n, stacks);
		if (moved < 0)
			return moved;
		if (!moved)
			break;
		look->again += moved;
	}
	for (unsigned i = 0; i < n; i++) {
		struct reading *r = &go->reading[i];

		lost += r->lost;
		if (r->lost || !describe(go, r, stacks, &s))
			continue;
		look->coroutines++;
		look->by_state[s.state]++;
		look->changed += s.changed;
		seen(&s, arg);
	}
	look->unreadable += lost;
	return lost == n ? -ESRCH : 0; /* Go never frees one */
}

int goroutines_look(struct goroutines *go, bool stacks,
		    void (*seen)(const struct coro_seen *, void *), void *arg,
		    struct coros_look *look, int64_t max_ns)
{
	int64_t begin = now_ns();
	uint64_t len = 0, array;
	struct remote_piece head = { go->len, &len, sizeof(len) };
	int err = remote_read_all(go->pid, &head, 1);

	for (uint64_t i = 0; i < len && !err; i += CHUNK) {
		unsigned n = len - i < CHUNK ? len - i : CHUNK;

		if (now_ns() > begin + max_ns)
			err = -E2BIG;
		/* Each time, and after the length: Go moves a full array, writes
		 * the length last, and reuses the old array's memory. */
		else if (!remote_read(go->pid, go->array, &array, 8) ||
			 !remote_read(go->pid, array + 8 * i, go->all, 8 * n))
			err = -ESRCH;
		for (unsigned k = 0; k < n; k++) {
			go->reading[k].at = go->all[k];
			go->reading[k].done = go->reading[k].lost = false;
		}
		if (!err)
			err = look_at_chunk(go, n, stacks, seen, arg, look);
	}
	look->ns = now_ns() - begin;
	return err;
}
