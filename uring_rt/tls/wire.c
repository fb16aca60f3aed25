// SPDX-License-Identifier: MIT
/*
 * The layer between OpenSSL and the socket of a connection.
 *
 * OpenSSL reads and writes memory, by a BIO of our own: the bytes received
 * (`in`, a buffer that the ring lends, so that a waiting connection holds none)
 * and the output that is not sent yet (`out`). Between OpenSSL's calls this
 * file receives and sends.
 *
 * Invariants:
 *   W1  `lock` is held around each call of OpenSSL with this SSL, which cannot
 *       be used by two threads, and around `in` and `out`. It is a pthread
 *       mutex and never held across a suspension.
 *   W2  Only the reader receives, when `in` is empty, and gives the new `in` to
 *       OpenSSL under `lock`. Without renegotiation SSL_write never reads.
 *   W3 Only the holder of `sending` sends: first the rest of `wire`, then
 *   `out`, which becomes `wire`. So the output of one call of OpenSSL goes out
 *   before the output of the next, and a send that a deadline ended continues
 *   where it stopped.
 *
 * TLS in the kernel (kTLS; the kernel's Documentation/networking/tls.rst). In
 * the handshake OpenSSL offers its BIO the keys of each direction, and the BIO
 * gives them to the kernel. Then
 *
 *   - to send, application data go to the socket as they are, and files by
 *     splice. OpenSSL makes only other records (tickets, alerts): it tells the
 *     BIO their type and writes them in plain text. `out` then has each as its
 *     type, its length and its text, and sendmsg tells the kernel the type;
 *   - to receive, recvmsg has room for the type of the record: without, the
 *     kernel fails with EIO at all but application data. OpenSSL gets the text
 *     after a header, as from its own socket BIO.
 *
 *   W4 The kernel gets the keys for sending when all that was encrypted before
 *   has been sent. That is tried at once, without waiting, since OpenSSL is in
 *   the middle of a call; if the socket does not take it all, OpenSSL continues
 *   to encrypt. W5 The kernel gets the keys for receiving only if no record
 *   that it should
 *       decrypt is in `in`. So the handshake receives no more bytes than OpenSSL
 *       asks for.
 *   W6 The kernel keeps its keys: before Linux 6.14 it cannot change them. If
 *   the other side asks for new keys (KeyUpdate), only close_notify is sent
 *   from then on, since RFC 8446, 4.6.3, requires the new keys first. If the
 *       kernel receives, nothing more can be read, either: the other side's
 *       next record has its new keys.
 */
#define _GNU_SOURCE
#include "tls.h"
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

#define OUT_SIZE 4096 /* bytes at the least */
#define HEADER	 5    /* bytes before a record's text, RFC 8446, 5.1 */
#define HEAD	 3    /* bytes before a message in `out`: type and length */

/* What OpenSSL from 3.0 asks of a BIO for kTLS; <openssl/bio.h> has these two
 * in a comment only. */
enum { SET_KEYS = 72, SET_RECORD_TYPE = 74 };

static bool make_room(struct bytes *b, size_t len)
{
	size_t size = b->size ? b->size : OUT_SIZE;
	char *data;

	while (size - b->end < len)
		size *= 2;
	if (size == b->size)
		return true;
	data = realloc(b->data, size);
	if (!data)
		return false;
	b->data = data;
	b->size = size;
	return true;
}

static void put(struct bytes *b, const void *from, size_t len)
{
	memcpy(b->data + b->end, from, len);
	b->end += len;
}

/* ---- the kernel's TLS -------------------------------------------------- */

