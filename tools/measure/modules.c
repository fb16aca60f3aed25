// SPDX-License-Identifier: MIT
/*
 * The mappings of a process; see modules.h. The ELF header and the program
 * headers are read from the process's memory, where the loader put them: so
 * this works for a file that was replaced since, for the vDSO, and in a
 * container. Any program may have written them, so sizes are bounded before
 * use.
 *
 * A file is opened by the kernel's link to the mapping, not by its path. The path
 * may be another file's by now, and it may lead into a FUSE mount whose server
 * never answers. Where the kernel refuses the links, the path is left to the
 * child process that reads the file (symbols.c), for which nobody waits long.
 */
#define _GNU_SOURCE
#include "modules.h"
#include "../lib/proc.h"
#include "../lib/text.h"
#include "../lib/tool.h"
#include "remote.h"
#include "symbols.h"
#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODULES_MAX 4096
#define HEADERS_MAX 64
#define HEADS	    256 /* that are read at a time */
#define HELD_MAX    256
/* The time until functions made at run time are read again; longer if that takes so
 * long that it would hold the program that asks. */
#define MADE_NS	     (20 * NS_PER_MS)
#define MADE_LONG_NS (500 * NS_PER_MS)
#define MADE_REST    10

static struct module *add(struct modules *m)
{
	struct module *more;

	if (m->n == MODULES_MAX)
		return NULL;
	if (!(m->n & (m->n - 1))) { /* 0, 1, 2, 4, ... */
		more = realloc(m->module,
			       (m->n ? 2 * m->n : 1) * sizeof(*more));
		if (!more)
			return NULL;
		m->module = more;
	}
	m->module[m->n] = (struct module){ 0 };
	return &m->module[m->n++];
}

/* One line of maps: a further piece of the last file, or a new one. */
static void take_line(struct modules *m, const char *line)
{
	uint64_t from, to, offset;
	struct module *last = m->n ? &m->module[m->n - 1] : NULL;
	int at = 0;
	char path[256];

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %*s %*s %n",
		   &from, &to, &offset, &at) < 3 ||
	    !at || (line[at] != '/' && strncmp(line + at, "[vdso]", 6)))
		return;
	text_copy(path, sizeof(path), line + at, strlen(line + at));
	if (last && !strcmp(last->path, path) && offset) {
		last->to = to;
		return;
	}
	last = offset ? NULL : add(m);
	if (!last)
		return;
	last->from = from;
	last->to = last->first_to = to;
	strcpy(last->path, path);
}

/* The beginning of a file, in which all linkers put the program headers. */
struct head {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[HEADERS_MAX];
};

static void take_head(pid_t pid, struct module *m, struct head *h)
{
	const Elf64_Ehdr eh = h->eh;
	Elf64_Phdr *ph = h->ph;
	bool loaded = false;
	uint64_t end = 0;

	if (memcmp(eh.e_ident, ELFMAG, SELFMAG) ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_phnum > HEADERS_MAX ||
	    eh.e_phentsize != sizeof(*ph) ||
	    (eh.e_phoff != offsetof(struct head, ph) &&
	     !remote_read(pid, m->from + eh.e_phoff, ph,
			  eh.e_phnum * sizeof(*ph))))
		return;
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD && !loaded) {
			m->bias = m->from - (ph[i].p_vaddr & ~UINT64_C(0xfff));
			loaded = true;
		}
		if (ph[i].p_type == PT_LOAD && ph[i].p_vaddr < UINT64_MAX / 4 &&
		    ph[i].p_memsz < UINT64_MAX / 4 &&
		    ph[i].p_vaddr + ph[i].p_memsz > end)
			end = ph[i].p_vaddr + ph[i].p_memsz;
		if (ph[i].p_type == PT_GNU_EH_FRAME) {
			m->unwind = ph[i].p_vaddr;
			m->unwind_size = ph[i].p_memsz;
		}
		if (ph[i].p_type == PT_DYNAMIC) {
			m->dynamic = ph[i].p_vaddr;
			m->dynamic_size = ph[i].p_memsz;
		}
		if (ph[i].p_type == PT_TLS) {
			m->tls_size = ph[i].p_memsz;
			m->tls_align = ph[i].p_align ? ph[i].p_align : 1;
		}
	}
	/* Node maps a part of its file again, above its compiled functions. */
	if (loaded && m->bias + end > m->from && m->bias + end < m->to)
		m->to = m->bias + end;
	m->unwind += m->unwind ? m->bias : 0;
	m->dynamic += m->dynamic ? m->bias : 0;
	m->entry = m->bias + eh.e_entry;
}

