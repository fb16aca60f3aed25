/*
 * The prime sieve that Go's documentation has: a chain of coroutines, each
 * of which lets through what its prime does not divide. The first number that
 * comes out at the end of the chain is the next prime, and gets a coroutine.
 *
 *	cc sieve.c $(pkg-config --cflags --libs uring_rt) -o sieve
 *	./sieve 100           the first hundred primes
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <urt.h>

static struct urt_scope chain;

static int generate(void *arg)
{
	struct urt_chan *out = arg;

	/* Ends when it is cancelled: the send returns -ECANCELED then. */
	for (int n = 2; !urt_chan_send(out, &n, URT_NEVER); n++)
		;
	return 0;
}

struct filter {
	struct urt_chan *in, *out;
	int prime;
};

static int filter(void *arg)
{
	struct filter *f = arg;
	int n;

	while (!urt_chan_recv(f->in, &n, URT_NEVER))
		if (n % f->prime && urt_chan_send(f->out, &n, URT_NEVER))
			break;
	return 0;
}

static void first(void *arg)
{
	int count = *(int *)arg, made = 0;
	struct filter *f = calloc(count, sizeof(*f));
	struct urt_chan *in = urt_chan_new(sizeof(int), 0), *source = in;

	if (!f || !source)
		errx(1, "out of memory");
	urt_scope_open(&chain, URT_NEVER);
	if (urt_scope_go(&chain, generate, source))
		errx(1, "no memory for a coroutine");
	for (; made < count; made++) {
		f[made].in = in;
		f[made].out = urt_chan_new(sizeof(int), 0);
		if (urt_chan_recv(in, &f[made].prime, URT_NEVER))
			break;
		printf("%d\n", f[made].prime);
		if (!f[made].out || urt_scope_go(&chain, filter, &f[made]))
			errx(1, "no memory for %d filters", count);
		in = f[made].out;
	}
	urt_scope_cancel(&chain); /* the generator would never end */
	urt_scope_close(&chain);
	while (made--)
		urt_chan_free(f[made].out);
	urt_chan_free(source);
	free(f);
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 100;

	if (count < 1)
		errx(1, "usage: sieve HOW_MANY");
	if (urt_run(first, &count))
		errx(1, "%s", urt_why());
	return 0;
}
