/*
 * What the recorder encodes, the analyzer decodes: random rings of events of all kinds against a
 * model that was made from the words alone.
 */
#include "codec.h"
#include "encode.h"
#include "event_kind.h"
#include "flush.h"
#include "pack.h"
#include "stage.h"

#include <zstd.h>

#include "../../analyzer/event_decode.h"
#include "preload_support.h"
#include "ring.h"

static const uint8_t all_kinds[] = {
#define KIND_NUMBER(symbol, number, name, class, family) number,
    TRACE_EVENT_KINDS(KIND_NUMBER)
#undef KIND_NUMBER
};

#define RECORDS_MAX (RING_WORDS / 2)

static uint64_t words[RING_WORDS];
static uint8_t stage_memory[RING_STAGE_BYTES];
static size_t word_count, record_count;
static struct event expected[2 * RECORDS_MAX];
static size_t expected_count;
static uint64_t seed;
static unsigned shift; /* of ticks */

static uint64_t draw(uint64_t below)
{
	return support_random(&seed) % below;
}

/* Small, large and extreme numbers in turn. */
static uint64_t draw_number(unsigned bits)
{
	static const uint64_t extremes[] = {0, 1, 127, 128, 16383, 16384, UINT64_MAX};
	uint64_t number = support_random(&seed) >> draw(64);

	if (draw(4) == 0)
		number = extremes[draw(7)];
	return bits < 64 ? number & ((1ULL << bits) - 1) : number;
}

/* Most are multiples of 16; half stood there before. */
static uint64_t draw_address(void)
{
	static uint64_t known[64];
	uint64_t *place = &known[draw(64)];

	if (draw(2) == 0)
		*place = draw(3) ? draw_number(64) & ~15ULL : draw_number(64);
	return *place;
}

static void add_expected(struct event event)
{
	expected[expected_count++] = event;
}

/* The halves of a record, by the words of the format's documentation. */
static void expect(const uint64_t *at, uint64_t tick)
{
	uint8_t kind = (uint8_t)at[0];
	uint64_t order = tick >> shift << 1;
	uint64_t floor = record_count ? expected[expected_count - 1].order : 0;
	uint64_t released;

	switch (event_class[kind]) {
	case TRACE_CLASS_REALLOC:
	case TRACE_CLASS_REMAP:
		released = at[5] >> shift << 1;
		if (released > order)
			released = order;
		if (released < (floor & ~1ULL))
			released = floor & ~1ULL;
		if (at[4])
			add_expected((struct event){
			    .order = released,
			    .address = at[4],
			    .bytes = event_class[kind] == TRACE_CLASS_REMAP ? at[6] : 0,
			    .kind = kind,
			    .op = kind == TRACE_EVENT_MREMAP ? EVENT_UNMAP : EVENT_RELEASE});
		/* fall through */
	case TRACE_CLASS_ACQUIRE:
	case TRACE_CLASS_MAP:
		add_expected((struct event){
		    .order = order | 1,
		    .address = at[1],
		    .bytes = at[2],
		    .stack = (uint32_t)at[3],
		    .kind = kind,
		    .op = event_family[kind] == TRACE_FAMILY_MAP ? EVENT_MAP : EVENT_ACQUIRE,
		    .aux = event_class[kind] == TRACE_CLASS_MAP ? 0 : (uint8_t)(at[3] >> 32)});
		break;
	case TRACE_CLASS_RELEASE:
		add_expected((struct event){
		    .order = order, .address = at[1], .kind = kind, .op = EVENT_RELEASE});
		break;
	case TRACE_CLASS_UNMAP:
		add_expected((struct event){.order = order,
					    .address = at[1],
					    .bytes = at[2],
					    .kind = kind,
					    .op = EVENT_UNMAP});
		break;
	case TRACE_CLASS_FAILED:
		add_expected((struct event){.order = order,
					    .bytes = at[2],
					    .stack = (uint32_t)at[3],
					    .kind = kind,
					    .op = EVENT_FAILED,
					    .aux = (uint8_t)at[1]});
		break;
	case TRACE_CLASS_SAMPLE:
		add_expected((struct event){
		    .order = order, .bytes = at[1], .kind = kind, .op = EVENT_SAMPLE});
		break;
	default:
		ck_abort_msg("kind %u", kind);
	}
}

