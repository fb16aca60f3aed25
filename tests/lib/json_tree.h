/* SPDX-License-Identifier: MIT */
/* Objects in the JSON document that a command printed. Not next to tools/lib/tool.h, whose
 * printer of JSON has names of jansson's. */
#ifndef URT_TEST_JSON_TREE_H
#define URT_TEST_JSON_TREE_H

#include <jansson.h>

/* The document, until the next call of a function of this file; NULL if there is none. */
json_t *document(void);
/* The first object that has these members, as json_pack makes them; NULL if there is none. */
json_t *row(const char *section, json_t *members);
/* The first member of that name, at any depth. */
json_t *member(json_t *in, const char *name);
/* As figure(), in one value of the document. */
double value(json_t *in, const char *name);

#endif
