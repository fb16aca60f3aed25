/* SPDX-License-Identifier: MIT */
/* Registers of a running process's threads, which continue meanwhile; what they are:
 * bpf/registers.bpf.c. */
#ifndef URT_REGISTERS_H
#define URT_REGISTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct registers_reader;

/* NULL: they cannot be read, and why says so. */
struct registers_reader *registers_open(pid_t, char *why, size_t size);
void registers_close(struct registers_reader *);

/* The registers; n: their number. NULL: it failed. The caller frees them. */
uint64_t *registers_read(struct registers_reader *, size_t *n);

#endif