/* Many at a time: on a busy machine, each answer of the process that reads takes some
 * milliseconds (remote.c). */
static void read_heads(struct modules *m)
{
	struct head *head = malloc(HEADS * sizeof(*head));
	struct remote_piece p[HEADS];

	for (size_t i = 0; head && i < m->n; i += HEADS) {
		size_t n = m->n - i < HEADS ? m->n - i : HEADS;

		for (size_t k = 0; k < n; k++)
			p[k] = (struct remote_piece){ m->module[i + k].from,
						      &head[k], sizeof(*head) };
		if (remote_read_all(m->pid, p, n))
			break;
		for (size_t k = 0; k < n; k++)
			if (p[k].size)
				take_head(m->pid, &m->module[i + k], &head[k]);
	}
	free(head);
}

struct modules *modules_open(pid_t pid)
{
	struct modules *m = calloc(1, sizeof(*m));
	FILE *f = m ? remote_file(pid, "maps") : NULL;
	char line[4400];

	if (!f) {
		free(m);
		return NULL;
	}
	m->pid = pid;
	while (proc_next_line(f, line, sizeof(line)))
		take_line(m, line);
	fclose(f);
	read_heads(m);
	return m;
}

void modules_close(struct modules *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++) {
		free(m->module[i].table);
		symbols_close(m->module[i].symbols);
		if (m->module[i].held)
			close(m->module[i].held - 1);
	}
	symbols_close(m->made);
	free(m->module);
	free(m);
}

struct module *modules_at(const struct modules *m, uint64_t address)
{
	size_t low = 0, high = m->n;

	while (low < high) { /* the last one that begins at or before it */
		size_t mid = (low + high) / 2;

		if (m->module[mid].from <= address)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low || address >= m->module[low - 1].to)
		return NULL;
	return &m->module[low - 1];
}

static void hold(pid_t pid, struct module *m, size_t n)
{
	char name[HELD_MAX][REMOTE_NAME];
	struct module *of[HELD_MAX];
	int fd[HELD_MAX];
	size_t some = 0;

	for (size_t i = 0; i < n; i++) {
		if (m[i].entry && !m[i].hold_tried) {
			snprintf(name[some], REMOTE_NAME,
				 "map_files/%" PRIx64 "-%" PRIx64, m[i].from,
				 m[i].first_to);
			of[some++] = &m[i];
		}
		m[i].hold_tried = true;
	}
	remote_open_all(pid, name, fd, some);
	for (size_t i = 0; i < some; i++)
		of[i]->held = fd[i] + 1;
}

void modules_hold(struct modules *m)
{
	hold(m->pid, m->module, m->n < HELD_MAX ? m->n : HELD_MAX);
}

static struct symbols *open_symbols(pid_t pid, struct module *m,
				    const char *const names[])
{
	hold(pid, m, 1);
	return m->entry ? symbols_open_some(m->held - 1, pid, m->path, m->entry,
					    names)
			: NULL;
}

static void read_symbols(pid_t pid, struct module *m)
{
	m->symbols_read = true;
	m->symbols = open_symbols(pid, m, NULL);
	if (m->held)
		close(m->held - 1);
	m->held = 0;
}

/* The program itself lies below its libraries. */
struct symbols *modules_symbols(struct modules *m, const char *const names[])
{
	return m->n ? open_symbols(m->pid, m->module, names) : NULL;
}

/* Their number grows from time to time. */
static void name_made(struct modules *m, uint64_t address, char *buf,
		      size_t size)
{
	int64_t begin = now_ns(), took;

	symbols_name(m->made, address, buf, size);
	if (strncmp(buf, "0x", 2) || begin < m->made_again_ns)
		return;
	symbols_close(m->made);
	m->made = symbols_open_map(m->pid);
	took = now_ns() - begin;
	m->made_again_ns = begin + took +
			   (took < MADE_LONG_NS ? MADE_NS : MADE_REST * took);
	symbols_name(m->made, address, buf, size);
}

void modules_name(struct modules *m, uint64_t address, char *buf, size_t size)
{
	struct module *in = modules_at(m, address);
	const char *base;

	if (!in) {
		name_made(m, address, buf, size);
		return;
	}
	if (!in->symbols_read)
		read_symbols(m->pid, in);
	symbols_name(in->symbols, address, buf, size);
	if (strncmp(buf, "0x", 2))
		return;
	base = strrchr(in->path, '/');
	snprintf(buf, size, "%s+%#" PRIx64, base ? base + 1 : in->path,
		 address - in->bias);
}
