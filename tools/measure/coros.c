// SPDX-License-Identifier: MIT
/*
 * Coroutines from outside.
 *
 * The program says in its counters page where its control blocks lie and how
 * they are laid out (uring_rt/base/outside.h). CHUNK of them are read at a
 * time, in three calls: the blocks; then, for the parked ones, their stacks,
 * operations and contexts, and after each its park word again. If a coroutine's
 * word is unchanged and its state is parked, the coroutine was parked all the
 * time, so all that was read of it belongs together. One that continued is read
 * again, up to TRIES times.
 *
 * Running and runnable coroutines have no such word. The workers name the
 * running coroutines; a runnable one's stack is not read.
 *
 * This writes nothing to the program, and the program does not wait. The page
 * is copied once and checked: offsets lie inside the block, and the block is
 * small.
 */
#define _GNU_SOURCE
#include "coros.h"
#include "../../uring_rt/base/stats.h"
#include "../lib/text.h"
#include "../lib/tool.h"
#include "pages.h"
#include "remote.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK	    256
#define LOOKS	    20 /* for the page */
#define TRIES	    4
#define STACK_MAX   (16 * 1024) /* most bytes that are read of a stack */
#define BLOCK_MAX   4096
#define ARRAYS_MAX  64
#define COROS_MAX   (UINT64_C(1) << URT__OUTSIDE_CLASS) /* of one array */
#define WORKERS_MAX 65536
#define LOOK_MAX    (60 * NS_PER_S)
#define GO_LINES    8 /* of maps: the program is first */

const char *const coro_state_names[] = { "parked", "runnable", "running",
					 "ended" };

/* One coroutine while it is being read. */
struct reading {
	uint64_t at; /* of its block */
	uint32_t number;
	uint8_t block[BLOCK_MAX];
	uint64_t park_again;
	uint8_t stack[STACK_MAX];
	size_t stack_size;
	uint64_t what; /* of its operation */
	uint8_t context[CONTEXT_MAX];
	bool parked, done, lost;
	/* Its places in `piece`; -1: none. */
	int piece_block, piece_park, piece_stack, piece_what, piece_context;
};

struct worker {
	uint64_t current; /* a block */
	int tid;
};

struct coros {
	pid_t pid;
	struct urt__outside o;
	struct modules *modules;
	struct unwind *unwind;
	struct context_keys keys;
	struct worker *worker;
	unsigned nr_workers;
	struct reading *reading; /* CHUNK of them */
	struct remote_piece piece[4 * CHUNK];
};

/* ---- opening ---- */

static bool fits(const struct urt__outside *o)
{
	const uint16_t words[] = { o->block_park,    o->block_id,
				   o->block_parent,  o->block_fn,
				   o->block_scope,   o->block_scope_fn,
				   o->block_context, o->block_since_ns,
				   o->block_object,  o->block_op,
				   o->block_reason,  o->block_lowest };
	const uint16_t in_stacks[] = { o->stacks_base, o->stacks_stride,
				       o->stacks_used };

	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		if (words[i] + 8u > o->block_size)
			return false;
	for (unsigned i = 0; i < ARRAY_LEN(in_stacks); i++)
		if (in_stacks[i] + 8u > o->stacks_size)
			return false;
	return o->block_size <= BLOCK_MAX && o->stacks_size <= BLOCK_MAX &&
	       o->block_ctx + 24u <= o->block_size && o->colours &&
	       o->nr_stacks <= ARRAYS_MAX && o->reasons <= URT__OUTSIDE_REASONS;
}

/* The part of the page's header that describes coroutines, from a copy of its
 * beginning. */
static bool take_page(int fd, void *arg)
{
	struct urt__outside *o = arg;
	struct urt__stats_page head;
	struct page_map map;
	size_t at;
	bool good = false;

	if (page_map(fd, 1 << 16, false, &map))
		return false;
	if (map.size >= sizeof(head)) {
		memcpy(&head, map.at, sizeof(head));
		at = urt__stats_outside_at(head.counters);
		if (head.magic == URT__STATS_MAGIC && head.counters < 1024 &&
		    at + sizeof(*o) <= head.header_size &&
		    at + sizeof(*o) <= map.size) {
			memcpy(o, (char *)map.at + at, sizeof(*o));
			good = o->version == URT__OUTSIDE_VERSION &&
			       o->size >= sizeof(*o) && fits(o);
		}
	}
	page_unmap(&map);
	if (!good)
		o->version = 0;
	for (unsigned i = 0; i < URT__OUTSIDE_REASONS; i++) {
		o->reason[i][URT__OUTSIDE_REASON_LEN - 1] = '\0';
		text_clean(o->reason[i]);
	}
	return good;
}

