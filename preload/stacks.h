/*
 * Call stacks interned to ids: a trie of nodes {parent, pc}, kept in mapped segments of the trace
 * file, so that an id written in an event can be resolved whatever becomes of the process.
 *
 * Lookup goes through links in private memory, 16 bytes a node, by index like the nodes: each node
 * has a tree of its children. Nothing is ever moved, and a node is linked with one store, so that
 * no thread waits for another and one that never returns (longjmp out of a handler, cancellation)
 * leaves at most an id that nobody uses. Two threads that make the same node at once end up with
 * one id; the other's 8 bytes are wasted.
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
