/* SPDX-License-Identifier: MIT */
/*
 * The ELF files that a process has mapped, as its memory shows them: their
 * addresses, their unwind tables, and the names of their functions.
 */
#ifndef URT_MODULES_H
#define URT_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct symbols;

struct module {
	uint64_t from, to; /* addresses; to: after the last */
	uint64_t first_to; /* the same of its first mapping only */
	uint64_t bias;	   /* added to addresses in the file */
	char path[256];
	/* Of .eh_frame_hdr; 0: none. Its sorted table, read when first
	 * needed. */
	uint64_t unwind;
	uint64_t unwind_size; /* bytes */
	int32_t *table;	      /* pairs: function, description; from `unwind` */
	size_t entries;
	uint64_t dynamic, dynamic_size; /* of .dynamic; 0: none */
	uint64_t tls_size, tls_align;	/* of its thread-local block */
	bool table_read, symbols_read, hold_tried;
	int held;	/* descriptor of its file + 1; 0: none */
	uint64_t entry; /* its entry point in memory; 0: it is not known */
	struct symbols *symbols;
};

struct modules {
	pid_t pid;
	size_t n;
	struct module *module; /* by address */
	size_t tables;	       /* bytes of all unwind tables that were read */
	struct symbols
		*made; /* functions that were made at run time; or NULL */
	int64_t made_again_ns; /* when they may be read again; 0: they never
				  were read */
};

/* NULL: its maps cannot be read. */
struct modules *modules_open(pid_t);
void modules_close(struct modules *);

/* Keeps the files of the first few hundred open, so that names can be read when
 * the process is gone. */
void modules_hold(struct modules *);

/* The module that holds the address; NULL: none. */
struct module *modules_at(const struct modules *, uint64_t address);

/* Some symbols and sections of the program's own file (symbols.h). */
struct symbols *modules_symbols(struct modules *, const char *const names[]);

/* "function", or "file+0x12" as addr2line takes it, or the address. */
void modules_name(struct modules *, uint64_t address, char *buf, size_t size);

#endif