/* A look at a process's descriptors is bounded by a short time, which may pass
 * on a busy machine before anything was seen. The user asked for this one
 * process, so the look is repeated. */
static const char *find_page(pid_t pid, struct urt__outside *o)
{
	const char *bad = NULL;

	o->version = 0;
	for (int i = 0; i < LOOKS && !o->version && (!i || bad); i++) {
		bad = NULL;
		pages_each(pid, URT__STATS_NAME, take_page, o, &bad);
	}
	return bad;
}

bool coros_outside(pid_t pid, struct urt__outside *o)
{
	find_page(pid, o);
	return o->version;
}

/* Go's linker puts a mark at the beginning of a program's data. */
static bool is_go(pid_t pid)
{
	static const char mark[] = "\xff Go buildinf:";
	char path[64], line[4400], rights[8], head[sizeof(mark) - 1];
	uint64_t from;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	for (int i = 0; f && i < GO_LINES && !found; i++)
		found = fgets(line, sizeof(line), f) &&
			sscanf(line, "%" SCNx64 "-%*s %7s", &from, rights) ==
				2 &&
			rights[1] == 'w' &&
			remote_read(pid, from, head, sizeof(head)) &&
			!memcmp(head, mark, sizeof(head));
	if (f)
		fclose(f);
	return found;
}

struct coros *coros_open(pid_t pid, char *why, size_t size)
{
	struct coros *c = calloc(1, sizeof(*c));
	const char *bad;

	if (!c)
		return NULL;
	c->pid = pid;
	c->reading = calloc(CHUNK, sizeof(*c->reading));
	bad = find_page(pid, &c->o);
	if (!c->o.version && is_go(pid))
		snprintf(
			why, size,
			"process %d is a Go program: goroutines are n/a, since "
			"their layout is Go's own and differs by version; its "
			"SIGQUIT or /debug/pprof/goroutine prints them, `urt "
			"profile` shows its threads",
			pid);
	else if (!c->o.version)
		snprintf(why, size,
			 "process %d runs no coroutines of uring_rt, or of a "
			 "version that cannot be read from outside: %s",
			 pid,
			 bad ? bad
			     : "`urt profile` shows where its threads wait");
	else if (!remote_allowed(pid, c->o.stacks, why, size))
		;
	else if (!c->reading || !(c->modules = modules_open(pid)) ||
		 !(c->unwind = unwind_new(c->modules)))
		snprintf(why, size, "/proc/%d/maps cannot be read", pid);
	else
		return c;
	coros_close(c);
	return NULL;
}

void coros_close(struct coros *c)
{
	if (!c)
		return;
	unwind_free(c->unwind);
	modules_close(c->modules);
	free(c->worker);
	free(c->reading);
	free(c);
}

struct modules *coros_modules(const struct coros *c)
{
	return c->modules;
}

const struct urt__outside *coros_layout(const struct coros *c)
{
	return &c->o;
}

/* ---- which coroutines run ---- */

static int read_workers(struct coros *c)
{
	uint64_t *at;
	uint32_t n;
	int err;

	if (!remote_read(c->pid, c->o.nr_workers, &n, sizeof(n)))
		return -ESRCH;
	if (n > WORKERS_MAX)
		n = WORKERS_MAX;
	free(c->worker);
	c->worker = calloc(n + 1, sizeof(*c->worker));
	at = calloc(n + 1, sizeof(*at));
	c->nr_workers = n;
	err = c->worker && at ? 0 : -ENOMEM;
	if (!err && !remote_read(c->pid, c->o.workers, at, n * sizeof(*at)))
		err = -ESRCH;
	for (unsigned i = 0; !err && i < n; i++) {
		struct worker *w = &c->worker[i];
		struct remote_piece p[] = {
			{ at[i] + c->o.worker_current, &w->current, 8 },
			{ at[i] + c->o.worker_tid, &w->tid, 4 },
		};

		err = remote_read_all(c->pid, p, ARRAY_LEN(p));
	}
	free(at);
	return err;
}

static const struct worker *runs_on(const struct coros *c, uint64_t block)
{
	for (unsigned i = 0; i < c->nr_workers; i++)
		if (c->worker[i].current == block)
			return &c->worker[i];
	return NULL;
}

/* ---- reading a chunk ---- */

static uint64_t word(const struct reading *r, unsigned offset)
{
	uint64_t v;

	memcpy(&v, r->block + offset, sizeof(v));
	return v;
}

static bool is_parked(uint64_t park)
{
	return park & 3;
}

static int add_piece(struct coros *c, unsigned *k, uint64_t at, void *to,
		     size_t size)
{
	c->piece[*k] = (struct remote_piece){ at, to, size };
	return (*k)++;
}

