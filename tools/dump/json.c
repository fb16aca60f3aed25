// SPDX-License-Identifier: MIT
/* `urt dump --json`: schema urt.dump.v1, written while coroutines are read. */
#include "../measure/goroutines.h"
#include "dump.h"
#include <inttypes.h>

static void hex(struct json *j, const char *name, const uint8_t *p, size_t n)
{
	char text[40];

	for (size_t i = 0; i < n; i++)
		sprintf(text + 2 * i, "%02x", p[i]);
	json_string(j, name, text);
}

static void context(struct dump *d, const struct context_seen *c)
{
	struct json *j = &d->json;
	char value[256];

	if (!c) {
		json_null(j, "context");
		return;
	}
	json_object(j, "context");
	hex(j, "trace_id", c->trace_id, sizeof(c->trace_id));
	hex(j, "span_id", c->span_id, sizeof(c->span_id));
	json_object(j, "attributes");
	for (unsigned k = 0; k < d->keys.n; k++)
		if (context_value(c, k, value, sizeof(value)))
			json_string(j, d->keys.name[k], value);
	json_end_object(j);
	json_end_object(j);
}

static void name(struct dump *d, const char *member, uint64_t pc, bool known)
{
	char text[320];

	if (known)
		modules_name(coros_modules(d->coros), pc, text, sizeof(text));
	json_string(&d->json, member, known ? text : NULL);
}

static void address(struct json *j, const char *member, uint64_t at, bool known)
{
	char text[32];

	snprintf(text, sizeof(text), "%#" PRIx64, at);
	json_string(j, member, known ? text : NULL);
}

static void operation(struct json *j, const struct coro_seen *s)
{
	char text[32];

	json_string(j, "operation",
		    s->opcode < 0 ? NULL : uring_op_name(s->opcode, text));
	json_int_or_null(j, "descriptor", s->fd, s->fd >= 0);
	address(j, "object", s->object, s->object && s->opcode < 0);
}

static void stack(struct dump *d, const struct coro_seen *s)
{
	struct json *j = &d->json;

	json_array(j, "stack");
	for (unsigned i = 0; i < s->frames; i++) {
		json_object(j, NULL);
		address(j, "address", s->pc[i], true);
		name(d, "function", i ? s->pc[i] - 1 : s->pc[i], true);
		json_end_object(j);
	}
	json_end_array(j);
	json_int(j, "stack_is_whole", s->whole);
}

void dump_json_begin(struct dump *d)
{
	const char *go = coros_go(d->coros);
	struct json *j = &d->json;

	j->out = d->out;
	json_object(j, NULL);
	json_string(j, "schema", "urt.dump.v1");
	json_int(j, "pid", d->pid);
	json_string(j, "program", d->program);
	json_string(j, "runtime", go ? "go" : "uring_rt");
	json_string(j, "runtime_version", go);
	json_object(j, "missing");
	for (const struct goroutines_missing *m = goroutines_missing;
	     go && m->member; m++)
		json_string(j, m->member, m->why);
	json_end_object(j);
	json_array(j, "coroutines");
}

void dump_json_each(struct dump *d, const struct coro_seen *s)
{
	struct json *j = &d->json;

	json_object(j, NULL);
	json_int(j, "id", s->id);
	json_int_or_null(j, "started_by", s->parent, s->parent);
	name(d, "started_in", s->created - 1, s->created);
	name(d, "function", s->fn, true);
	json_string(j, "state", coro_state_names[s->state]);
	json_string(j, "reason", s->state == CORO_PARKED ? s->reason : NULL);
	json_int_or_null(j, "wait_ns", s->wait_ns, s->wait_ns >= 0);
	operation(j, s);
	json_int_or_null(j, "thread", s->tid, s->tid);
	context(d, s->context);
	json_int(j, "changed", s->changed);
	stack(d, s);
	address(j, "stack_from", s->lowest, true);
	address(j, "stack_to", s->top, true);
	json_end_object(j);
}

void dump_json_end(struct dump *d, const struct coros_look *look)
{
	struct json *j = &d->json;

	json_end_array(j);
	json_object(j, "states");
	for (unsigned i = 0; i < ARRAY_LEN(look->by_state); i++)
		json_int(j, coro_state_names[i], look->by_state[i]);
	json_end_object(j);
	json_int(j, "total", look->coroutines);
	json_int(j, "shorter_waits", d->shorter);
	if (d->leaked) {
		struct leaked_count l = leaked_count(d->leaked);

		json_object(j, "leaked");
		json_int(j, "count", l.leaked);
		json_int(j, "maybe", l.maybe);
		json_int(j, "untold", l.untold);
		json_string(j, "no_registers",
			    *d->no_registers ? d->no_registers : NULL);
		json_int(j, "searched_bytes", l.bytes);
		json_int(j, "search_ns", l.ns);
		json_end_object(j);
	} else {
		json_null(j, "leaked");
	}
	json_int(j, "read_again", look->again);
	json_int(j, "changed", look->changed);
	json_int(j, "unreadable", look->unreadable);
	json_int(j, "read_ns", look->ns);
	json_end_object(j);
}
