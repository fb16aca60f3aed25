// SPDX-License-Identifier: MIT
/* Commands to a running `urt stat`; see stat_control.h. One command a line. */
#define _GNU_SOURCE
#include "control.h"
#include "../lib/tool.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool open_numbers(const char *text, int *control_fd, int *ack_fd)
{
	char *end, *last;

	*control_fd = strtol(text, &end, 10);
	if (end == text || (*end && *end != ','))
		return false;
	if (*end == ',') {
		*ack_fd = strtol(end + 1, &last, 10);
		if (*last)
			return false;
	}
	return fcntl(*control_fd, F_GETFD) >= 0 &&
	       (*ack_fd < 0 || fcntl(*ack_fd, F_GETFD) >= 0);
}

/* Both ways, so that it neither waits for the other side nor ends with it. */
static bool open_fifos(const char *text, int *control_fd, int *ack_fd)
{
	char *names = strdup(text), *comma;

	if (!names)
		return false;
	comma = strchr(names, ',');
	if (comma)
		*comma = '\0';
	*control_fd = open(names, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (comma)
		*ack_fd = open(comma + 1, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	free(names);
	return *control_fd >= 0 && (!comma || *ack_fd >= 0);
}

bool control_open(const char *text, int *control_fd, int *ack_fd)
{
	*control_fd = *ack_fd = -1;
	if (!strncmp(text, "fd:", 3) &&
	    open_numbers(text + 3, control_fd, ack_fd))
		return true;
	if (!strncmp(text, "fifo:", 5) &&
	    open_fifos(text + 5, control_fd, ack_fd))
		return true;
	fail("--control: \"%s\" is not fd:N[,M] with open descriptors, nor "
	     "fifo:COMMANDS[,ANSWERS]",
	     text);
	return false;
}

enum control control_read(int control_fd)
{
	char line[64], c = 0;
	size_t n = 0;
	ssize_t got;

	while ((got = read(control_fd, &c, 1)) == 1 && c != '\n')
		if (n < sizeof(line) - 1)
			line[n++] = c;
	line[n] = '\0';
	if (!got && !n)
		return CONTROL_CLOSED;
	if (!strcmp(line, "enable"))
		return CONTROL_ENABLE;
	if (!strcmp(line, "disable"))
		return CONTROL_DISABLE;
	if (!strcmp(line, "ping"))
		return CONTROL_PING;
	if (!strcmp(line, "stop"))
		return CONTROL_STOP;
	fail("--control: \"%s\" is none of enable, disable, ping, stop", line);
	return CONTROL_NOTHING;
}

void control_ack(int ack_fd)
{
	if (ack_fd >= 0 && write(ack_fd, "ack\n", 4) != 4)
		fail("--control: the answer could not be written: %s",
		     strerror(errno));
}
