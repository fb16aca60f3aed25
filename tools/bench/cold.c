// SPDX-License-Identifier: MIT
/*
 * A file whose pages are not in memory. It has no name, so it disappears
 * however the program ends; the readers open our descriptor in /proc. Its
 * content is random, in case the file system compresses.
 */
#define _GNU_SOURCE
#include "bench.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define DIR	 "/var/tmp" /* /tmp is often memory */
#define FILE_LEN (128L << 20)
#define PAGE	 4096

static bool fill(int fd)
{
	static uint32_t block[1 << 18];
	uint32_t x = 1;

	for (size_t done = 0; done < FILE_LEN; done += sizeof(block)) {
		for (size_t i = 0; i < ARRAY_LEN(block); i++)
			block[i] = x = x * 1664525 + 1013904223;
		if (write(fd, block, sizeof(block)) != sizeof(block))
			return false;
	}
	return true;
}

static int make(void)
{
	int fd = open(DIR, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char name[64];

	if (fd >= 0 && !fill(fd)) {
		close(fd);
		return -1;
	}
	snprintf(name, sizeof(name), "/proc/%d/fd/%d", getpid(), fd);
	setenv("URT_BENCH_FILE", name, 1);
	return fd;
}

const char *cold_file(void)
{
	static unsigned char in[FILE_LEN / PAGE];
	static int fd = -2; /* not yet made */
	unsigned cached = 0;
	void *map;

	if (fd == -2)
		fd = make();
	if (fd < 0)
		return "no file of 128 MiB can be made in " DIR;
	if (fdatasync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		return "the file in " DIR " cannot be written out";
	map = mmap(NULL, FILE_LEN, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED || mincore(map, FILE_LEN, in))
		return "mincore cannot tell which pages are in memory";
	munmap(map, FILE_LEN);
	for (unsigned i = 0; i < sizeof(in); i++)
		cached += in[i] & 1;
	return cached > sizeof(in) / 100 ? "files in " DIR " stay in memory"
					 : NULL;
}
