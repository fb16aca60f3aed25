/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Shared by bpf/registers.bpf.c and the tool. */
#ifndef URT_REGISTERS_BPF_H
#define URT_REGISTERS_BPF_H

/* The general registers, with which the kernel's pt_regs begins. */
#if defined(__aarch64__) || defined(__TARGET_ARCH_arm64)
#define REGISTERS 32 /* x0 to x30, sp */
#else
#define REGISTERS 15 /* r15 to rdi */
#endif

/* The registers of one thread when it last entered the kernel. */
struct registers {
	__u64 word[REGISTERS];
};

#endif
