/*
 * Call stacks interned to ids: a trie of nodes {parent, pc}, kept in mapped segments of the trace
 * file, so that an id written in an event can be resolved whatever becomes of the process.
 *
 * Lookup goes through a lock-free hash table in private memory. A race may intern one stack twice;
 * that costs 8 bytes and readers take equal nodes for the same. (The table grows by moving a few
 * slots at each insertion; no insertion waits for another thread.)
 */
#ifndef STACKS_H
#define STACKS_H

#include <stdbool.h>
#include <stdint.h>

/* Makes the first table and chunk for the trace file now open. 0 or -errno. */
int stacks_init(void);

/*
 * The id of the node `pc` (a return address) below `parent` (a node's id; 0: outermost). Any
 * thread, any signal context; takes memory from pages and, every 8184 new nodes, file space.
 * Returns 0 when there is no room for another node.
 */
uint32_t stacks_node(uint32_t parent, uintptr_t pc);

/* What node `id` is. Returns false when there is no such node. Any thread. */
bool stacks_frame(uint32_t id, uint32_t *parent, uintptr_t *pc);

#endif
