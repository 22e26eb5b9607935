/* The words of a ring: what its owner had not flushed when we looked, or when it was killed. */
#include "event_decode.h"

static const uint8_t class_words[] = {
    [TRACE_CLASS_NONE] = 0,    [TRACE_CLASS_ACQUIRE] = 4, [TRACE_CLASS_RELEASE] = 2,
    [TRACE_CLASS_REALLOC] = 6, [TRACE_CLASS_MAP] = 4,	  [TRACE_CLASS_UNMAP] = 3,
    [TRACE_CLASS_REMAP] = 7,   [TRACE_CLASS_FAILED] = 4,  [TRACE_CLASS_SAMPLE] = 2,
};

size_t event_words_of(uint64_t word)
{
	return class_words[event_class[word & 0xff]];
}

/* Clamps: within one thread time does not run backwards, whatever a damaged word says. */
static uint64_t clamp(uint64_t tick, uint64_t low, uint64_t high)
{
	return tick < low ? low : tick > high ? high : tick;
}

/* One record of two halves; returns how many events it became. */
static size_t decode_two(const struct event_words *words, const uint64_t *word, uint64_t tick,
			 struct event *events)
{
	uint8_t kind = word[0] & 0xff;
	bool map = event_class[kind] == TRACE_CLASS_REMAP;
	uint64_t release = clamp(word[5], words->tick, tick);
	size_t out = 0;

	if (word[4] != 0)
		events[out++] = (struct event){.order = release >> words->merge_shift << 1,
					       .address = word[4],
					       .bytes = map ? word[6] : 0,
					       .kind = kind,
					       .op = map ? EVENT_UNMAP : EVENT_RELEASE,
					       .family = event_family[kind]};
	events[out++] = (struct event){.order = tick >> words->merge_shift << 1 | 1,
				       .address = word[1],
				       .bytes = word[2],
				       .stack = (uint32_t)word[3],
				       .kind = kind,
				       .op = map ? EVENT_MAP : EVENT_ACQUIRE,
				       .aux = (uint8_t)(word[3] >> 32),
				       .family = event_family[kind]};
	return out;
}

static void decode_one(const struct event_words *words, const uint64_t *word, uint64_t tick,
		       struct event *event)
{
	uint8_t kind = word[0] & 0xff;

	*event = (struct event){.order = tick >> words->merge_shift << 1,
				.address = word[1],
				.kind = kind,
				.family = event_family[kind]};
	switch (event_class[kind]) {
	case TRACE_CLASS_ACQUIRE:
	case TRACE_CLASS_MAP:
		event->order |= 1;
		event->op = event_class[kind] == TRACE_CLASS_MAP ? EVENT_MAP : EVENT_ACQUIRE;
		event->bytes = word[2];
		event->stack = (uint32_t)word[3];
		event->aux = (uint8_t)(word[3] >> 32);
		break;
	case TRACE_CLASS_RELEASE:
		event->op = EVENT_RELEASE;
		break;
	case TRACE_CLASS_UNMAP:
		event->op = EVENT_UNMAP;
		event->bytes = word[2];
		break;
	case TRACE_CLASS_FAILED:
		event->op = EVENT_FAILED;
		event->address = 0;
		event->aux = (uint8_t)word[1];
		event->bytes = word[2];
		event->stack = (uint32_t)word[3];
		break;
	default:
		event->op = EVENT_SAMPLE;
		event->address = 0;
		event->bytes = word[1];
		break;
	}
}

size_t event_words_next(struct event_words *words, struct event *events, bool *bad)
{
	size_t out = 0;

	*bad = false;
	for (size_t record = 0; record < EVENT_DECODE_RECORDS && words->at < words->count;
	     record++) {
		const uint64_t *word = words->words + words->at;
		size_t length = event_words_of(word[0]);
		uint64_t tick = clamp(word[0] >> 8, words->tick, UINT64_MAX);

		if (length == 0 || length > words->count - words->at) {
			*bad = true;
			words->at = words->count;
			break;
		}
		if (length >= class_words[TRACE_CLASS_REALLOC])
			out += decode_two(words, word, tick, events + out);
		else
			decode_one(words, word, tick, &events[out++]);
		words->tick = tick;
		words->records++;
		words->at += length;
	}
	return out;
}
