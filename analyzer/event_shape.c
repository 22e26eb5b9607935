#include "event_shape.h"

#include "event_decode.h"
#include "varint.h"

#define HAS_BLOCK (HAS_ADDRESS | HAS_SIZE | HAS_STACK | IS_LATE)

static const struct {
	uint8_t has;
	uint8_t op;
} classes[] = {
    [TRACE_CLASS_ACQUIRE] = {HAS_BLOCK | HAS_AUX, EVENT_ACQUIRE},
    [TRACE_CLASS_RELEASE] = {HAS_ADDRESS, EVENT_RELEASE},
    [TRACE_CLASS_REALLOC] = {HAS_BLOCK | HAS_AUX | HAS_EXTRA | HAS_TWO, EVENT_SHAPE_REALLOC},
    [TRACE_CLASS_MAP] = {HAS_BLOCK, EVENT_MAP | EVENT_SHAPE_RARE},
    [TRACE_CLASS_UNMAP] = {HAS_ADDRESS | HAS_SIZE, EVENT_UNMAP | EVENT_SHAPE_RARE},
    [TRACE_CLASS_REMAP] = {HAS_BLOCK | HAS_AUX | HAS_EXTRA | HAS_TWO, EVENT_MAP | EVENT_SHAPE_RARE},
    [TRACE_CLASS_FAILED] = {HAS_SIZE | HAS_STACK | HAS_EXTRA, EVENT_FAILED | EVENT_SHAPE_RARE},
    [TRACE_CLASS_SAMPLE] = {HAS_SIZE, EVENT_SAMPLE | EVENT_SHAPE_RARE},
};

uint8_t event_shape_has(const struct event_shape *shape)
{
	return classes[event_class[shape->kind]].has;
}

struct event_shape *event_shape_define(struct event_decoder *decoder)
{
	const uint8_t *at = decoder->at[TRACE_COLUMN_DEFINITION];
	const uint8_t *end = decoder->end[TRACE_COLUMN_DEFINITION];
	struct event_shape *shape;
	uint8_t class;

	/* Without room there may be no table. */
	if (at >= end || decoder->shape_count == decoder->shape_room)
		return NULL;
	shape = &decoder->shapes[decoder->shape_count];
	*shape = (struct event_shape){.kind = *at++};
	class = event_class[shape->kind];
	if (class == TRACE_CLASS_NONE)
		return NULL;
	shape->op = classes[class].op;
	shape->family = event_family[shape->kind];
	if (classes[class].has & HAS_STACK) {
		if (at >= end)
			return NULL;
		shape->aux = classes[class].has & HAS_AUX ? *at : 0;
		at++;
		decoder->stack += (uint32_t)unzigzag(varint(&at, end));
		shape->stack = decoder->stack;
	}
	decoder->at[TRACE_COLUMN_DEFINITION] = at;
	decoder->shape_count++;
	return shape;
}
