/* SPDX-License-Identifier: MIT */
/* The interface of config.c, the common part of connections, for stream.c. */
#ifndef URT_TLS_TLS_H
#define URT_TLS_TLS_H

#include "../urt_tls.h"
#include <openssl/ssl.h>
#include <pthread.h>

#define URT__TLS_SESSIONS 64
#define URT__TLS_NAME	  256

struct urt_tls {
	SSL_CTX *ctx;
	unsigned char protocols[256]; /* as ALPN has them on the wire */
	unsigned nr_protocols;	      /* bytes of it */

	/* A client's, by name; the lock is never held across a suspension. */
	pthread_mutex_t lock;
	struct {
		char name[URT__TLS_NAME];
		SSL_SESSION *session;
	} sessions[URT__TLS_SESSIONS];
	unsigned next; /* to be replaced */
};

/* Where an SSL keeps the name that its sessions are kept by; not to be freed
 * by it. */
extern int urt__tls_name_index __attribute__((visibility("hidden")));

/* The session of the last connection to that name, or NULL; the caller frees
 * it. */
SSL_SESSION *urt__tls_session(struct urt_tls *, const char *name);

/* Sets urt_tls_why() to this, and to what OpenSSL's error queue says, which is
 * emptied; returns err. */
int urt__tls_because(int err, const char *what);

#endif
