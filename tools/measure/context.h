/* SPDX-License-Identifier: MIT */
/*
 * Contexts of other programs: records of OTEP 4947, and the names of their keys
 * (OTEP 4719). Any of it may be false.
 */
#ifndef URT_CONTEXT_H
#define URT_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONTEXT_KEYS	256
#define CONTEXT_KEY_MAX 64
#define CONTEXT_MAX	640 /* bytes of a record */
#define CONTEXT_HEAD	28

/* The keys that a process has announced. */
struct context_keys {
	bool announced;	 /* the thread-local schema, so that records count */
	char schema[32]; /* the schema that it announces; "": none */
	unsigned n;
	char name[CONTEXT_KEYS][CONTEXT_KEY_MAX + 1];
};

/* False: the process announces nothing, or only a schema that is not known here. */
bool context_keys_read(pid_t, struct context_keys *);

/* A record, checked: its entries are whole and fit. */
struct context_seen {
	uint8_t trace_id[16], span_id[8], flags;
	unsigned size; /* of attrs, bytes */
	uint8_t attrs[CONTEXT_MAX - CONTEXT_HEAD];
};

/* Checks a record of `size` bytes that were read; false: it is invalid.
 * Attributes that do not fit are left out, as the OTEP says. */
bool context_parse(const uint8_t *bytes, size_t size, struct context_seen *);

/* The value of a key, clean for a terminal; false: it has none. */
bool context_value(const struct context_seen *, unsigned key, char *buf,
		   size_t size);

#endif