/* Adds a random record of `kind` if there is room; `latest` is the highest tick so far. */
static bool add_record(uint8_t kind, uint64_t *latest, bool backwards)
{
	uint64_t tick = *latest + draw_number(draw(20) ? 20 : 40);
	uint64_t *at = &words[word_count];
	size_t count = event_words(kind);

	if (word_count + count > RING_WORDS)
		return false;
	if (backwards && draw(3) == 0)
		tick = draw(*latest + 1);
	at[0] = tick << 8 | kind;
	at[1] = event_class[kind] == TRACE_CLASS_SAMPLE ? draw_number(64) : draw_address();
	if (kind == TRACE_EVENT_FAILED)
		at[1] = all_kinds[draw(sizeof(all_kinds))];
	if (count > 2)
		at[2] = draw_number(64);
	if (count > 3)
		at[3] = draw(2) ? draw(8) : draw_number(32);
	if (count > 3 && event_class[kind] == TRACE_CLASS_ACQUIRE)
		at[3] |= draw(256) << 32;
	if (count > 4) {
		at[4] = draw(4) ? draw_address() : 0;
		at[5] = tick > *latest ? *latest + draw(tick - *latest + 1) : tick;
	}
	if (count > 6)
		at[6] = draw_number(64);
	if (tick > *latest)
		*latest = tick;
	expect(at, *latest);
	word_count += count;
	record_count++;
	return true;
}

/* Extremes of 2^40 ticks a record stay below the 56 bits of a tick. */
static void start_stream(uint64_t with_seed)
{
	seed = with_seed;
	word_count = record_count = expected_count = 0;
}

static void check_event(size_t i, const struct event *event)
{
	const struct event *want = &expected[i];

	ck_assert_msg(
	    event->order == want->order && event->address == want->address &&
		event->bytes == want->bytes && event->stack == want->stack &&
		event->kind == want->kind && event->op == want->op && event->aux == want->aux,
	    "event %zu of kind %u: order %lu address %lx bytes %lu stack %u aux %u, not "
	    "kind %u order %lu address %lx bytes %lu stack %u aux %u",
	    i, event->kind, event->order, event->address, event->bytes, event->stack, event->aux,
	    want->kind, want->order, want->address, want->bytes, want->stack, want->aux);
}

/* Words of the first events at `from`: of one at least, and as many more as chance has it. */
static size_t some_words(size_t from, size_t count)
{
	size_t at = from;

	do
		at += event_words(words[at]);
	while (at < count && draw(64));
	return at - from;
}

/* Adds `count` words to the segment in one part, or with `parts` in several. */
static void add_words(struct codec *codec, struct encode_tables *tables, struct stage *stage,
		      size_t count, bool parts)
{
	for (size_t at = 0, some;; at += some) {
		some = parts && at < count ? some_words(at, count) : count - at;
		encode_part(&stage->segment, tables, codec, words + at, some);
		if (at + some == count)
			return;
		ck_assert_uint_eq(codec->part.from, at);
		ck_assert_uint_eq(codec->part.to, at + some);
		/* The last part stays the codec's. */
		ck_assert(stage_add(stage, codec));
	}
}

/* A segment of its own, or one that goes on where its ring's last ended. */
static const void *encode(struct codec *codec, size_t count, bool compress, bool parts,
			  struct trace_events *head, size_t *bytes)
{
	struct encode_tables *tables = encode_tables_of(head->ring, &codec->own);
	struct pack_state state = {.likeness = (enum pack_likeness)(seed % 3)};
	struct stage stage;
	const void *columns;

	stage_init(&stage, stage_memory);
	stage.segment.head = *head;
	encode_begin(&stage.segment, tables, shift);
	add_words(codec, tables, &stage, count, parts);
	columns = pack_columns(codec, &stage, true, compress, &state, &stage.segment.head, bytes);
	*head = stage.segment.head;
	return columns;
}

