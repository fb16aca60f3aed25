/* SPDX-License-Identifier: MIT */
/* A result of `urt demo --json`, as a tree. */
#ifndef URT_DEMO_DOCUMENT_H
#define URT_DEMO_DOCUMENT_H

#include "../lib/json_tree.h"
#include "results.h"

struct demo_document {
	char *text;
	struct json_value *tree;
};

/* False: the file has no result; an error message was printed. _from closes fd. */
bool demo_document_from(struct demo_document *, int fd, const char *path);
bool demo_document_read(struct demo_document *, const char *path);
void demo_document_of(struct demo_document *, const struct demo *);
void demo_document_free(struct demo_document *);

#endif
