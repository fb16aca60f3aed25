// SPDX-License-Identifier: MIT
/*
 * Finding otel_thread_ctx_v1, the thread-local pointer of OTEP 4947, in a
 * running process, by reading its memory, where the loader has put it.
 *
 * A module that defines it lists it in .dynsym. In the program itself the
 * variable lies at a fixed distance below the thread pointer (x86-64, variant
 * II of TLS). In a library, its relocation gives the place, according to the
 * access model of the library's compilation:
 *
 *	TLSDESC		two words: a function, and the distance from the thread
 *			pointer or the address of {module, offset}
 *	TPOFF		the distance (initial exec)
 *	DTPMOD		{module, offset} (general dynamic)
 *
 * With {module, offset} the variable is in the thread's block of that module,
 * which the BPF program finds by the thread's dynamic vector.
 *
 * A library that reaches the variable as its own (local dynamic, -Bsymbolic, protected
 * visibility) has no relocation for that symbol. Then any relocation for a variable of
 * the library itself, which has symbol number 0, tells where its block is.
 *
 * A program may have thousands of modules with tables as long as it likes, so the
 * search has a limit of time.
 */
#define _GNU_SOURCE
#include "context_find.h"
#include "../../uring_rt/base/outside.h"
#include "../lib/tool.h"
#include "context.h"
#include "coros.h"
#include "modules.h"
#include "remote.h"
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME	    "otel_thread_ctx_v1"
#define DYNAMIC_MAX 128
#define RELA_MAX    (1u << 20)
#define CHAIN_MAX   100000
#define SEARCH_NS   NS_PER_S

/* The addresses in a module's dynamic section. */
struct dynamic {
	uint64_t bias;
	uint64_t symtab, strtab, hash, rela, rela_size, jmprel, jmprel_size;
	bool is_program; /* not a library */
	int64_t end_ns;	 /* of the search */
};

#if defined(__x86_64__)

/* The loader of glibc turns these into addresses; others leave offsets in the
 * file. */
static uint64_t fixed(const struct dynamic *d, uint64_t p)
{
	return p < d->bias ? p + d->bias : p;
}

static void take_entry(struct dynamic *d, const Elf64_Dyn *e)
{
	uint64_t v = e->d_un.d_ptr;

	switch (e->d_tag) {
	case DT_SYMTAB:
		d->symtab = fixed(d, v);
		break;
	case DT_STRTAB:
		d->strtab = fixed(d, v);
		break;
	case DT_GNU_HASH:
		d->hash = fixed(d, v);
		break;
	case DT_RELA:
		d->rela = fixed(d, v);
		break;
	case DT_RELASZ:
		d->rela_size = v;
		break;
	case DT_JMPREL:
		d->jmprel = fixed(d, v);
		break;
	case DT_PLTRELSZ:
		d->jmprel_size = v;
		break;
	case DT_FLAGS_1:
		d->is_program |= v & DF_1_PIE;
		break;
	}
}

static bool read_dynamic(pid_t pid, const struct module *m, struct dynamic *d)
{
	Elf64_Dyn dyn[DYNAMIC_MAX];
	uint64_t n = m->dynamic_size / sizeof(*dyn);

	*d = (struct dynamic){ .bias = m->bias,
			       .is_program = !m->bias,
			       .end_ns = d->end_ns };
	if (n > DYNAMIC_MAX)
		n = DYNAMIC_MAX;
	if (!m->dynamic || !m->tls_size ||
	    !remote_read(pid, m->dynamic, dyn, n * sizeof(*dyn)))
		return false;
	for (unsigned i = 0; i < n && dyn[i].d_tag != DT_NULL; i++)
		take_entry(d, &dyn[i]);
	return d->symtab && d->strtab && d->hash;
}

static uint32_t gnu_hash(const char *s)
{
	uint32_t h = 5381;

	for (; *s; s++)
		h = h * 33 + (uint8_t)*s;
	return h;
}

static bool is_it(pid_t pid, const struct dynamic *d, uint32_t i,
		  Elf64_Sym *sym)
{
	char name[sizeof(NAME)];

	return remote_read(pid, d->symtab + (uint64_t)i * sizeof(*sym), sym,
			   sizeof(*sym)) &&
	       ELF64_ST_TYPE(sym->st_info) == STT_TLS && sym->st_shndx &&
	       remote_read(pid, d->strtab + sym->st_name, name, sizeof(name)) &&
	       !memcmp(name, NAME, sizeof(name));
}

/* Its number in .dynsym, by the module's hash table; 0: it is not there. */
static uint32_t find_symbol(pid_t pid, const struct dynamic *d, Elf64_Sym *sym)
{
	uint32_t head[4], hash = gnu_hash(NAME), i, h;
	uint64_t buckets, chain;

	if (!remote_read(pid, d->hash, head, sizeof(head)) || !head[0])
		return 0;
	buckets = d->hash + 16 + (uint64_t)head[2] * 8;
	chain = buckets + (uint64_t)head[0] * 4;
	if (!remote_read(pid, buckets + hash % head[0] * 4, &i, sizeof(i)) ||
	    i < head[1])
		return 0;
	for (unsigned n = 0; n < CHAIN_MAX && now_ns() < d->end_ns; n++, i++) {
		if (!remote_read(pid, chain + (uint64_t)(i - head[1]) * 4, &h,
				 sizeof(h)))
			return 0;
		if ((h | 1) == (hash | 1) && is_it(pid, d, i, sym))
			return i;
		if (h & 1)
			return 0;
	}
	return 0;
}

