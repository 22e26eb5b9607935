/*
 * What the unwinder needs to know of x86-64: DWARF register numbers (psABI figure 3.36) and where
 * a call leaves the return address.
 */
#ifndef ARCH_X86_64_H
#define ARCH_X86_64_H

#define ARCH_CFI_REGISTERS 17 /* rax .. r15, return address */
#define ARCH_CFI_FP	   6
#define ARCH_CFI_SP	   7
#define ARCH_CFI_RA	   16
#define ARCH_ELF_MACHINE   62 /* EM_X86_64 */

/* A call pushes the return address: it lies at CFA-8, always. */
#define ARCH_RA_AT_CFA 1

/* How many bits of a rule hold the CFA's offset and the place of the saved rbp, in words. */
#define ARCH_RULE_CFA_BITS 16
#define ARCH_RULE_FP_BITS  10

static inline unsigned long arch_strip_pc(unsigned long pc)
{
	return pc;
}

#endif
