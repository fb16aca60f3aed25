// SPDX-License-Identifier: MIT
/*
 * Unwind tables of any bytes, in the memory of a program that is made up of the
 * input: its first words are the registers, and all of it is both the stack and the
 * tables, at BASE. Reads stay inside; a stack has at most UNWIND_FRAMES frames.
 */
#include "../../tools/measure/remote.h"
#include "../../tools/measure/unwind.h"
#include "fuzz.h"

#define BASE	 UINT64_C(0x2000)
#define TEXT	 UINT64_C(0x1000) /* its code, which nobody reads */
#define NR_WORDS 3

static const uint8_t *memory;
static size_t length;

/* In the place of the real ones, which read another process. */
bool remote_read(pid_t pid, uint64_t at, void *to, size_t size)
{
	if (at < BASE || at - BASE > length || size > length - (at - BASE))
		return false;
	memcpy(to, memory + (at - BASE), size);
	return true;
}

struct module *modules_at(const struct modules *m, uint64_t address)
{
	return address >= m->module->from ? m->module : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint16_t word[NR_WORDS];
	struct module module = { .from = TEXT, .to = UINT64_MAX };
	struct modules modules = { .n = 1, .module = &module };
	uint64_t pc[UNWIND_FRAMES];
	struct unwind_stack s;
	struct unwind *u;
	unsigned n;
	bool whole;

	if (size < sizeof(word))
		return 0;
	memcpy(word, data, sizeof(word));
	memory = data + sizeof(word);
	length = size - sizeof(word);
	module.unwind = BASE;
	module.unwind_size = length;
	s = (struct unwind_stack){ .from = BASE,
				   .bytes = memory,
				   .size = length,
				   .pc = TEXT + word[0],
				   .sp = BASE + word[1],
				   .fp = BASE + word[2] };
	u = unwind_new(&modules);
	REQUIRE(u != NULL);
	n = unwind(u, &s, pc, &whole);
	REQUIRE(n <= UNWIND_FRAMES && (n || !s.pc));
	/* The rules are remembered. */
	REQUIRE(unwind(u, &s, pc, &whole) == n);
	unwind_free(u);
	free(module.table);
	return 0;
}
