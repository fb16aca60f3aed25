// SPDX-License-Identifier: MIT
/*
 * Contexts: which request a coroutine works for, so that tools outside can
 * tell.
 *
 * The layout and the protocol are OpenTelemetry's (OTEP 4947). A thread-local
 * pointer, otel_thread_ctx_v1, points at the record of the request that the
 * thread works for now. A profiler or a BPF program that interrupts the thread
 * follows it. Only the pointer changes; a record's `valid` stays 1, since a
 * writer may change either but not both.
 *
 * A record belongs to all coroutines that have it: the one that set it and
 * those that it started since. Its owners are counted. It is as good as
 * constant: only a sole owner writes it again, with the thread's pointer at
 * NULL meanwhile. So a record exists as long as the pointer or a coroutine
 * refers to it.
 *
 * The switch sets the pointer, once any coroutine of the run has had a context
 * (URT__TELL_CONTEXT, in a word that the switch reads anyway). Before that, a
 * switch does nothing for contexts. The first urt_context_set sets the bit in
 * every worker before it gives its coroutine the record. A worker takes a
 * coroutine from a queue before it runs it, which orders the two: so no worker
 * without the bit runs a coroutine with a context. A new worker lists itself
 * first and then reads urt__rt.contexts; the setter writes that first and then
 * reads the list. Both are sequentially consistent, so one sees the other.
 *
 * The variable is reached by its address, which each worker keeps: only this
 * file contains an access to it, made with TLS descriptors in the shared
 * library (the Makefile's -mtls-dialect).
 */
#include "../base/announce.h"
#include "../base/sys.h"
#include "context.h"
#include "sched.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#undef errno

#define HEAD offsetof(struct urt_context, attrs)

static_assert(HEAD == 28, "the layout of OTEP 4947");
static_assert(offsetof(struct urt_context, valid) == 24, "... of OTEP 4947");
static_assert(offsetof(struct urt_context, attrs_size) == 26, "... 4947");
static_assert(sizeof(struct urt_context) == 640, "as OTEP 4947 recommends");

struct owned {
	_Atomic unsigned owners; /* coroutines */
	unsigned room;		 /* for the record, bytes */
	struct urt_context record;
};

extern __thread struct urt_context *otel_thread_ctx_v1;
__attribute__((visibility("default"),
	       used)) __thread struct urt_context *otel_thread_ctx_v1;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over the keys */
static char key_names[URT__CONTEXT_KEYS][URT__CONTEXT_KEY_MAX + 1];
static unsigned nr_keys;
static bool announced;

URT__NOINLINE struct urt_context **urt__context_slot(void)
{
	return &otel_thread_ctx_v1;
}

/* ---- owners ---- */

static struct owned *owned(struct urt_context *record)
{
	return urt__container_of(record, struct owned, record);
}

void urt__context_inherit(struct urt_coro *c, const struct urt_coro *from)
{
	if (!from || !from->context)
		return;
	atomic_fetch_add_explicit(&owned(from->context)->owners, 1,
				  memory_order_relaxed);
	c->context = from->context;
	c->at_end |= URT__END_CONTEXT;
}

/* Release and acquire: the free comes after all accesses by other owners. */
static void drop(struct urt_context *record)
{
	if (record && atomic_fetch_sub_explicit(&owned(record)->owners, 1,
						memory_order_acq_rel) == 1)
		free(owned(record));
}

void urt__context_drop(struct urt_coro *c)
{
	struct urt_context *record = c->context;

	if (urt__current() == c)
		*(struct urt_context *volatile *)urt__worker()->context = NULL;
	atomic_signal_fence(memory_order_seq_cst);
	c->context = NULL;
	drop(record);
}

/* ---- telling the workers and the world ---- */

static int announce_locked(void)
{
	int err = urt__announce(key_names, nr_keys);

	announced = !err;
	return err;
}

static void tell_workers(void)
{
	unsigned n;

	atomic_store(&urt__rt.contexts, true);
	n = atomic_load(&urt__rt.nr_workers);
	for (unsigned i = 0; i < n; i++)
		__atomic_fetch_or(&atomic_load(&urt__rt.worker[i])->tracing,
				  URT__TELL_CONTEXT, __ATOMIC_SEQ_CST);
}

/* The first context of this run. */
static int begin(void)
{
	int err;

	pthread_mutex_lock(&lock);
	err = announced ? 0 : announce_locked();
	if (!err)
		tell_workers();
	pthread_mutex_unlock(&lock);
	return err;
}

void urt__context_forget(void)
{
	pthread_mutex_init(&lock, NULL);
	announced = false;
	urt__announce_forget();
	*urt__context_slot() = NULL;
}

/* ---- the calls ---- */

int urt_context_key(const char *name)
{
	size_t len = strlen(name);
	int key = 0;

	if (!len || len > URT__CONTEXT_KEY_MAX)
		return -EINVAL;
	pthread_mutex_lock(&lock);
	while ((unsigned)key < nr_keys && strcmp(key_names[key], name))
		key++;
	if (key == URT__CONTEXT_KEYS) {
		key = -ENOSPC;
	} else if ((unsigned)key == nr_keys) {
		memcpy(key_names[nr_keys++], name, len + 1);
		if (announced) /* else with the first context */
			announce_locked();
	}
	pthread_mutex_unlock(&lock);
	return key;
}

static bool is_whole(const struct urt_context *ctx)
{
	size_t at = 0;

	if (ctx->attrs_size > sizeof(ctx->attrs))
		return false;
	while (at + 2 <= ctx->attrs_size)
		at += 2 + ctx->attrs[at + 1];
	return at == ctx->attrs_size;
}

