/*
 * A hash index over things that the caller keeps in an array: hash -> number of the thing. Open
 * addressing; hashes are kept, so growing asks nothing of the caller.
 */
#ifndef ID_TABLE_H
#define ID_TABLE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct id_table_slot {
	uint64_t hash;
	uint32_t id_1; /* number + 1; 0: free */
};

struct id_table {
	struct id_table_slot *slots;
	size_t size;
	size_t count;
};

/* Zeroed is empty; id_table_fini() frees. */
void id_table_fini(struct id_table *table);

/* Makes room for more. Returns 0 or -ENOMEM. */
int id_table_grow(struct id_table *table);

/*
 * The number of the thing with `hash` for which equal(context, number) holds; where there is none,
 * `next` is entered. *id gets the number. Returns 0 or -ENOMEM. Inline, for `equal` to be so too.
 */
static inline int id_table_intern(struct id_table *table, uint64_t hash,
				  bool (*equal)(const void *context, uint32_t id),
				  const void *context, uint32_t next, uint32_t *id)
{
	size_t at;

	if (table->count * 2 >= table->size && id_table_grow(table) != 0)
		return -ENOMEM;
	at = hash & (table->size - 1);
	for (; table->slots[at].id_1 != 0; at = (at + 1) & (table->size - 1)) {
		if (table->slots[at].hash != hash)
			continue;
		*id = table->slots[at].id_1 - 1;
		if (equal(context, *id))
			return 0;
	}
	table->slots[at] = (struct id_table_slot){.hash = hash, .id_1 = next + 1};
	table->count++;
	*id = next;
	return 0;
}

#endif
