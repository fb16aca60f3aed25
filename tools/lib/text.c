// SPDX-License-Identifier: MIT
/* Text of other programs; see text.h. */
#include "text.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

size_t text_next(const char *s, uint32_t *c)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)s;
	size_t n = *p < 0x80		 ? 1
		   : (*p & 0xe0) == 0xc0 ? 2
		   : (*p & 0xf0) == 0xe0 ? 3
		   : (*p & 0xf8) == 0xf0 ? 4
					 : 0;

	*c = n == 1 ? *p : n ? *p & (0x7f >> n) : 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80) /* also where the string ends */
			n = 0;
		else
			*c = *c << 6 | (p[i] & 0x3f);
	}
	if (n && *c >= least[n] && *c <= 0x10ffff &&
	    (*c < 0xd800 || *c > 0xdfff))
		return n;
	*c = TEXT_INVALID;
	return 1;
}

static bool obeyed(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c ||
	       c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

char *text_clean(char *s)
{
	char *to = s;

	for (const char *from = s; *from;) {
		uint32_t c;
		size_t n = text_next(from, &c);

		if (c == TEXT_INVALID || obeyed(c)) {
			*to++ = '?';
		} else {
			memmove(to, from, n);
			to += n;
		}
		from += n;
	}
	*to = '\0';
	return s;
}

char *text_copy(char *buf, size_t size, const char *s, size_t n)
{
	size_t len = strnlen(s, n);

	if (len > size - 1)
		len = size - 1;
	memcpy(buf, s, len);
	buf[len] = '\0';
	return text_clean(buf);
}

const char *text_grouped(uint64_t n, char buf[32])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	char *p = buf;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*p++ = ',';
		*p++ = digits[i];
	}
	*p = '\0';
	return buf;
}
