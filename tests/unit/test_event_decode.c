/*
 * Columns and ring words give the same events; extremes of every field survive; unsound columns
 * are told and never read past their end.
 */
#include "event_decode.h"

#include "trace_builder.h"
#include "trace_reader.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define EVENTS_MAX 20000

struct decoded {
	struct event events[EVENTS_MAX];
	size_t count;
	uint32_t bad;
};

static void decode_payload(const uint8_t *payload, size_t bytes, unsigned merge_shift,
			   struct decoded *out, int *rc)
{
	struct event_shared shared = {.zstd = ZSTD_createDCtx(), .room = EVENT_SHARED_ROOM};
	struct event_buffers buffers = {.shared = &shared};
	struct event_decoder decoder = {0};
	uint32_t bad;
	size_t n;

	out->count = 0;
	out->bad = 0;
	ck_assert_int_eq(event_buffers_reserve(&buffers, bytes), 0);
	memcpy(buffers.payload, payload, bytes);
	*rc = event_segment_begin(&decoder, &buffers, bytes, merge_shift);
	while (*rc == 0) {
		ck_assert_uint_le(out->count + EVENT_DECODE_EVENTS, EVENTS_MAX);
		n = event_decode_next(&decoder, out->events + out->count, &bad);
		out->count += n;
		out->bad += bad;
		if (n == 0)
			break;
	}
	event_buffers_fini(&buffers);
	ck_assert_uint_eq(shared.room, EVENT_SHARED_ROOM);
	ZSTD_freeDCtx(shared.zstd);
}

/* The payload of the only EVENTS segment of a builder; the caller frees. */
static uint8_t *only_payload(struct trace_builder *builder, size_t *bytes)
{
	struct trace_reader *reader;
	struct trace_image image;
	size_t count;
	const uint8_t *file = trace_builder_finish(builder, &count);
	uint8_t *payload;
	char error[200];

	trace_image_open(&image, file, count);
	ck_assert_int_eq(trace_reader_open(image.path, &reader, error, sizeof(error)), 0);
	trace_image_close(&image);
	ck_assert_uint_eq(reader->event_segments, 1);
	*bytes = reader->events[0].payload_bytes;
	payload = malloc(*bytes);
	ck_assert_ptr_nonnull(payload);
	memcpy(payload, file + reader->events[0].offset, *bytes);
	trace_reader_free(reader);
	return payload;
}

static uint64_t wild(void)
{
	uint64_t value = (uint64_t)rand() << 33 ^ (uint64_t)rand() << 11 ^ (uint64_t)rand();

	return value >> rand() % 64;
}

/* A random record of any class, some at the address that stands there; returns its words. */
static size_t make_record(uint64_t *words, uint64_t *tick)
{
	static const uint8_t kinds[] = {
#define KIND(symbol, number, name, class, family) number,
	    TRACE_EVENT_KINDS(KIND)
#undef KIND
	};
	uint8_t kind = kinds[(size_t)rand() % sizeof(kinds)];
	size_t count = event_words_of(kind);

	*tick += wild() % 1000000;
	words[0] = *tick << 8 | kind;
	words[1] = rand() % 4 ? wild() : words[1];
	words[2] = wild();
	words[3] = rand() % 4 ? (uint32_t)rand() % 8 : (uint32_t)wild();
	words[4] = rand() % 4 ? wild() : 0;
	words[5] = *tick;
	words[6] = wild();
	if (event_class[kind] == TRACE_CLASS_FAILED)
		words[1] = kinds[(size_t)rand() % sizeof(kinds)];
	if (event_class[kind] == TRACE_CLASS_ACQUIRE || event_class[kind] == TRACE_CLASS_REALLOC ||
	    event_class[kind] == TRACE_CLASS_REMAP)
		words[3] |= (uint64_t)(rand() % 30) << 32;
	return count;
}

/*
 * A record like most, one of ten a realloc: of some hundred shapes, at addresses that stood before
 * or lie near the last one, with sizes of one byte or two. One in `rare` has something that is
 * longer or of another sort. `recent` are the last addresses, of which there are RECENT.
 */
#define RECENT 2000

