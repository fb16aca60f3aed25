// SPDX-License-Identifier: MIT
/* Reading contexts of other programs; see context.h. */
#define _GNU_SOURCE
#include "context.h"
#include "../lib/proc.h"
#include "../lib/text.h"
#include "remote.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAYLOAD_MAX (1u << 18)
#define TRIES	    5

/* ---- the process context ---- */

/* OTEP 4719; published_ns is 0 while it is being changed. */
struct header {
	char signature[8];
	uint32_t version, size;
	uint64_t published_ns, payload;
};
static_assert(sizeof(struct header) == 32, "the layout of OTEP 4719");

static uint64_t find_mapping(pid_t pid)
{
	char line[4400];
	uint64_t at, found = 0;
	FILE *f = remote_file(pid, "maps");

	while (!found && proc_next_line(f, line, sizeof(line)))
		if ((strstr(line, " [anon_shmem:OTEL_CTX]") ||
		     strstr(line, " [anon:OTEL_CTX]") ||
		     strstr(line, " /memfd:OTEL_CTX")) &&
		    sscanf(line, "%" SCNx64, &at) == 1)
			found = at;
	if (f)
		fclose(f);
	return found;
}

/* A payload that did not change while it was read. The caller frees it. */
static uint8_t *read_payload(pid_t pid, size_t *size)
{
	uint64_t at = find_mapping(pid);

	for (int i = 0; at && i < TRIES; i++) {
		struct header h, after;
		uint8_t *p;

		if (!remote_read(pid, at, &h, sizeof(h)) ||
		    memcmp(h.signature, "OTEL_CTX", 8) || h.version != 2 ||
		    h.size > PAYLOAD_MAX)
			return NULL;
		p = malloc(h.size + 1);
		if (p && h.published_ns &&
		    remote_read(pid, h.payload, p, h.size) &&
		    remote_read(pid, at, &after, sizeof(after)) &&
		    after.published_ns == h.published_ns) {
			*size = h.size;
			return p;
		}
		free(p);
	}
	return NULL;
}

/* A protobuf message, or the rest of it. */
struct message {
	const uint8_t *p, *end;
};

static bool varint(struct message *m, uint64_t *v)
{
	unsigned shift = 0;

	for (*v = 0; m->p < m->end && shift < 64; shift += 7) {
		*v |= (uint64_t)(*m->p & 0x7f) << shift;
		if (!(*m->p++ & 0x80))
			return true;
	}
	return false;
}

/* The next field that is a string or a message: its number; 0: no more. */
static unsigned field(struct message *m, struct message *value)
{
	uint64_t tag, n;

	while (varint(m, &tag) && varint(m, &n)) {
		if ((tag & 7) == 0)
			continue; /* n was the value */
		if ((tag & 7) != 2 || n > (uint64_t)(m->end - m->p))
			break;
		*value = (struct message){ m->p, m->p + n };
		m->p += n;
		return tag >> 3 < 1000 ? tag >> 3 : 1000;
	}
	return 0;
}

static bool is(struct message m, const char *text)
{
	return (size_t)(m.end - m.p) == strlen(text) &&
	       !memcmp(m.p, text, strlen(text));
}

static bool is_schema(struct message m)
{
	return is(m, "tlsdesc_v1_dev") || is(m, "tlsdesc_v1") ||
	       is(m, "tls_v1") || is(m, "tls_v1_dev");
}

static void take_names(struct context_keys *k, struct message array)
{
	struct message value, name;

	while (k->n < CONTEXT_KEYS && field(&array, &value) == 1) {
		if (field(&value, &name) != 1)
			name.p = name.end;
		text_copy(k->name[k->n++], sizeof(k->name[0]),
			  (const char *)name.p, name.end - name.p);
	}
}

static void take_attribute(struct context_keys *k, struct message m)
{
	struct message name = { 0 }, value = { 0 }, v;
	unsigned n;

	while ((n = field(&m, &v)))
		*(n == 1 ? &name : &value) = v;
	while ((n = field(&value, &v))) {
		if (n == 1 && is(name, "threadlocal.schema_version")) {
			k->announced = is_schema(v);
			text_clean(text_copy(k->schema, sizeof(k->schema),
					     (const char *)v.p, v.end - v.p));
		}
		if (n == 5 && is(name, "threadlocal.attribute_key_map"))
			take_names(k, v);
	}
}

bool context_keys_read(pid_t pid, struct context_keys *k)
{
	struct message m, value;
	size_t size = 0;
	uint8_t *payload = read_payload(pid, &size);
	unsigned n;

	*k = (struct context_keys){ 0 };
	if (!payload)
		return false;
	m = (struct message){ payload, payload + size };
	while ((n = field(&m, &value)))
		if (n == 2)
			take_attribute(k, value);
	free(payload);
	return k->announced;
}

/* ---- records ---- */

bool context_parse(const uint8_t *bytes, size_t size, struct context_seen *c)
{
	uint16_t attrs;
	size_t at = 0;

	if (size < CONTEXT_HEAD || bytes[24] != 1)
		return false;
	memcpy(&attrs, bytes + 26, sizeof(attrs));
	memcpy(c->trace_id, bytes, 16);
	memcpy(c->span_id, bytes + 16, 8);
	c->flags = bytes[25];
	if (attrs > size - CONTEXT_HEAD)
		attrs = size - CONTEXT_HEAD;
	while (at + 2 <= attrs &&
	       at + 2 + bytes[CONTEXT_HEAD + at + 1] <= attrs)
		at += 2 + bytes[CONTEXT_HEAD + at + 1];
	c->size = at;
	memcpy(c->attrs, bytes + CONTEXT_HEAD, at);
	return true;
}

/* The last one counts. */
bool context_value(const struct context_seen *c, unsigned key, char *buf,
		   size_t size)
{
	bool found = false;

	for (size_t at = 0; at < c->size; at += 2 + c->attrs[at + 1]) {
		if (c->attrs[at] != key)
			continue;
		text_clean(text_copy(buf, size, (const char *)c->attrs + at + 2,
				     c->attrs[at + 1]));
		found = true;
	}
	return found;
}