/* Encodes the stream and compares what is decoded. Returns the encoded length. */
static size_t round_trip(bool compress, bool parts, unsigned *method)
{
	struct codec *codec = codec_take();
	struct trace_events head = {0};
	struct event_shared shared = {.zstd = ZSTD_createDCtx(), .room = EVENT_SHARED_ROOM};
	struct event_buffers buffers = {.shared = &shared};
	struct event_decoder decoder = {0};
	struct event events[EVENT_DECODE_EVENTS];
	size_t bytes, got, seen = 0;
	const void *columns;
	uint32_t bad;

	ck_assert_ptr_nonnull(codec);
	encode_tables_forget(0);
	columns = encode(codec, word_count, compress, parts, &head, &bytes);
	ck_assert_uint_eq(head.events, record_count);
	ck_assert_uint_eq(head.tick_shift, shift);
	ck_assert_int_eq(event_buffers_reserve(&buffers, sizeof(head) + bytes), 0);
	memcpy(buffers.payload, &head, sizeof(head));
	memcpy(buffers.payload + sizeof(head), columns, bytes);
	codec_put(codec);
	ck_assert_int_eq(event_segment_begin(&decoder, &buffers, sizeof(head) + bytes, shift), 0);
	while ((got = event_decode_next(&decoder, events, &bad))) {
		ck_assert_uint_eq(bad, 0);
		for (size_t i = 0; i < got; i++, seen++) {
			ck_assert_uint_lt(seen, expected_count);
			check_event(seen, &events[i]);
		}
	}
	ck_assert_uint_eq(seen, expected_count);
	for (size_t i = 0; i < TRACE_COLUMNS; i++)
		ck_assert_ptr_eq(decoder.at[i], decoder.end[i]);
	event_buffers_fini(&buffers);
	ZSTD_freeDCtx(shared.zstd);
	*method = head.compression;
	return bytes;
}

START_TEST(random_streams)
{
	unsigned method;

	for (uint64_t i = 0; i < 40; i++) {
		uint64_t latest = 0;
		size_t most = i < 20 ? i : RECORDS_MAX;

		shift = (unsigned)i % 14;
		start_stream(i * 1000 + (uint64_t)_i);
		while (record_count < most &&
		       add_record(all_kinds[draw(sizeof(all_kinds))], &latest, i % 3 == 2))
			continue;
		round_trip(i % 4 < 2, i % 5 < 3, &method);
	}
}
END_TEST

/* A ring full of each kind alone: all columns hold what comes at most. */
START_TEST(full_of_one_kind)
{
	for (size_t i = 0; i < sizeof(all_kinds); i++) {
		uint64_t latest = 0;
		unsigned method;

		shift = (unsigned)i % 14;
		start_stream(i);
		while (add_record(all_kinds[i], &latest, false))
			continue;
		ck_assert_uint_eq(record_count, RING_WORDS / event_words(all_kinds[i]));
		round_trip(true, false, &method);
		round_trip(true, true, &method);
	}
}
END_TEST

/* What a program does compresses; what does not compress is stored, and not longer than that. */
START_TEST(compression)
{
	unsigned method;
	uint64_t latest = 0;
	size_t packed, plain;

	shift = 4;
	start_stream(7);
	for (uint64_t i = 0; word_count + 6 <= RING_WORDS; i++) {
		uint64_t *at = &words[word_count];

		latest += 200;
		at[0] = latest << 8 | TRACE_EVENT_MALLOC;
		at[1] = 0x55550000 + 48 * (i % 100);
		at[2] = 40;
		at[3] = 1000 + i % 5;
		expect(at, latest);
		record_count++;
		latest += 100;
		at[4] = latest << 8 | TRACE_EVENT_FREE;
		at[5] = at[1];
		expect(at + 4, latest);
		record_count++;
		word_count += 6;
	}
	packed = round_trip(true, false, &method);
	ck_assert_uint_eq(method, TRACE_COMPRESSION_ZSTD);
	plain = round_trip(false, false, &method);
	ck_assert_uint_eq(method, TRACE_COMPRESSION_NONE);
	ck_assert_uint_lt(packed * 2, plain);
	ck_assert_uint_le(packed, 4 * record_count); /* 8 bytes a pair */
	start_stream(8);
	latest = 0;
	while (add_record(TRACE_EVENT_FREE, &latest, false))
		words[word_count - 1] = support_random(&seed) >> 7 | 1,
				   expected[expected_count - 1].address = words[word_count - 1];
	plain = round_trip(false, false, &method);
	ck_assert_uint_le(round_trip(true, false, &method), plain);
}
END_TEST