static size_t make_usual(uint64_t *words, uint64_t *tick, uint64_t *recent, size_t at, int rare)
{
	uint8_t kind = rand() % 10 == 0 ? TRACE_EVENT_REALLOC
		       : rand() % 2	? TRACE_EVENT_MALLOC
					: TRACE_EVENT_FREE;
	bool odd = rand() % rare == 0;

	if (odd && rand() % 2)
		return make_record(words, tick);
	*tick += odd ? wild() % 100000 : rand() % 3 == 0 ? (uint64_t)rand() % 200 : 0;
	words[0] = *tick << 8 | kind;
	words[1] = recent[(at + RECENT - 1) % RECENT] + (uint64_t)(rand() % 64 * 16);
	if (rand() % 2)
		words[1] = recent[(size_t)rand() % RECENT];
	else if (odd)
		words[1] = rand() % 2 ? wild() : words[1] + (uint64_t)rand() % 100000;
	words[2] = rand() % 3 ? 24 : (uint64_t)rand() % (rand() % 3 ? 120 : 30000);
	words[3] = (uint64_t)rand() % (rand() % 4 ? 50 : 400);
	words[4] = rand() % 3 ? recent[(size_t)rand() % RECENT] : 0;
	words[5] = *tick;
	recent[at % RECENT] = words[1];
	return event_words_of(kind);
}

static struct decoded from_columns, from_words;
static int lower_rc;

static uint64_t coarse(uint64_t order, unsigned shift)
{
	return order >> 1 >> shift << shift << 1 | (order & 1);
}

/* The events of words are those of the same words' columns. */
static void compare(const uint8_t *payload, size_t bytes, struct event_words words, unsigned shift)
{
	unsigned merge = words.merge_shift;
	bool bad;
	int rc;

	decode_payload(payload, bytes, merge, &from_columns, &rc);
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(from_columns.bad, 0);
	from_words.count = 0;
	for (size_t n;
	     (n = event_words_next(&words, from_words.events + from_words.count, &bad)) != 0;) {
		ck_assert(!bad);
		from_words.count += n;
		ck_assert_uint_le(from_words.count + EVENT_DECODE_EVENTS, EVENTS_MAX);
	}
	ck_assert_uint_eq(words.records, 5000);
	ck_assert_uint_eq(from_columns.count, from_words.count);
	for (size_t i = 0; i < from_words.count; i++) {
		const struct event *a = &from_columns.events[i], *b = &from_words.events[i];

		/* An assertion each, which Check writes down, would take most of the time. */
		if (a->order != coarse(b->order, shift - merge) || a->address != b->address ||
		    a->bytes != b->bytes || a->stack != b->stack || a->kind != b->kind ||
		    a->op != b->op || a->aux != b->aux || a->family != b->family)
			ck_abort_msg("event %zu", i);
	}
}

/* Records of all sorts alike, or most of them like most. */
START_TEST(columns_and_words_agree)
{
	static const int rare[] = {0, 1000000, 50, 4};
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 40000);
	uint64_t *all = calloc(40000, sizeof(*all)), recent[RECENT] = {0};
	uint64_t tick = 1, before = 1;
	unsigned shift = (unsigned)_i % 5, merge = shift / 2;
	struct event_words words = {.words = all, .merge_shift = merge};
	size_t bytes;
	uint8_t *payload;

	srand((unsigned)_i);
	ck_assert_ptr_nonnull(all);
	for (size_t i = 0; i < 5000; i++) {
		uint64_t *at = all + words.count;
		size_t count = _i % 4 == 0 ? make_record(at, &tick)
					   : make_usual(at, &tick, recent, i, rare[_i % 4]);

		/* The release of a realloc lies between the event before and its own. */
		if (count >= 6)
			at[5] = before + wild() % (tick - before + 1);
		before = tick;
		trace_builder_words(builder, ring, at, count);
		words.count += count;
	}
	trace_builder_flush(builder, ring, _i % 2 ? TRACE_COMPRESSION_ZSTD : TRACE_COMPRESSION_NONE,
			    shift, _i % 3 ? TRACE_BUILDER_RUNS : 0);
	payload = only_payload(builder, &bytes);
	compare(payload, bytes, words, shift);
	free(payload);
	free(all);
	trace_builder_free(builder);
}
END_TEST

