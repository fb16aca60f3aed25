/* SPDX-License-Identifier: MIT */
/* The findings of `urt doctor`, and its parts. */
#ifndef URT_DOCTOR_H
#define URT_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>

struct finding {
	const char *name;
	bool ok; /* nothing is missing */
	char text[1536];
};

void doctor_found(const char *name, bool ok, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The nth finding, from 0; NULL: there are fewer. doctor_forget removes all. */
const struct finding *doctor_finding(unsigned nth);
void doctor_forget(void);

/* The environment: container, namespaces, mounts. */
void doctor_look_at_container(void);

/* Reports the operations that the runtime uses, for a ring that has these. */
void doctor_look_at_operations(uint64_t ops);

#endif
