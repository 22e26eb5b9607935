/*
 * Return addresses that no region of the header is left for, as WIDE entries of the trace file: a
 * program that loads and unloads code all day, or has it strewn over its address space. Each pc of
 * an epoch is one entry, and its index takes the place of the pc in nodes.
 */
#ifndef NODE_WIDE_H
#define NODE_WIDE_H

#include <stdbool.h>
#include <stdint.h>

#define NODE_WIDE_MAX (1U << 18) /* entries of a file */

/* For the trace file now open: forgets all entries of the one before. */
void node_wide_init(void);

/*
 * The index of the entry {pc, epoch}, which is in the file when this returns. false: no room. Any
 * thread, any signal context; takes memory from pages at first, and file space every 4092 entries.
 */
bool node_wide_index(uintptr_t pc, uint32_t epoch, uint32_t *index);

/* The pc of an entry; false: there is none. Any thread. */
bool node_wide_pc(uint32_t index, uintptr_t *pc);

#endif
