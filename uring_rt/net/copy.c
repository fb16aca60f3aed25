// SPDX-License-Identifier: MIT
/*
 * Copies from one descriptor to another.
 *
 * Which way is the best was measured (256 MiB over TCP on loopback, two CPUs):
 *
 *	file to socket     splice through a pipe of 64 KiB is 1.0 to 1.35 times
 *	                   as fast as pread and send; a pipe of 1 MiB is slower
 *	socket to socket   splice is 0.6 to 0.9 times as fast as recv and send
 *	file to file       copy_file_range, which file systems do without copying
 *	                   where they can
 *
 * A kernel thread does each splice of a ring, and is held until the socket has
 * taken all. So splice is used only while the socket can take data now: a slow
 * receiver's bytes go by send, which holds no thread. The first 64 KiB go by
 * send, too: small files are not worth a pipe.
 *
 * If a splice to the socket fails, the bytes in the pipe are thrown away with
 * it; the file's offset counts what was sent, so nothing is lost.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "fd.h"
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#undef errno

#define CHUNK	   ((size_t)65536)    /* of the buffer, and of a pipe */
#define RANGE	   ((size_t)16 << 20) /* in one call of copy_file_range */
#define NOT_SPLICE (-EINVAL)	      /* one of the two sides cannot */

static ssize_t read_from(int fd, bool is_socket, void *buf, size_t len,
			 int64_t deadline_ns)
{
	return is_socket ? urt_recv(fd, buf, len, 0, deadline_ns)
			 : urt_read(fd, buf, len, deadline_ns);
}

/* Writes all of it. 0, or -errno after *done bytes. */
static int write_to(int fd, bool is_socket, const char *buf, size_t len,
		    size_t *done, int64_t deadline_ns)
{
	for (*done = 0; *done < len;) {
		const char *p = buf + *done;
		size_t rest = len - *done;
		ssize_t n = is_socket ? urt_send(fd, p, rest, MSG_NOSIGNAL,
						 deadline_ns)
				      : urt_write(fd, p, rest, deadline_ns);

		if (n <= 0)
			return n ? n : -EIO;
		*done += n;
	}
	return 0;
}

/* ---- file to socket ---------------------------------------------------- */

struct sending {
	int in, out;
	bool to_socket;
	off_t offset; /* of the next byte to be sent */
	char *buf;    /* CHUNK bytes */
	int pipe[2];  /* -1: not made */
	bool no_splice;
};

/* Sends one chunk by the buffer. Returns its length; 0 at the end of the file;
 * -errno, after which a part may have been sent. */
static ssize_t send_buffer(struct sending *s, size_t len, int64_t deadline_ns)
{
	size_t done;
	ssize_t n;
	int err;

	n = urt_pread(s->in, s->buf, len < CHUNK ? len : CHUNK, s->offset,
		      deadline_ns);
	if (n <= 0)
		return n;
	err = write_to(s->out, s->to_socket, s->buf, n, &done, deadline_ns);
	s->offset += done;
	return err ? err : n;
}

static bool takes_now(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, 0) == 1 && p.revents == POLLOUT;
}

/* Sends one chunk by the pipe, likewise. NOT_SPLICE: nothing was done. */
static ssize_t send_pipe(struct sending *s, size_t len, int64_t deadline_ns)
{
	off_t from = s->offset;
	ssize_t n, in_pipe;

	if (s->pipe[0] < 0 && urt__sys_own_pipe(s->pipe, O_CLOEXEC)) {
		s->pipe[0] = s->pipe[1] = -1;
		return NOT_SPLICE;
	}
	n = urt_splice(s->in, &from, s->pipe[1], NULL,
		       len < CHUNK ? len : CHUNK, 0, deadline_ns);
	for (in_pipe = n; in_pipe > 0;) {
		ssize_t sent = urt_splice(s->pipe[0], NULL, s->out, NULL,
					  in_pipe, 0, deadline_ns);

		if (sent == -EAGAIN) { /* non-blocking, and full */
			sent = urt_poll(s->out, POLLOUT, deadline_ns);
			if (sent >= 0)
				continue;
		}
		if (sent <= 0)
			return sent ? sent : -EIO;
		in_pipe -= sent;
		s->offset += sent;
	}
	return n;
}

