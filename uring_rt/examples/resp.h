/*
 * Reads commands of Redis' protocol (RESP): "*2", then for each word its length, "$3",
 * and "GET". For redis.c.
 */
#include <stdlib.h>
#include <string.h>
#include <urt.h>
enum { WORDS = 3, WORD_MAX = 2048 };

/* The command, with n words. */
#define IS(name, n) (c->words == (n) && !strcasecmp(c->word[0], name))

struct client {
	int fd, words;
	char word[WORDS][WORD_MAX + 3], answer[2 * WORD_MAX + 64];
	struct urt_stream *stream; /* whose buffer holds the longest answer */
	struct urt_chan *gone;
};

static long number(struct client *c, char kind, long most)
{
	char *line = "", *end = "";
	size_t len = 0;
	long n = -1;

	if (urt_stream_read_line(c->stream, &line, &len, URT_NEVER) != 1)
		return -1;
	if (*line == kind)
		n = strtol(line + 1, &end, 10);
	if (end == line + len && len > 1 && n >= 0 && n <= most)
		return n;
	urt_stream_printf(c->stream, URT_NEVER, "-ERR Protocol error\r\n");
	return -1;
}

/* False: the client has gone, or does not speak the protocol. */
static bool read_words(struct client *c)
{
	bool text = true;

	c->words = number(c, '*', WORDS);
	for (int i = 0; i < c->words; i++) {
		long n = number(c, '$', WORD_MAX);

		if (n < 0 || urt_stream_read_full(c->stream, c->word[i], n + 2,
						  URT_NEVER) != n + 2)
			return false;
		c->word[i][n] = 0;
		text &= strlen(c->word[i]) == (size_t)n;
	}
	if (c->words > 0 &&
	    !text) /* it would be cut: then it is not a command */
		*c->word[0] = 0;
	return c->words > 0;
}
