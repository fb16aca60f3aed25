/* SPDX-License-Identifier: MIT */
/* A TLS server and its clients in one run, with certificates made by the command openssl. */
#ifndef URT_TEST_TLS_H
#define URT_TEST_TLS_H

#include "../../uring_rt/urt_tls.h"
#include "test.h"
#ifdef URT_HAVE_TLS
#include <openssl/ssl.h>
#endif

#define SOON urt_after(20000 * MS * slower())

/* Files of an authority, another one, and a certificate of the first for localhost. */
extern char tls_directory[];
extern char ca[64], other_ca[64], certificate[64], key[64];
void make_certificates(void);
void remove_certificates(void);

extern struct urt_tls *server_tls; /* NULL: serve_with makes it */
extern int listener;
extern char address[64];  /* of the server */
extern int server_result; /* of the server's handshake, or of its function */
extern bool in_kernel;	  /* new_tls asks for TLS in the kernel */

void use_kernel(void);
bool kernel_has_tls(void);

/* Freed by free_made(), after the test. */
struct urt_tls *new_tls(const struct urt_tls_options *);
void free_made(void);

/* Listens, and starts a coroutine that takes one connection. */
struct urt_coro *serve_with(const struct urt_tls_options *,
			    void (*does)(struct urt_stream *));
struct urt_tls *client_tls(void);
struct urt_stream *dial(struct urt_tls *);

void echo_lines(struct urt_stream *);
void hear_line(struct urt_stream *, const char *expected);
void say(struct urt_stream *, const char *line);

#endif
