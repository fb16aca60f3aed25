/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Part of count.bpf.c, included once by by.bpf.h: the events of --by context once more,
 * by request, so that the tool can tell how requests of a route differ.
 *
 * A request is one span: a trace id, a span id, and the row, since a request may change
 * its route. Records without a span id are not told apart: the kernel does not see when
 * a program in user space begins with another request.
 *
 * No event says that a request has ended. So each keeps its place in a table of fixed
 * size until a newer one needs it, and the tool adds it up then, or at the end. The
 * place that was unused for longest is taken first. A request that continues later
 * counts again; the hashes of the last ones that left a set show that, mostly. By then
 * the table has seen many more requests: it has room for 131,072.
 *
 * Each CPU adds up what it counts of one request (open_spans). It adds that to the table
 * when it counts for another request, or when a thread leaves it: the request may go on
 * on another CPU, and leave the table there before this CPU counts again. What a CPU
 * has not added yet when counting ends, the tool adds.
 *
 * Threads on several CPUs may work for one request, or for requests of one set, so each
 * set has a lock, which is held for some 20 ns, or 200 to pass a request to the tool. What
 * waits for longer is counted as lost; so is a time that gets known after its request has
 * left.
 */
#ifndef URT_SPAN_BPF_H
#define URT_SPAN_BPF_H

#define SPAN_TRIES 256

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1 << URT_SPAN_SET_BITS);
	__type(key, u32);
	__type(value, struct urt_span_set);
} span_sets SEC(".maps");

/* By CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct urt_span_open);
} open_spans SEC(".maps");

/* Requests that made room for others. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, URT_SPANS_ENDED);
} spans_ended SEC(".maps");

const volatile bool want_spans = false; /* set before loading */
unsigned int span_clock = 1;		/* the tool adds 1 now and then */
/* Requests that found no room in spans_ended; that continued after they had left; and
 * events that could not wait for a lock. */
unsigned long long spans_missing = 0, spans_again = 0, span_events_lost = 0;

static __always_inline bool span_lock(struct urt_span_set *s)
{
	for (int i = 0; i < SPAN_TRIES; i++)
		if (!__sync_val_compare_and_swap(&s->lock, 0, 1))
			return true;
	return false;
}

/* Takes the place that was unused for longest. */
static __always_inline struct urt_span *
span_new(struct urt_span_set *s, const struct urt_span *of, u32 hash)
{
	u32 oldest = 0;
	struct urt_span *w;

	for (u32 i = 0; i < URT_SPAN_WAYS; i++) {
		if (s->left[i] == hash)
			__sync_fetch_and_add(&spans_again, 1);
		if (s->way[i].used < s->way[oldest & (URT_SPAN_WAYS - 1)].used)
			oldest = i;
	}
	oldest &= URT_SPAN_WAYS - 1;
	w = &s->way[oldest];
	if (w->row) {
		if (bpf_ringbuf_output(&spans_ended, w, sizeof(*w),
				       BPF_RB_NO_WAKEUP))
			__sync_fetch_and_add(&spans_missing, 1);
		s->left[oldest] = urt_span_hash(w->id, w->row);
	}
	__builtin_memset(w, 0, sizeof(*w));
	__builtin_memcpy(w->id, of->id, sizeof(w->id));
	w->row = of->row;
	return w;
}

/* Adds o to the table. Not static, as by_place. */
__noinline int span_put(const struct urt_span *o)
{
	struct urt_span_set *s;
	struct urt_span *w = 0;
	u64 hash;
	u32 at;

	if (!o)
		return 0;
	hash = urt_span_hash(o->id, o->row);
	at = hash >> (64 - URT_SPAN_SET_BITS);
	s = bpf_map_lookup_elem(&span_sets, &at);
	if (!s || !span_lock(s)) {
		__sync_fetch_and_add(&span_events_lost, urt_span_lost(o));
		return 0;
	}
	for (u32 i = 0; i < URT_SPAN_WAYS && !w; i++)
		if (urt_span_is(&s->way[i], o->id, o->row))
			w = &s->way[i];
	if (!w && urt_span_events(o))
		w = span_new(s, o, hash);
	if (w) {
		w->used = span_clock;
		for (int i = 0; i < URT_OF_SPAN; i++)
			w->n[i] += o->n[i];
	} else {
		__sync_fetch_and_add(&span_events_lost, urt_span_lost(o));
	}
	__sync_val_compare_and_swap(&s->lock, 1, 0);
	return 0;
}

/* A thread leaves this CPU. */
static __always_inline void span_close(void)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct urt_span *open =
		want_spans ? bpf_map_lookup_elem(&open_spans, &cpu) : 0;

	if (open && open->row) {
		span_put(open);
		open->row = 0;
	}
}

/* out: the request in which the thread left the CPU, instead of the present one. */
static __always_inline void span_count(struct urt_by_task *b, bool out, u32 row,
				       u32 of, u64 n)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct urt_span *open;
	const u64 *id;

	if (!want_spans || !b || row < URT_BY_FIRST_ROW)
		return;
	id = out ? b->out_id : b->id;
	open = id[2] ? bpf_map_lookup_elem(&open_spans, &cpu) : 0;
	if (!open)
		return;
	if (!urt_span_is(open, id, row)) {
		if (open->row)
			span_put(open);
		__builtin_memset(open, 0, sizeof(*open));
		__builtin_memcpy(open->id, id, sizeof(open->id));
		open->row = row;
	}
	open->n[of] += n;
}

#endif
