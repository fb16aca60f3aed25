// SPDX-License-Identifier: MIT
/*
 * The tables that the compiler left (DWARF's call frame information, .eh_frame,
 * in the program's own memory): for a program counter, where the caller's frame
 * is (the CFA), and where it saved the caller's registers.
 *
 * Only plain rules are followed: CFA = register + number, and registers saved at
 * CFA + number. Compilers use others for odd frames only (realigned stacks,
 * PLT).
 *
 * Any program may have written this input: each read is bounded by its buffer.
 */
#include "cfi.h"
#include "remote.h"
#include <stdlib.h>
#include <string.h>

#define ENTRY_MAX   4096       /* bytes of one description */
#define TABLES_MAX  (1u << 24) /* bytes, of all modules of a process */
#define CFA_NONE    255
#define SAVED_STATE 8

/* ---- bytes ---- */

struct bytes {
	const uint8_t *p, *end;
	uint64_t at; /* address of p in the program */
	bool over;   /* a read went beyond the end */
};

static uint64_t take(struct bytes *b, unsigned n)
{
	uint64_t v = 0;

	if ((size_t)(b->end - b->p) < n) {
		b->over = true;
		b->p = b->end;
		return 0;
	}
	memcpy(&v, b->p, n);
	b->p += n;
	b->at += n;
	return v;
}

/* LEB128; *shift: the number of bits in it, of which the last byte has 7. */
static uint64_t leb(struct bytes *b, unsigned *shift, uint8_t *last)
{
	uint64_t v = 0;

	*shift = 0;
	do {
		*last = take(b, 1);
		if (*shift < 64)
			v |= (uint64_t)(*last & 0x7f) << *shift;
		*shift += 7;
	} while (*last & 0x80 && !b->over);
	return v;
}

static uint64_t uleb(struct bytes *b)
{
	unsigned shift;
	uint8_t last;

	return leb(b, &shift, &last);
}

static int64_t sleb(struct bytes *b)
{
	unsigned shift;
	uint8_t last;
	uint64_t v = leb(b, &shift, &last);

	if (shift < 64 && last & 0x40)
		v |= ~UINT64_C(0) << shift;
	return v;
}

static void skip(struct bytes *b, uint64_t n)
{
	if (n > (uint64_t)(b->end - b->p)) {
		n = b->end - b->p;
		b->over = true;
	}
	b->p += n;
	b->at += n;
}

/* A pointer as its encoding says (LSB, 10.5): absolute or relative to itself. */
static uint64_t pointer(struct bytes *b, uint8_t encoding)
{
	uint64_t here = b->at, v;

	switch (encoding & 0x0f) {
	case 0x01:
		v = uleb(b);
		break;
	case 0x02:
		v = take(b, 2);
		break;
	case 0x03:
		v = take(b, 4);
		break;
	case 0x09:
		v = sleb(b);
		break;
	case 0x0a:
		v = (int16_t)take(b, 2);
		break;
	case 0x0b:
		v = (int32_t)take(b, 4);
		break;
	default:
		v = take(b, 8);
	}
	return (encoding & 0x70) == 0x10 ? v + here : v;
}

/* ---- finding the description ---- */

/*
 * .eh_frame_hdr: version, three encodings, the address of .eh_frame, a count,
 * and a table of pairs of 4 bytes, which all linkers make of one kind.
 */
static void read_table(struct modules *all, struct module *m)
{
	pid_t pid = all->pid;
	uint8_t head[12];
	uint32_t n;

	m->table_read = true;
	if (!m->unwind || m->unwind_size < sizeof(head) ||
	    !remote_read(pid, m->unwind, head, sizeof(head)) || head[0] != 1 ||
	    (head[1] & 0x0f) != 0x0b || head[2] != 0x03 || head[3] != 0x3b)
		return;
	memcpy(&n, head + 8, sizeof(n));
	if (n > (m->unwind_size - sizeof(head)) / 8 ||
	    n > (TABLES_MAX - all->tables) / 8)
		return;
	m->table = malloc(n * 8 + 1);
	if (!m->table)
		return;
	all->tables += n * 8;
	if (remote_read(pid, m->unwind + sizeof(head), m->table, n * 8))
		m->entries = n;
}

