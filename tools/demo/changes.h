/* SPDX-License-Identifier: MIT */
/* `urt demo --compare`: the changes from one result to another. */
#ifndef URT_DEMO_CHANGES_H
#define URT_DEMO_CHANGES_H

#include "../lib/json_tree.h"
#include "results.h"
#include <stdio.h>

/* A result of `urt demo --json`, as a tree. */
struct demo_document {
	char *text;
	struct json_value *tree;
};

/* False: the file holds none; an error message was printed. */
bool demo_document_read(struct demo_document *, const char *path);
void demo_document_of(struct demo_document *, const struct demo *);
void demo_document_free(struct demo_document *);

void demo_print_changes(FILE *, const struct demo_document *old_result,
			const struct demo_document *new_result);

#endif
