/* SPDX-License-Identifier: MIT */
/* How to step from a frame to its caller's, by .eh_frame; how it is read: cfi.c. */
#ifndef URT_CFI_H
#define URT_CFI_H

#include "modules.h"

/* Registers by DWARF's numbers; RA: the return address. */
#if defined(__aarch64__)
#define CFI_REGS 32
#define CFI_FP	 29
#define CFI_SP	 31
#define CFI_RA	 30
#else
#define CFI_REGS 17
#define CFI_FP	 6
#define CFI_SP	 7
#define CFI_RA	 16
#endif

enum cfi_how { CFI_SAME, CFI_AT_CFA, CFI_UNKNOWN };

/* The state of DWARF's machine for one program counter. */
struct cfi_rule {
	uint8_t cfa_reg; /* the CFA is this register and cfa_off */
	int32_t cfa_off;
	uint8_t how[CFI_REGS]; /* enum cfi_how */
	int32_t off[CFI_REGS]; /* of CFI_AT_CFA: from the CFA */
};

/* Finds the rule for pc. False: there is none, or it cannot be followed. */
bool cfi_find(struct modules *, uint64_t pc, struct cfi_rule *);

#endif
