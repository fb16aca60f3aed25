// SPDX-License-Identifier: MIT
/* Loading the BPF program of the assistance; see assist.h. */
#include "assist.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#ifdef URT_NO_ASSIST /* see the Makefile */
int urt__assist_load(struct urt__assist *a, const struct urt__assisted *whom)
{
	(void)whom;
	*a = (struct urt__assist){ -1, -1 };
	return -ENOTSUP;
}
#else
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wsign-compare"
#include "assist.lskel.h"
#pragma GCC diagnostic pop

/* Duplicates, with close-on-exec, a descriptor that the skeleton will close. */
static int keep(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

int urt__assist_load(struct urt__assist *a, const struct urt__assisted *whom)
{
	struct assist_bpf *bpf = assist_bpf__open();
	int err = bpf ? 0 : -ENOMEM;

	*a = (struct urt__assist){ -1, -1 };
	if (err)
		return err;
	bpf->rodata->target = whom->pid;
	bpf->rodata->ns_dev = whom->ns_dev;
	bpf->rodata->ns_ino = whom->ns_ino;
	bpf->rodata->word_tls = whom->word_tls;
	err = assist_bpf__load(bpf);
	if (!err)
		err = assist_bpf__attach(bpf);
	if (err >= 0) {
		a->ring = keep(bpf->maps.told.map_fd);
		a->link = keep(bpf->links.assist_switch_fd);
		err = a->ring < 0 || a->link < 0 ? -errno : 0;
	}
	assist_bpf__destroy(bpf);
	if (err)
		urt__assist_unload(a);
	return err;
}

#endif

void urt__assist_unload(struct urt__assist *a)
{
	if (a->ring >= 0)
		close(a->ring);
	if (a->link >= 0)
		close(a->link);
	*a = (struct urt__assist){ -1, -1 };
}
