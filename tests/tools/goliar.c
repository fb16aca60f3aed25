// SPDX-License-Identifier: MIT
/*
 * A program that looks like one of Go, with the version and the seed that it is
 * called with, and tells nearly the truth of goroutines that it does not have, and
 * never for long. Prints a line when it begins.
 */
#include "../lib/test.h"
#include <sys/mman.h>

#define GS    400
#define SIZE  1024 /* of each: its block, then its stack */
#define BLOCK 320

struct text {
	const char *at;
	uint64_t len;
};

uint64_t allglen __asm__("runtime.allglen");
uint64_t **allgptr __asm__("runtime.allgptr");
struct text version __asm__("runtime.buildVersion");
struct text reasons[40] __asm__("runtime.waitReasonStrings");
void go_main(void) __asm__("runtime.main");
void go_exit(void) __asm__("runtime.goexit.abi0");
char mark[16] __attribute__((section(".go.buildinfo"))) = "\xff Go buildinf:";

void go_main(void)
{
}

void go_exit(void)
{
}

static uint64_t chance;

/* Sometimes another value. */
static uint64_t nearly(uint64_t v)
{
	return rnd(&chance) % 40 ? v : rnd(&chance) >> rnd(&chance) % 64;
}

/* As go1.26 lays them out. The first one stays as urt expects it. */
static void make(uint64_t *g, bool first)
{
	uint64_t *stack = g + BLOCK / 8;
	unsigned words = (SIZE - BLOCK) / 8, sp = rnd(&chance) % (words / 2);

	for (unsigned i = 0; i < words; i++)
		stack[i] = nearly(i % 2 ? (uintptr_t)go_main + 1
					: (uintptr_t)&stack[i + 2]);
	g[0] = nearly((uintptr_t)stack);
	g[1] = nearly((uintptr_t)(stack + words));
	g[6] = nearly((uintptr_t)g);
	g[7] = g[13] = nearly((uintptr_t)&stack[sp]);
	g[8] = g[14] = nearly((uintptr_t)go_main);
	g[12] = g[15] = nearly((uintptr_t)&stack[(sp + 2) & ~1u]);
	g[18] = nearly(rnd(&chance) % 11 + (rnd(&chance) % 2 ? 0x1000 : 0));
	g[19] = first ? 1 : nearly(rnd(&chance) % GS);
	g[21] = nearly(rnd(&chance));
	g[22] = rnd(&chance);
	g[35] = nearly(1);
	g[36] = nearly((uintptr_t)go_main);
	g[38] = first ? (uintptr_t)go_main : nearly((uintptr_t)go_main);
}

int main(int argc, char **argv)
{
	uint8_t *memory = mmap(NULL, GS * SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t *all[GS];
	unsigned i;

	chance = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	for (i = 0; i < GS; i++)
		make(all[i] = (uint64_t *)(memory + i * SIZE), !i);
	for (i = 0; i < ARRAY_LEN(reasons); i++)
		reasons[i] =
			(struct text){ (char *)(uintptr_t)nearly(
					       (uintptr_t) "chan\x1b receive"),
				       nearly(13) };
	version = (struct text){ argc > 1 ? argv[1] : "", nearly(6) };
	allgptr = all;
	allglen = nearly(GS);
	if (write(1, "\n", 1) != 1)
		return 1;
	for (;;) {
		i = rnd(&chance) % GS;
		make((uint64_t *)(memory + i * SIZE), !i);
		if (i)
			all[i] = (uint64_t *)(uintptr_t)nearly(
				(uintptr_t)(memory + i * SIZE));
	}
}
