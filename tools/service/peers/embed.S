/* SPDX-License-Identifier: MIT */
/* The servers and benchmarks in other languages, as data; see peer.c. */
	.section .rodata
	.macro	embed name, file
	.globl	peer_\name
	.globl	peer_\name\()_end
peer_\name:
	.incbin	"\file"
peer_\name\()_end:
	.byte	0
	.endm
	embed	server_js, "server.js"
	embed	server_go, "server.go"
	embed	units_js, "units.js"
	embed	units_go, "units.go"
	embed	bench_go, "bench.go"
	.section .note.GNU-stack, "", %progbits
