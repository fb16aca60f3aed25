/* SPDX-License-Identifier: MIT */
/* The load generator in parts: connections (conn.c), and the schedule (load.c). */
#ifndef URT_LOAD_CONN_H
#define URT_LOAD_CONN_H

#include "load.h"

/* FRESH: free, and opened by its next request (per_connection). SHAKING: it
 * makes the handshake of TLS. */
enum conn_state { CLOSED, FRESH, CONNECTING, SHAKING, IDLE, BUSY };

struct conn {
	int fd;
	uint32_t wants;	    /* the events that epoll reports */
	struct ssl_st *tls; /* from SHAKING on; NULL: none */
	enum conn_state state;
	bool answered;	   /* at least once */
	bool burst;	   /* the connection of the bursts */
	bool queued;	   /* in the ring of free connections */
	bool pending;	   /* a request waits until it is connected */
	uint32_t answers;  /* since it was opened */
	uint16_t head_len; /* bytes in head */
	int status;	   /* of the answer being read */
	long body_left;	   /* of the answer being read; -1: its head is */
	int64_t since_ns;  /* from when the latency counts */
	char *head;	   /* of an answer that came in parts; or NULL */
};

struct load {
	const struct load_options *options;
	struct load_shared *shared;
	struct ssl_ctx_st *tls; /* NULL: none */
	int epfd;
	char request[512], burst_request[512]; /* whole, to be sent */
	size_t request_len, burst_len;	       /* bytes of them */
	struct conn *conns;		       /* the last one is for bursts */
	long next_to_open;		       /* index in conns */
	long taken;	 /* connections answered at least once, or broken */
	long closed;	 /* connections to be reopened */
	long connecting; /* connections that are not connected yet */
	uint64_t sent;	 /* requests */
	long busy;	 /* of the connected ones, not answered yet */
	bool had_idle;	 /* when it last went to sleep, one was free */
	int64_t moved_ns, retry_ns; /* last progress in opening; next retry */
	long window;		    /* see WINDOW */
	/* Open loop: the free connections, oldest first, and the schedule. */
	struct conn **idle;
	long idle_head, idle_len; /* a ring of options->connections */
	int64_t start_ns;	  /* of the schedule; 0: not begun */
	uint64_t next_due;	  /* number of the next request of it */
	int64_t burst_due_ns, burst_base_ns; /* next one, last one */
	char in[65536];			     /* the bytes received last */
};

static inline void count(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

/* ---- conn.c ---- */

/* Begins to connect, in any state without a descriptor. 0 or -errno. */
int conn_open(struct load *, struct conn *);
/* Closes the descriptor; the state is the caller's. */
void conn_close(struct conn *);
/* Closes it; error: counts that. */
void conn_broken(struct load *, struct conn *, bool error);
/* Sends the request; it becomes BUSY. */
void conn_send(struct load *, struct conn *);
/* For events of epoll. */
void conn_handle(struct load *, struct conn *, uint32_t events);

/* ---- load.c, called by conn.c ---- */

/* The connection is open: decides what it does next. */
void load_connected(struct load *, struct conn *);
/* A whole answer has come, with status c->status. */
void load_answered(struct load *, struct conn *);

#endif
