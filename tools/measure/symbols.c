// SPDX-License-Identifier: MIT
/*
 * Names of functions: the symbol tables of the program's file, sorted. Only
 * the program itself is looked at: coroutines that begin in a shared library
 * are named by address. A stripped program has its exported functions at most.
 */
#define _GNU_SOURCE
#include "symbols.h"
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct function {
	uint64_t at, size;
	char *name;
};

struct symbols {
	uint64_t bias; /* added to addresses in the file */
	size_t n, room;
	struct function *function; /* by address */
};

static void add(struct symbols *s, const GElf_Sym *sym, const char *name)
{
	if (s->n == s->room) {
		size_t room = s->room ? 2 * s->room : 1024;
		void *more = realloc(s->function, room * sizeof(*s->function));

		if (!more)
			return;
		s->function = more;
		s->room = room;
	}
	s->function[s->n] =
		(struct function){ sym->st_value, sym->st_size, strdup(name) };
	s->n += s->function[s->n].name != NULL;
}

static void read_table(struct symbols *s, Elf *elf, Elf_Scn *scn,
		       const GElf_Shdr *head)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	GElf_Sym sym;

	for (int i = 0; data && gelf_getsym(data, i, &sym); i++) {
		const char *name = elf_strptr(elf, head->sh_link, sym.st_name);

		if (GELF_ST_TYPE(sym.st_info) == STT_FUNC && sym.st_value &&
		    name && *name)
			add(s, &sym, name);
	}
}

static int by_address(const void *a, const void *b)
{
	const struct function *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

static void read_file(struct symbols *s, Elf *elf, uint64_t entry)
{
	Elf_Scn *scn = NULL;
	GElf_Ehdr ehdr;
	GElf_Shdr head;

	if (!gelf_getehdr(elf, &ehdr))
		return;
	s->bias = entry - ehdr.e_entry;
	if (s->bias & 0xfff)
		return; /* another program, by exec */
	while ((scn = elf_nextscn(elf, scn)))
		if (gelf_getshdr(scn, &head) &&
		    (head.sh_type == SHT_SYMTAB || head.sh_type == SHT_DYNSYM))
			read_table(s, elf, scn, &head);
	qsort(s->function, s->n, sizeof(*s->function), by_address);
}

struct symbols *symbols_open(pid_t pid, const char *path, uint64_t entry)
{
	struct symbols *s = calloc(1, sizeof(*s));
	char exe[64];
	Elf *elf;
	int fd;

	if (!s)
		return NULL;
	snprintf(exe, sizeof(exe), "/proc/%d/exe", pid);
	fd = open(exe, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	elf_version(EV_CURRENT);
	elf = fd < 0 ? NULL : elf_begin(fd, ELF_C_READ, NULL);
	if (elf)
		read_file(s, elf, entry);
	elf_end(elf);
	if (fd >= 0)
		close(fd);
	if (s->n)
		return s;
	symbols_close(s);
	return NULL;
}

void symbols_close(struct symbols *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		free(s->function[i].name);
	free(s->function);
	free(s);
}

void symbols_name(const struct symbols *s, uint64_t address, char *buf,
		  size_t size)
{
	uint64_t at = s ? address - s->bias : address;
	size_t low = 0, high = s ? s->n : 0;

	while (low < high) { /* the last one that begins at or before it */
		size_t mid = (low + high) / 2;

		if (s->function[mid].at <= at)
			low = mid + 1;
		else
			high = mid;
	}
	if (low && at < s->function[low - 1].at + s->function[low - 1].size)
		snprintf(buf, size, "%s", s->function[low - 1].name);
	else
		snprintf(buf, size, "%#" PRIx64, at);
}