/* Packs the part that the codec has; returns what the next one is expected to be like. */
static enum pack_likeness pack_again(struct codec *codec, struct pack_state *state)
{
	struct trace_events head = {0};
	struct stage stage;
	size_t bytes;

	stage_init(&stage, stage_memory);
	pack_columns(codec, &stage, true, true, state, &head, &bytes);
	return state->likeness;
}

/* What looked like chance is looked at again, without what is left out for chance. */
START_TEST(likeness)
{
	struct pack_state state = {.likeness = PACK_CHANCE, .chance_left = 2};
	struct codec *codec = codec_take();
	struct trace_events head = {0};
	uint64_t latest = 0;
	size_t bytes;

	shift = 4;
	start_stream(3);
	for (; word_count + 2 <= RING_WORDS; word_count += 2) {
		words[word_count] = ++latest << 8 | TRACE_EVENT_FREE;
		words[word_count + 1] = 0x1000;
	}
	encode(codec, word_count, true, false, &head, &bytes);
	ck_assert_int_eq(pack_again(codec, &state), PACK_CHANCE);
	ck_assert_int_eq(pack_again(codec, &state), PACK_MIXED);
	ck_assert_int_eq(pack_again(codec, &state), PACK_REGULAR);
	for (size_t i = 1; i < word_count; i += 2)
		words[i] = support_random(&seed) >> 8;
	encode_tables_forget(0);
	encode(codec, word_count, true, false, &head, &bytes);
	ck_assert_int_eq(pack_again(codec, &state), PACK_CHANCE);
	ck_assert_int_eq(pack_again(codec, &state), PACK_CHANCE);
	codec_put(codec);
}
END_TEST

#define GROUP_STEPS 200

/* A ring's segments one after the other, as they go into the file. */
static struct {
	struct trace_events head;
	uint8_t payload[4096];
	size_t bytes;
	uint64_t first; /* address of its first event */
} steps[GROUP_STEPS];

/* Segment `number` of ring `ring`: its events' addresses tell them apart, and most stood before. */
static void make_step(struct codec *codec, unsigned number, uint32_t ring, bool forget)
{
	struct trace_events *head = &steps[number].head;
	const void *columns;
	size_t bytes;

	shift = 4;
	start_stream(number);
	for (uint64_t i = 0; i < 40; i++) {
		uint64_t *at = &words[word_count];

		at[0] = (1000 * number + i) << 8 | TRACE_EVENT_MALLOC;
		at[1] = 0x1000 + 16 * ((uint64_t)number * 7 + i);
		at[2] = 24 + i % 3;
		at[3] = 5 + (number + i) % 30;
		word_count += 4;
	}
	steps[number].first = words[1];
	*head = (struct trace_events){.ring = ring, .from = number * word_count};
	columns = encode(codec, word_count, true, false, head, &bytes);
	ck_assert_uint_le(sizeof(*head) + bytes + EVENT_COLUMN_PADDING, sizeof(steps[0].payload));
	steps[number].bytes = sizeof(*head) + bytes;
	memcpy(steps[number].payload, head, sizeof(*head));
	memcpy(steps[number].payload + sizeof(*head), columns, bytes);
	if (forget)
		encode_tables_forget(ring);
}

/* Decodes the steps but those that `lost` names; returns how many were refused. */
static unsigned decode_steps(const bool *lost)
{
	struct event_shared shared = {.zstd = ZSTD_createDCtx(), .room = EVENT_SHARED_ROOM};
	struct event_buffers buffers = {.shared = &shared};
	struct event_decoder decoder = {0};
	struct event events[EVENT_DECODE_EVENTS];
	unsigned refused = 0;
	uint32_t bad;

	for (unsigned i = 0; i < GROUP_STEPS; i++) {
		if (lost[i])
			continue;
		ck_assert_int_eq(event_buffers_reserve(&buffers, steps[i].bytes), 0);
		memcpy(buffers.payload, steps[i].payload, steps[i].bytes);
		if (event_segment_begin(&decoder, &buffers, steps[i].bytes, 4) < 0) {
			refused++;
			continue;
		}
		ck_assert_uint_eq(event_decode_next(&decoder, events, &bad), 40);
		ck_assert_uint_eq(bad, 0);
		for (unsigned k = 0; k < 40; k++) {
			ck_assert_uint_eq(events[k].address, steps[i].first + 16 * k);
			ck_assert_uint_eq(events[k].bytes, 24 + k % 3);
			ck_assert_uint_eq(events[k].stack, 5 + (i + k) % 30);
		}
		ck_assert_uint_eq(event_decode_next(&decoder, events, &bad), 0);
	}
	event_buffers_fini(&buffers);
	ZSTD_freeDCtx(shared.zstd);
	ck_assert_uint_eq(shared.room, EVENT_SHARED_ROOM);
	return refused;
}

