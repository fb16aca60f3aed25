/* SPDX-License-Identifier: MIT */
/* Names of a program's functions, from its file. */
#ifndef URT_SYMBOLS_H
#define URT_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SYMBOL_NAME 64 /* longer names are cut */

struct symbols;

/*
 * The symbols of the program with its entry point at `entry`. exe: a descriptor
 * of its file, perhaps by O_PATH, which still belongs to the caller; -1: path
 * names the file. The file may belong to any user. NULL: cannot be read.
 */
struct symbols *symbols_open(int exe, const char *path, uint64_t entry);
/* The functions that a process compiled at run time, if it names them for
 * profilers. NULL: none. */
struct symbols *symbols_open_map(pid_t);
/* Only the symbols and sections of the file with one of these names (until NULL),
 * whatever they are; names NULL: all functions. The path is one below the root of that
 * process; 0: ours. NULL: it has none, or cannot be read. */
struct symbols *symbols_open_some(int exe, pid_t root_of, const char *path,
				  uint64_t entry, const char *const names[]);
void symbols_close(struct symbols *);

/* The address and size of a symbol in the process; 0: it has no such symbol. */
uint64_t symbols_find(const struct symbols *, const char *name, uint64_t *size);

/* Into buf, e.g. "handle", or "0x1234" as addr2line takes it. NULL symbols: the
 * address itself. */
void symbols_name(const struct symbols *, uint64_t address, char *buf,
		  size_t size);

#endif
