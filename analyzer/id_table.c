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

int id_table_grow(struct id_table *table)
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
