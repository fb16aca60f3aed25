/* SPDX-License-Identifier: MIT */
/* What `urt doctor` found, and its parts. */
#ifndef URT_DOCTOR_H
#define URT_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>

/* ok: nothing has to be mended. */
void doctor_found(const char *name, bool ok, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The number in a file; `otherwise`: none. */
long doctor_number(const char *path, long otherwise);

/* Whether a line of the file holds the words. */
bool doctor_file_has(const char *path, const char *what);

/* Where this runs: container, namespaces, what is mounted. */
void doctor_look_at_container(void);

/* The operations that the runtime uses, if these are the ring's. */
void doctor_look_at_operations(uint64_t ops);

#endif
