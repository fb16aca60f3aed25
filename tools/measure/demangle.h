/* SPDX-License-Identifier: MIT */
/* Names of functions in C++ and Rust as people write them; demangle.c. */
#ifndef URT_DEMANGLE_H
#define URT_DEMANGLE_H

#include <stdbool.h>
#include <stddef.h>

/* Writes the name, cut to the size. False: it is no mangled name, or one that is not
 * understood; then `to` is "". */
bool demangle(const char *mangled, char *to, size_t size);

#endif
