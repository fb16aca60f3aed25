/* SPDX-License-Identifier: MIT */
/*
 * Intrusive, circular, doubly linked list. A node that is on no list points
 * at itself, so removal is safe to ask for twice and membership is a test.
 */
#ifndef URT_BASE_LIST_H
#define URT_BASE_LIST_H

#include "base.h"

struct urt__list {
	struct urt__list *next, *prev;
};

static inline void urt__list_init(struct urt__list *l)
{
	l->next = l->prev = l;
}

static inline bool urt__list_empty(const struct urt__list *l)
{
	return l->next == l;
}

static inline void urt__list_push_back(struct urt__list *l,
				       struct urt__list *node)
{
	node->prev = l->prev;
	node->next = l;
	l->prev->next = node;
	l->prev = node;
}

static inline void urt__list_remove(struct urt__list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	urt__list_init(node);
}

#define urt__list_for_safe(pos, tmp, l)                    \
	for (pos = (l)->next, tmp = pos->next; pos != (l); \
	     pos = tmp, tmp = pos->next)

#endif
