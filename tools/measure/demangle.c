// SPDX-License-Identifier: MIT
/*
 * The linker's names of functions in C++ and older Rust ("_ZN4node2fs8OpenFileEv"),
 * turned into names of the language ("node::fs::OpenFile"). The grammar is the Itanium
 * C++ ABI's: https://itanium-cxx-abi.github.io/cxx-abi/abi.html#mangling
 *
 * Types of parameters are left out, and template arguments become "<...>": they are
 * often longer than a line, and seldom tell functions apart. So types are only skipped,
 * and the table of substitutions is not kept. What this does not understand, such as
 * expressions in template arguments, stays mangled.
 *
 * The names come from files of other programs. Each step consumes at least one byte, and
 * nesting is bounded.
 */
#include "demangle.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NESTED_MAX 64

struct demangler {
	const char *p; /* the part that has not been read */
	char *to;
	size_t size, len; /* of `to`; len may exceed it */
	const char *last; /* the last source name, for constructors */
	size_t last_len;  /* bytes */
	unsigned muted, depth, hash; /* hash: the last name was Rust's hash */
	size_t before_hash;	     /* len before it */
};

static bool skip_type(struct demangler *d);
static bool encoding(struct demangler *d);

static void put(struct demangler *d, const char *text, size_t n)
{
	if (d->muted)
		return;
	for (size_t i = 0; i < n; i++, d->len++)
		if (d->len + 1 < d->size)
			d->to[d->len] = text[i];
}

static void puts_to(struct demangler *d, const char *text)
{
	put(d, text, strlen(text));
}

static bool eat(struct demangler *d, const char *text)
{
	size_t n = strlen(text);

	if (strncmp(d->p, text, n))
		return false;
	d->p += n;
	return true;
}

static void skip_digits(struct demangler *d)
{
	while (isalnum((unsigned char)*d->p) && !islower((unsigned char)*d->p))
		d->p++;
}

/* "_", or digits and "_". */
static bool number_(struct demangler *d)
{
	skip_digits(d);
	return eat(d, "_");
}

/* ---- Rust ---- */

static const struct {
	const char *escape, *text;
} rust[] = { { "$LT$", "<" },  { "$GT$", ">" },	  { "$RF$", "&" },
	     { "$BP$", "*" },  { "$LP$", "(" },	  { "$RP$", ")" },
	     { "$C$", "," },   { "$SP$", "@" },	  { "$u20$", " " },
	     { "$u7b$", "{" }, { "$u7d$", "}" },  { "$u27$", "'" },
	     { "$u5b$", "[" }, { "$u5d$", "]" },  { "$u3b$", ";" },
	     { "$u2b$", "+" }, { "$u22$", "\"" }, { "$u7e$", "~" },
	     { "..", "::" } };

static void put_name(struct demangler *d, const char *name, size_t n)
{
	size_t i = n > 1 && name[0] == '_' && name[1] == '$';

	while (i < n) {
		unsigned k = 0, all = sizeof(rust) / sizeof(*rust);

		while (k < all && (strlen(rust[k].escape) > n - i ||
				   strncmp(name + i, rust[k].escape,
					   strlen(rust[k].escape))))
			k++;
		if (k < all) {
			puts_to(d, rust[k].text);
			i += strlen(rust[k].escape);
		} else {
			put(d, name + i++, 1);
		}
	}
}

/* "17h" and 16 digits end a name of Rust. */
static bool is_hash(const char *name, size_t n)
{
	return n == 17 && name[0] == 'h' &&
	       strspn(name + 1, "0123456789abcdef") >= 16;
}

/* ---- names ---- */

static bool source_name(struct demangler *d)
{
	char *end;
	unsigned long n = strtoul(d->p, &end, 10);

	if (!n || n > strlen(end))
		return false;
	d->p = end + n;
	if (!d->muted) {
		d->last = end;
		d->last_len = n;
		d->hash = is_hash(end, n);
	}
	if (!strncmp(end, "_GLOBAL__N", 10))
		puts_to(d, "(anonymous namespace)");
	else
		put_name(d, end, n);
	while (eat(d, "B")) { /* tags */
		n = strtoul(d->p, &end, 10);
		if (!n || n > strlen(end))
			return false;
		d->p = end + n;
	}
	return true;
}

