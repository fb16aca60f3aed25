// SPDX-License-Identifier: MIT
/*
 * Names of functions, for reports.
 *
 * dladdr(3) knows exported functions only, and a program exports none. Most of
 * its functions, static ones too, are in its symbol table, which is in the file
 * but not in memory. So a report maps the file, and reads it with care, since
 * it may be damaged: all offsets are checked against its size. All of this
 * works in a signal handler: it calls open and mmap, but not malloc.
 */
#define _GNU_SOURCE
#include "watch.h"
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
	const char *data;
	size_t size;
};

/* The n items of that size at an offset; NULL: they are not in the file. */
static const void *at(const struct file *f, uint64_t offset, uint64_t n,
		      size_t size)
{
	if (offset > f->size || n > (f->size - offset) / size || offset % 8)
		return NULL;
	return f->data + offset;
}

static bool open_file(struct file *f, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *map = MAP_FAILED;

	if (fd < 0)
		return false;
	if (!fstat(fd, &st) && st.st_size > (off_t)sizeof(ElfW(Ehdr)))
		map = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return false;
	*f = (struct file){ map, st.st_size };
	return true;
}

/* Copies the name of the function that holds `address`, and where it begins. */
static bool look_in(const struct file *f, const ElfW(Shdr) * table,
		    const ElfW(Shdr) * strings, uintptr_t address, char *name,
		    size_t size, uintptr_t *begins)
{
	size_t n = table->sh_size / sizeof(ElfW(Sym));
	const ElfW(Sym) *s = at(f, table->sh_offset, n, sizeof(*s));
	size_t len;

	for (size_t i = 0; s && i < n; i++) {
		if (ELF64_ST_TYPE(s[i].st_info) != STT_FUNC ||
		    address < s[i].st_value ||
		    address >= s[i].st_value + s[i].st_size ||
		    s[i].st_name >= strings->sh_size ||
		    strings->sh_offset > f->size ||
		    strings->sh_size > f->size - strings->sh_offset)
			continue;
		len = strnlen(f->data + strings->sh_offset + s[i].st_name,
			      strings->sh_size - s[i].st_name);
		snprintf(name, size, "%.*s", (int)len,
			 f->data + strings->sh_offset + s[i].st_name);
		*begins = s[i].st_value;
		return true;
	}
	return false;
}

static bool look_up(const struct file *f, uintptr_t base, uintptr_t pc,
		    char *name, size_t size, uintptr_t *offset)
{
	const ElfW(Ehdr) *e = (const void *)f->data;
	const ElfW(Shdr) * sh;
	uintptr_t begins, address;

	if (memcmp(e->e_ident, ELFMAG, SELFMAG))
		return false;
	address = e->e_type == ET_DYN ? pc - base : pc;
	sh = at(f, e->e_shoff, e->e_shnum, sizeof(*sh));
	for (unsigned i = 0; sh && i < e->e_shnum; i++) {
		if (sh[i].sh_type != SHT_SYMTAB || sh[i].sh_link >= e->e_shnum)
			continue;
		if (look_in(f, &sh[i], &sh[sh[i].sh_link], address, name, size,
			    &begins)) {
			*offset = address - begins;
			return true;
		}
	}
	return false;
}

bool urt__symbol(const void *pc, char *name, size_t size, uintptr_t *offset)
{
	Dl_info info;
	struct file f;
	bool found;

	if (!dladdr(pc, &info) || !info.dli_fname)
		return false;
	if (info.dli_sname) {
		snprintf(name, size, "%s", info.dli_sname);
		*offset = (const char *)pc - (const char *)info.dli_saddr;
		return true;
	}
	/* The program may no longer have the name by which it was started. */
	if (!open_file(&f, strchr(info.dli_fname, '/') ? info.dli_fname
						       : "/proc/self/exe"))
		return false;
	found = look_up(&f, (uintptr_t)info.dli_fbase, (uintptr_t)pc, name,
			size, offset);
	munmap((void *)f.data, f.size);
	return found;
}
