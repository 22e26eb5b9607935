/* Linear probing, at most half full. */
#include "id_table.h"

#include <errno.h>
#include <stdlib.h>

#define SIZE_MIN 256

void id_table_fini(struct id_table *table)
{
	free(table->slots);
	*table = (struct id_table){0};
}

static int grow(struct id_table *table)
{
	size_t size = table->size == 0 ? SIZE_MIN : table->size * 2;
	struct id_table_slot *slots = calloc(size, sizeof(*slots));

	if (slots == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < table->size; i++) {
		size_t at = table->slots[i].hash & (size - 1);

		if (table->slots[i].id_1 == 0)
			continue;
		while (slots[at].id_1 != 0)
			at = (at + 1) & (size - 1);
		slots[at] = table->slots[i];
	}
	free(table->slots);
	table->slots = slots;
	table->size = size;
	return 0;
}

int id_table_intern(struct id_table *table, uint64_t hash,
		    bool (*equal)(const void *context, uint32_t id), const void *context,
		    uint32_t next, uint32_t *id)
{
	size_t at;

	if (table->count * 2 >= table->size && grow(table) != 0)
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