static const char operators[][2][12] = {
	{ "nw", " new" },      { "na", " new[]" }, { "dl", " delete" },
	{ "da", " delete[]" }, { "ps", "+" },	   { "ng", "-" },
	{ "ad", "&" },	       { "de", "*" },	   { "co", "~" },
	{ "pl", "+" },	       { "mi", "-" },	   { "ml", "*" },
	{ "dv", "/" },	       { "rm", "%" },	   { "an", "&" },
	{ "or", "|" },	       { "eo", "^" },	   { "aS", "=" },
	{ "pL", "+=" },	       { "mI", "-=" },	   { "mL", "*=" },
	{ "dV", "/=" },	       { "rM", "%=" },	   { "aN", "&=" },
	{ "oR", "|=" },	       { "eO", "^=" },	   { "ls", "<<" },
	{ "rs", ">>" },	       { "lS", "<<=" },	   { "rS", ">>=" },
	{ "eq", "==" },	       { "ne", "!=" },	   { "lt", "<" },
	{ "gt", ">" },	       { "le", "<=" },	   { "ge", ">=" },
	{ "ss", "<=>" },       { "nt", "!" },	   { "aa", "&&" },
	{ "oo", "||" },	       { "pp", "++" },	   { "mm", "--" },
	{ "cm", "," },	       { "pm", "->*" },	   { "pt", "->" },
	{ "cl", "()" },	       { "ix", "[]" },
};

static bool operator_name(struct demangler *d)
{
	bool ok;

	for (unsigned i = 0; i < sizeof(operators) / sizeof(*operators); i++)
		if (eat(d, operators[i][0])) {
			puts_to(d, "operator");
			puts_to(d, operators[i][1]);
			return true;
		}
	if (!eat(d, "cv"))
		return false;
	puts_to(d, "operator type");
	d->muted++;
	ok = skip_type(d);
	d->muted--;
	return ok;
}

/* Types or template arguments, up to "E". */
static bool skip_types(struct demangler *d)
{
	bool ok = true;

	d->muted++;
	while (ok && *d->p && *d->p != 'E')
		ok = skip_type(d);
	d->muted--;
	return ok && eat(d, "E");
}

static bool unqualified(struct demangler *d)
{
	eat(d, "L"); /* known in its file only */
	if (isdigit((unsigned char)*d->p))
		return source_name(d);
	if (eat(d, "Ul")) {
		puts_to(d, "{lambda}");
		return skip_types(d) && number_(d);
	}
	if (eat(d, "Ut")) {
		puts_to(d, "{unnamed}");
		return number_(d);
	}
	if ((*d->p == 'C' || *d->p == 'D') && isdigit((unsigned char)d->p[1]) &&
	    d->last) {
		puts_to(d, *d->p == 'D' ? "~" : "");
		put(d, d->last, d->last_len);
		d->p += 2;
		return true;
	}
	return operator_name(d);
}

static bool arguments(struct demangler *d)
{
	if (!eat(d, "I"))
		return true;
	puts_to(d, "<...>");
	return skip_types(d);
}

/* "St" and its like; the rest of a name may follow "St". False: another substitution. */
static bool standard(struct demangler *d)
{
	static const char names[][2][16] = {
		{ "Sa", "allocator" }, { "Sb", "basic_string" },
		{ "Ss", "string" },    { "Si", "istream" },
		{ "So", "ostream" },   { "Sd", "iostream" },
	};

	if (eat(d, "St")) {
		puts_to(d, "std");
		return true;
	}
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (eat(d, names[i][0])) {
			puts_to(d, "std::");
			puts_to(d, names[i][1]);
			if (!d->muted) {
				d->last = names[i][1];
				d->last_len = strlen(d->last);
			}
			return true;
		}
	/* A part that is not printed may have any. */
	return d->muted && eat(d, "S") && number_(d);
}

