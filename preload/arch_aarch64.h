/*
 * What the unwinder needs to know of aarch64: DWARF register numbers (AADWARF64 section 4.1) and
 * where a call leaves the return address.
 */
#ifndef ARCH_AARCH64_H
#define ARCH_AARCH64_H

#define ARCH_CFI_REGISTERS 32 /* x0 .. x30, sp */
#define ARCH_CFI_FP	   29
#define ARCH_CFI_SP	   31
#define ARCH_CFI_RA	   30
#define ARCH_ELF_MACHINE   183 /* EM_AARCH64 */

/*
 * A call leaves the return address in x30; a function that calls another saves x29 and x30 as a
 * pair, x30 eight bytes above x29. Rules say just that; other forms go to the general unwinder.
 */
#define ARCH_RA_AT_CFA 0

#define ARCH_RULE_CFA_BITS 13
#define ARCH_RULE_FP_BITS  13

/*
 * Pointer authentication signs return addresses in bits the address does not need. XPACLRI takes
 * them off, and is a no-op on processors that know nothing of it.
 */
static inline unsigned long arch_strip_pc(unsigned long pc)
{
	register unsigned long x30 __asm__("x30") = pc;
	__asm__("hint 7" : "+r"(x30));
	return x30;
}

#endif
