// SPDX-License-Identifier: MIT
/*
 * Writing a file safely; see output.h. The file is made under a name of its own
 * (O_EXCL) and renamed at once: rename(2) replaces a link instead of following
 * it. From then on, only its descriptor is used.
 */
#define _GNU_SOURCE
#include "output.h"
#include "launch.h"
#include "tool.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes the file in the directory; its descriptor or -errno. */
static int create_in(int dir, const char *name)
{
	char other[64];
	uint64_t chance;
	int fd;

	if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
		return -EIO;
	snprintf(other, sizeof(other), ".urt-%016llx",
		 (unsigned long long)chance);
	fd = openat(dir, other, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	if (!renameat(dir, other, dir, name))
		return fd;
	fd = (close(fd), -errno);
	unlinkat(dir, other, 0);
	return fd;
}

static int create(const char *path, const char **why)
{
	const char *slash = strrchr(path, '/');
	char *parent = slash ? strndup(path, slash - path + 1) : strdup(".");
	const char *name = slash ? slash + 1 : path;
	int dir = parent ? open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	int fd = -errno;
	struct stat st;

	free(parent);
	if (dir < 0)
		return fd;
	if (!fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) &&
	    !S_ISREG(st.st_mode)) {
		*why = S_ISLNK(st.st_mode)
			       ? "it is a link, which is not followed: give the "
				 "file itself"
			       : "it exists, and is not a regular file";
		fd = -EEXIST;
	} else {
		fd = create_in(dir, name);
	}
	close(dir);
	return fd;
}

static bool is_descriptor(const char *path)
{
	return !strcmp(path, "/dev/stdout") || !strcmp(path, "/dev/stderr") ||
	       (!strncmp(path, "/dev/fd/", 8) &&
		path[8 + strspn(path + 8, "0123456789")] == '\0');
}

/* Opens one of our descriptors, or a device; -1: the path is neither. /dev also
 * has directories to which all users may write (/dev/shm). */
static int open_device(const char *path)
{
	struct stat st;
	int fd = -1;

	if (is_descriptor(path))
		return open(path, O_WRONLY | O_CLOEXEC);
	if (!strncmp(path, "/dev/", 5))
		fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW |
					O_NONBLOCK);
	if (fd < 0 ||
	    (!fstat(fd, &st) && S_ISCHR(st.st_mode) && !fcntl(fd, F_SETFL, 0)))
		return fd;
	close(fd);
	return -1;
}

FILE *output_open(const char *path)
{
	const char *why = NULL;
	int fd = open_device(path);
	FILE *f;

	if (fd < 0)
		fd = create(path, &why);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f)
		fail("cannot write %s: %s", path, why ? why : strerror(-fd));
	return f;
}

/* Under sudo, the caller's files belong to us, too: the caller could append to
 * them. */
static bool is_ours(uid_t owner)
{
	struct launch_user caller;

	return owner == geteuid() ||
	       (launch_user_find(NULL, &caller) && owner == caller.uid);
}

FILE *output_append(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK |
				    O_CLOEXEC);
	struct stat st;
	FILE *f;
	bool device = fd >= 0 && !fstat(fd, &st) && S_ISCHR(st.st_mode);

	if (device || is_descriptor(path) || (fd < 0 && errno == ENOENT)) {
		close(fd);
		return output_open(path);
	}
	if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode) ||
			st.st_nlink != 1 || !is_ours(st.st_uid))) {
		close(fd);
		fail("cannot append to %s: give a regular file of this user's "
		     "that has only one name",
		     path);
		return NULL;
	}
	f = fd < 0 ? NULL : fdopen(fd, "a");
	if (!f)
		fail("cannot append to %s: %s", path,
		     errno == ELOOP ? "it is a link, which is not followed"
				    : strerror(errno));
	return f;
}

int output_end(int code)
{
	errno = 0;
	if ((fflush(stdout) | ferror(stdout)) && !code)
		code = fail("cannot write to the standard output%s%s",
			    errno ? ": " : "", errno ? strerror(errno) : "");
	return code;
}