static bool is_thread_local(const Elf64_Rela *r)
{
	uint32_t type = ELF64_R_TYPE(r->r_info);

	return type == R_X86_64_TPOFF64 || type == R_X86_64_TLSDESC ||
	       type == R_X86_64_DTPMOD64;
}

/* own: the relocation is for another variable of the library, or for its block; the
 * wanted one is at this offset in the block. Else -1. */
static bool by_relocation(pid_t pid, const struct dynamic *d,
			  const Elf64_Rela *r, int64_t own,
			  struct urt_by_where *w)
{
	uint64_t from_it = own < 0 ? 0 : (uint64_t)own - r->r_addend;
	int64_t word[2], index[2];

	if (now_ns() >= d->end_ns ||
	    !remote_read(pid, d->bias + r->r_offset, word, sizeof(word)))
		return false;
	switch (ELF64_R_TYPE(r->r_info)) {
	case R_X86_64_TPOFF64:
		w->offset = word[0] + from_it;
		return true;
	case R_X86_64_TLSDESC:
		w->offset = word[1] + from_it;
		if (word[1] <= 0)
			return true;
		if (!remote_read(pid, word[1], index, sizeof(index)))
			return false;
		w->module = index[0];
		w->offset = index[1] + from_it;
		return true;
	case R_X86_64_DTPMOD64:
		w->module = word[0];
		w->offset = own < 0 ? word[1] : own;
		return true;
	}
	return false;
}

static bool in_relocations(pid_t pid, const struct dynamic *d, uint64_t at,
			   uint64_t size, uint32_t symbol, int64_t own,
			   struct urt_by_where *w)
{
	bool found = false;
	Elf64_Rela *r;

	if (!at || !size || size > RELA_MAX * sizeof(*r) || !(r = malloc(size)))
		return false;
	if (remote_read(pid, at, r, size))
		for (uint64_t i = 0; i < size / sizeof(*r) && !found; i++)
			found = ELF64_R_SYM(r[i].r_info) == symbol &&
				is_thread_local(&r[i]) &&
				by_relocation(pid, d, &r[i], own, w);
	free(r);
	return found;
}

static bool relocated(pid_t pid, const struct dynamic *d, uint32_t symbol,
		      int64_t own, struct urt_by_where *w)
{
	return in_relocations(pid, d, d->rela, d->rela_size, symbol, own, w) ||
	       in_relocations(pid, d, d->jmprel, d->jmprel_size, symbol, own,
			      w);
}

static bool find_pointer(const struct modules *m, struct urt_by_where *w)
{
	struct dynamic d = { .end_ns = now_ns() + SEARCH_NS };

	for (size_t i = 0; i < m->n && now_ns() < d.end_ns; i++) {
		const struct module *in = &m->module[i];
		Elf64_Sym sym;
		uint32_t symbol;

		if (!read_dynamic(m->pid, in, &d) ||
		    !(symbol = find_symbol(m->pid, &d, &sym)))
			continue;
		if (relocated(m->pid, &d, symbol, -1, w) ||
		    relocated(m->pid, &d, 0, sym.st_value, w))
			return true;
		if (now_ns() >= d.end_ns) /* it was not reached */
			return false;
		/* Only the program itself needs no relocation (local exec). */
		if (i && !d.is_program)
			continue;
		w->offset = sym.st_value - (in->tls_size + in->tls_align - 1) /
						   in->tls_align *
						   in->tls_align;
		w->module = 0;
		return true;
	}
	return false;
}

static bool choose_key(const struct context_keys *k, const char *key,
		       struct urt_by_where *w, char *name, size_t size)
{
	const char *wanted = key ? key : "http.route";

	for (unsigned i = 0; i < k->n; i++)
		if (!strcmp(k->name[i], wanted)) {
			w->key = i;
			snprintf(name, size, "%s", wanted);
			return true;
		}
	if (key || !k->n)
		return false;
	w->key = 0;
	snprintf(name, size, "%s", k->name[0]);
	return true;
}

bool context_find(pid_t pid, const char *key, struct urt_by_where *w,
		  char *name, size_t name_size, char *why, size_t size)
{
	static struct context_keys keys;
	struct urt__outside o;
	struct modules *m;
	bool found;

	*w = (struct urt_by_where){ 0 };
	if (!context_keys_read(pid, &keys)) {
		if (*keys.schema)
			snprintf(why, size,
				 "process %d announces contexts of the schema "
				 "\"%s\", which are n/a here",
				 pid, keys.schema);
		else
			snprintf(why, size,
				 "process %d announces no contexts of threads "
				 "(OTEP 4719, 4947; urt_context_set in urt.h)",
				 pid);
		return false;
	}
	if (!choose_key(&keys, key, w, name, name_size)) {
		snprintf(why, size, "process %d announces no key \"%s\"", pid,
			 key ? key : "");
		return false;
	}
	m = modules_open(pid);
	found = m && find_pointer(m, w);
	modules_close(m);
	if (!found) {
		snprintf(why, size,
			 "process %d announces contexts, but no module of it "
			 "exports " NAME ", or it has too many to find that",
			 pid);
		return false;
	}
	if (coros_outside(pid, &o)) {
		w->runtime = 1;
		w->op_coro = o.op_coro;
		w->block_op = o.block_op;
		w->block_cancel_op = o.block_cancel_op;
		w->block_context = o.block_context;
	}
	return true;
}

#else

bool context_find(pid_t pid, const char *key, struct urt_by_where *w,
		  char *name, size_t name_size, char *why, size_t size)
{
	snprintf(why, size, "contexts are found on x86-64 only");
	return false;
}

#endif