/* more: the previous chunk was full. */
static ssize_t send_chunk(struct sending *s, size_t len, bool more,
			  int64_t deadline_ns)
{
	ssize_t n = NOT_SPLICE;

	if (more && !s->no_splice && s->to_socket && takes_now(s->out)) {
		n = send_pipe(s, len, deadline_ns);
		s->no_splice = n == NOT_SPLICE;
	}
	if (n == NOT_SPLICE)
		n = send_buffer(s, len, deadline_ns);
	return n;
}

static int send_all(struct sending *s, size_t len, int64_t deadline_ns)
{
	off_t begin = s->offset;
	bool more = false;
	ssize_t n = 1;

	s->buf = urt__sys_alloc(CHUNK);
	if (!s->buf)
		return -ENOMEM;
	while (n > 0 && (size_t)(s->offset - begin) < len) {
		n = send_chunk(s, len - (s->offset - begin), more, deadline_ns);
		more = n == CHUNK;
	}
	for (int i = 0; i < 2; i++)
		if (s->pipe[i] >= 0)
			close(s->pipe[i]);
	free(s->buf);
	return n < 0 ? n : 0;
}

ssize_t urt_sendfile(int out, int in, off_t *offset, size_t len,
		     int64_t deadline_ns)
{
	off_t begin = offset ? *offset : lseek(in, 0, SEEK_CUR);
	struct sending s = { .in = in,
			     .out = out,
			     .to_socket = urt__is_socket(out),
			     .offset = begin,
			     .pipe = { -1, -1 } };
	int err;

	if (begin < 0)
		return offset ? -EINVAL : -*urt_errno_location();
	err = send_all(&s, len, deadline_ns);
	if (offset)
		*offset = s.offset;
	else
		lseek(in, s.offset, SEEK_SET);
	return s.offset > begin || !err ? s.offset - begin : err;
}

/* ---- anything to anything ---------------------------------------------- */

static int copy_by_buffer(int in, int out, size_t len, uint64_t *copied,
			  int64_t deadline_ns)
{
	bool from_socket = urt__is_socket(in), to_socket = urt__is_socket(out);
	char *buf = urt__sys_alloc(CHUNK);
	int err = buf ? 0 : -ENOMEM;

	while (!err && *copied < len) {
		size_t want = len - *copied, done;
		ssize_t n = read_from(in, from_socket, buf,
				      want < CHUNK ? want : CHUNK, deadline_ns);

		if (n <= 0) {
			err = n;
			break;
		}
		err = write_to(out, to_socket, buf, n, &done, deadline_ns);
		*copied += done;
	}
	free(buf);
	return err;
}

struct range {
	int in, out;
	size_t len;
};

static int64_t copy_range(void *arg)
{
	struct range *r = arg;
	ssize_t n = copy_file_range(r->in, NULL, r->out, NULL, r->len, 0);

	return n < 0 ? -*urt_errno_location() : n;
}

/*
 * On the thread pool, a piece at a time, so that the deadline is noticed.
 * Returns whether all was copied. If not, the file systems cannot do it, or the
 * file has no size (/proc), and the rest goes by the buffer.
 */
static bool copy_by_range(int in, int out, size_t len, uint64_t *copied,
			  int64_t deadline_ns, int *err)
{
	*err = 0;
	while (*copied < len && !(*err = urt__given_up(deadline_ns))) {
		struct range r = { in, out, len - *copied };
		int64_t n;

		if (r.len > RANGE)
			r.len = RANGE;
		n = urt_blocking_until(copy_range, &r, deadline_ns);
		if (n <= 0 && !(*err = urt__given_up(deadline_ns)))
			return false;
		if (*err)
			break;
		*copied += n;
	}
	return true;
}

/* An error after some bytes comes with the next call. */
static int copy_to_socket(int in, int out, size_t len, uint64_t *copied,
			  int64_t deadline_ns)
{
	ssize_t n = 0;

	while (*copied < len && (n = urt_sendfile(out, in, NULL, len - *copied,
						  deadline_ns)) > 0)
		*copied += n;
	return n < 0 ? n : 0;
}

static mode_t type_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_mode & S_IFMT;
}

int urt_copy(int in, int out, size_t len, uint64_t *copied, int64_t deadline_ns)
{
	uint64_t none;
	int err;

	if (!copied)
		copied = &none;
	*copied = 0;
	if (type_of(in) == S_IFREG && type_of(out) == S_IFREG &&
	    copy_by_range(in, out, len, copied, deadline_ns, &err))
		return err;
	if (type_of(in) == S_IFREG && type_of(out) == S_IFSOCK)
		return copy_to_socket(in, out, len, copied, deadline_ns);
	return copy_by_buffer(in, out, len, copied, deadline_ns);
}