/* Records like most, and a column that is a byte too short for them, or one too long. */
START_TEST(each_column_ends)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 40000);
	uint64_t words[8], recent[RECENT] = {0}, tick = 1;
	struct trace_events *head;
	size_t bytes;
	uint8_t *payload;
	int rc;

	srand((unsigned)_i);
	for (size_t i = 0; i < 4000; i++)
		trace_builder_words(builder, ring, words,
				    make_usual(words, &tick, recent, i, 1000000));
	trace_builder_flush(builder, ring, TRACE_COMPRESSION_NONE, 0,
			    _i % 2 ? TRACE_BUILDER_RUNS : 0);
	payload = only_payload(builder, &bytes);
	head = (struct trace_events *)(void *)payload;
	for (size_t i = 0; i < TRACE_COLUMNS; i++) {
		if (head->column_bytes[i] == 0)
			continue;
		/* The last byte becomes the first one of the next column. */
		head->column_bytes[i]--;
		if (i + 1 < TRACE_COLUMNS)
			head->column_bytes[i + 1]++;
		decode_payload(payload, bytes, 0, &from_columns, &rc);
		ck_assert_msg(rc != 0 || from_columns.bad != 0, "column %zu", i);
		if (i + 1 < TRACE_COLUMNS)
			head->column_bytes[i + 1]--;
		head->column_bytes[i]++;
	}
	decode_payload(payload, bytes, 0, &from_columns, &rc);
	ck_assert_uint_ge(from_columns.count, 4000); /* a realloc is two */
	ck_assert_uint_eq(from_columns.bad, 0);
	free(payload);
	trace_builder_free(builder);
}
END_TEST

START_TEST(halves_of_a_realloc)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 64);
	struct decoded *out = &from_columns;
	size_t bytes;
	uint8_t *payload;
	int rc;

	trace_builder_realloc(builder, ring, 16, 64, 0x1000, 0x2008, 5, 9);
	trace_builder_realloc(builder, ring, 80, 96, 0, 0x3000, 6, 8);
	trace_builder_flush(builder, ring, TRACE_COMPRESSION_NONE, 4, 0);
	payload = only_payload(builder, &bytes);
	decode_payload(payload, bytes, 4, out, &rc);
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(out->count, 3);
	ck_assert_uint_eq(out->events[0].op, EVENT_RELEASE);
	ck_assert_uint_eq(out->events[0].order, 1 << 1);
	ck_assert_uint_eq(out->events[0].address, 0x1000);
	ck_assert_uint_eq(out->events[1].op, EVENT_ACQUIRE);
	ck_assert_uint_eq(out->events[1].order, 4 << 1 | 1);
	ck_assert_uint_eq(out->events[1].address, 0x2008);
	ck_assert_uint_eq(out->events[1].stack, 9);
	ck_assert_uint_eq(out->events[2].op, EVENT_ACQUIRE);
	ck_assert_uint_eq(out->events[2].bytes, 6);
	free(payload);
	trace_builder_free(builder);
}
END_TEST

/* Any byte of uncompressed columns changed: an answer or a refusal, never a read outside. */
START_TEST(unsound_columns)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 40000);
	uint64_t words[8] = {0}, tick = 1;
	size_t bytes;
	uint8_t *payload;
	unsigned refused = 0;
	int rc;

	srand((unsigned)_i);
	for (int i = 0; i < 600; i++)
		trace_builder_words(builder, ring, words, make_record(words, &tick));
	trace_builder_flush(builder, ring, TRACE_COMPRESSION_NONE, 0, 0);
	payload = only_payload(builder, &bytes);
	for (int i = 0; i < 3000; i++) {
		size_t at = i % 10 == 0 ? (size_t)rand() % sizeof(struct trace_events)
					: (size_t)rand() % bytes;
		uint8_t old = payload[at];

		payload[at] = (uint8_t)rand();
		decode_payload(payload, bytes, 0, &from_columns, &rc);
		refused += rc != 0 || from_columns.bad != 0;
		payload[at] = old;
	}
	ck_assert_uint_gt(refused, 0);
	for (size_t cut = 0; cut < bytes; cut++)
		decode_payload(payload, cut, 0, &from_columns, &rc);
	free(payload);
	trace_builder_free(builder);
}
END_TEST