static bool was_read(const struct coros *c, int piece)
{
	return piece >= 0 && c->piece[piece].size;
}

static int read_blocks(struct coros *c, unsigned n)
{
	unsigned k = 0;
	int err;

	for (unsigned i = 0; i < n; i++)
		if (!c->reading[i].done)
			c->reading[i].piece_block =
				add_piece(c, &k, c->reading[i].at,
					  c->reading[i].block, c->o.block_size);
	err = remote_read_all(c->pid, c->piece, k);
	for (unsigned i = 0; i < n && !err; i++)
		if (!c->reading[i].done &&
		    !was_read(c, c->reading[i].piece_block))
			c->reading[i].done = c->reading[i].lost = true;
	return err;
}

/* Data of a parked coroutine outside its block, and its park word after
 * them. */
static void add_pieces(struct coros *c, struct reading *r, bool stacks,
		       unsigned *k)
{
	uint64_t sp = word(r, c->o.block_ctx), op = word(r, c->o.block_op);
	uint64_t context = word(r, c->o.block_context);

	r->piece_stack = r->piece_what = r->piece_context = -1;
	r->stack_size = 0;
	if (stacks && sp < r->at) {
		r->stack_size = r->at - sp < STACK_MAX ? r->at - sp : STACK_MAX;
		r->piece_stack = add_piece(c, k, sp, r->stack, r->stack_size);
	}
	if ((word(r, c->o.block_park) & 3) == 2)
		r->piece_what = add_piece(c, k, op + c->o.op_what, &r->what, 8);
	/* Records are multiples of 64 bytes: at least this much exists. */
	if (context)
		r->piece_context = add_piece(c, k, context, r->context, 64);
	r->piece_park =
		add_piece(c, k, r->at + c->o.block_park, &r->park_again, 8);
}

static void read_rest_of_context(struct coros *c, struct reading *r)
{
	uint16_t attrs;
	size_t n;

	memcpy(&attrs, r->context + 26, sizeof(attrs));
	n = CONTEXT_HEAD + attrs;
	if (n > 64 && n <= CONTEXT_MAX &&
	    !remote_read(c->pid, word(r, c->o.block_context), r->context, n))
		r->piece_context = -1;
}

/* ---- reporting a coroutine ---- */

static void tell_stack(struct coros *c, struct reading *r, struct coro_seen *s)
{
	struct unwind_stack stack = { .from = word(r, c->o.block_ctx),
				      .bytes = r->stack,
				      .size = r->stack_size,
				      .sp = word(r, c->o.block_ctx),
				      .fp = word(r, c->o.block_ctx + 8),
				      .pc = word(r, c->o.block_ctx + 16) };

	s->frames = unwind(c->unwind, &stack, s->pc, &s->whole);
}

static void tell_parked(struct coros *c, struct reading *r, bool stacks,
			struct coro_seen *s, struct context_seen *context)
{
	if (stacks && was_read(c, r->piece_stack))
		tell_stack(c, r, s);
	if (was_read(c, r->piece_what)) {
		s->opcode = r->what & 0xff;
		s->fd = (int32_t)(r->what >> 32);
	}
	if (c->keys.announced && was_read(c, r->piece_context) &&
	    context_parse(r->context, sizeof(r->context), context))
		s->context = context;
}

static enum coro_state state_of(const struct coros *c, const struct reading *r,
				const char *reason, const struct worker *on)
{
	if (!strcmp(reason, "ended, not joined"))
		return CORO_ENDED;
	if (is_parked(word(r, c->o.block_park)))
		return CORO_PARKED;
	return on ? CORO_RUNNING : CORO_RUNNABLE;
}

/* False: the block is free. */
static bool describe(struct coros *c, struct reading *r, bool stacks,
		     struct coro_seen *s, struct context_seen *context)
{
	uint8_t reason = r->block[c->o.block_reason];
	int64_t since = word(r, c->o.block_since_ns);
	const struct worker *on = runs_on(c, r->at);

	*s = (struct coro_seen){ .id = word(r, c->o.block_id),
				 .parent = word(r, c->o.block_parent),
				 .fn = word(r, word(r, c->o.block_scope)
						       ? c->o.block_scope_fn
						       : c->o.block_fn),
				 .opcode = -1,
				 .fd = -1,
				 .wait_ns = -1,
				 .block = r->at,
				 .lowest = word(r, c->o.block_lowest),
				 .sp = word(r, c->o.block_ctx),
				 .park = word(r, c->o.block_park),
				 .number = r->number };
	s->reason = reason < c->o.reasons ? c->o.reason[reason] : "?";
	if (!strcmp(s->reason, "free"))
		return false;
	s->state = state_of(c, r, s->reason, on);
	if (s->state == CORO_RUNNING)
		s->tid = on->tid;
	if (s->state != CORO_PARKED)
		return true;
	s->wait_ns = now_ns() - since;
	if (s->wait_ns < 0)
		s->wait_ns = 0;
	s->object = word(r, c->o.block_object);
	s->changed = !r->parked;
	if (r->parked)
		tell_parked(c, r, stacks, s, context);
	return true;
}