void urt__tls_offer_kernel(struct connection *c)
{
	static _Atomic bool is_missing; /* asking again may start modprobe */

	if (atomic_load_explicit(&is_missing, memory_order_relaxed))
		return;
	if (setsockopt(c->fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls"))) {
		if (*urt_errno_location() == ENOENT)
			atomic_store_explicit(&is_missing, true,
					      memory_order_relaxed);
		return; /* or no connection of TCP */
	}
	SSL_set_options(c->ssl, SSL_OP_ENABLE_KTLS);
	c->exactly = true;
}

static socklen_t size_of(const struct tls_crypto_info *keys)
{
	switch (keys->cipher_type) {
	case TLS_CIPHER_AES_GCM_128:
		return sizeof(struct tls12_crypto_info_aes_gcm_128);
	case TLS_CIPHER_AES_GCM_256:
		return sizeof(struct tls12_crypto_info_aes_gcm_256);
	case TLS_CIPHER_AES_CCM_128:
		return sizeof(struct tls12_crypto_info_aes_ccm_128);
#ifdef TLS_CIPHER_CHACHA20_POLY1305
	case TLS_CIPHER_CHACHA20_POLY1305:
		return sizeof(struct tls12_crypto_info_chacha20_poly1305);
#endif
	}
	return 0;
}

/* W4; no other coroutine has the connection during the handshake. */
static bool send_at_once(struct connection *c)
{
	struct bytes *both[] = { &c->wire, &c->out };

	for (int i = 0; i < 2; i++) {
		struct bytes *b = both[i];
		size_t len = b->end - b->begin;
		ssize_t n = len ? send(c->fd, b->data + b->begin, len,
				       MSG_DONTWAIT | MSG_NOSIGNAL)
				: 0;

		b->begin += n > 0 ? n : 0;
		if (b->begin < b->end)
			return false;
		b->begin = b->end = 0;
	}
	return true;
}

static bool give_keys(struct connection *c, bool to_send, const void *keys)
{
	socklen_t size = size_of(keys);

	if (!to_send)
		c->keys_lost = c->kernel_receives;
	if (!c->exactly || !size || (to_send ? !send_at_once(c) : !!c->in.data))
		return false;
	if (setsockopt(c->fd, SOL_TLS, to_send ? TLS_TX : TLS_RX, keys, size))
		return false;
	if (!to_send)
		c->keys_lost = false;
	*(to_send ? &c->kernel_sends : &c->kernel_receives) = true;
	return true;
}

/* The record at the begin of `b`: a message of another type. */
static ssize_t send_record(struct connection *c, struct bytes *b,
			   int64_t deadline_ns)
{
	union {
		struct cmsghdr first;
		char bytes[CMSG_SPACE(1)];
	} control = { 0 };
	const uint8_t *p = (uint8_t *)b->data + b->begin;
	size_t len = p[1] << 8 | p[2];
	struct iovec iov = { (void *)(p + HEAD), len };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	ssize_t n;

	control.first.cmsg_level = SOL_TLS;
	control.first.cmsg_type = TLS_SET_RECORD_TYPE;
	control.first.cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(&control.first) = p[0];
	n = urt_sendmsg(c->fd, &m, MSG_NOSIGNAL, deadline_ns);
	return n < 0 ? n : HEAD + (ssize_t)len; /* the kernel takes it whole */
}

/* A record, or several of application data, into `data`. */
static ssize_t receive_record(struct connection *c, char *data,
			      int64_t deadline_ns)
{
	union {
		struct cmsghdr first;
		char bytes[CMSG_SPACE(1)];
	} control = { 0 };
	struct iovec iov = { data + HEADER, URT__TLS_RECORD };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	ssize_t n = urt_recvmsg(c->fd, &m, 0, deadline_ns);

	if (n <= 0)
		return n;
	if (m.msg_controllen < CMSG_LEN(1) ||
	    control.first.cmsg_type != TLS_GET_RECORD_TYPE)
		return -EIO;
	data[0] = *CMSG_DATA(&control.first);
	data[1] = TLS1_2_VERSION >> 8;
	data[2] = (char)TLS1_2_VERSION;
	data[3] = n >> 8;
	data[4] = (char)n;
	return HEADER + n;
}

/* ---- the BIO ----------------------------------------------------------- */

static int bio_read(BIO *bio, char *to, int len)
{
	struct connection *c = BIO_get_data(bio);
	size_t have = c->in.end - c->in.begin;

	BIO_clear_retry_flags(bio);
	if (!have) {
		c->wanted = len;
		if (!c->ended)
			BIO_set_retry_read(bio);
		return c->ended ? 0 : -1;
	}
	if ((size_t)len > have)
		len = have;
	memcpy(to, c->in.data + c->in.begin, len);
	c->in.begin += len;
	if (c->in.begin == c->in.end) {
		urt_lent_return(c->in.data);
		c->in = (struct bytes){ 0 };
	}
	return len;
}

static int bio_write(BIO *bio, const char *from, int len)
{
	struct connection *c = BIO_get_data(bio);
	uint8_t head[HEAD] = { c->type, len >> 8, len };

	BIO_clear_retry_flags(bio);
	if (len <= 0 || !make_room(&c->out, HEAD + (size_t)len))
		return -1;
	if (c->kernel_sends) {
		if ((c->type == SSL3_RT_HANDSHAKE &&
		     *from == SSL3_MT_KEY_UPDATE) ||
		    len > UINT16_MAX)
			return -1; /* W6 */
		put(&c->out, head, HEAD);
	}
	put(&c->out, from, len);
	return len;
}

static long bio_ctrl(BIO *bio, int command, long n, void *arg)
{
	struct connection *c = BIO_get_data(bio);

	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return c->ended;
	case SET_KEYS:
		return give_keys(c, n, arg);
	case BIO_CTRL_GET_KTLS_SEND:
		return c->kernel_sends;
	case BIO_CTRL_GET_KTLS_RECV:
		return c->kernel_receives;
	case SET_RECORD_TYPE:
		c->type = n;
	}
	return 0;
}