/* A payload made by hand, uncompressed. Returns its length. */
static size_t by_hand(uint8_t *payload, struct trace_events head,
		      const char *const columns[TRACE_COLUMNS])
{
	uint8_t *to = payload + sizeof(head);

	for (size_t i = 0; i < TRACE_COLUMNS; i++) {
		/* Each digit is a byte. */
		const char *digits = columns[i] ? columns[i] : "";

		head.column_bytes[i] = (uint32_t)strlen(digits);
		for (const char *digit = digits; *digit != '\0'; digit++)
			*to++ = (uint8_t)(*digit >= 'a' ? *digit - 'a' + 10 : *digit - '0');
	}
	memcpy(payload, &head, sizeof(head));
	return (size_t)(to - payload);
}

#define RELEASED TRACE_COLUMN_RELEASED

/*
 * Fresh blocks lie behind each other, what is released lies where the last one did: the columns of
 * four mallocs of 24, 25, 0 and 0 bytes, a free, a realloc(NULL, 24) and a free.
 */
START_TEST(expected_addresses)
{
	static const char *const columns[TRACE_COLUMNS] = {[TRACE_COLUMN_SHAPE] = "0111002",
							   [TRACE_COLUMN_TIME] = "0000000",
							   [TRACE_COLUMN_ADDRESS] = "00000000",
							   [TRACE_COLUMN_SIZE] = "qr20q",
							   [TRACE_COLUMN_DEFINITION] = "100g300",
							   [TRACE_COLUMN_FRESH] = "k0000",
							   [TRACE_COLUMN_EXTRA] = "0",
							   [RELEASED] = "ki4"};
	static const struct {
		uint8_t op;
		uint64_t address, bytes;
	} wanted[] = {{EVENT_ACQUIRE, 80, 24},		{EVENT_ACQUIRE, 80 + 32, 25},
		      {EVENT_ACQUIRE, 80 + 32 + 48, 0}, {EVENT_ACQUIRE, 80 + 32 + 48 + 32, 0},
		      {EVENT_RELEASE, 80, 0},		{EVENT_ACQUIRE, 80 + 32 + 48 + 32 + 32, 24},
		      {EVENT_RELEASE, 80 + 16, 0}};
	struct trace_events head = {.events = 7};
	uint8_t payload[256];
	int rc;

	decode_payload(payload, by_hand(payload, head, columns), 0, &from_columns, &rc);
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(from_columns.bad, 0);
	ck_assert_uint_eq(from_columns.count, sizeof(wanted) / sizeof(wanted[0]));
	for (size_t i = 0; i < from_columns.count; i++) {
		ck_assert_uint_eq(from_columns.events[i].op, wanted[i].op);
		ck_assert_uint_eq(from_columns.events[i].address, wanted[i].address);
		ck_assert_uint_eq(from_columns.events[i].bytes, wanted[i].bytes);
	}
}
END_TEST

/* A fresh address told by two bytes, and it is 0: what was taken of the first is not lost. */
START_TEST(fresh_zero_in_two_bytes)
{
	static const char *const columns[TRACE_COLUMNS] = {
	    "01", "00", "0z", "", "g", [TRACE_COLUMN_ADDRESS_LOW] = "0", [RELEASED] = "42"};
	struct trace_events head = {.events = 2};
	uint8_t payload[256];
	size_t bytes = by_hand(payload, head, columns);
	int rc;

	payload[sizeof(head) + 5] = TRACE_SHORT_HIGH;
	decode_payload(payload, bytes, 0, &from_columns, &rc);
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(from_columns.bad, 0);
	ck_assert_uint_eq(from_columns.count, 2);
	ck_assert_uint_eq(from_columns.events[0].address, 16);
	ck_assert_uint_eq(from_columns.events[1].address, 0);
}
END_TEST

/* An address of two bytes and then one of 0 in two: what was taken of FAR is not lost. */
START_TEST(far_addresses)
{
	static const char *const columns[TRACE_COLUMNS] = {
	    "01", "00", "00", "", "g", [RELEASED] = "00", [TRACE_COLUMN_FAR] = "21"};
	struct trace_events head = {.events = 2};
	uint8_t payload[256];
	size_t bytes = by_hand(payload, head, columns);
	int rc;

	/* zigzag(64) << 1 and zigzag(-64) << 1 */
	payload[bytes - 4] = 0x80;
	payload[bytes - 3] = 0xfe;
	decode_payload(payload, bytes, 0, &from_columns, &rc);
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(from_columns.bad, 0);
	ck_assert_uint_eq(from_columns.count, 2);
	ck_assert_uint_eq(from_columns.events[0].address, 1024);
	ck_assert_uint_eq(from_columns.events[1].address, 0);
	/* The rest of the second is missing. */
	memcpy(&head, payload, sizeof(head));
	head.column_bytes[TRACE_COLUMN_FAR]--;
	memcpy(payload, &head, sizeof(head));
	decode_payload(payload, bytes - 1, 0, &from_columns, &rc);
	ck_assert_uint_ne(from_columns.bad, 0);
}
END_TEST

