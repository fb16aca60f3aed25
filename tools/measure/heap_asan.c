// SPDX-License-Identifier: MIT
/*
 * AddressSanitizer's allocator, of gcc and clang on x86-64, after its sources
 * (compiler-rt: sanitizer_allocator_primary64.h, sanitizer_allocator_size_class_map.h,
 * asan_allocator.cpp).
 *
 * Blocks of up to 128 KiB lie in a space of 4 TiB, in one region of 64 GiB for each
 * size. A region begins with blocks of that size, one after another, and ends with a list
 * of the free blocks, which is a mapping of its own. A header of 16 bytes comes before
 * the bytes of a block; its first byte says whether the block is in use. Free blocks, and
 * blocks that are kept back to catch late uses, are not in use. If the header is not at
 * the block's beginning, a mark and the header's address are there.
 *
 * The space's address is fixed up to gcc 15. Since gcc 16 (Debian sid), it is chosen when
 * the program starts, and what is not in use of the space is memory without access. The
 * first region is never used. So the lowest mapping lies directly above 64 GiB or more
 * without access, whose size tells the number of regions below the mapping, even where
 * the kernel has joined them with memory below the space.
 *
 * Larger blocks have mappings of their own, which are searched as a whole, like any
 * other memory, and so are the frames that detect_stack_use_after_return keeps away from
 * the stacks. The shadow is not searched, because it holds no pointers.
 *
 * A mapping counts as a region only if all its blocks look valid. A block that looks
 * wrong is read once more, because the program may be changing it.
 */
#include "heap_asan.h"

#define SHADOW	   UINT64_C(0x7fff7000)
#define SHADOW_END UINT64_C(0x10007fff8000)
#define REGION	   (UINT64_C(1) << 36)
#define LIST	   (REGION / 8 * 7) /* where it begins, since gcc 16 */
#define SMALLEST   16  /* bytes; up to FINE, each multiple of it is a size */
#define FINE	   256 /* from here on, four sizes for each power of two */
#define CLASSES	   53
#define HEADER	   16
#define MARK	   UINT64_C(0xcc6e96b9cc6e96b9)
#define BAD	   1 /* no valid beginning of a block */

enum state { UNUSED, IN_USE = 2, KEPT_BACK = 3 };

bool heap_asan_shadow(struct heap *h, uint64_t from, uint64_t to)
{
	h->asan |= from == SHADOW;
	return h->asan && to <= SHADOW_END;
}

/* Bytes of a block of the class; 0: there is no such class. */
static uint64_t class_size(uint64_t class)
{
	uint64_t n = class - FINE / SMALLEST, power;

	if (class >= CLASSES)
		return 0;
	if (class <= FINE / SMALLEST)
		return class * SMALLEST;
	power = (uint64_t)FINE << (n >> 2);
	return power + (power >> 2) * (n & 3);
}

void heap_asan_above_none(struct heap *h, uint64_t none, uint64_t from)
{
	if (h->asan && from - none >= REGION && (from - h->asan_space) % REGION)
		h->asan_space = from - (from - none) / REGION * REGION;
}

/* The size of the blocks in a mapping that begins there; 0: it is not in a region.
 * *list: it is the region's list of free blocks. */
static uint64_t size_of(const struct heap *h, uint64_t from, bool *list)
{
	/* Up to LLVM 16 and gcc 13; up to gcc 15; since then. */
	const uint64_t spaces[] = { UINT64_C(0x600000000000),
				    UINT64_C(0x500000000000), h->asan_space };

	for (int i = 0; h->asan && i < 3; i++) {
		uint64_t at = from - spaces[i];

		*list = at % REGION;
		if (!spaces[i] || !at || at >= 64 * REGION)
			continue;
		return i == 2 && *list && at % REGION != LIST
			       ? 0
			       : class_size(at / REGION);
	}
	return 0;
}

/* The address of the bytes of the block; 0: the block is not in use; BAD. */
static uint64_t begin_of(const struct heap *h, uint64_t at, uint64_t size,
			 uint64_t end)
{
	const uint64_t *word = heap_words_at(h, at, 2, end);
	uint64_t header = at;

	if (word && word[0] == MARK) {
		header = word[1];
		if (header - at < HEADER || header - at > size - HEADER)
			return BAD;
		word = heap_words_at(h, header, 2, end);
	}
	if (!word)
		return BAD;
	switch (word[0] & 0xff) {
	case IN_USE:
		return header + HEADER;
	case UNUSED:
	case KEPT_BACK:
		return 0;
	}
	return BAD;
}

bool heap_asan_walk(struct heap *h, uint64_t from, uint64_t to)
{
	bool list;
	uint64_t size = size_of(h, from, &list);
	size_t before = h->blocks;

	if (!size || list)
		return size;
	for (uint64_t at = from; at + size <= to; at += size) {
		uint64_t begin = begin_of(h, at, size, to);

		if (begin == BAD) {
			heap_forget_words(h);
			begin = begin_of(h, at, size, to);
		}
		if (begin == BAD ||
		    (begin && !heap_add_block(h, begin, at + size))) {
			h->blocks = before;
			return false;
		}
	}
	return true;
}
