// SPDX-License-Identifier: MIT
/*
 * Coroutines from outside.
 *
 * The program says in its counters page where its control blocks lie and how
 * they are laid out (uring_rt/base/outside.h). coros_read.c reads some of them
 * at a time: the block, then all else, and then the park word again. If the word
 * is unchanged and its state is parked, the coroutine was parked all the time,
 * so all that was read of it belongs together. One that continued is read
 * again, up to some tries.
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
#include "coros_read.h"
#include "goroutines.h"
#include "pages.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LOOKS	    20 /* for the page */
#define ARRAYS_MAX  64
#define COROS_MAX   (UINT64_C(1) << URT__OUTSIDE_CLASS) /* of one array */
#define WORKERS_MAX 65536

const char *const coro_state_names[] = { "parked", "runnable", "running",
					 "ended", "syscall" };

struct worker {
	uint64_t current; /* a block */
	int tid;
};

struct coros {
	pid_t pid;
	struct urt__outside o;
	struct modules *modules;
	struct unwind *unwind;
	struct goroutines *go; /* NULL: the program runs on uring_rt */
	struct context_keys keys;
	struct worker *worker;
	unsigned nr_workers;
	struct coro_reader reader;
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
	return o->block_size <= CORO_BLOCK_MAX &&
	       o->stacks_size <= CORO_BLOCK_MAX &&
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

struct coros *coros_open(pid_t pid, char *why, size_t size)
{
	struct coros *c = calloc(1, sizeof(*c));
	const char *bad;

