/* SPDX-License-Identifier: MIT */
/* Words of a program that the kernel keeps and gives back later; leaked_kernel.c. */
#ifndef URT_LEAKED_KERNEL_H
#define URT_LEAKED_KERNEL_H

#include "../measure/heap.h"

/* Gives each word to f. False: f has returned false, or end_ns has passed. */
bool leaked_kernel_words(pid_t, int64_t end_ns, heap_words *f, void *arg);

#endif
