// SPDX-License-Identifier: MIT
/* The report: the same result as a page, as Markdown and as JSON. */
#define _GNU_SOURCE
#include "show.h"
#include "../../lib/output.h"
#include "../../lib/tool.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Held from the check on: another user may own the directory above it. */
static int directory = -1;

static int write_one(const struct demo *d, const char *dir, const char *name,
		     void (*print)(FILE *, const struct demo *))
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", directory, name);
	f = output_open(path);
	if (!f)
		return EXIT_BAD;
	print(f, d);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return output_close(f, path);
}

int demo_check_report(const char *dir)
{
	const char *name, *why = NULL;
	char path[4096];
	int parent, err;

	/* "LINK/" would be followed. */
	snprintf(path, sizeof(path), "%s", dir);
	for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
		path[n - 1] = '\0';
	parent = output_parent(path, &name, &why);
	if (parent < 0)
		return fail("cannot make %s: %s", dir,
			    why ? why : strerror(-parent));
	if (!*name)
		name = "."; /* of the root */
	if (mkdirat(parent, name, 0777) && errno != EEXIST)
		return fail("cannot make %s: %s", dir, strerror(errno));
	directory = openat(parent, name,
			   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	err = errno;
	close(parent);
	if (directory < 0)
		return fail("cannot write to %s: %s", dir,
			    err == ENOTDIR
				    ? "it is a link, or no directory: give the "
				      "directory itself"
				    : strerror(err));
	if (faccessat(directory, ".", W_OK | X_OK, 0))
		return fail("cannot write to %s: %s", dir, strerror(errno));
	return 0;
}

int demo_write_report(const struct demo *d, const char *dir)
{
	return write_one(d, dir, "index.html", demo_print_html) ||
	       write_one(d, dir, "report.md", demo_print_markdown) ||
	       write_one(d, dir, "report.json", demo_print_json) ||
	       write_one(d, dir, "waiting.svg", demo_print_picture);
}
