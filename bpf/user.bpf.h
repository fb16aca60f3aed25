/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Part of count.bpf.c, included once by by.bpf.h: reading the memory of the current
 * process without bpf_probe_read_user, which takes 90 ns for 8 bytes and 102 for 64 on one
 * virtual machine. A program reads a word of kernel memory in 2 ns, and the kernel maps
 * all memory from `user_map` on. So this looks for the page in the process's page table,
 * as the CPU does (20 ns), and remembers the place, as the CPU does, too (8 ns).
 *
 * The kernel may give the page to another use at any time. Before, it removes the page
 * from the page table, then adds 1 to tlb_gen of the address space, then makes the CPUs
 * forget it. So tlb_gen is read before the look into the table, and compared after each
 * read: as long as it has not changed, the page is still there. The number of an address
 * space, ctx_id, is never used again.
 *
 * A wrong address does no harm: it reads as 0, as does memory that the kernel does not
 * map. So what reads 0 where it matters reads again by bpf_probe_read_user.
 *
 * The tool finds `user_map` and tries all of this on its own memory, for a kernel may
 * number pages otherwise (Xen, encrypted memory); if that fails, or the kernel lacks
 * bpf_rdonly_cast (before 6.2), user_map stays 0 and every read is the slow one.
 */
#ifndef URT_USER_BPF_H
#define URT_USER_BPF_H

/* Set by the tool: where the kernel maps physical address 0, and how many levels a
 * page table has. */
unsigned long long user_map = 0;
unsigned int user_levels;

#if defined(__TARGET_ARCH_x86) && !defined(URT_OLD_LIBBPF)
#define USER_FRAME   0x000ffffffffff000ULL
#define USER_PRESENT 5	  /* ... and of the user */
#define USER_LARGE   0x80 /* the entry is of a page, not of a table */

extern void *bpf_rdonly_cast(const void *obj, u32 btf_id) __ksym __weak;

/* Words of kernel memory: a struct that consists of words has to be named. */
static __always_inline const u64 *words_at(const void *at)
{
	return bpf_rdonly_cast(at, bpf_core_type_id_kernel(struct pt_regs));
}

/* A field of a word. For each t->mm, the verifier would search all types of the kernel
 * three times by name. */
#define WORD_OF(p, field)                                       \
	(*words_at((char *)(p) + __builtin_preserve_field_info( \
					 (p)->field, BPF_FIELD_BYTE_OFFSET)))

/* The place of a page of the user in the kernel's map; 0: it is not there. Not static:
 * the verifier looks at it once, not at each call. */
__noinline u64 user_page(u64 table, u64 at)
{
	u64 map = user_map, entry, size;

	if (!bpf_rdonly_cast)
		return 0;
	for (int shift = 48; shift >= 12; shift -= 9) {
		if (shift == 48 && user_levels < 5)
			continue;
		entry = *words_at((void *)(table + (at >> shift & 511) * 8));
		if ((entry & USER_PRESENT) != USER_PRESENT)
			return 0;
		table = map + (entry & USER_FRAME);
		if (shift == 12)
			return table;
		if (!(entry & USER_LARGE))
			continue;
		size = 1ULL << shift;
		return map + (entry & USER_FRAME & ~(size - 1)) +
		       (at & (size - 1) & ~4095ULL);
	}
	return 0;
}

/* Copies n words of t, the current task. False: they have to be read otherwise. */
static __always_inline bool
user_words(struct task_struct *t, struct urt_by_task *b, u64 at, u64 *to, u32 n)
{
	struct urt_by_page *p;
	struct mm_struct *mm;
	const u64 *word;
	u64 gen;

	if (!b || !user_map || !bpf_rdonly_cast || (at & 4095) + n * 8 > 4096 ||
	    at >> (9 * user_levels + 11))
		return false;
	mm = (struct mm_struct *)WORD_OF(t, mm);
	if (!mm)
		return false;
	p = &b->page[at >> 12 & (URT_BY_PAGES - 1)];
	gen = WORD_OF(mm, context.tlb_gen.counter);
	if (p->number != at >> 12 || p->gen != gen ||
	    p->space != WORD_OF(mm, context.ctx_id)) {
		p->space = 0;
		p->place = user_page(WORD_OF(mm, pgd), at);
		if (!p->place)
			return false;
		p->number = at >> 12;
		p->gen = gen;
		p->space = WORD_OF(mm, context.ctx_id);
	}
	word = words_at((void *)(p->place + (at & 4095)));
	for (u32 i = 0; i < n; i++)
		to[i] = word[i];
	barrier();
	return WORD_OF(mm, context.tlb_gen.counter) == gen;
}

/* The tool runs this: it asks where its page table is, and what words lie at an
 * address of the kernel; it is told where user_page finds an address of its own. */
unsigned long long user_table, user_try, user_tried[8], user_own, user_place;

SEC("raw_tp")
int user_test(void *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	const u64 *word;

	if (!bpf_rdonly_cast)
		return 0;
	user_table = WORD_OF((struct mm_struct *)WORD_OF(t, mm), pgd);
	word = words_at((void *)user_try);
	for (int i = 0; i < 8; i++)
		user_tried[i] = word[i];
	user_place = user_map ? user_page(user_table, user_own) : 0;
	return 0;
}
#else
static __always_inline bool
user_words(struct task_struct *t, struct urt_by_task *b, u64 at, u64 *to, u32 n)
{
	return false;
}
#endif

/* Reads n words of t, the current task, whose cache b is, or 0. */
static __always_inline bool
user_read(struct task_struct *t, struct urt_by_task *b, u64 at, u64 *to, u32 n)
{
	return user_words(t, b, at, to, n) ||
	       !bpf_probe_read_user(to, n * 8, (void *)at);
}

#endif
