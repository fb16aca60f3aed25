/* SPDX-License-Identifier: MIT */
/* Commands to a running `urt stat`, in the words of perf's --control. */
#ifndef URT_STAT_CONTROL_H
#define URT_STAT_CONTROL_H

#include <stdbool.h>

enum control {
	CONTROL_NOTHING, /* a word that is none of ours; it was said */
	CONTROL_ENABLE,
	CONTROL_DISABLE,
	CONTROL_PING,
	CONTROL_STOP,
	CONTROL_CLOSED, /* nobody will write any more */
};

/*
 * "fd:N[,M]" or "fifo:COMMANDS[,ANSWERS]": where commands come from and, or
 * -1, where "ack" goes. False: it is neither, and it was said why.
 */
bool control_open(const char *text, int *control_fd, int *ack_fd);

/* The next command. */
enum control control_read(int control_fd);
void control_ack(int ack_fd);

#endif