/* The address of the description of the function at or before pc; 0. */
static uint64_t description(const struct module *m, uint64_t pc)
{
	int64_t at = pc - m->unwind;
	size_t low = 0, high = m->entries;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (m->table[2 * mid] <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? m->unwind + (int64_t)m->table[2 * low - 1] : 0;
}

/* One entry of .eh_frame, without its length. */
static bool read_entry(pid_t pid, uint64_t at, uint8_t buf[ENTRY_MAX],
		       struct bytes *b)
{
	uint32_t length;

	if (!remote_read(pid, at, &length, sizeof(length)) ||
	    length > ENTRY_MAX || length < 4 ||
	    !remote_read(pid, at + 4, buf, length))
		return false;
	*b = (struct bytes){ .p = buf, .end = buf + length, .at = at + 4 };
	return true;
}

/* The common part of a CIE's functions. */
struct common {
	uint64_t code_align;
	int64_t data_align;
	uint64_t ra;
	uint8_t encoding; /* of addresses */
	bool has_augmentation;
};

static bool read_common(struct bytes *b, struct common *c)
{
	char augmentation[8] = "";
	uint64_t size;
	uint8_t version;

	take(b, 4); /* 0: it is a CIE */
	version = take(b, 1);
	for (unsigned i = 0; i < sizeof(augmentation); i++)
		if (!(augmentation[i] = take(b, 1)))
			break;
	augmentation[sizeof(augmentation) - 1] = '\0';
	c->code_align = uleb(b);
	c->data_align = sleb(b);
	c->ra = version == 1 ? take(b, 1) : uleb(b);
	c->encoding = 0;
	c->has_augmentation = augmentation[0] == 'z';
	if (c->ra >= CFI_REGS)
		return false;
	if (!c->has_augmentation)
		return !augmentation[0] && !b->over;
	size = uleb(b);
	if (size > (uint64_t)(b->end - b->p))
		return false;
	for (const char *a = augmentation + 1; *a && !b->over; a++) {
		if (*a == 'R') {
			c->encoding = take(b, 1);
		} else if (*a == 'P') {
			uint8_t encoding = take(b, 1);

			pointer(b, encoding);
		} else if (*a == 'L') {
			take(b, 1);
		} else if (*a != 'S' && *a != 'B') {
			return false;
		}
	}
	return !b->over;
}

/* An offset in units of the CIE's; any product is one. */
static int64_t scaled(const struct common *c, uint64_t n)
{
	return n * (uint64_t)c->data_align;
}

/* ---- DWARF's machine ---- */

struct machine {
	struct cfi_rule now, first, saved[SAVED_STATE];
	unsigned depth;
	uint64_t at; /* the address that `now` begins to hold for */
	bool odd;    /* a rule that is not followed here */
};

static void set(struct machine *m, uint64_t reg, enum cfi_how how, int64_t off)
{
	if (reg >= CFI_REGS)
		return; /* vector registers and so on */
	m->now.how[reg] = how;
	m->now.off[reg] = off;
}

static void set_cfa(struct machine *m, uint64_t reg, int64_t off)
{
	m->now.cfa_reg = reg < CFI_REGS ? reg : CFA_NONE;
	m->now.cfa_off = off;
}

static void restore(struct machine *m, uint64_t reg)
{
	if (reg < CFI_REGS)
		set(m, reg, m->first.how[reg], m->first.off[reg]);
}

static void push_or_pop(struct machine *m, bool push)
{
	if (push ? m->depth == SAVED_STATE : !m->depth)
		m->odd = true;
	else if (push)
		m->saved[m->depth++] = m->now;
	else
		m->now = m->saved[--m->depth];
}

/* An instruction whose first two bits are 0 (DWARF 4, 7.23). */
static void step(struct machine *m, struct bytes *b, const struct common *c,
		 uint8_t op)
{
	uint64_t reg;

	switch (op) {
	case 0x00: /* nop */
		break;
	case 0x01: /* set_loc */
		m->at = pointer(b, c->encoding);
		break;
	case 0x02: /* advance_loc1, 2, 4 */
	case 0x03:
	case 0x04:
		m->at += take(b, 1u << (op - 2)) * c->code_align;
		break;
	case 0x05: /* offset_extended */
		reg = uleb(b);
		set(m, reg, CFI_AT_CFA, scaled(c, uleb(b)));
		break;
	case 0x06: /* restore_extended */
		restore(m, uleb(b));
		break;
	case 0x07: /* undefined */
		set(m, uleb(b), CFI_UNKNOWN, 0);
		break;
	case 0x08: /* same_value */
		set(m, uleb(b), CFI_SAME, 0);
		break;
	case 0x0a: /* remember_state, restore_state */
	case 0x0b:
		push_or_pop(m, op == 0x0a);
		break;
	case 0x0c: /* def_cfa */
		reg = uleb(b);
		set_cfa(m, reg, uleb(b));
		break;
	case 0x0d: /* def_cfa_register */
		set_cfa(m, uleb(b), m->now.cfa_off);
		break;
	case 0x0e: /* def_cfa_offset */
		m->now.cfa_off = uleb(b);
		break;
	case 0x0f: /* def_cfa_expression */
		skip(b, uleb(b));
		m->now.cfa_reg = CFA_NONE;
		break;
	case 0x10: /* expression, val_expression */
	case 0x16:
		set(m, uleb(b), CFI_UNKNOWN, 0);
		skip(b, uleb(b));
		break;
	case 0x11: /* offset_extended_sf */
		reg = uleb(b);
		set(m, reg, CFI_AT_CFA, scaled(c, sleb(b)));
		break;
	case 0x12: /* def_cfa_sf */
		reg = uleb(b);
		set_cfa(m, reg, scaled(c, sleb(b)));
		break;
	case 0x13: /* def_cfa_offset_sf */
		m->now.cfa_off = scaled(c, sleb(b));
		break;
	case 0x2e: /* GNU_args_size */
		uleb(b);
		break;
	default:
		m->odd = true;
	}
}

/* Runs the instructions up to the first that concerns code after pc. */
static void execute(struct machine *m, struct bytes *b, const struct common *c,
		    uint64_t pc)
{
	while (b->p < b->end && !b->over && !m->odd) {
		uint8_t op = take(b, 1), low = op & 0x3f;

		if (op >> 6 == 1)
			m->at += low * c->code_align;
		else if (op >> 6 == 2)
			set(m, low, CFI_AT_CFA, scaled(c, uleb(b)));
		else if (op >> 6 == 3)
			restore(m, low);
		else
			step(m, b, c, op);
		if (m->at > pc)
			return;
	}
}

/* From the description of its function, and the CIE of that. */
bool cfi_find(struct modules *all, uint64_t pc, struct cfi_rule *r)
{
	struct module *mod = modules_at(all, pc);
	uint8_t common_buf[ENTRY_MAX], own_buf[ENTRY_MAX];
	struct bytes common, own;
	struct machine m = { 0 };
	struct common c = { 0 };
	uint64_t at, from, size, back;
	pid_t pid = all->pid;

	if (!mod)
		return false;
	if (!mod->table_read)
		read_table(all, mod);
	at = description(mod, pc);
	if (!at || !read_entry(pid, at, own_buf, &own))
		return false;
	back = own.at;
	back -= take(&own, 4); /* from here back to the CIE */
	if (back == own.at - 4 || !read_entry(pid, back, common_buf, &common) ||
	    !read_common(&common, &c))
		return false;
	from = pointer(&own, c.encoding);
	size = pointer(&own, c.encoding & 0x0f);
	if (pc < from || pc - from >= size)
		return false; /* between functions that have one */
	if (c.has_augmentation)
		skip(&own, uleb(&own));
	m.at = from;
	m.now.how[CFI_RA] = CFI_UNKNOWN;
	execute(&m, &common, &c, UINT64_MAX);
	m.first = m.now;
	execute(&m, &own, &c, pc);
	*r = m.now;
	if (c.ra != CFI_RA) {
		r->how[CFI_RA] = r->how[c.ra];
		r->off[CFI_RA] = r->off[c.ra];
	}
	return !m.odd && !own.over && r->cfa_reg != CFA_NONE;
}
