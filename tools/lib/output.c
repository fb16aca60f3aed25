// SPDX-License-Identifier: MIT
/*
 * Writing a file safely; see output.h. The file is made under a name of its own
 * (O_EXCL) and renamed, at once or when it is complete: rename(2) replaces a link
 * instead of following it. From then on, only its descriptor is used, and only the
 * directory's descriptor before, which is opened one name at a time.
 */
#define _GNU_SOURCE
#include "output.h"
#include "launch.h"
#include "tool.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LINKS_MAX 40 /* on a path, as in the kernel */

/* Under sudo, what belongs to the caller is ours, too: the caller is trusted with
 * root's rights anyway. */
static bool is_ours(uid_t owner)
{
	struct launch_user caller;

	return owner == geteuid() ||
	       (launch_user_find(NULL, &caller) && owner == caller.uid);
}

/* ---- directories ---- */

struct walk {
	int at; /* the directory so far, or -errno */
	int links;
	const char *why;
};

static void go_to(struct walk *w, int fd)
{
	int err = errno;

	if (w->at >= 0)
		close(w->at);
	w->at = fd < 0 ? -err : fd;
}

/* The link's text, or 0 if its text does not tell where it leads (/proc/PID/cwd). */
static ssize_t read_link(int link, char text[PATH_MAX])
{
	struct statfs fs;
	ssize_t n;

	if (!fstatfs(link, &fs) && fs.f_type == PROC_SUPER_MAGIC)
		return 0;
	n = readlinkat(link, "", text, PATH_MAX);
	if (n == PATH_MAX)
		errno = ENAMETOOLONG;
	return n == PATH_MAX ? -1 : n;
}

static void walk(struct walk *w, const char *path);

