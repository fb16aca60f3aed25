/* SPDX-License-Identifier: MIT */
/* The memory of a running process, in which pointers may lie: blocks of the heap
 * where they can be told apart, and all else; how: heap.c. */
#ifndef URT_HEAP_H
#define URT_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Memory that is searched as a whole. */
struct heap_span {
	uint64_t from, to; /* addresses; to: after the last */
	bool unknown;	   /* an allocator that is not known may own it */
	bool guarded;	   /* no access directly below it, as below a stack */
};

struct heap_block {
	uint64_t from, to;
};

struct heap {
	pid_t pid;
	struct heap_span *span;
	size_t spans;
	struct heap_block *block; /* by address */
	size_t blocks;
	int pagemap;		  /* descriptor, or -1 */
	int64_t end_ns;		  /* nothing is read any more from then on; set
				   * for walks, and for a search by its maker */
	bool asan;		  /* AddressSanitizer's shadow has been seen */
	struct heap_piece *piece; /* read last, for walks */
};

/* NULL: its maps cannot be read, or no memory. */
struct heap *heap_open(pid_t);
void heap_close(struct heap *);

/* Takes a range out of the spans. */
void heap_exclude(struct heap *, uint64_t from, uint64_t to);

/* The block, or the span, that holds the address; -1, NULL: none. */
ssize_t heap_block_at(const struct heap *, uint64_t address);
struct heap_span *heap_span_at(const struct heap *, uint64_t address);

/* Gives the words in memory between two addresses to f, those of pages that were
 * ever touched. False: f said so, or it is past end_ns. */
typedef bool heap_words(const uint64_t *word, size_t n, uint64_t at, void *arg);
bool heap_read(const struct heap *, uint64_t from, uint64_t to, heap_words *f,
	       void *arg);

/* For walks of heaps: n words at an address, all below end; NULL: they cannot be
 * read. Until the next call. They may have been read a while ago: forget. */
const uint64_t *heap_words_at(const struct heap *, uint64_t at, size_t n,
			      uint64_t end);
void heap_forget_words(const struct heap *);
/* False: no memory, or too many. */
bool heap_add_block(struct heap *, uint64_t from, uint64_t to);

#endif