static void fill(struct urt_context *to, const struct urt_context *from)
{
	memcpy(to, from, HEAD + from->attrs_size);
	to->valid = 1;
}

/* Gives self a record of its own, because the old one is too small or
 * shared. */
static int replace(struct urt__worker *w, struct urt_coro *self,
		   const struct urt_context *ctx)
{
	struct urt_context *old = self->context;
	struct owned *o = NULL;

	if (ctx) {
		size_t room = (HEAD + ctx->attrs_size + 63) & ~(size_t)63;

		o = urt__sys_alloc(offsetof(struct owned, record) + room);
		if (!o)
			return -ENOMEM;
		o->owners = 1;
		o->room = room;
		fill(&o->record, ctx);
		self->at_end |= URT__END_CONTEXT;
	}
	self->context = o ? &o->record : NULL;
	atomic_signal_fence(memory_order_seq_cst);
	*(struct urt_context *volatile *)w->context = self->context;
	drop(old);
	return 0;
}

static int set(struct urt__worker *w, const struct urt_context *ctx)
{
	struct urt_context *volatile *slot = w->context;
	struct urt_coro *self = w->current;
	struct urt_context *mine = self->context;

	if (!ctx || !mine || owned(mine)->room < HEAD + ctx->attrs_size ||
	    atomic_load_explicit(&owned(mine)->owners, memory_order_acquire) >
		    1)
		return replace(w, self, ctx);
	*slot = NULL;
	atomic_signal_fence(memory_order_seq_cst);
	fill(mine, ctx);
	atomic_signal_fence(memory_order_seq_cst);
	*slot = mine;
	return 0;
}

int urt_context_set(const struct urt_context *ctx)
{
	struct urt__worker *w = urt__enter_often();
	int err = 0;

	if (!w)
		return -EPERM;
	if (ctx && !is_whole(ctx))
		err = -EINVAL;
	else if (!atomic_load(&urt__rt.contexts) && ctx)
		err = begin();
	if (!err)
		err = set(w, ctx);
	if (!err && urt__unlikely(urt__telling(w) & URT__TELL_EVENTS))
		urt__trace_context(w, w->current);
	urt__leave();
	return err;
}

bool urt_context_get(struct urt_context *ctx)
{
	struct urt_coro *self = urt__current();

	*ctx = (struct urt_context){ 0 };
	if (!self || !self->context)
		return false;
	memcpy(ctx, self->context, HEAD + self->context->attrs_size);
	return true;
}

/* ---- records ---- */

/* Takes out the entries of a key. */
static void remove_key(struct urt_context *ctx, uint8_t key)
{
	size_t at = 0;

	while (at + 2 <= ctx->attrs_size) {
		size_t n = 2 + ctx->attrs[at + 1];

		if (ctx->attrs[at] != key) {
			at += n;
			continue;
		}
		ctx->attrs_size -= n;
		memmove(ctx->attrs + at, ctx->attrs + at + n,
			ctx->attrs_size - at);
	}
}

int urt_context_add(struct urt_context *ctx, int key, const char *value)
{
	size_t n = strlen(value);

	if (key < 0 || key >= URT__CONTEXT_KEYS || !is_whole(ctx))
		return -EINVAL;
	remove_key(ctx, key);
	if (n > 255 || ctx->attrs_size + 2 + n > sizeof(ctx->attrs))
		return -ENOSPC;
	ctx->attrs[ctx->attrs_size] = key;
	ctx->attrs[ctx->attrs_size + 1] = n;
	memcpy(ctx->attrs + ctx->attrs_size + 2, value, n);
	ctx->attrs_size += 2 + n;
	return 0;
}

static bool from_hex(uint8_t *to, size_t n, const char *s)
{
	static const char digits[] = "0123456789abcdef";
	bool zero = true;

	for (size_t i = 0; i < 2 * n; i++) {
		const char *d = s[i] ? strchr(digits, s[i]) : NULL;

		if (!d)
			return false;
		to[i / 2] = to[i / 2] << 4 | (d - digits);
		zero &= d == digits;
	}
	return !zero || n == 1;
}

/* "00-", 32 digits, "-", 16 digits, "-", 2 digits; later versions may continue
 * after another "-". https://www.w3.org/TR/trace-context/#traceparent-header */
int urt_context_from_traceparent(struct urt_context *ctx, const char *s)
{
	uint8_t version = 0, trace[16], span[8], flags = 0;

	if (strnlen(s, 55) < 55 || s[2] != '-' || s[35] != '-' ||
	    s[52] != '-' || !from_hex(&version, 1, s) || version == 0xff ||
	    !from_hex(trace, 16, s + 3) || !from_hex(span, 8, s + 36) ||
	    !from_hex(&flags, 1, s + 53) ||
	    (s[55] && (!version || s[55] != '-')))
		return -EINVAL;
	memcpy(ctx->trace_id, trace, sizeof(trace));
	memcpy(ctx->span_id, span, sizeof(span));
	ctx->trace_flags = flags;
	return 0;
}

static char *to_hex(char *to, const uint8_t *from, size_t n, char then)
{
	for (size_t i = 0; i < 2 * n; i++)
		*to++ = "0123456789abcdef"[from[i / 2] >> (i % 2 ? 0 : 4) & 15];
	*to++ = then;
	return to;
}

void urt_context_to_traceparent(const struct urt_context *ctx, char s[56])
{
	const uint8_t version = 0;

	s = to_hex(s, &version, 1, '-');
	s = to_hex(s, ctx->trace_id, sizeof(ctx->trace_id), '-');
	s = to_hex(s, ctx->span_id, sizeof(ctx->span_id), '-');
	to_hex(s, &ctx->trace_flags, 1, '\0');
}
