// SPDX-License-Identifier: MIT
/* Commands to a running `urt stat`; see control.h. One command a line. */
#define _GNU_SOURCE
#include "control.h"
#include "../lib/output.h"
#include "../lib/tool.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES_MAX 1024 /* read in one call */

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

/*
 * Opened for reading and writing, so that it neither waits for the other side
 * nor ends with it. In another user's directory, the name may be a link to any
 * file, which would get root's answers: so no link is followed, and only a FIFO
 * is opened.
 */
static int open_fifo(const char *path)
{
	const char *name, *why;
	int dir = output_parent(path, &name, &why), fd = -1;
	int at = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	char own[64];

	if (at >= 0 && !fstat(at, &st) && S_ISFIFO(st.st_mode)) {
		snprintf(own, sizeof(own), "/proc/self/fd/%d", at);
		fd = open(own, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	}
	if (at >= 0)
		close(at);
	if (dir >= 0)
		close(dir);
	return fd;
}

static bool open_fifos(const char *text, int *control_fd, int *ack_fd)
{
	char *names = strdup(text), *comma;

	if (!names)
		return false;
	comma = strchr(names, ',');
	if (comma)
		*comma = '\0';
	*control_fd = open_fifo(names);
	if (comma)
		*ack_fd = open_fifo(comma + 1);
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
	fail("--control: invalid \"%s\": expected fd:N[,M] with open descriptors, or "
	     "fifo:COMMANDS[,ANSWERS] with FIFOs that are not symbolic links",
	     text);
	return false;
}

static enum control command(const char *line)
{
	static const struct {
		const char *word;
		enum control command;
	} words[] = { { "enable", CONTROL_ENABLE },
		      { "disable", CONTROL_DISABLE },
		      { "ping", CONTROL_PING },
		      { "stop", CONTROL_STOP } };

	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		if (!strcmp(line, words[i].word))
			return words[i].command;
	fail("--control: unknown command \"%s\": expected enable, disable, ping "
	     "or stop",
	     line);
	return CONTROL_UNKNOWN;
}

enum control control_add(struct control_line *l, char c)
{
	if (c != '\n' && l->n < sizeof(l->text) - 1) {
		/* A NUL would end the line before its end: "stop\0..." is
		 * not a command. */
		l->text[l->n++] = c ? c : '\1';
		return CONTROL_NONE;
	}
	l->too_long |= c != '\n';
	if (c != '\n')
		return CONTROL_NONE;
	if (l->too_long)
		strcpy(l->text + l->n - 3, "...");
	else
		l->text[l->n] = '\0';
	l->n = 0;
	l->too_long = false;
	return command(l->text);
}

static bool ready(int fd, short what)
{
	struct pollfd p = { fd, what, 0 };

	return poll(&p, 1, 0) > 0;
}

/* Reads byte by byte, as the descriptor may be shared and must not be made
 * non-blocking, and does not wait for the rest of a line. A line may have no
 * end. */
enum control control_read(int control_fd, struct control_line *l)
{
	enum control got = CONTROL_NONE;

	for (int i = 0;
	     i < BYTES_MAX && got == CONTROL_NONE && ready(control_fd, POLLIN);
	     i++) {
		char c;
		ssize_t n = read(control_fd, &c, 1);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0)
			return CONTROL_CLOSED;
		got = control_add(l, c);
	}
	return got;
}

void control_ack(int ack_fd)
{
	if (ack_fd < 0)
		return;
	if (!ready(ack_fd, POLLOUT))
		fail("--control: nobody reads the answers: one was dropped");
	else if (write(ack_fd, "ack\n", 4) != 4)
		fail("--control: the answer could not be written: %s",
		     strerror(errno));
}
