/* What records of a class consist of, and the shapes that the column DEFINITION has. */
#ifndef EVENT_SHAPE_H
#define EVENT_SHAPE_H

#include "event_segment.h"

#include <stdint.h>

/* What a record of each class has. */
enum {
	HAS_ADDRESS = 1,
	HAS_SIZE = 2,
	HAS_STACK = 4,
	HAS_EXTRA = 8,
	HAS_TWO = 16, /* two halves */
	IS_LATE = 32, /* acquires: later than a release at the same tick */
	HAS_AUX = 64,
};

uint8_t event_shape_has(const struct event_shape *shape);

/* Takes the next shape of DEFINITION; returns NULL when there is none, or of no kind. */
struct event_shape *event_shape_define(struct event_decoder *decoder);

#endif
