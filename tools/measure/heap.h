/* SPDX-License-Identifier: MIT */
/* The memory of a running process in which pointers may lie: blocks of the heap where
 * these can be told apart, and all other memory as spans; how: heap.c. */
#ifndef URT_HEAP_H
#define URT_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Memory that is searched as a whole. */
struct heap_span {
	uint64_t from, to; /* addresses; to: after the last */
	bool unknown;	   /* an unknown allocator may own it */
	bool guarded;	   /* no access directly below it, as below a stack */
	bool data;	   /* a file's private data */
};

struct heap_block {
	uint64_t from, to;
};

struct heap {
	pid_t pid;
	struct heap_span *span;
	size_t spans;
	struct heap_block *block; /* in order of address */
	size_t blocks;
	uint64_t last;	/* where the last block of the latest walk begins */
	uint64_t top;	/* ... of [heap]; 0: none */
	int pagemap;	/* descriptor, or -1 */
	int64_t end_ns; /* reading ends then; heap_open sets it for walks, and
			   the caller for a search */
	bool asan;	/* AddressSanitizer's shadow has been seen */
	uint64_t asan_space; /* its blocks' space, if its address is no fixed
				one; 0: not seen */
	struct heap_piece *piece; /* the last read, for walks */
};

/* NULL: the process's maps cannot be read, or no memory. */
struct heap *heap_open(pid_t);
void heap_close(struct heap *);

/* Takes a range out of the spans. */
void heap_exclude(struct heap *, uint64_t from, uint64_t to);

/* The block, or the span, that holds the address; -1, NULL: none. */
ssize_t heap_block_at(const struct heap *, uint64_t address);
struct heap_span *heap_span_at(const struct heap *, uint64_t address);

/* Where the nearest guard (MADV_GUARD_INSTALL) between the addresses ends, at most 1 GiB
 * below the upper; 0: there is none, or this is Linux before 6.15, which hides them. */
uint64_t heap_guard_below(const struct heap *, uint64_t from, uint64_t address);

/* Gives the words between two addresses to f, leaving out pages that were never
 * touched. False: f has returned false, or end_ns has passed. */
typedef bool heap_words(const uint64_t *word, size_t n, uint64_t at, void *arg);
bool heap_read(const struct heap *, uint64_t from, uint64_t to, heap_words *f,
	       void *arg);

/* For walks of heaps: n words at an address, all below end, valid until the next call;
 * NULL: they cannot be read. The words may have been read a while ago;
 * heap_forget_words makes the next call read anew. */
const uint64_t *heap_words_at(const struct heap *, uint64_t at, size_t n,
			      uint64_t end);
void heap_forget_words(const struct heap *);
/* False: no memory, or too many blocks. */
bool heap_add_block(struct heap *, uint64_t from, uint64_t to);

#endif
