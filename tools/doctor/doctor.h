/* SPDX-License-Identifier: MIT */
/* The findings of `urt doctor`, and its parts. */
#ifndef URT_DOCTOR_H
#define URT_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>

struct finding {
	const char *name;
	bool ok; /* nothing has to be mended */
	char text[1536];
};

void doctor_found(const char *name, bool ok, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The nth finding, from 0; NULL: there are fewer. doctor_forget: none is left. */
const struct finding *doctor_finding(unsigned nth);
void doctor_forget(void);

/* Where this runs: container, namespaces, what is mounted. */
void doctor_look_at_container(void);

/* The operations that the runtime uses, if these are the ring's. */
void doctor_look_at_operations(uint64_t ops);

#endif
