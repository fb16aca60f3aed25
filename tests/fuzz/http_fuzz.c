// SPDX-License-Identifier: MIT
/*
 * The request parser under any bytes. What must be so: a length never more than
 * there was; nothing of a head that is not there yet; the same answer for the
 * same bytes wherever they lie in memory, so that nothing behind them is read
 * (each input is copied to a block of its own size, whose end ASan watches);
 * a whole head stays what it is when more follows it.
 *
 * Two ways to run it: with libFuzzer (-fsanitize=fuzzer), or alone (make fuzz),
 * where the inputs of a corpus are mutated for some seconds, since libFuzzer is
 * not on every machine.
 */
#include "../../tools/models/http.h"
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void require(int fact, const char *what)
{
	if (fact)
		return;
	fprintf(stderr, "http_fuzz: not so: %s\n", what);
	abort();
}

#define REQUIRE(fact) require(fact, #fact)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = size < HTTP_MAX ? size : HTTP_MAX, used, again;
	struct http_request r = { 0 }, more = { 0 };
	char *exact = malloc(len ? len : 1), *longer = malloc(len + 8);

	memcpy(exact, data, len);
	memcpy(longer, data, len);
	memcpy(longer + len, "\r\n\r\nGET ", 8);
	used = http_parse(exact, len, &r);
	REQUIRE(used <= len);
	REQUIRE(len < HTTP_MAX || used);
	if (used && r.route != HTTP_TOO_LARGE) {
		REQUIRE(used >= 4 && !memcmp(exact + used - 4, "\r\n\r\n", 4));
		REQUIRE(r.ms <= HTTP_MAX_MS || r.route == HTTP_BAD);
		again = http_parse(longer, len + 8, &more);
		REQUIRE(again == used && more.route == r.route);
	}
	free(exact);
	free(longer);
	return 0;
}

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

static void mutate(struct input *in, unsigned nr_seeds)
{
	const struct input *other = &seeds[rnd(nr_seeds)];
	size_t at = in->size ? rnd(in->size) : 0, n;

	switch (rnd(5)) {
	case 0: /* another byte */
		in->data[at] = rnd(256);
		break;
	case 1: /* a bit */
		in->data[at] ^= 1 << rnd(8);
		break;
	case 2: /* shorter */
		in->size = at;
		break;
	case 3: /* a piece of another one */
		n = other->size ? rnd(other->size) + 1 : 0;
		if (at + n > INPUT_MAX)
			n = INPUT_MAX - at;
		memcpy(in->data + at, other->data, n);
		if (at + n > in->size)
			in->size = at + n;
		break;
	case 4: /* one byte many times */
		n = rnd(INPUT_MAX - at);
		memset(in->data + at, in->data[at], n);
		if (at + n > in->size)
			in->size = at + n;
		break;
	}
}

int main(int argc, char **argv)
{
	unsigned nr_seeds = argc == 3 ? read_seeds(argv[1]) : 0;
	time_t until = time(NULL) + (argc == 3 ? atol(argv[2]) : 0);
	unsigned long runs = 0;
	static struct input in;

	if (!nr_seeds) {
		fprintf(stderr, "usage: http_fuzz CORPUS SECONDS\n");
		return 1;
	}
	state = time(NULL) | 1;
	printf("seed %llu\n", (unsigned long long)state);
	for (unsigned i = 0; i < nr_seeds; i++)
		LLVMFuzzerTestOneInput(seeds[i].data, seeds[i].size);
	while (runs % 1024 || time(NULL) < until) {
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