/*
 * Records of a thread that frees the same again and again, one of which has a code of SHAPE that is
 * the last one, or none: as many come before it as there are, wherever it lies among those that are
 * taken together.
 */
START_TEST(a_shape_too_many)
{
	static char shapes[] = "0111111111111111111111111111111111111111";
	static char times[] = "1000000000000000000000000000000000000000";
	static char addresses[] = "0111111111111111111111111111111111111111";
	const char *const columns[TRACE_COLUMNS] = {shapes, times, addresses,
						    "",	    "gg",  [RELEASED] = "2"};
	struct trace_events head = {.events = 40};
	uint8_t payload[512];
	int rc;

	for (size_t at = 1; at < 40; at++)
		for (unsigned code = 0; code < 4; code++) {
			size_t bytes = by_hand(payload, head, columns);
			bool known = code < 2;

			payload[sizeof(head) + at] = (uint8_t)(code == 3 ? 127 : code);
			decode_payload(payload, bytes, 0, &from_columns, &rc);
			ck_assert_int_eq(rc, 0);
			ck_assert_uint_eq(from_columns.count, known ? 40 : at);
			ck_assert_uint_eq(from_columns.bad, known ? 0 : 40 - at);
		}
}
END_TEST

/* What a segment may not say, beside one that is sound: g is 16, free. */
START_TEST(lies)
{
	static const struct {
		const char *columns[TRACE_COLUMNS];
		struct trace_events head;
		int rc;
		size_t events;
		uint32_t bad;
	} cases[] = {
	    {{"01", "10", "01", "", "g", [RELEASED] = "2"}, {.events = 2}, 0, 2, 0},
	    /* a shape that was never defined; none left to define; no such kind */
	    {{"02", "10", "01", "", "g", [RELEASED] = "2"}, {.events = 2}, 0, 1, 1},
	    {{"00", "10", "01", "", "g", [RELEASED] = "2"}, {.events = 2}, 0, 1, 1},
	    {{"01", "10", "01", "", "0", [RELEASED] = "2"}, {.events = 2}, 0, 0, 2},
	    /* an address before the first, or beyond the column */
	    {{"01", "10", "02", "", "g", [RELEASED] = "2"}, {.events = 2}, 0, 0, 2},
	    {{"01", "10", "1", "", "g", [RELEASED] = "2"}, {.events = 2}, 0, 0, 2},
	    {{"01", "10", "00", "", "g", [RELEASED] = "2"}, {.events = 2}, 0, 0, 2},
	    /* the lowest bits of an address announced and missing; a time missing */
	    {{"01", "10", "01", "", "g", [RELEASED] = "3"}, {.events = 2}, 0, 0, 2},
	    {{"01", "1", "01", "", "g", [RELEASED] = "2"}, {.events = 2}, 0, 0, 2},
	    /* realloc, whose old address lies before the first, or whose new one does */
	    {{"0", "0", "00", "2", "300", "2", "0", [RELEASED] = "2"}, {.events = 1}, 0, 2, 0},
	    {{"0", "0", "10", "2", "300", "2", "0", [RELEASED] = "2"}, {.events = 1}, 0, 0, 1},
	    {{"0", "0", "02", "2", "300", "2", "0", [RELEASED] = "2"}, {.events = 1}, 0, 0, 1},
	    /* without the time between its halves */
	    {{"0", "0", "00", "2", "300", "2", "", [RELEASED] = "2"}, {.events = 1}, 0, 0, 1},
	    /* a released address, and one acquired, in the other column */
	    {{"01", "10", "01", "", "g", "2"}, {.events = 2}, 0, 0, 2},
	    {{"01", "10", "01", "55", "100", [RELEASED] = "2"}, {.events = 2}, 0, 0, 2},
	    /* malloc without a size, and with the stack missing */
	    {{"01", "10", "01", "5", "100", "2", ""}, {.events = 2}, 0, 0, 2},
	    {{"01", "10", "01", "55", "10", "2", ""}, {.events = 2}, 0, 0, 2},
	    {{"01", "10", "01", "55", "100", "2", ""}, {.events = 2}, 0, 2, 0},
	    {{"01", "10", "01", "", "g", [RELEASED] = "2"}, {.events = 65537}, -EINVAL, 0, 0},
	    {{"01", "10", "01", "", "g", [RELEASED] = "2"},
	     {.events = 2, .tick_shift = 60},
	     -EINVAL,
	     0,
	     0},
	    {{"01", "10", "01", "", "g", [RELEASED] = "2"},
	     {.events = 2, .compression = 7},
	     -EINVAL,
	     0,
	     0},
	};
	uint8_t payload[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t bytes = by_hand(payload, cases[i].head, cases[i].columns);
		int rc;

		decode_payload(payload, bytes, 0, &from_columns, &rc);
		ck_assert_msg(rc == cases[i].rc && from_columns.count == cases[i].events &&
				  from_columns.bad == cases[i].bad,
			      "case %zu: %d, %zu events, %u bad", i, rc, from_columns.count,
			      from_columns.bad);
	}
	decode_payload(payload, by_hand(payload, cases[0].head, cases[0].columns), 1, &from_columns,
		       &lower_rc);
	ck_assert_int_eq(lower_rc, -EINVAL);
}
END_TEST

