/*
 * A ticket office, with its own test: customers that buy over the network, retry when
 * a connection breaks or takes too long, and know afterwards what they have.
 *
 *	cc tickets.c $(pkg-config --cflags --libs uring_rt) -o tickets
 *	./tickets
 *	urt sim --seeds 1..1000 --faults net=1%,partition=0.1% -- ./tickets
 *
 * On a quiet machine nothing ever breaks. The simulator breaks connections, delays
 * messages and changes the order of everything, as a seed decides; what a customer
 * must be able to rely on is checked at the end, and a seed that fails can be repeated.
 *
 * An order has a number. The office answers a repeated order as it did the first time:
 * without that, a customer whose answer was lost would buy twice.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urt.h>

enum { TICKETS = 20, CUSTOMERS = 6, ORDERS = 5, PATIENCE_MS = 50 };

static const char address[] = "127.0.0.1:7070";
static unsigned sold;			    /* tickets 1 to sold have gone */
static unsigned answer[CUSTOMERS * ORDERS]; /* by order: a ticket, or 0 */
static bool known[CUSTOMERS * ORDERS];
static unsigned got[CUSTOMERS * ORDERS]; /* what customers have, by order */

static unsigned sell(unsigned order)
{
	if (!known[order]) {
		known[order] = true;
		answer[order] = sold < TICKETS ? ++sold : 0;
	}
	return answer[order];
}

static void office(int fd, void *arg)
{
	unsigned order, ticket;

	while (urt_recv(fd, &order, sizeof(order), MSG_WAITALL, URT_NEVER) ==
	       sizeof(order)) {
		if (order >= CUSTOMERS * ORDERS)
			return;
		ticket = sell(order);
		if (urt_send(fd, &ticket, sizeof(ticket), MSG_NOSIGNAL,
			     URT_NEVER) < 0)
			return;
	}
}

/* Until there is an answer. */
static void buy(unsigned order)
{
	bool answered = false;

	while (!answered) {
		int64_t deadline = urt_after(PATIENCE_MS * INT64_C(1000000));
		int fd = urt_dial(address, deadline);

		if (fd < 0)
			continue;
		answered =
			urt_send(fd, &order, sizeof(order), MSG_NOSIGNAL,
				 deadline) == sizeof(order) &&
			urt_recv(fd, &got[order], sizeof(got[order]),
				 MSG_WAITALL, deadline) == sizeof(got[order]);
		urt_close(fd);
	}
}

static int customer(void *arg)
{
	unsigned first = *(unsigned *)arg * ORDERS;

	for (unsigned i = 0; i < ORDERS; i++)
		buy(first + i);
	return 0;
}

/* Each ticket that was sold is one customer's, and all have gone. */
static void check(void)
{
	unsigned owners[TICKETS + 1] = { 0 };

	for (unsigned i = 0; i < CUSTOMERS * ORDERS; i++)
		owners[got[i] <= TICKETS ? got[i] : 0]++;
	for (unsigned t = 1; t <= TICKETS; t++)
		if (owners[t] != 1)
			errx(1, "ticket %u has %u owners", t, owners[t]);
	printf("%d tickets have one owner each, %u orders came too late\n",
	       TICKETS, owners[0]);
}

static void first(void *arg)
{
	struct urt_scope server, customers;
	int listener = urt_listen(address, URT_NEVER);
	unsigned number[CUSTOMERS];

	if (listener < 0)
		errx(1, "%s: %s", address, strerror(-listener));
	urt_scope_open(&server, URT_NEVER);
	urt_serve(&server, listener, office, NULL);
	urt_scope_open(&customers, URT_NEVER);
	for (unsigned i = 0; i < CUSTOMERS; i++) {
		number[i] = i;
		if (urt_scope_go(&customers, customer, &number[i]))
			errx(1, "no memory for customer %u", i);
	}
	urt_scope_close(&customers);
	urt_scope_cancel(&server);
	urt_scope_close(&server);
	urt_close(listener);
	check();
}

int main(void)
{
	/* The office's books belong to coroutines that take turns. */
	struct urt_options options = { .workers = 1 };

	if (urt_run_with(first, NULL, &options))
		errx(1, "%s", urt_why());
	return 0;
}