	if (!c)
		return NULL;
	c->pid = pid;
	c->modules = modules_open(pid);
	c->unwind = c->modules ? unwind_new(c->modules) : NULL;
	bad = find_page(pid, &c->o);
	*why = '\0';
	if (!c->modules && bad)
		snprintf(why, size, "process %d: %s", pid, bad);
	else if (!c->o.version)
		c->go = c->unwind ? goroutines_open(c->modules, c->unwind, why,
						    size)
				  : NULL;
	else if (remote_allowed(pid, c->o.stacks, why, size) &&
		 (!coro_reader_open(&c->reader, pid, &c->o) || !c->unwind))
		snprintf(why, size, "/proc/%d/maps cannot be read", pid);
	if (!*why && !c->o.version && !c->go)
		snprintf(why, size,
			 "process %d runs no coroutines of uring_rt, or of a "
			 "version that cannot be read from outside: %s",
			 pid,
			 bad ? bad
			     : "`urt profile` shows where its threads wait");
	if (!*why)
		return c;
	coros_close(c);
	return NULL;
}

void coros_close(struct coros *c)
{
	if (!c)
		return;
	goroutines_close(c->go);
	unwind_free(c->unwind);
	modules_close(c->modules);
	free(c->worker);
	coro_reader_close(&c->reader);
	free(c);
}

struct modules *coros_modules(const struct coros *c)
{
	return c->modules;
}

const char *coros_go(const struct coros *c)
{
	return c->go ? goroutines_version(c->go) : NULL;
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

/* ---- reporting a coroutine ---- */

static void tell_stack(struct coros *c, struct coro_reading *r,
		       struct coro_seen *s)
{
	struct unwind_stack stack = { .from = coro_word(r, c->o.block_ctx),
				      .bytes = r->stack,
				      .size = r->stack_size,
				      .sp = coro_word(r, c->o.block_ctx),
				      .fp = coro_word(r, c->o.block_ctx + 8),
				      .pc = coro_word(r, c->o.block_ctx + 16) };

	s->frames = unwind(c->unwind, &stack, s->pc, &s->whole);
}

static void tell_parked(struct coros *c, struct coro_reading *r,
			struct coro_seen *s, struct context_seen *context)
{
	if (r->stack_size)
		tell_stack(c, r, s);
	if (r->has_what) {
		s->opcode = r->what & 0xff;
		s->fd = (int32_t)(r->what >> 32);
	}
	if (context_parse(r->context, r->context_size, context))
		s->context = context;
}

static enum coro_state state_of(const struct coros *c,
				const struct coro_reading *r,
				const char *reason, const struct worker *on)
{
	if (!strcmp(reason, "ended, not joined"))
		return CORO_ENDED;
	if (coro_is_parked(coro_word(r, c->o.block_park)))
		return CORO_PARKED;
	return on ? CORO_RUNNING : CORO_RUNNABLE;
}

/* False: the block is free. */
static bool describe(struct coros *c, struct coro_reading *r, int64_t now,
		     struct coro_seen *s, struct context_seen *context)
{
	uint8_t reason = r->block[c->o.block_reason];
	const struct worker *on = runs_on(c, r->at);
	bool scope = coro_word(r, c->o.block_scope);

	memset(s, 0, offsetof(struct coro_seen, pc));
	s->id = coro_word(r, c->o.block_id);
	s->parent = coro_word(r, c->o.block_parent);
	s->fn = coro_word(r, scope ? c->o.block_scope_fn : c->o.block_fn);
	s->opcode = s->fd = s->wait_ns = -1;
	s->block = s->top = r->at;
	s->lowest = coro_word(r, c->o.block_lowest);
	s->sp = coro_word(r, c->o.block_ctx);
	s->park = coro_word(r, c->o.block_park);
	s->number = r->number;
	s->reason = reason < c->o.reasons ? c->o.reason[reason] : "?";
	if (!strcmp(s->reason, "free"))
		return false;
	s->state = state_of(c, r, s->reason, on);
	if (s->state == CORO_RUNNING)
		s->tid = on->tid;
	if (s->state != CORO_PARKED)
		return true;
	s->wait_ns = now - (int64_t)coro_word(r, c->o.block_since_ns);
	if (s->wait_ns < 0)
		s->wait_ns = 0;
	s->object = coro_word(r, c->o.block_object);
	s->changed = !r->parked;
	if (r->parked)
		tell_parked(c, r, s, context);
	return true;
}

struct telling {
	void (*seen)(const struct coro_seen *, void *);
	void *arg;
	struct coros_look *look;
	int64_t end_ns;
	struct coro_chunk *begun; /* its first question; NULL: none */
};

static int tell_chunk(struct coros *c, const struct coro_chunk *ch,
		      const struct telling *t)
{
	static struct coro_seen s;
	static struct context_seen context;
	int64_t now = now_ns();
	unsigned lost = 0;

	for (unsigned i = 0; i < ch->n; i++)
		lost += ch->reading[i].lost;
	if (lost == ch->n) /* blocks are never unmapped during a run */
		return -ESRCH;
	for (unsigned i = 0; i < ch->n; i++) {
		struct coro_reading *r = &ch->reading[i];

		r->parked &= r->done;
		t->look->unreadable += r->lost;
		if (r->lost || !describe(c, r, now, &s, &context))
			continue;
		t->look->coroutines++;
		t->look->by_state[s.state]++;
		t->look->changed += s.changed;
		t->seen(&s, t->arg);
	}
	return 0;
}

/*
 * Begins with the next chunk (NULL: there is none), and finishes the one begun before. If
 * that will need a second question, it comes before the next chunk's first one, so
 * that the child has something to do while this process tells of the coroutines.
 */
static int turn(struct coros *c, struct coro_chunk *next, struct telling *t)
{
	struct coro_chunk *ch = t->begun;
	bool twice = c->reader.twice;
	int err = 0;

	t->begun = next;
	if (twice || !next)
		err = remote_end();
	if (ch && twice && !err)
		err = coro_finish(&c->reader, ch, &t->look->again);
	if (next && !err)
		err = coro_begin(&c->reader, next);
	if (ch && !twice && !err)
		err = coro_finish(&c->reader, ch, &t->look->again);
	return ch && !err ? tell_chunk(c, ch, t) : err;
}

static int look_at_array(struct coros *c, unsigned class, const uint8_t *array,
			 struct telling *t)
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
	for (uint64_t i = 0; i < used && !err; i += CORO_CHUNK) {
		unsigned n = used - i < CORO_CHUNK ? used - i : CORO_CHUNK;
		struct coro_chunk *ch =
			&c->reader.chunk[t->begun == c->reader.chunk];

		if (now_ns() > t->end_ns)
			return -E2BIG;
		ch->n = 0;
		for (unsigned k = 0; k < n; k++) {
			uint64_t end = base + (i + k + 1) * stride;

			end -= (i + k) % c->o.colours * c->o.colour_step;
			coro_chunk_add(ch, end - c->o.block_size,
				       class << URT__OUTSIDE_CLASS | (i + k));
		}
		err = turn(c, ch, t);
	}
	return err;
}

int coros_look(struct coros *c, bool stacks,
	       void (*seen)(const struct coro_seen *, void *arg), void *arg,
	       struct coros_look *look, int64_t max_ns)
{
	int64_t begin = now_ns();
	struct telling t = { seen, arg, look, begin + max_ns, NULL };
	uint8_t array[CORO_BLOCK_MAX];
	int err;

	*look = (struct coros_look){ 0 };
	if (c->go)
		return goroutines_look(c->go, stacks, seen, arg, look, max_ns);
	err = read_workers(c);
	context_keys_read(c->pid, &c->keys);
	c->reader.contexts = c->keys.announced;
	c->reader.stacks = stacks;
	for (unsigned i = 0; i < c->o.nr_stacks && !err; i++) {
		if (!remote_read(c->pid,
				 c->o.stacks + (uint64_t)i * c->o.stacks_size,
				 array, c->o.stacks_size))
			err = -ESRCH;
		else
			err = look_at_array(c, i, array, &t);
	}
	if (!err)
		err = turn(c, NULL, &t);
	remote_end(); /* after an error */
	look->ns = now_ns() - begin;
	return err;
}
