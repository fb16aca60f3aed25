/* SPDX-License-Identifier: MIT */
/* A result that was written as JSON becomes one in memory again. */
#ifndef URT_DEMO_SAVED_H
#define URT_DEMO_SAVED_H

#include "document.h"

/*
 * The options, the machine and all measurements of a document; what is
 * concluded from them is judged anew. False: the document lacks its settings;
 * an error message was printed. d is zeroed before.
 */
bool demo_restore(struct demo *d, const struct demo_document *,
		  const char *path);

#endif