/* Goes where the name leads, which is a link, or no directory. */
static void follow(struct walk *w, const char *name)
{
	int link = openat(w->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char text[PATH_MAX];
	struct stat st;
	ssize_t n = -1;

	if (link >= 0 && !fstat(link, &st)) {
		if (!S_ISLNK(st.st_mode)) {
			errno = ENOTDIR;
		} else if (st.st_uid && !is_ours(st.st_uid)) {
			w->why = "a link of another user's is on the way, "
				 "which is not followed";
			errno = EACCES;
		} else if (w->links++ == LINKS_MAX) {
			errno = ELOOP;
		} else {
			n = read_link(link, text);
		}
	}
	if (n > 0) {
		text[n] = '\0';
		walk(w, text);
	} else {
		go_to(w, n < 0 ? -1
			       : openat(w->at, name,
					O_PATH | O_DIRECTORY | O_CLOEXEC));
	}
	if (link >= 0)
		close(link);
}

static void walk(struct walk *w, const char *path)
{
	const int how = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	char name[NAME_MAX + 1];
	size_t n;
	int fd;

	if (*path == '/')
		go_to(w, open("/", how));
	for (; w->at >= 0 && *(path += strspn(path, "/")); path += n) {
		n = strcspn(path, "/");
		snprintf(name, sizeof(name), "%.*s", (int)n, path);
		errno = ENAMETOOLONG;
		fd = n > NAME_MAX ? -1 : openat(w->at, name, how);
		if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
			follow(w, name);
		else
			go_to(w, fd);
	}
}

int output_directory(const char *path, const char **why)
{
	struct walk w = { .at = -1 };

	go_to(&w, open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
	walk(&w, path);
	if (w.why)
		*why = w.why;
	return w.at;
}

int output_parent(const char *path, const char **name, const char **why)
{
	const char *slash = strrchr(path, '/');
	char *parent = strndup(path, slash ? slash - path + 1 : 0);
	int dir = parent ? output_directory(parent, why) : -ENOMEM;

	*name = slash ? slash + 1 : path;
	free(parent);
	return dir;
}

/* ---- files ---- */

/* Makes a file with a name of its own; its descriptor or -errno. */
static int create_new(int dir, char new[OUTPUT_NEW])
{
	uint64_t chance;
	int fd;

	if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
		return -EIO;
	snprintf(new, OUTPUT_NEW, ".urt-%016llx", (unsigned long long)chance);
	fd = openat(dir, new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	return fd < 0 ? -errno : fd;
}

/* Gives the new file its name, or removes it: -errno. */
static int take_name(int dir, const char *new, const char *name)
{
	int err = renameat(dir, new, dir, name) ? -errno : 0;

	if (err)
		unlinkat(dir, new, 0);
	return err;
}

/* Makes the file in the directory; its descriptor or -errno. */
static int create_in(int dir, const char *name)
{
	char new[OUTPUT_NEW];
	int fd = create_new(dir, new),
	    err = fd < 0 ? 0 : take_name(dir, new, name);

	if (err)
		close(fd);
	return err ? err : fd;
}

FILE *output_begin(int dir, char new[OUTPUT_NEW])
{
	int fd = create_new(dir, new);
	FILE *f = fd < 0 ? (errno = -fd, NULL) : fdopen(fd, "w");

	if (!f && fd >= 0) {
		close(fd);
		unlinkat(dir, new, 0);
	}
	return f;
}

int output_replace(FILE *f, int dir, const char *new, const char *name)
{
	int err = ferror(f) ? -EIO : 0;

	if (fclose(f))
		err = -errno;
	if (!err)
		return take_name(dir, new, name);
	unlinkat(dir, new, 0);
	return err;
}

static int create(const char *path, const char **why)
{
	const char *name;
	int dir = output_parent(path, &name, why), fd;
	struct stat st;

	if (dir < 0)
		return dir;
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

static int open_old(const char *path, const char **why)
{
	const char *name;
	int dir = output_parent(path, &name, why), fd;

	if (dir < 0)
		return dir;
	fd = openat(dir, name,
		    O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	close(dir);
	if (fd == -ELOOP)
		*why = "it is a link, which is not followed";
	return fd;
}

FILE *output_append(const char *path)
{
	const char *why = NULL;
	int fd = is_descriptor(path) ? -ENOENT : open_old(path, &why);
	struct stat st;
	FILE *f;
	bool device = fd >= 0 && !fstat(fd, &st) && S_ISCHR(st.st_mode);

	if (device)
		close(fd);
	if (device || fd == -ENOENT)
		return output_open(path);
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
		     why ? why : strerror(fd < 0 ? -fd : errno));
	return f;
}

/* ---- the end ---- */

/* Why a write to the file failed; 0: not known. err: the reason, or 0 if it was lost
 * because an earlier write failed. Then one more byte is written, which fails for the
 * same reason; if it does not, it only adds to a result that is incomplete. */
static int reason(FILE *f, int err)
{
	return err || write(fileno(f), "\n", 1) > 0 ? err : errno;
}

/* Half a result could be taken for a whole one. */
static bool make_empty(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode) &&
	       !(fcntl(fd, F_GETFL) & O_APPEND) && !ftruncate(fd, 0);
}

int output_failed(FILE *f, const char *name)
{
	int err = reason(f, errno);
	bool empty = name && make_empty(fileno(f));

	return fail("cannot write %s%s%s%s",
		    name	  ? name
		    : f == stdout ? "to the standard output"
				  : "the result",
		    err ? ": " : "", err ? strerror(err) : "",
		    empty ? "; it is left empty" : "");
}

int output_flush(FILE *f, const char *name)
{
	errno = 0;
	return fflush(f) | ferror(f) ? output_failed(f, name) : 0;
}

int output_close(FILE *f, const char *name)
{
	int code = output_flush(f, name), err = fclose(f) ? errno : 0;

	return code || !err ? code
			    : fail("cannot write %s: %s", name, strerror(err));
}

int output_end(int code)
{
	return code ? code : output_flush(stdout, NULL);
}

static void nothing(int sig)
{
	(void)sig;
}

/* A command that urt starts has the signal's own effect again, or ignores it as urt
 * was told to. */
void output_begins(void)
{
	struct sigaction before, sa = { .sa_handler = nothing };

	if (!sigaction(SIGXFSZ, NULL, &before) && before.sa_handler == SIG_DFL)
		sigaction(SIGXFSZ, &sa, NULL);
}