/*
 * Segments go on from each other, and smaller, in groups of 64; what is not in the file takes the
 * rest of its group with it and nothing else, and is never decoded to what was not.
 */
START_TEST(groups)
{
	static const uint32_t rings[] = {0, 3, 100000};
	struct codec *codec = codec_take();

	for (size_t r = 0; r < 3; r++) {
		bool lost[GROUP_STEPS] = {false};
		bool grouped = rings[r] < 1000;

		for (unsigned i = 0; i < GROUP_STEPS; i++)
			make_step(codec, i, rings[r], i == 150);
		for (unsigned i = 0; i < GROUP_STEPS; i++) {
			bool first = i % 64 == 0 && i < 150;

			first = first || i == 151;
			ck_assert_uint_eq(steps[i].head.flags & TRACE_EVENTS_CONTINUES,
					  first || !grouped ? 0 : TRACE_EVENTS_CONTINUES);
		}
		ck_assert_uint_eq(decode_steps(lost), 0);
		lost[70] = true; /* of 64 .. 127 */
		ck_assert_uint_eq(decode_steps(lost), grouped ? 57 : 0);
		lost[64] = true;
		ck_assert_uint_eq(decode_steps(lost), grouped ? 62 : 0);
		memset(lost, 0, sizeof(lost));
		lost[150] = true; /* it could not be written */
		ck_assert_uint_eq(decode_steps(lost), 0);
		memset(lost, 0, sizeof(lost));
		steps[130].payload[sizeof(struct trace_events)] ^= 1;
		ck_assert_uint_ge(decode_steps(lost), grouped ? 20 : 1);
	}
	codec_put(codec);
}
END_TEST

/* A child that was forked has other segments than its parent's. */
START_TEST(groups_of_a_child)
{
	struct codec *codec = codec_take();

	make_step(codec, 0, 3, false);
	make_step(codec, 1, 3, false);
	ck_assert(steps[1].head.flags & TRACE_EVENTS_CONTINUES);
	flush_forked();
	make_step(codec, 2, 3, false);
	ck_assert(!(steps[2].head.flags & TRACE_EVENTS_CONTINUES));
}
END_TEST

START_TEST(nothing)
{
	unsigned method;

	shift = 4;
	start_stream(1);
	ck_assert_uint_eq(round_trip(true, false, &method), 0);
}
END_TEST

START_TEST(head_ticks)
{
	struct codec *codec = codec_take();
	struct trace_events head = {0};
	size_t bytes;

	shift = 4;
	words[0] = 1001ULL << 8 | TRACE_EVENT_FREE;
	words[2] = 2003ULL << 8 | TRACE_EVENT_FREE;
	words[4] = 1500ULL << 8 | TRACE_EVENT_FREE;
	encode(codec, 6, true, false, &head, &bytes);
	ck_assert_uint_eq(head.first_tick, 1001);
	ck_assert_uint_eq(head.last_tick, 2003);
	ck_assert_uint_eq(head.events, 3);
	codec_put(codec);
}
END_TEST

START_TEST(words_of_kinds)
{
	for (unsigned kind = 0; kind < TRACE_EVENT_KIND_MAX; kind++)
		ck_assert_uint_eq(event_words(kind | 0x123400), event_words_of(kind | 0x123400));
}
END_TEST

/*
 * Ring memory is a file anybody may have written to: words that are no event, or the beginning of
 * one, end the encoding with what came before.
 */