/* One pass over the unfinished coroutines of a chunk. Returns the number that
 * continued meanwhile, or -errno. */
static int pass(struct coros *c, unsigned n, bool stacks)
{
	unsigned k = 0, moved = 0;
	int err = read_blocks(c, n);

	for (unsigned i = 0; i < n && !err; i++) {
		struct reading *r = &c->reading[i];

		r->parked = is_parked(word(r, c->o.block_park));
		if (r->parked && !r->done)
			add_pieces(c, r, stacks, &k);
		else
			r->done = true;
	}
	if (!err)
		err = remote_read_all(c->pid, c->piece, k);
	for (unsigned i = 0; i < n && !err; i++) {
		struct reading *r = &c->reading[i];

		if (r->done)
			continue;
		if (was_read(c, r->piece_context))
			read_rest_of_context(c, r);
		r->done = was_read(c, r->piece_park) &&
			  r->park_again == word(r, c->o.block_park);
		moved += !r->done;
	}
	return err ? err : (int)moved;
}

struct telling {
	void (*seen)(const struct coro_seen *, void *);
	void *arg;
	struct coros_look *look;
	int64_t end_ns;
};

static int look_at_chunk(struct coros *c, unsigned n, bool stacks,
			 const struct telling *t)
{
	static struct coro_seen s;
	static struct context_seen context;
	unsigned lost = 0;
	int moved = 0;

	for (int i = 0; i < TRIES; i++) {
		moved = pass(c, n, stacks);
		if (moved < 0)
			return moved;
		if (!moved)
			break;
		t->look->again += moved;
	}
	for (unsigned i = 0; i < n; i++)
		lost += c->reading[i].lost;
	if (lost == n) /* blocks are never unmapped during a run */
		return -ESRCH;
	for (unsigned i = 0; i < n; i++) {
		struct reading *r = &c->reading[i];

		r->parked &= r->done;
		t->look->unreadable += r->lost;
		if (r->lost || !describe(c, r, stacks, &s, &context))
			continue;
		t->look->coroutines++;
		t->look->by_state[s.state]++;
		t->look->changed += s.changed;
		t->seen(&s, t->arg);
	}
	return 0;
}

static int look_at_array(struct coros *c, unsigned class, const uint8_t *array,
			 bool stacks, const struct telling *t)
{
	uint64_t base, stride, used;
	int err = 0;

	memcpy(&base, array + c->o.stacks_base, 8);
	memcpy(&stride, array + c->o.stacks_stride, 8);
	memcpy(&used, array + c->o.stacks_used, 8);
	if (!base)
		return 0;
	if (used > COROS_MAX || stride < c->o.block_size)
		return -EINVAL;
	for (uint64_t i = 0; i < used && !err; i += CHUNK) {
		unsigned n = used - i < CHUNK ? used - i : CHUNK;

		if (now_ns() > t->end_ns)
			return -E2BIG;

		for (unsigned k = 0; k < n; k++) {
			struct reading *r = &c->reading[k];
			uint64_t end = base + (i + k + 1) * stride;

			end -= (i + k) % c->o.colours * c->o.colour_step;
			r->at = end - c->o.block_size;
			r->number = class << URT__OUTSIDE_CLASS | (i + k);
			r->done = r->parked = r->lost = false;
			memset(r->block, 0, c->o.block_size);
		}
		err = look_at_chunk(c, n, stacks, t);
	}
	return err;
}

int coros_look(struct coros *c, bool stacks,
	       void (*seen)(const struct coro_seen *, void *arg), void *arg,
	       struct coros_look *look)
{
	int64_t begin = now_ns();
	struct telling t = { seen, arg, look, begin + LOOK_MAX };
	uint8_t array[BLOCK_MAX];
	int err = read_workers(c);

	*look = (struct coros_look){ 0 };
	context_keys_read(c->pid, &c->keys);
	for (unsigned i = 0; i < c->o.nr_stacks && !err; i++) {
		if (!remote_read(c->pid,
				 c->o.stacks + (uint64_t)i * c->o.stacks_size,
				 array, c->o.stacks_size))
			err = -ESRCH;
		else
			err = look_at_array(c, i, array, stacks, &t);
	}
	look->ns = now_ns() - begin;
	return err;
}
