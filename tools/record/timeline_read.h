/* SPDX-License-Identifier: MIT */
/* Reading a timeline packet by packet; how: timeline_read.c. */
#ifndef URT_TIMELINE_READ_H
#define URT_TIMELINE_READ_H

#include "timeline_write.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct timeline_reader {
	FILE *f;
	uint8_t *packet; /* the last one */
	uint8_t *block;	 /* packets that were deflated together; or NULL */
	size_t block_size, at;
	bool cut;		     /* the file ended within a packet */
	uint64_t ns;		     /* of the incremental clock */
	uint32_t clock;		     /* of packets that name none */
	char (*name)[TIMELINE_NAME]; /* by number - 1 */
};

/* False: out of memory. */
bool timeline_reader_open(struct timeline_reader *, FILE *);
void timeline_reader_close(struct timeline_reader *);

/* The next packet, for urt__trace_packet__free_unpacked; NULL: there is none. */
Urt__TracePacket *timeline_next(struct timeline_reader *);

#endif
