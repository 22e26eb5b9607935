/* "First moment of the highest sum": only a sum strictly above the last one makes a new peak. */
#include "agg_peak.h"

struct agg_peak_found agg_peak_find(const struct replay_change *changes, size_t count,
				    uint64_t live, uint64_t floor)
{
	struct agg_peak_found found = {.at = SIZE_MAX, .bytes = floor};

	for (size_t i = 0; i < count; i++) {
		if (changes[i].op == REPLAY_ALLOCATE) {
			live += changes[i].bytes;
			if (live > found.bytes) {
				found.bytes = live;
				found.at = i;
			}
		} else if (changes[i].op == REPLAY_FREE) {
			live -= changes[i].bytes;
		}
	}
	found.end_bytes = live;
	return found;
}
