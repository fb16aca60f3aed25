/* SPDX-License-Identifier: MIT */
/* The interfaces of config.c, the common part of connections, and of wire.c,
 * which sends and receives, for stream.c. */
#ifndef URT_TLS_TLS_H
#define URT_TLS_TLS_H

#include "../urt_tls.h"
#include <openssl/ssl.h>
#include <pthread.h>

#define URT__TLS_SESSIONS 64
#define URT__TLS_NAME	  256
#define URT__TLS_RECORD	  16384 /* bytes of text in a record: RFC 8446, 5.1 */

struct urt_tls {
	SSL_CTX *ctx;
	unsigned char protocols[256]; /* as ALPN has them on the wire */
	unsigned nr_protocols;	      /* bytes of it */
	bool kernel;		      /* urt_tls_options.kernel */

	/* A client's, by name; the lock is never held across a suspension. */
	pthread_mutex_t lock;
	struct {
		char name[URT__TLS_NAME];
		SSL_SESSION *session;
	} sessions[URT__TLS_SESSIONS];
	unsigned next; /* to be replaced */
};

/* Where an SSL has the name by which its sessions are kept; the SSL does not
 * free it. */
extern int urt__tls_name_index __attribute__((visibility("hidden")));

/* The session of the last connection to that name, or NULL; the caller frees
 * it. */
SSL_SESSION *urt__tls_session(struct urt_tls *, const char *name);

/* Sets urt_tls_why() to this text and the contents of OpenSSL's error queue,
 * which it empties; returns err. */
int urt__tls_because(int err, const char *what);

/* ---- wire.c ------------------------------------------------------------ */

struct bytes {
	char *data;
	size_t begin, end, size;
};

struct connection {
	int fd;
	SSL *ssl;
	bool ended;   /* the socket gave its end */
	bool text;    /* written data may not be sent yet; `lock` */
	bool exactly; /* to receive only what OpenSSL asks for: `wanted` bytes */
	bool kernel_sends, kernel_receives; /* it has the keys */
	_Atomic bool new_keys; /* were asked for, and the kernel has the old
				  ones */
	bool keys_lost; /* the other side has new ones, and the kernel receives */
	uint8_t type;	/* of records that OpenSSL makes for the kernel */
	size_t wanted;
	struct bytes in, out, wire;
	pthread_mutex_t lock;
	struct urt_mutex sending;
	char name[URT__TLS_NAME];     /* a client's; "" */
	char protocol[URT__TLS_NAME]; /* ALPN's; "" */
};

/* False: no memory. */
bool urt__tls_set_bio(struct connection *);
/* close_notify, where OpenSSL first wants to change the kernel's keys. 1. */
int urt__tls_end_of_kernels(struct connection *);
/* Lets OpenSSL give its keys to the kernel, if the kernel has kTLS. */
void urt__tls_offer_kernel(struct connection *);

/* Sends all output; receives one piece into `in`, which is empty. 0 or -errno;
 * an end is `ended`. May suspend. */
int urt__tls_send(struct connection *, int64_t deadline_ns);
int urt__tls_receive(struct connection *, int64_t deadline_ns);
/* Receives and drops until the end; 0 or -errno. */
int urt__tls_drop_rest(struct connection *, int64_t deadline_ns);

/* If the kernel encrypts: as urt_send and urt_sendfile, after the output. */
ssize_t urt__tls_send_plain(struct connection *, const void *buf, size_t len,
			    int64_t deadline_ns);
ssize_t urt__tls_send_file(struct connection *, int in, off_t *offset,
			   size_t len, int64_t deadline_ns);

#endif
