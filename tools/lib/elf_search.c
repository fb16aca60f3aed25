// SPDX-License-Identifier: MIT
/*
 * Four functions of libelf, for `make static`. The libelf.a of elfutils 0.192 (Debian
 * 13) lacks the file that defines them, so that no program links with it; earlier and
 * later versions are whole. They keep the pieces of a file that were asked for in a
 * tree of the C library, whose root is the first word of what libelf passes as the tree.
 * Weak, so that those of a libelf.a that has them may take their place.
 */
#ifdef URT_STATIC
#define _GNU_SOURCE
#include <search.h>
#include <stddef.h>

#define LIBELF_MAY_DEFINE __attribute__((weak))

void eu_search_tree_init(void **tree);
void eu_search_tree_fini(void **tree, void (*free_node)(void *));
void *eu_tsearch(const void *key, void **tree, __compar_fn_t compare);
void *eu_tdelete(const void *key, void **tree, __compar_fn_t compare);

LIBELF_MAY_DEFINE void eu_search_tree_init(void **tree)
{
	*tree = NULL;
}

LIBELF_MAY_DEFINE void eu_search_tree_fini(void **tree,
					   void (*free_node)(void *))
{
	tdestroy(*tree, free_node);
}

LIBELF_MAY_DEFINE void *eu_tsearch(const void *key, void **tree,
				   __compar_fn_t compare)
{
	return tsearch(key, tree, compare);
}

LIBELF_MAY_DEFINE void *eu_tdelete(const void *key, void **tree,
				   __compar_fn_t compare)
{
	return tdelete(key, tree, compare);
}
#endif
