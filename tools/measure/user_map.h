/* SPDX-License-Identifier: MIT */
/* Where the kernel maps all memory, for bpf/user.bpf.h. */
#ifndef URT_USER_MAP_H
#define URT_USER_MAP_H

#include <stdbool.h>

struct count_bpf;

/* Before loading: whether this can be tried. */
void user_map_choose(struct count_bpf *bpf, bool wanted);

/* After loading. If the place is not found, the programs read in another way. */
void user_map_find(struct count_bpf *bpf);

#endif
