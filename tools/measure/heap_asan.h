/* SPDX-License-Identifier: MIT */
/* The blocks of a heap that is AddressSanitizer's; how: heap_asan.c. */
#ifndef URT_HEAP_ASAN_H
#define URT_HEAP_ASAN_H

#include "heap.h"

/* Whether a nameless mapping is its shadow. Mappings come by address. */
bool heap_asan_shadow(struct heap *, uint64_t from, uint64_t to);

/* Adds the blocks of a nameless mapping; false: it is not its allocator's. */
bool heap_asan_walk(struct heap *, uint64_t from, uint64_t to);

#endif