START_TEST(words_that_are_no_event)
{
	struct codec *codec = codec_take();
	size_t bytes;

	shift = 4;
	for (unsigned kind = 0; kind < TRACE_EVENT_KIND_MAX; kind++) {
		struct trace_events head = {0};

		words[0] = 5ULL << 8 | TRACE_EVENT_FREE;
		words[1] = 4096;
		words[2] = 6ULL << 8 | kind;
		words[3] = 0;
		encode(codec, event_words(kind) ? 3 : 4, true, false, &head, &bytes);
		ck_assert_uint_eq(head.events, 1);
	}
	codec_put(codec);
}
END_TEST

static int in_use[64];

/* A codec is one thread's alone: the first bytes of what it gave stay what this thread put there.
 */
static void take_and_put(unsigned number)
{
	for (int i = 0; i < 300; i++) {
		uint64_t mine[2] = {(uint64_t)(i + 1) << 8 | TRACE_EVENT_FREE, 16 * (number + 1)};
		struct codec *codec = codec_take();
		struct encode_segment segment = {.head.ring = number};
		struct encode_tables *tables;

		if (!codec)
			return;
		tables = encode_tables_of(number, &codec->own);
		encode_begin(&segment, tables, 4);
		encode_part(&segment, tables, codec, mine, 2);
		if (i % 32 == 0)
			usleep(1);
		/* a new shape; its address, zigzag(n + 1) << 1 */
		if (codec->space[TRACE_COLUMN_SHAPE][0] != 0 ||
		    codec->space[TRACE_COLUMN_RELEASED][0] != 4 * (number + 1))
			return;
		codec_put(codec);
	}
	in_use[number] = 1;
}

START_TEST(pool)
{
	struct codec *first, *second;

	support_threads(16, take_and_put);
	for (int i = 0; i < 16; i++)
		ck_assert_int_eq(in_use[i], 1);
	codec_forked(); /* leaves the one that is always there, wherever the threads had put it */
	first = codec_take();
	second = codec_take();
	ck_assert_ptr_ne(first, second);
	codec_put(first);
	ck_assert_ptr_eq(codec_take(), first);
	codec_put(second);
	codec_forked();
	ck_assert_ptr_eq(codec_take(), first);
	ck_assert_ptr_ne(codec_take(), second);
}
END_TEST

#define FAR_IN 100000 /* beyond the first page of any size */

static void use(struct codec *codec)
{
	codec->space[0][0] = 1;
	codec_packer(codec)->joined[FAR_IN] = 1;
}

/* Of idle codecs only as many keep their memory as the threads there are need at once. */
START_TEST(idle_codecs)
{
	struct codec *codecs[4];

	codec_forked();
	codec_threads(2);
	for (int i = 0; i < 4; i++) {
		codecs[i] = codec_take();
		use(codecs[i]);
		ck_assert_ptr_nonnull(codecs[i]->packer.zstd);
	}
	for (int i = 0; i < 4; i++)
		codec_put(codecs[i]);
	for (int i = 0; i < 4; i++) {
		ck_assert_uint_eq(codecs[i]->space[0][0], i < 2);
		ck_assert_uint_eq(codecs[i]->packer.joined[FAR_IN], i < 1);
		ck_assert_uint_eq(codecs[i]->packer.zstd != NULL, i < 1);
	}
	codec_threads(10);
	for (int i = 0; i < 4; i++) {
		ck_assert_ptr_eq(codec_take(), codecs[i]);
		use(codecs[i]);
	}
	for (int i = 0; i < 4; i++)
		codec_put(codecs[i]);
	for (int i = 0; i < 4; i++) {
		ck_assert_uint_eq(codecs[i]->space[0][0], 1);
		ck_assert_uint_eq(codecs[i]->packer.joined[FAR_IN], i < 3);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("preload encode");
	TCase *tests = tcase_create("encode");

	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, random_streams, 0, 10);
	tcase_add_test(tests, full_of_one_kind);
	tcase_add_test(tests, compression);
	tcase_add_test(tests, likeness);
	tcase_add_test(tests, groups);
	tcase_add_test(tests, groups_of_a_child);
	tcase_add_test(tests, nothing);
	tcase_add_test(tests, head_ticks);
	tcase_add_test(tests, words_of_kinds);
	tcase_add_test(tests, words_that_are_no_event);
	tcase_add_test(tests, pool);
	tcase_add_test(tests, idle_codecs);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