/* Ticks have 56 bits: sums beyond them are damage, also where they wrap. */
START_TEST(times_beyond)
{
	static const uint64_t steps[][2] = {
	    {(1ULL << 56) - 2, 1}, {(1ULL << 56) - 2, 2}, {1ULL << 56, 0}, {5, UINT64_MAX}};

	for (size_t i = 0; i < 4; i++) {
		struct trace_events head = {.events = 2};
		const char *const columns[TRACE_COLUMNS] = {"01", "",  "01",
							    "",	  "g", [RELEASED] = "2"};
		uint8_t payload[256], times[32], *to = times;
		size_t bytes = by_hand(payload, head, columns);
		int rc;

		for (int n = 0; n < 2; n++) {
			uint64_t value = steps[i][n];

			for (; value >= 0x80; value >>= 7)
				*to++ = (uint8_t)(value | 0x80);
			*to++ = (uint8_t)value;
		}
		memmove(payload + sizeof(head) + 2 + (to - times), payload + sizeof(head) + 2,
			bytes - sizeof(head) - 2);
		memcpy(payload + sizeof(head) + 2, times, (size_t)(to - times));
		((struct trace_events *)(void *)payload)->column_bytes[TRACE_COLUMN_TIME] =
		    (uint32_t)(to - times);
		decode_payload(payload, bytes + (size_t)(to - times), 0, &from_columns, &rc);
		ck_assert_int_eq(rc, 0);
		ck_assert_uint_eq(from_columns.count, i == 0 ? 2 : 0);
		ck_assert_uint_eq(from_columns.bad, i == 0 ? 0 : 2);
	}
}
END_TEST

START_TEST(unsound_words)
{
	uint64_t words[] = {5 << 8 | TRACE_EVENT_FREE, 0x40, 6 << 8 | 250, 0};
	struct event_words unknown = {.words = words, .count = 4};
	struct event_words cut = {.words = words, .count = 1};
	struct event events[EVENT_DECODE_EVENTS];
	bool bad;

	ck_assert_uint_eq(event_words_next(&unknown, events, &bad), 1);
	ck_assert(bad);
	ck_assert_uint_eq(event_words_next(&unknown, events, &bad), 0);
	ck_assert(!bad);
	ck_assert_uint_eq(event_words_next(&cut, events, &bad), 0);
	ck_assert(bad);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("event_decode");
	TCase *tcase = tcase_create("event_decode");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, columns_and_words_agree, 0, 60);
	tcase_add_loop_test(tcase, each_column_ends, 0, 4);
	tcase_add_test(tcase, halves_of_a_realloc);
	tcase_add_loop_test(tcase, unsound_columns, 0, 3);
	tcase_add_test(tcase, expected_addresses);
	tcase_add_test(tcase, fresh_zero_in_two_bytes);
	tcase_add_test(tcase, far_addresses);
	tcase_add_test(tcase, a_shape_too_many);
	tcase_add_test(tcase, lies);
	tcase_add_test(tcase, times_beyond);
	tcase_add_test(tcase, unsound_words);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
