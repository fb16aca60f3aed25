/*
 * Hashes files in parallel: a channel of work, and as many coroutines as are
 * useful; the disk has many reads in flight, and each CPU hashes.
 *
 *	cc hash.c $(pkg-config --cflags --libs uring_rt) -o hash
 *	./hash FILE...
 *
 * The hash is FNV-1a, 64 bits (Fowler, Noll, Vo): good enough to show, not to
 * sign anything with.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urt.h>

#define READERS 32
#define CHUNK	32768

struct file {
	const char *path;
	uint64_t hash;
	int error;
};

static int hash_file(struct file *f, unsigned char *buf)
{
	int fd = urt_openat(AT_FDCWD, f->path, O_RDONLY | O_CLOEXEC, 0,
			    URT_NEVER);
	ssize_t n;

	if (fd < 0)
		return fd;
	f->hash = UINT64_C(0xcbf29ce484222325);
	while ((n = urt_read(fd, buf, CHUNK, URT_NEVER)) > 0)
		for (ssize_t i = 0; i < n; i++)
			f->hash = (f->hash ^ buf[i]) * UINT64_C(0x100000001b3);
	urt_close(fd);
	return n;
}

static int reader(void *arg)
{
	struct urt_chan *work = arg;
	unsigned char buf[CHUNK]; /* a coroutine's stack has 128 KiB */
	struct file *f;

	/* Until the channel is closed and empty. */
	while (!urt_chan_recv(work, &f, URT_NEVER))
		f->error = hash_file(f, buf);
	return 0;
}

struct job {
	struct file *files;
	int nr_files, error;
};

static void first(void *arg)
{
	struct job *job = arg;
	struct urt_chan *work = urt_chan_new(sizeof(struct file *), READERS);
	struct urt_scope readers;
	int started = 0;

	if (!work)
		errx(1, "out of memory");
	urt_scope_open(&readers, URT_NEVER);
	for (int i = 0; i < READERS; i++)
		started += !urt_scope_go(&readers, reader, work);
	if (!started)
		errx(1, "no memory for a coroutine");
	for (int i = 0; i < job->nr_files; i++)
		urt_chan_send(work, &(struct file *){ &job->files[i] },
			      URT_NEVER);
	urt_chan_close(work);
	job->error = urt_scope_close(&readers);
	urt_chan_free(work);
}

int main(int argc, char **argv)
{
	struct job job = { calloc(argc, sizeof(struct file)), argc - 1, 0 };

	if (!job.files)
		errx(1, "out of memory");
	for (int i = 1; i < argc; i++)
		job.files[i - 1].path = argv[i];
	if (urt_run(first, &job))
		errx(1, "%s", urt_why());
	for (struct file *f = job.files; f < job.files + job.nr_files; f++) {
		if (f->error < 0)
			fprintf(stderr, "%s: %s\n", f->path,
				strerror(-f->error));
		else
			printf("%016" PRIx64 "  %s\n", f->hash, f->path);
		job.error |= f->error;
	}
	free(job.files);
	return job.error ? 1 : 0;
}
