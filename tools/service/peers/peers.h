/* SPDX-License-Identifier: MIT */
/* Programs in other languages, carried inside the command (embed.S). */
#ifndef URT_PEERS_H
#define URT_PEERS_H

#include <stddef.h>

extern const char peer_server_js[], peer_server_js_end[];
extern const char peer_server_go[], peer_server_go_end[];
extern const char peer_units_js[], peer_units_js_end[];
extern const char peer_units_go[], peer_units_go_end[];
extern const char peer_bench_go[], peer_bench_go_end[];

/*
 * The path of the text as a file NAME in the user's cache, written if it is
 * not there yet: its name holds a hash of the text, so an old one is never
 * taken for it. malloc'ed. NULL: could not; it was said.
 */
char *peer_file(const char *name, const char *text, const char *end);

/*
 * The path of the Go program built from the text, which is done once. NULL: Go
 * is not installed, or it does not build; it was said.
 */
char *peer_go_program(const char *name, const char *text, const char *end);

/* First line of what the command prints, cut to size; "" if it fails. */
void peer_version(const char *command, char *buf, size_t size);

/* Whether PATH has the command. */
int peer_has(const char *command);

#endif
