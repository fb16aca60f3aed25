/* SPDX-License-Identifier: MIT */
/* A reader of JSON (RFC 8259): a document becomes a tree. tool.h writes it. */
#ifndef URT_JSON_TREE_H
#define URT_JSON_TREE_H

#include <stdbool.h>
#include <stddef.h>

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

struct json_value {
	enum json_type type;
	const char *name;	  /* of the member; NULL in an array */
	const char *string;	  /* of JSON_STRING, in UTF-8; U+0000 ends it */
	double number;		  /* of JSON_NUMBER; 0 or 1 of JSON_BOOL */
	struct json_value *child; /* the first one */
	struct json_value *next;  /* its next sibling */
};

/*
 * The tree of a text, which is changed and must outlive it; text[size] must be
 * 0. NULL: not JSON, and *wrong is the place where it stops being so.
 */
struct json_value *json_tree(char *text, size_t size, const char **wrong);
void json_tree_free(struct json_value *);

/* The first member of that name. NULL: there is none, or v is no object. */
const struct json_value *json_member(const struct json_value *v,
				     const char *name);
/* The string of a member; NULL: the member is missing, or no string. */
const char *json_text(const struct json_value *v, const char *name);
/* The number of a member; NaN: the member is missing, or no number. */
double json_number(const struct json_value *v, const char *name);

#endif
