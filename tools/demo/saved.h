/* SPDX-License-Identifier: MIT */
/* Reads a result that was written as JSON. */
#ifndef URT_DEMO_SAVED_H
#define URT_DEMO_SAVED_H

#include "document.h"

/*
 * The options, the machine and all measurements of a document; the conclusions
 * are judged anew. False: the document lacks its settings; an error message was
 * printed. d is zeroed before.
 */
bool demo_restore(struct demo *d, const struct demo_document *,
		  const char *path);

#endif
