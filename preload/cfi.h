/*
 * Call frame information: how to get from a function's frame to its caller's.
 *
 * A module's .eh_frame_hdr holds a sorted table from function start to FDE. An FDE and its CIE are
 * a program for a small machine whose state, at a given pc, is one row: where the CFA is and where
 * each register of the caller was saved. (DWARF 5 section 6.4; LSB 5 section 10.6 for .eh_frame
 * and .eh_frame_hdr.)
 *
 * All of this reads the module's own mapping and nothing else: no memory is taken, no function of
 * libc called. Everything read is bounded by the mapping's range, so that broken CFI gives an error
 * and not a fault. Any thread, any signal context.
 */
#ifndef CFI_H
#define CFI_H

#include "arch.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A module as it lies in memory; [start, end) is readable wherever its CFI is. */
struct cfi_module {
	uintptr_t start;
	uintptr_t end;
	uintptr_t hdr; /* address of .eh_frame_hdr */
};

/* One function's (or part of a function's) unwind program. Points into the module. */
struct cfi_fde {
	uintptr_t pc_start;
	uintptr_t pc_end;
	const uint8_t *cie_program;
	const uint8_t *cie_program_end;
	const uint8_t *program;
	const uint8_t *program_end;
	uint64_t code_align;
	int64_t data_align;
	uint32_t ra_register;
	uint8_t pointer_encoding;
	bool augmented;	   /* the CIE has 'z': the FDE has augmentation data to skip */
	bool signal_frame; /* the frame's pc is where it was interrupted, not a return address */
};

enum cfi_place_kind {
	CFI_SAME,	/* the caller's value is still in the register (also: CFI is silent) */
	CFI_UNDEFINED,	/* the caller's value is lost; for the return address: no caller */
	CFI_OFFSET,	/* at CFA + offset */
	CFI_VALUE,	/* is CFA + offset */
	CFI_REGISTER,	/* in register `offset` */
	CFI_EXPRESSION, /* at the address that the expression gives */
	CFI_VALUE_EXPRESSION, /* is what the expression gives */
};

/* Expressions are {length as ULEB128, bytes} at module start + offset. */
struct cfi_place {
	uint32_t kind; /* enum cfi_place_kind */
	int32_t offset;
};

struct cfi_row {
	uint32_t cfa_register;
	int32_t cfa_offset; /* with cfa_expression: where the expression is */
	bool cfa_expression;
	bool ra_signed; /* aarch64: the return address carries an authentication code */
	struct cfi_place place[ARCH_CFI_REGISTERS];
};

/*
 * The FDE that covers `pc`. 0, -ENOENT: the module has none for it, -EINVAL: broken or unknown,
 * -ENOTSUP: its return address is in an unusual register (aarch64's TLS descriptor functions).
 */
int cfi_find(const struct cfi_module *module, uintptr_t pc, struct cfi_fde *fde);

/* The FDE whose length field is at `at`, in a module's .eh_frame. 0 or as cfi_find. */
int cfi_parse_fde(const struct cfi_module *module, uintptr_t at, struct cfi_fde *fde);

/* The row in force at `pc`, which the FDE covers. 0 or -EINVAL (an instruction we do not know). */
int cfi_row(const struct cfi_module *module, const struct cfi_fde *fde, uintptr_t pc,
	    struct cfi_row *row);

/*
 * An expression of a row, its bytes at *bytes, *length of them. 0 or -EINVAL (not in the module).
 */
int cfi_expression(const struct cfi_module *module, int32_t offset, const uint8_t **bytes,
		   size_t *length);

#endif
