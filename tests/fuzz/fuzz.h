/* SPDX-License-Identifier: MIT */
/*
 * Shared by the fuzz targets. Each defines LLVMFuzzerTestOneInput, which aborts
 * if a condition does not hold. A target runs with libFuzzer (-fsanitize=fuzzer
 * -DLIBFUZZER), or alone (make fuzz), because not every machine has libFuzzer.
 * A target that runs alone mutates the inputs of a corpus for some seconds.
 */
#ifndef URT_FUZZ_H
#define URT_FUZZ_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int fact, const char *what, int line)
{
	if (fact)
		return;
	printf("line %d: not so: %s\n", line, what);
	fflush(stdout);
	abort();
}

#define REQUIRE(fact) require(fact, #fact, __LINE__)

#ifndef LIBFUZZER

#define SEEDS_MAX 64
#define INPUT_MAX 6000

static struct input {
	uint8_t data[INPUT_MAX];
	size_t size;
} seeds[SEEDS_MAX];

static unsigned read_seeds(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	unsigned n = 0;

	while (d && n < SEEDS_MAX && (e = readdir(d))) {
		char path[1024];
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(path, "rb");
		if (!f)
			continue;
		seeds[n].size = fread(seeds[n].data, 1, INPUT_MAX, f);
		fclose(f);
		n++;
	}
	if (d)
		closedir(d);
	return n;
}

static uint64_t state;

/* xorshift64* (Vigna, 2016) */
static uint64_t rnd(uint64_t below)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * UINT64_C(0x2545f4914f6cdd1d) % below;
}

/* Puts a piece of another input over the bytes from `at` on, or between
 * them. */
static void splice_in(struct input *in, const struct input *other, size_t at)
{
	size_t from = other->size ? rnd(other->size) : 0;
	size_t n = other->size ? rnd(other->size - from) + 1 : 0;

	if (at + n > INPUT_MAX)
		n = INPUT_MAX - at;
	if (rnd(2)) {
		size_t rest = in->size - at;

		if (at + n + rest > INPUT_MAX)
			rest = INPUT_MAX - at - n;
		memmove(in->data + at + n, in->data + at, rest);
		in->size = at + n + rest;
	}
	memcpy(in->data + at, other->data + from, n);
	if (at + n > in->size)
		in->size = at + n;
}

static void mutate(struct input *in, unsigned nr_seeds)
{
	size_t at = in->size ? rnd(in->size) : 0, n;

	switch (rnd(6)) {
	case 0: /* another byte */
		in->data[at] = rnd(256);
		break;
	case 1: /* a bit */
		in->data[at] ^= 1 << rnd(8);
		break;
	case 2: /* shorter */
		in->size = at;
		break;
	case 3: /* without some bytes */
		n = in->size ? rnd(in->size - at) + 1 : 0;
		memmove(in->data + at, in->data + at + n, in->size - at - n);
		in->size -= n;
		break;
	case 4:
		splice_in(in, &seeds[rnd(nr_seeds)], at);
		break;
	case 5: /* one byte many times */
		n = rnd(rnd(4) ? 16 : INPUT_MAX - at);
		if (n > INPUT_MAX - at)
			n = INPUT_MAX - at;
		memset(in->data + at, in->data[at], n);
		if (at + n > in->size)
			in->size = at + n;
		break;
	}
}

int main(int argc, char **argv)
{
	unsigned nr_seeds = argc >= 3 ? read_seeds(argv[1]) : 0;
	/* CPU time, so that a busy machine does not try less. */
	clock_t until = argc >= 3 ? atol(argv[2]) * CLOCKS_PER_SEC : 0;
	unsigned long runs = 0;
	static struct input in;

	if (!nr_seeds) {
		fprintf(stderr, "usage: %s CORPUS SECONDS [SEED]\n", argv[0]);
		return 1;
	}
	state = argc > 3 ? strtoull(argv[3], NULL, 0) : (uint64_t)time(NULL);
	state |= 1;
	printf("%s: seed %llu, ", argv[0], (unsigned long long)state);
	fflush(stdout);
	for (unsigned i = 0; i < nr_seeds; i++)
		LLVMFuzzerTestOneInput(seeds[i].data, seeds[i].size);
	while (runs % 1024 || clock() < until) {
		in = seeds[rnd(nr_seeds)];
		for (uint64_t n = rnd(4) + 1; n; n--)
			mutate(&in, nr_seeds);
		LLVMFuzzerTestOneInput(in.data, in.size);
		runs++;
	}
	printf("%lu inputs, none broke it\n", runs);
	return 0;
}
#endif

#endif
