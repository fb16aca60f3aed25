/* SPDX-License-Identifier: MIT */
/*
 * Text of other programs: names of threads, functions and counters are any
 * bytes. Text for a terminal passes through text_clean, so that no name can
 * move the cursor, set the window's title or change the direction of the text;
 * text in JSON passes through json_string (tool.h).
 */
#ifndef URT_TEXT_H
#define URT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Returns the length of the first character of s, and the character in *c. For
 * bytes that are not UTF-8 (RFC 3629): 1, and *c is TEXT_INVALID. s must not be
 * empty.
 */
#define TEXT_INVALID UINT32_MAX
size_t text_next(const char *s, uint32_t *c);

/*
 * Each character that a terminal would obey (C0, DEL, C1, and those that change
 * the direction of writing) and each invalid byte becomes '?', in place.
 */
char *text_clean(char *s);

/* A name of at most n bytes, which need not end with a zero, into buf. */
char *text_copy(char *buf, size_t size, const char *s, size_t n);

/* "12345678" as "12,345,678". */
const char *text_grouped(uint64_t n, char buf[32]);

#endif