int urt__tls_end_of_kernels(struct connection *c)
{
	static const char close_notify[] = { SSL3_AL_WARNING,
					     SSL3_AD_CLOSE_NOTIFY };

	c->type = SSL3_RT_ALERT;
	SSL_set_shutdown(c->ssl, SSL_get_shutdown(c->ssl) | SSL_SENT_SHUTDOWN);
	return BIO_write(SSL_get_wbio(c->ssl), close_notify, 2) == 2 ? 1
								     : -ENOMEM;
}

static BIO_METHOD *method;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
			      "uring_rt");
	if (!method)
		return;
	BIO_meth_set_read(method, bio_read);
	BIO_meth_set_write(method, bio_write);
	BIO_meth_set_ctrl(method, bio_ctrl);
}

bool urt__tls_set_bio(struct connection *c)
{
	BIO *bio;

	pthread_once(&once, make_method);
	bio = method ? BIO_new(method) : NULL;
	if (!bio)
		return false;
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	SSL_set_bio(c->ssl, bio, bio);
	return true;
}

/* ---- sending and receiving --------------------------------------------- */

/* Takes the output since the last send; with `sending`. False: there is
 * none. */
static bool take_out(struct connection *c)
{
	pthread_mutex_lock(&c->lock);
	free(c->wire.data);
	c->wire = c->out;
	c->out = (struct bytes){ 0 };
	c->text &= c->wire.end > 0;
	pthread_mutex_unlock(&c->lock);
	return c->wire.end;
}

/* With `sending`. */
static int send_rest(struct connection *c, int64_t deadline_ns)
{
	struct bytes *b = &c->wire;
	ssize_t n = 0;

	do {
		while (n >= 0 && b->begin < b->end) {
			n = c->kernel_sends
				    ? send_record(c, b, deadline_ns)
				    : urt_send(c->fd, b->data + b->begin,
					       b->end - b->begin, MSG_NOSIGNAL,
					       deadline_ns);
			b->begin += n > 0 ? n : 0;
		}
	} while (n >= 0 && take_out(c));
	return n < 0 ? (int)n : 0;
}

/* 0: all output before is sent, and the caller has `sending`. */
static int begin_sending(struct connection *c, int64_t deadline_ns)
{
	int err = urt_mutex_lock(&c->sending, deadline_ns);

	if (err)
		return err;
	err = send_rest(c, deadline_ns);
	if (err)
		urt_mutex_unlock(&c->sending);
	return err;
}

int urt__tls_send(struct connection *c, int64_t deadline_ns)
{
	int err = begin_sending(c, deadline_ns);

	if (!err)
		urt_mutex_unlock(&c->sending);
	return err;
}

ssize_t urt__tls_send_plain(struct connection *c, const void *buf, size_t len,
			    int64_t deadline_ns)
{
	ssize_t ret = begin_sending(c, deadline_ns);

	if (ret)
		return ret;
	ret = urt_send(c->fd, buf, len, MSG_NOSIGNAL, deadline_ns);
	urt_mutex_unlock(&c->sending);
	return ret;
}

ssize_t urt__tls_send_file(struct connection *c, int in, off_t *offset,
			   size_t len, int64_t deadline_ns)
{
	ssize_t ret = begin_sending(c, deadline_ns);

	if (ret)
		return ret;
	ret = urt_sendfile(c->fd, in, offset, len, deadline_ns);
	urt_mutex_unlock(&c->sending);
	return ret;
}

/* Receives into memory of its own, which the BIO returns as if it were lent. */
static ssize_t receive_own(struct connection *c, void **data,
			   int64_t deadline_ns)
{
	/* A connection that waits holds no buffer. */
	ssize_t n = urt_poll(c->fd, POLLIN, deadline_ns);

	if (n < 0)
		return n;
	*data = malloc(c->kernel_receives ? HEADER + URT__TLS_RECORD
					  : c->wanted);
	if (!*data)
		return -ENOMEM;
	return c->kernel_receives
		       ? receive_record(c, *data, deadline_ns)
		       : urt_recv(c->fd, *data, c->wanted, 0, deadline_ns);
}

int urt__tls_receive(struct connection *c, int64_t deadline_ns)
{
	void *data = NULL;
	ssize_t n = c->kernel_receives || c->exactly
			    ? receive_own(c, &data, deadline_ns)
			    : urt_recv_lent(c->fd, &data, 0, deadline_ns);

	if (n <= 0)
		urt_lent_return(data);
	if (n < 0)
		return n;
	pthread_mutex_lock(&c->lock);
	if (n)
		c->in = (struct bytes){ .data = data, .end = n };
	else
		c->ended = true;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

int urt__tls_drop_rest(struct connection *c, int64_t deadline_ns)
{
	int err = 0;

	while (!c->ended && !err) {
		err = urt__tls_receive(c, deadline_ns);
		urt_lent_return(c->in.data);
		c->in = (struct bytes){ 0 };
	}
	return err;
}
