/* SPDX-License-Identifier: MIT */
/* Shared by the commands of urt: errors, numbers, JSON, names. */
#ifndef URT_TOOL_H
#define URT_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define NS_PER_S     INT64_C(1000000000)
#define NS_PER_MS    INT64_C(1000000)

/* Exit codes: 0 fine, 1 the program failed or was used wrongly, 3 an assert
 * failed. */
#define EXIT_BAD    1
#define EXIT_ASSERT 3

/* Prints "urt: ..." and a newline to stderr; returns EXIT_BAD. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Reads a number within [min, max]. False: the text is not one; an error that
 * names option `name` was printed.
 */
bool parse_number(const char *name, const char *text, long min, long max,
		  long *out);

/* CLOCK_MONOTONIC, ns. */
int64_t now_ns(void);
void sleep_ns(int64_t ns);

/* The inode of this process's PID namespace; 0: the first one, or unknown. */
unsigned pid_namespace(void);

/*
 * The number of letters to insert, delete, replace or swap with their neighbour
 * to turn one word into the other (optimal string alignment), in the first 31
 * letters.
 */
unsigned edit_distance(const char *a, const char *b);

/* Least first. */
void sort_doubles(double *, size_t n);

/* ---- JSON: a writer that can produce only JSON ---- */

struct json {
	FILE *out;
	bool comma; /* before the next value */
	bool exact; /* numbers with all digits, else ten */
	int depth;
};

/* name: of the member, or NULL in an array and at the top. */
void json_object(struct json *, const char *name);
void json_array(struct json *, const char *name);
void json_end_object(struct json *);
void json_end_array(struct json *);
/* value: NULL: null. */
void json_string(struct json *, const char *name, const char *value);
void json_int(struct json *, const char *name, int64_t value);
/* Not a finite number: null. */
void json_double(struct json *, const char *name, double value);
void json_null(struct json *, const char *name);
void json_int_or_null(struct json *, const char *name, int64_t value,
		      bool known);

/* ---- names ---- */

/* Of a system call, or "syscall_N" in buf. */
const char *syscall_name(unsigned nr, char buf[32]);
#define SYSCALL_NAMES_MAX 512
/* Of a call in the 32-bit table of a 64-bit kernel. */
const char *syscall_name_32(unsigned nr, char buf[32]);
/* Of an io_uring operation: "RECV"; "OP_N" in buf for an unknown one. */
#define URING_NAMES_MAX 100
const char *uring_op_name(unsigned op, char buf[32]);

#endif
