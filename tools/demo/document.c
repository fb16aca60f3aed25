// SPDX-License-Identifier: MIT
/* Results of `urt demo --json`, read from a file or made from a run. */
#define _GNU_SOURCE
#include "document.h"
#include "show/show.h"
#include "../lib/tool.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define DOCUMENT_MAX (64 << 20) /* bytes; a result has some 100 KB */

static bool understood(struct demo_document *d, size_t size, const char *name)
{
	const char *wrong, *schema;

	d->tree = json_tree(d->text, size, &wrong);
	if (!d->tree)
		return !fail("%s is not JSON from byte %zu on", name,
			     wrong - d->text);
	schema = json_text(d->tree, "schema");
	if (schema && !strcmp(schema, "urt.demo.v1"))
		return true;
	return !fail("%s is not a result of `urt demo --json`", name);
}

bool demo_document_from(struct demo_document *d, int fd, const char *path)
{
	size_t size = 0;
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	FILE *to = open_memstream(&d->text, &size);
	char part[65536];
	size_t n, all = 0;
	bool failed;

	d->tree = NULL;
	while (f && to && all <= DOCUMENT_MAX &&
	       (n = fread(part, 1, sizeof(part), f)))
		all += fwrite(part, 1, n, to);
	failed = !f || !to || ferror(f) || all > DOCUMENT_MAX;
	if (failed)
		fail("cannot read %s: %s", path,
		     strerror(all > DOCUMENT_MAX ? EFBIG : errno));
	if (f)
		fclose(f);
	if (to && fclose(to))
		abort(); /* no memory */
	if (!failed && understood(d, size, path))
		return true;
	demo_document_free(d);
	return false;
}

bool demo_document_read(struct demo_document *d, const char *path)
{
	return demo_document_from(d, open(path, O_RDONLY | O_CLOEXEC), path);
}

void demo_document_of(struct demo_document *d, const struct demo *demo)
{
	size_t size;
	FILE *f = open_memstream(&d->text, &size);

	if (!f)
		abort();
	demo_print_json(f, demo);
	if (fclose(f) || !understood(d, size, "the result"))
		abort();
}

void demo_document_free(struct demo_document *d)
{
	json_tree_free(d->tree);
	free(d->text);
}