/* After "N", up to its "E". */
static bool nested(struct demangler *d)
{
	bool first = true;

	d->p += strspn(d->p, "rVK");
	d->p += *d->p == 'R' || *d->p == 'O';
	while (*d->p && *d->p != 'E') {
		if (*d->p == 'I') {
			if (first || !arguments(d))
				return false;
			continue;
		}
		d->before_hash = d->len;
		if (!first)
			puts_to(d, "::");
		if (*d->p == 'T'   ? !d->muted || !skip_type(d)
		    : *d->p == 'S' ? !standard(d)
				   : !unqualified(d))
			return false;
		first = false;
	}
	return !first && eat(d, "E");
}

/* After "Z": a name in a function. */
static bool local(struct demangler *d)
{
	if (!encoding(d) || !skip_types(d))
		return false;
	puts_to(d, "::");
	if (eat(d, "s")) {
		puts_to(d, "string");
		return true;
	}
	if (eat(d, "d") && !number_(d)) /* in a default argument */
		return false;
	if (eat(d, "N") ? !nested(d) : !unqualified(d))
		return false;
	if (eat(d, "__"))
		return number_(d);
	if (eat(d, "_"))
		skip_digits(d);
	return true;
}

static bool name(struct demangler *d)
{
	bool ok;

	if (++d->depth > NESTED_MAX)
		return false;
	if (eat(d, "N"))
		ok = nested(d);
	else if (eat(d, "Z"))
		ok = local(d);
	else if (eat(d, "St")) {
		puts_to(d, "std::");
		ok = unqualified(d) && arguments(d);
	} else if (*d->p == 'S')
		ok = standard(d) && arguments(d);
	else
		ok = unqualified(d) && arguments(d);
	d->depth--;
	return ok;
}

/* A function, without its parameters. "T": it adjusts `this`, and calls another. */
static bool encoding(struct demangler *d)
{
	if (eat(d, "Th"))
		return (eat(d, "n"), number_(d)) && encoding(d);
	if (eat(d, "Tv"))
		return (eat(d, "n"), number_(d)) && (eat(d, "n"), number_(d)) &&
		       encoding(d);
	return name(d);
}

/* ---- types ---- */

static bool skip_literal(struct demangler *d)
{
	if (*d->p == '_' || !skip_type(d))
		return false;
	d->p += strspn(d->p, "0123456789abcdefn");
	return eat(d, "E");
}

static bool skip_one(struct demangler *d)
{
	switch (*d->p++) {
	case 'P':
	case 'R':
	case 'O':
	case 'K':
	case 'V':
	case 'r':
	case 'C':
	case 'G':
		return skip_type(d);
	case 'M':
		return skip_type(d) && skip_type(d);
	case 'A':
		return isdigit((unsigned char)*d->p) || *d->p == '_'
			       ? number_(d) && skip_type(d)
			       : false;
	case 'F':
	case 'J':
		return skip_types(d);
	case 'L':
		return skip_literal(d);
	case 'T':
		return number_(d) && arguments(d);
	case 'u':
		return source_name(d);
	case 'U':
		return source_name(d) && arguments(d) && skip_type(d);
	case 'D':
		if (eat(d, "p") || eat(d, "o"))
			return skip_type(d);
		return *d->p && strchr("nacisufdeh", *d->p++);
	case 'S':
	case 'N':
	case 'Z':
		d->p--;
		return name(d);
	default:
		d->p--;
		if (isdigit((unsigned char)*d->p))
			return name(d);
		return *d->p && strchr("vwbcahstijlmxynofdegz", *d->p++);
	}
}

static bool skip_type(struct demangler *d)
{
	bool ok;

	if (++d->depth > NESTED_MAX)
		return false;
	ok = skip_one(d);
	d->depth--;
	return ok;
}

/* What the compiler has added to the copy of a function, such as ".cold", is kept. */
bool demangle(const char *mangled, char *to, size_t size)
{
	struct demangler d = { .p = mangled, .to = to, .size = size };
	bool ok = eat(&d, "_Z") && encoding(&d);
	const char *copy = ok ? strchr(d.p, '.') : NULL;

	if (ok && d.hash)
		d.len = d.before_hash;
	if (copy)
		puts_to(&d, copy);
	if (!ok)
		d.len = 0;
	to[d.len < size ? d.len : size - 1] = '\0';
	return ok;
}
