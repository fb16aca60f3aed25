/* SPDX-License-Identifier: MIT */
/* Commands to a running `urt stat`, in the words of perf's --control. */
#ifndef URT_STAT_CONTROL_H
#define URT_STAT_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

enum control {
	CONTROL_NONE,	 /* no whole line has come yet */
	CONTROL_UNKNOWN, /* an unknown word; an error has been printed */
	CONTROL_ENABLE,
	CONTROL_DISABLE,
	CONTROL_PING,
	CONTROL_STOP,
	CONTROL_CLOSED, /* no writer is left */
};

/* The part of a line that has come. */
struct control_line {
	char text[64];
	size_t n;
	bool too_long;
};

/* The command that this byte completes, or CONTROL_NONE. */
enum control control_add(struct control_line *, char c);

/*
 * "fd:N[,M]" or "fifo:COMMANDS[,ANSWERS]": the descriptor of commands and that
 * of answers, or -1. False: it is neither; an error message was printed.
 */
bool control_open(const char *text, int *control_fd, int *ack_fd);

/* The next command, without waiting for one. */
enum control control_read(int control_fd, struct control_line *);

/* Answers, if the other side can take it at once. SIGPIPE must be blocked. */
void control_ack(int ack_fd);

#endif
