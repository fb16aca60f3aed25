/* SPDX-License-Identifier: MIT */
/* The blocks of AddressSanitizer's heap; how: heap_asan.c. */
#ifndef URT_HEAP_ASAN_H
#define URT_HEAP_ASAN_H

#include "heap.h"

/* Whether a nameless mapping is its shadow. Called in order of addresses. */
bool heap_asan_shadow(struct heap *, uint64_t from, uint64_t to);

/* Tells it that a nameless mapping begins at `from`, directly above memory without access
 * that begins at `none`. Called in order of addresses. */
void heap_asan_above_none(struct heap *, uint64_t none, uint64_t from);

/* Adds the blocks of a nameless mapping; false: the mapping is not of its allocator. */
bool heap_asan_walk(struct heap *, uint64_t from, uint64_t to);

#endif
