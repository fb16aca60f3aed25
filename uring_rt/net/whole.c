// SPDX-License-Identifier: MIT
/*
 * Whole files: read one, replace one.
 *
 * After a crash, a file that was written in place has neither its old nor its
 * new contents. So a new file is written next to the old one, synced, and
 * renamed (which is atomic); then the directory is synced, without which the
 * rename itself may not survive (ext4, xfs; "All file systems are not created
 * equal", OSDI 2014).
 *
 * Plain system calls clean up, since operations in a cancelled coroutine return
 * before they have begun.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "fd.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#undef errno

#define SIZE_UNKNOWN 4096 /* assumed for a file that does not report one */
#define TRIES	     100  /* names to try for the new file */

/* ---- reading ----------------------------------------------------------- */

/* Room for the size that the file reports and one byte more, which shows its
 * end. */
static ssize_t first_room(int fd, size_t max)
{
	struct stat st;
	size_t size = SIZE_UNKNOWN;

	if (fstat(fd, &st))
		return -*urt_errno_location();
	if (S_ISREG(st.st_mode) && st.st_size > 0) {
		if ((uint64_t)st.st_size > max)
			return -EFBIG;
		size = st.st_size;
	}
	return (size < max ? size : max) + 1;
}

/* Reads up to the end; afterwards len is at most room - 1. */
static ssize_t read_all(int fd, char **data, size_t max, int64_t deadline_ns)
{
	ssize_t room = first_room(fd, max), n;
	size_t len = 0;

	if (room < 0)
		return room;
	*data = urt__sys_alloc(room);
	if (!*data)
		return -ENOMEM;
	while ((n = urt_read(fd, *data + len, room - len, deadline_ns)) > 0) {
		char *more;

		len += n;
		if (len > max)
			return -EFBIG;
		if (len < (size_t)room)
			continue;
		room = room < (ssize_t)(max / 2) ? room * 2 : (ssize_t)max + 1;
		more = urt__sys_realloc(*data, room);
		if (!more)
			return -ENOMEM;
		*data = more;
	}
	return n < 0 ? n : (ssize_t)len;
}

ssize_t urt__read_to_end(int fd, char **data, size_t max, int64_t deadline_ns)
{
	ssize_t len;

	*data = NULL;
	if (max > SSIZE_MAX - 1)
		max = SSIZE_MAX - 1;
	len = read_all(fd, data, max, deadline_ns);
	if (len >= 0) {
		(*data)[len] = '\0';
		return len;
	}
	free(*data);
	*data = NULL;
	return len;
}

ssize_t urt_read_file(const char *path, char **data, size_t max,
		      int64_t deadline_ns)
{
	int fd = urt_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0,
			    deadline_ns);
	ssize_t len;

	*data = NULL;
	if (fd < 0)
		return fd;
	len = urt__read_to_end(fd, data, max, deadline_ns);
	urt_close(fd);
	return len;
}

/* ---- writing ----------------------------------------------------------- */

/* The path of the directory, with its slash, and a new name. */
static void temporary(char *out, size_t size, const char *path)
{
	static _Atomic unsigned count;
	const char *slash = strrchr(path, '/');
	int dir_len = slash ? (int)(slash - path + 1) : 0;

	snprintf(out, size, "%.*s.urt-%d-%u.tmp", dir_len, path, getpid(),
		 atomic_fetch_add(&count, 1));
}

static int open_temporary(char *name, size_t size, const char *path,
			  mode_t mode, int64_t deadline_ns)
{
	int fd = -EEXIST;

	for (int i = 0; i < TRIES && fd == -EEXIST; i++) {
		temporary(name, size, path);
		fd = urt_openat(AT_FDCWD, name,
				O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode,
				deadline_ns);
	}
	return fd;
}

static int write_all(int fd, const char *data, size_t len, int64_t deadline_ns)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = urt_write(fd, data + done, len - done, deadline_ns);

		if (n <= 0)
			return n ? n : -EIO;
		done += n;
	}
	return 0;
}

static int sync_directory(const char *path, int64_t deadline_ns)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? strndup(path, slash - path + 1) : strdup(".");
	int fd, err;

	if (!dir)
		return -ENOMEM;
	fd = urt_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0,
			deadline_ns);
	free(dir);
	if (fd < 0)
		return fd;
	err = urt_fsync(fd, deadline_ns);
	urt_close(fd);
	return err == -EINVAL ? 0 : err; /* the directory needs no sync */
}

int urt_write_file(const char *path, const void *data, size_t len, mode_t mode,
		   int64_t deadline_ns)
{
	char name[PATH_MAX];
	int fd, err, closed;

	if (strlen(path) >= sizeof(name) - 64)
		return -ENAMETOOLONG;
	fd = open_temporary(name, sizeof(name), path, mode, deadline_ns);
	if (fd < 0)
		return fd;
	err = write_all(fd, data, len, deadline_ns);
	if (!err)
		err = urt_fsync(fd, deadline_ns);
	closed = urt_close(fd);
	if (!err)
		err = closed;
	if (!err)
		err = urt_renameat(AT_FDCWD, name, AT_FDCWD, path, 0,
				   deadline_ns);
	if (err) {
		unlink(name);
		return err;
	}
	return sync_directory(path, deadline_ns);
}
