// SPDX-License-Identifier: MIT
/* Runs bpf/registers.bpf.c; see registers.h. */
#include "registers.h"
#include "../lib/tool.h"
#include <linux/types.h>
#include "../../bpf/registers.h"
#include "bpf_setup.h"
#include "registers.skel.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define ROOM (1024 * sizeof(struct registers)) /* bytes of a read */

struct registers_reader {
	struct registers_bpf *bpf;
	struct bpf_link *link;
};

struct registers_reader *registers_open(pid_t pid, char *why, size_t size)
{
	struct registers_reader *r = calloc(1, sizeof(*r));
	int err = -ENOMEM;

	bpf_setup();
	if (r && (r->bpf = registers_bpf__open())) {
		r->bpf->rodata->ns_inum = pid_namespace();
		r->bpf->bss->registers_of = pid;
		err = bpf_load(r->bpf->skeleton);
	}
	if (!err) {
		r->link = bpf_program__attach_iter(r->bpf->progs.read_registers,
						   NULL);
		err = (int)libbpf_get_error(r->link);
	}
	if (!err)
		return r;
	bpf_explain(err, why, size);
	if (r)
		r->link = NULL;
	registers_close(r);
	return NULL;
}

void registers_close(struct registers_reader *r)
{
	if (!r)
		return;
	bpf_link__destroy(r->link);
	registers_bpf__destroy(r->bpf);
	free(r);
}

/* Reads the descriptor to its end; or NULL. */
static char *read_whole(int fd, size_t *size)
{
	size_t room = 0;
	char *all = NULL, *more;
	ssize_t n = 1;

	*size = 0;
	while (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) {
		if (room - *size < ROOM) {
			more = realloc(all, room = 2 * room + ROOM);
			if (!more)
				break;
			all = more;
		}
		n = read(fd, all + *size, room - *size);
		*size += n > 0 ? n : 0;
	}
	if (!n)
		return all;
	free(all);
	return NULL;
}

uint64_t *registers_read(struct registers_reader *r, size_t *n)
{
	int fd = bpf_iter_create(bpf_link__fd(r->link));
	char *all;

	if (fd < 0)
		return NULL;
	all = read_whole(fd, n);
	close(fd);
	*n /= sizeof(uint64_t);
	return (uint64_t *)all;
}
