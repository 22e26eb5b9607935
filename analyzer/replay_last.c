#include "replay_last.h"

#include <errno.h>
#include <stdlib.h>

#define BITS_MIN	 10
#define HEADS_PER_THREAD 8

int replay_last_init(struct replay_last *last, uint32_t threads)
{
	size_t count = (size_t)threads + 1;
	unsigned bits = BITS_MIN;

	while ((size_t)1 << bits < count * HEADS_PER_THREAD)
		bits++;
	*last = (struct replay_last){.addresses = calloc(count, sizeof(*last->addresses)),
				     .next = calloc(count, sizeof(*last->next)),
				     .heads = calloc((size_t)1 << bits, sizeof(*last->heads)),
				     .shift = 64 - bits};
	return last->addresses && last->next && last->heads ? 0 : -ENOMEM;
}

void replay_last_fini(struct replay_last *last)
{
	free(last->addresses);
	free(last->next);
	free(last->heads);
	*last = (struct replay_last){0};
}

uint64_t replay_last_take(struct replay_last *last, uint32_t thread)
{
	uint64_t address = last->addresses[thread];
	uint32_t *at = &last->heads[replay_last_hash_of(address, last->shift)];

	if (address == 0)
		return 0;
	while (*at != thread + 1)
		at = &last->next[*at - 1];
	*at = last->next[thread];
	last->addresses[thread] = 0;
	last->count--;
	return address;
}

void replay_last_put(struct replay_last *last, uint32_t thread, uint64_t address)
{
	uint32_t *head = &last->heads[replay_last_hash_of(address, last->shift)];

	if (address == 0)
		return;
	last->addresses[thread] = address;
	last->next[thread] = *head;
	*head = thread + 1;
	last->count++;
}

void replay_last_forget(struct replay_last *last, uint64_t address)
{
	uint32_t at = last->heads[replay_last_hash_of(address, last->shift)];

	while (at != 0 && last->addresses[at - 1] != address)
		at = last->next[at - 1];
	if (at != 0)
		replay_last_take(last, at - 1);
}
